/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers as people read them.
 */
#include "cli/print/human.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_counts_are_grouped(void **state)
{
	(void)state;
	assert_string_equal(HUMAN_COUNT(0), "0");
	assert_string_equal(HUMAN_COUNT(999), "999");
	assert_string_equal(HUMAN_COUNT(1000), "1,000");
	assert_string_equal(HUMAN_COUNT(13848), "13,848");
	assert_string_equal(HUMAN_COUNT(1234567), "1,234,567");
	assert_string_equal(HUMAN_COUNT(UINT64_MAX), "18,446,744,073,709,551,615");
}

static void test_bytes_have_units(void **state)
{
	(void)state;
	assert_string_equal(HUMAN_BYTES(0), "0 bytes");
	assert_string_equal(HUMAN_BYTES(1), "1 byte");
	assert_string_equal(HUMAN_BYTES(999), "999 bytes");
	assert_string_equal(HUMAN_BYTES(1000), "1.0 kB");
	assert_string_equal(HUMAN_BYTES(29700000), "29.7 MB");
	assert_string_equal(HUMAN_BYTES(UINT64_MAX), "18.4 EB");
}

/* No "1000.0 kB". */
static void test_bytes_round_into_the_next_unit(void **state)
{
	(void)state;
	assert_string_equal(HUMAN_BYTES(999949), "999.9 kB");
	assert_string_equal(HUMAN_BYTES(999950), "1.0 MB");
	assert_string_equal(HUMAN_BYTES(999999999), "1.0 GB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_grouped),
		cmocka_unit_test(test_bytes_have_units),
		cmocka_unit_test(test_bytes_round_into_the_next_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
