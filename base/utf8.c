/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Well-formed sequences, and those that may be shown; see utf8.h.
 */
#include "base/utf8.h"

#include "base/scope.h"

static bool in_range(uint8_t byte, uint8_t low, uint8_t high)
{
	return byte >= low && byte <= high;
}

/* Bytes that a first byte announces; 0 for one that begins nothing. */
static size_t announced_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (in_range(first, 0xc2, 0xdf))
		return 2;
	if (in_range(first, 0xe0, 0xef))
		return 3;
	return in_range(first, 0xf0, 0xf4) ? 4 : 0;
}

size_t utf8_length_surrogatepass(const uint8_t *text, size_t left)
{
	size_t len = announced_length(text[0]);
	uint8_t low = text[0] == 0xe0 ? 0xa0 : text[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t high = text[0] == 0xf4 ? 0x8f : 0xbf;

	if (len < 2)
		return len;
	if (left < len || !in_range(text[1], low, high))
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!in_range(text[i], 0x80, 0xbf))
			return 0;
	return len;
}

size_t utf8_length(const uint8_t *text, size_t left)
{
	size_t len = utf8_length_surrogatepass(text, left);

	return len == 3 && text[0] == 0xed && text[1] > 0x9f ? 0 : len;
}

static uint32_t decode(const uint8_t *text, size_t len)
{
	uint32_t character = len == 1 ? text[0] : text[0] & (0x7fu >> len);

	for (size_t i = 1; i < len; i++)
		character = character << 6 | (text[i] & 0x3f);
	return character;
}

/* Sorted. Cc, Cf, Zl and Zp of the Unicode Character Database 16, as far as they count. */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{0x0000, 0x001f},   {0x007f, 0x009f},	{0x00ad, 0x00ad},   {0x034f, 0x034f},
	{0x061c, 0x061c},   {0x115f, 0x1160},	{0x17b4, 0x17b5},   {0x180b, 0x180f},
	{0x200b, 0x200f},   {0x2028, 0x202e},	{0x2060, 0x206f},   {0x3164, 0x3164},
	{0xfe00, 0xfe0f},   {0xfeff, 0xfeff},	{0xffa0, 0xffa0},   {0xfff0, 0xfffb},
	{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_hidden(uint32_t character)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(hidden) && character > hidden[i].last)
		i++;
	return i < ARRAY_SIZE(hidden) && character >= hidden[i].first;
}

size_t utf8_shown_length(const uint8_t *text, size_t left)
{
	size_t len = utf8_length(text, left);

	return len > 0 && is_hidden(decode(text, len)) ? 0 : len;
}
