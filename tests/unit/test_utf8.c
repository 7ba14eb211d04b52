/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UTF-8 against an encoder: all characters, and all sequences of up to three bytes.
 */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static size_t encode(uint32_t c, uint8_t *out)
{
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = len; i-- > 1; c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3f));
	out[0] = (uint8_t)(len == 1 ? c : (0xf00u >> len & 0xff) | c);
	return len;
}

static void test_every_character(void **state)
{
	uint8_t text[4];

	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		size_t len = encode(c, text);
		size_t strict = c >= 0xd800 && c < 0xe000 ? 0 : len;

		assert_int_equal(utf8_length(text, len), strict);
		assert_int_equal(utf8_length_surrogatepass(text, len), len);
		if (len > 1) /* cut off */
			assert_int_equal(utf8_length(text, len - 1), 0);
	}
}

/* What the encoder makes of no character is no sequence. */
static void test_every_short_sequence(void **state)
{
	static uint8_t good[1 << 24];
	uint8_t text[4];
	size_t found = 0, expected = 0;

	(void)state;
	memset(good, 0, sizeof(good));
	for (uint32_t c = 0; c < 0x10000; c++)
		if (encode(c, text) == 3)
			good[text[0] << 16 | text[1] << 8 | text[2]] = 1;
	for (uint32_t i = 0; i < sizeof(good); i++) {
		const uint8_t bytes[] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		found += (utf8_length_surrogatepass(bytes, 3) == 3) == good[i];
		expected++;
	}
	assert_int_equal(found, expected);
	assert_int_equal(utf8_length((const uint8_t *)"\xc0\x80", 2), 0);
	assert_int_equal(utf8_length((const uint8_t *)"\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(utf8_length((const uint8_t *)"\xf0\x8f\xbf\xbf", 4), 0);
}

static void test_what_is_shown(void **state)
{
	static const char *const shown[] = {" ",      "~",	    "\u00a0", "\u00e9",
					    "\u4e2d", "\U0001f40d", "\u0301"};
	/* CSI, soft hyphen, zero width, directions, separators, byte order, tags. */
	static const char *const hidden[] = {
		"\x1b",	  "\x7f",   "\xc2\x9b", "\u00ad", "\u061c",    "\u200b",
		"\u200d", "\u200f", "\u202a",	"\u202e", "\u2028",    "\u2066",
		"\u2069", "\ufeff", "\u2060",	"\ufff9", "\U000e0041"};

	(void)state;
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		assert_int_equal(utf8_shown_length((const uint8_t *)shown[i], SIZE_MAX),
				 strlen(shown[i]));
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		assert_int_equal(utf8_shown_length((const uint8_t *)hidden[i], SIZE_MAX),
				 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_every_short_sequence),
		cmocka_unit_test(test_what_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
