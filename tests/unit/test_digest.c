/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content digest is XXH3-128 and nothing else: rows in a cache outlive the program, so
 * known answers (xxhsum -H2) must not drift.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cache/tree/digest.h"

static void test_known_answers(void **state)
{
	struct digest empty = digest_of(NULL, 0);
	struct digest abc = digest_of("abc", 3);

	(void)state;
	/* xxhsum -H2: 99aa06d3014798d86001c324468d497f, 06b05ab6733a618578af5f94892f3950 */
	assert_true(empty.high == UINT64_C(0x99aa06d3014798d8));
	assert_true(empty.low == UINT64_C(0x6001c324468d497f));
	assert_true(abc.high == UINT64_C(0x06b05ab6733a6185));
	assert_true(abc.low == UINT64_C(0x78af5f94892f3950));
	assert_true(digest_equal(digest_of("", 0), empty));
}

/* Each bit of a block and its length count, also past the long-input threshold. */
static void test_every_bit_counts(void **state)
{
	static uint8_t data[1024];
	struct digest base = digest_of(data, sizeof(data));

	(void)state;
	for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(digest_equal(digest_of(data, sizeof(data)), base));
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len < sizeof(data); len++)
		assert_false(digest_equal(digest_of(data, len), base));
	assert_true(digest_equal(digest_of(data, sizeof(data)), base));
}

static void test_equal_compares_both_halves(void **state)
{
	struct digest a = {.low = 1, .high = 2};
	struct digest low = {.low = 3, .high = 2};
	struct digest high = {.low = 1, .high = 3};

	(void)state;
	assert_true(digest_equal(a, a));
	assert_false(digest_equal(a, low));
	assert_false(digest_equal(a, high));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_equal_compares_both_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
