/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON with strings that are not UTF-8, whose bytes json-c would print as they are; see
 * json_text.h.
 */
#include "base/json_text.h"

#include <json-c/printbuf.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The end of a string ends a sequence, so its length need not be known. */
static size_t sequence_length(const char *text)
{
	return utf8_length((const uint8_t *)text, SIZE_MAX);
}

bool json_is_utf8(const char *text)
{
	size_t len = 1;

	while (*text && len > 0) {
		len = sequence_length(text);
		text += len;
	}
	return len > 0;
}

static int print_bytes(struct json_object *string, struct printbuf *out, int level,
		       int flags)
{
	const char *byte = json_object_get_string(string);

	(void)level;
	(void)flags;
	sprintbuf(out, "\"");
	while (*byte) {
		size_t len = sequence_length(byte);

		if (len == 0)
			sprintbuf(out, "\\udc%02x", (uint8_t)*byte);
		else if ((uint8_t)*byte < 0x20)
			sprintbuf(out, "\\u%04x", *byte);
		else if (*byte == '"' || *byte == '\\')
			sprintbuf(out, "\\%c", *byte);
		else
			printbuf_memappend(out, byte, (int)len);
		byte += len ? len : 1;
	}
	return sprintbuf(out, "\"");
}

struct json_object *json_text(const char *text)
{
	struct json_object *string = text ? json_object_new_string(text) : NULL;

	if (string && !json_is_utf8(text))
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

static struct json_object *add_member(struct json_object *object, const char *key,
				      struct json_object *member)
{
	json_object_object_add(object, key, member);
	return member;
}

struct json_object *json_add_object(struct json_object *object, const char *key)
{
	return add_member(object, key, json_object_new_object());
}

struct json_object *json_add_array(struct json_object *object, const char *key)
{
	return add_member(object, key, json_object_new_array());
}

struct json_object *json_member(struct json_object *object, const char *key)
{
	struct json_object *found = NULL;

	json_object_object_get_ex(object, key, &found);
	return found;
}

const char *json_member_text(struct json_object *object, const char *key, const char *other)
{
	struct json_object *found = json_member(object, key);

	return json_object_is_type(found, json_type_string) ? json_object_get_string(found)
							    : other;
}
