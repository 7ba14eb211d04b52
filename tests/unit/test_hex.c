/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hexadecimal text, and numbers in byte strings.
 */
#include "base/hex.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

static const uint8_t all[] = {0x00, 0x01, 0x7f, 0x80, 0xab, 0xff};

static void test_there_and_back(void **state)
{
	char text[HEX_SIZE(sizeof(all))];
	uint8_t bytes[sizeof(all)];

	(void)state;
	assert_string_equal(hex_encode(all, sizeof(all), text), "00017f80abff");
	assert_int_equal(hex_decode(text, bytes, sizeof(bytes)), sizeof(all));
	assert_memory_equal(bytes, all, sizeof(all));
	assert_string_equal(hex_encode(all, 0, text), "");
	assert_int_equal(hex_decode("", bytes, 0), 0);
	assert_int_equal(hex_decode("AbCd", bytes, 2), 2);
	assert_int_equal(bytes[0], 0xab);
}

static void test_bad_text(void **state)
{
	static const char *const bad[] = {"0",	 "001",	 "0g",	"g0",
					  " 00", "0x00", "00 ", "-1"};
	uint8_t bytes[8];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hex_decode(bad[i], bytes, sizeof(bytes)), -EINVAL);
	assert_int_equal(hex_decode("0000", bytes, 1), -ENOSPC);
}

static void test_numbers(void **state)
{
	static const uint8_t bytes[] = {0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88};
	uint8_t out[8];

	(void)state;
	assert_int_equal(load_le16(bytes), 0x8201);
	assert_int_equal(load_le32(bytes), 0x84038201);
	assert_true(load_le64(bytes) == UINT64_C(0x8807860584038201));
	store_le64(out, load_le64(bytes));
	assert_memory_equal(out, bytes, 8);
	store_le32(out, load_le32(bytes + 4));
	assert_memory_equal(out, bytes + 4, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
