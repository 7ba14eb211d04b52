/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RECORD and md5sums; see record_text.h.
 */
#include "cache/tree/record_text.h"

#include <stdbool.h>
#include <string.h>

#include "base/hex.h"

#define SHA256_BYTES  32
#define SHA256_BASE64 43
#define MD5_BYTES     16

static bool record_is_component(const char *name, size_t len)
{
	return len > 0 && !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

/* A source file, below the directory that the path is relative to, by its only name. */
static bool record_is_source(const char *path, size_t len)
{
	const char *end = path + len;

	if (len < sizeof("x.py") - 1 || memcmp(end - 3, ".py", 3) != 0 ||
	    memchr(path, '\0', len))
		return false;
	for (const char *name = path, *slash; name <= end; name = slash + 1) {
		slash = memchr(name, '/', (size_t)(end - name));
		slash = slash ? slash : end;
		if (!record_is_component(name, (size_t)(slash - name)))
			return false;
	}
	return true;
}

/* ---- RECORD ---- */

static int record_base64_value(char c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789-_";
	const char *found = c ? strchr(alphabet, c) : NULL;

	return found ? (int)(found - alphabet) : -1;
}

/* 43 digits of 6 bits; the last 2 bits are none of the 256, and 0. */
static bool record_decode_sha256(const char *text, size_t len, uint8_t hash[SHA256_BYTES])
{
	uint32_t bits = 0;
	int held = 0;
	size_t at = 0;

	if (len != SHA256_BASE64)
		return false;
	for (size_t i = 0; i < len; i++) {
		int value = record_base64_value(text[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8 && at < SHA256_BYTES)
			hash[at++] = (uint8_t)(bits >> (held -= 8));
	}
	return (bits & 3) == 0;
}

/* A field of a line; *@at is moved to the comma or the end of the line after it. */
struct record_field {
	char *text;
	size_t len;
};

/* In quotes, "" stands for one of them. */
static struct record_field record_take_quoted(char **at, const char *end)
{
	struct record_field field = {.text = *at};
	char *from = *at + 1;

	for (; from < end; from++) {
		if (*from == '"' && (++from == end || *from != '"'))
			break;
		field.text[field.len++] = *from;
	}
	*at = from;
	return field;
}

static struct record_field record_take_field(char **at, const char *end)
{
	struct record_field field = {.text = *at};

	if (*at < end && **at == '"')
		return record_take_quoted(at, end);
	while (*at < end && **at != ',' && **at != '\n' && **at != '\r')
		++*at;
	field.len = (size_t)(*at - field.text);
	return field;
}

static void record_take_line(char **at, const char *end, record_line_fn *take,
			     void *context)
{
	static const char prefix[] = "sha256=";
	const size_t prefix_len = sizeof(prefix) - 1;
	struct record_field path = record_take_field(at, end), digest = {.len = 0};
	uint8_t hash[SHA256_BYTES];

	if (*at < end && **at == ',') {
		++*at;
		digest = record_take_field(at, end);
	}
	if (record_is_source(path.text, path.len) && digest.len > prefix_len &&
	    memcmp(digest.text, prefix, prefix_len) == 0 &&
	    record_decode_sha256(digest.text + prefix_len, digest.len - prefix_len, hash))
		take(context, path.text, path.len, RECORD_SHA256, hash);
	while (*at < end && **at != '\n')
		++*at;
}

void record_parse_pip(char *text, size_t len, record_line_fn *take, void *context)
{
	const char *end = text + len;

	for (char *at = text; at < end; at++)
		record_take_line(&at, end, take, context);
}

/* ---- md5sums ---- */

static void record_take_sum(const char *line, size_t len, record_line_fn *take,
			    void *context)
{
	char digits[2 * MD5_BYTES + 1] = "";
	uint8_t hash[MD5_BYTES];
	const size_t digits_len = sizeof(digits) - 1;
	const size_t path_at = digits_len + 2;

	if (len <= path_at || memcmp(line + digits_len, "  ", 2) != 0 ||
	    !record_is_source(line + path_at, len - path_at))
		return;
	memcpy(digits, line, digits_len);
	if (hex_decode(digits, hash, sizeof(hash)) == MD5_BYTES)
		take(context, line + path_at, len - path_at, RECORD_MD5, hash);
}

void record_parse_dpkg(const char *text, size_t len, record_line_fn *take, void *context)
{
	const char *end = text + len;

	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));

		line_end = line_end ? line_end : end;
		record_take_sum(text, (size_t)(line_end - text), take, context);
		text = line_end + 1;
	}
}
