/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-c prints the bytes of a string as they are; where they are not UTF-8, we print
 * them; see json_text.h.
 */
#include "base/json_text.h"

#include <json-c/printbuf.h>
#include <stdio.h>
#include <string.h>

/* The length of the well-formed UTF-8 sequence at @text, 0 for none (RFC 3629). */
static size_t sequence_length(const unsigned char *text)
{
	size_t len = text[0] < 0x80   ? 1
		     : text[0] < 0xc2 ? 0
		     : text[0] < 0xe0 ? 2
		     : text[0] < 0xf0 ? 3
		     : text[0] < 0xf5 ? 4
				      : 0;

	for (size_t i = 1; i < len; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong, a surrogate, above U+10FFFF. */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return len;
}

static bool is_utf8(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;

	while (*byte) {
		size_t len = sequence_length(byte);

		if (len == 0)
			return false;
		byte += len;
	}
	return true;
}

static int print_bytes(struct json_object *string, struct printbuf *out, int level,
		       int flags)
{
	const unsigned char *byte = (const unsigned char *)json_object_get_string(string);

	(void)level;
	(void)flags;
	sprintbuf(out, "\"");
	while (*byte) {
		size_t len = sequence_length(byte);

		if (len == 0)
			sprintbuf(out, "\\udc%02x", *byte);
		else if (*byte < 0x20)
			sprintbuf(out, "\\u%04x", *byte);
		else if (*byte == '"' || *byte == '\\')
			sprintbuf(out, "\\%c", *byte);
		else
			printbuf_memappend(out, (const char *)byte, (int)len);
		byte += len ? len : 1;
	}
	return sprintbuf(out, "\"");
}

struct json_object *json_text(const char *text)
{
	struct json_object *string = text ? json_object_new_string(text) : NULL;

	if (string && !is_utf8(text))
		json_object_set_serializer(string, print_bytes, NULL, NULL);
	return string;
}

void json_add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_text(text));
}

void json_add_number(struct json_object *object, const char *key, int64_t number)
{
	json_object_object_add(object, key, json_object_new_int64(number));
}

void json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

void json_add_decimal(struct json_object *object, const char *key, double value, int digits)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*f", digits, value);
	json_object_object_add(object, key, json_object_new_double_s(value, text));
}
