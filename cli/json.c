/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON to standard output; see json.h.
 */
#include "cli/json.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

static void indent(const struct json *json)
{
	for (int i = 0; i < json->depth; i++)
		fputs("  ", stdout);
}

/* What stands before a value. */
static void begin_member(struct json *json, const char *key)
{
	if (json->has_members)
		putchar(',');
	if (json->depth > 0)
		putchar('\n');
	json->has_members = true;
	indent(json);
	if (key)
		printf("\"%s\": ", key);
}

void json_begin(struct json *json, const char *key, char bracket)
{
	begin_member(json, key);
	putchar(bracket);
	json->depth++;
	json->has_members = false;
}

void json_end(struct json *json, char bracket)
{
	json->depth--;
	if (json->has_members) {
		putchar('\n');
		indent(json);
	}
	putchar(bracket);
	json->has_members = true;
	if (json->depth == 0)
		putchar('\n');
}

void json_number(struct json *json, const char *key, int64_t number)
{
	begin_member(json, key);
	printf("%" PRId64, number);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_member(json, key);
	fputs(value ? "true" : "false", stdout);
}

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

void json_string(struct json *json, const char *key, const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;

	begin_member(json, key);
	putchar('"');
	while (*byte) {
		size_t len = sequence_length(byte);

		if (len == 0)
			printf("\\udc%02x", *byte);
		else if (*byte < 0x20 || *byte == 0x7f)
			printf("\\u%04x", *byte);
		else if (*byte == '"' || *byte == '\\')
			printf("\\%c", *byte);
		else
			fwrite(byte, 1, len, stdout);
		byte += len ? len : 1;
	}
	putchar('"');
}
