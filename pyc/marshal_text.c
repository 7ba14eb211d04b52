/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strings and numbers inside a body, checked as the interpreters decode them.
 *
 * Most bytes of a body are strings, and nearly all of those are ASCII: they are passed
 * over eight at a time, so that the walk stays faster than reading the file.
 */
#include <string.h>

#include "base/utf8.h"
#include "pyc/marshal_private.h"

/* How many bytes at the front are ASCII, rounded down to a word's boundary. */
static size_t ascii_words(const uint8_t *text, size_t len)
{
	size_t i = 0;
	uint64_t word;

	for (; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, text + i, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
	}
	return i;
}

bool marshal_text_is_ascii(const uint8_t *text, size_t len)
{
	size_t i = ascii_words(text, len);

	while (i < len && text[i] < 0x80)
		i++;
	return i == len;
}

bool marshal_text_is_utf8(const uint8_t *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t n = 1;

		if (text[i] >= 0x80)
			n = utf8_length_surrogatepass(text + i, len - i);
		else if (len - i >= sizeof(uint64_t))
			n = ascii_words(text + i, len - i);
		if (n == 0)
			n = text[i] < 0x80;
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* Moves past decimal digits; says whether there were any. */
static bool skip_digits(const uint8_t **p, const uint8_t *end)
{
	const uint8_t *start = *p;

	while (*p < end && **p >= '0' && **p <= '9')
		(*p)++;
	return *p > start;
}

static bool is_word(const uint8_t *p, const uint8_t *end, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - p) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((p[i] | 0x20) != word[i])
			return false;
	}
	return true;
}

static const uint8_t *skip_sign(const uint8_t *p, const uint8_t *end)
{
	return p < end && (*p == '+' || *p == '-') ? p + 1 : p;
}

bool marshal_text_is_float(const uint8_t *text, size_t len)
{
	const uint8_t *end = text + len;
	const uint8_t *p = skip_sign(text, end);
	bool digits;

	if (is_word(p, end, "inf") || is_word(p, end, "infinity") || is_word(p, end, "nan"))
		return true;
	digits = skip_digits(&p, end);
	if (p < end && *p == '.') {
		p++;
		digits |= skip_digits(&p, end);
	}
	if (!digits)
		return false;
	if (p < end && (*p | 0x20) == 'e') {
		p = skip_sign(p + 1, end);
		if (!skip_digits(&p, end))
			return false;
	}
	return p == end;
}
