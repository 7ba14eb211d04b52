/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File times as the interpreters see them. The numbers were measured, with os.utime() and
 * os.stat() by CPython 3.6, 3.7, 3.8, 3.9, 3.10, 3.11, 3.12, 3.13 and PyPy 3.9, which
 * all agree, and for 2.7 by letting it import from pycs made for the purpose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pyc/mtime.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define TWO_TO_31     INT64_C(2147483648)
#define TWO_TO_32     INT64_C(4294967296)

#define PYTHON27  62211
#define PYTHON36  3379
#define PYTHON311 3495

static struct timespec at(int64_t sec, long nsec)
{
	return (struct timespec){.tv_sec = sec, .tv_nsec = nsec};
}

static void test_int_of_st_mtime(void **state)
{
	static const struct {
		int64_t sec;
		long nsec;
		int64_t expected;
	} cases[] = {
		{0, 0, 0},
		{0, 999999999, 0},
		{1, 999999999, 1},
		{100, 999999999, 100},
		/* Fewer bits are left for the fraction from each power of two on. */
		{16777215, 999999999, 16777215},
		{16777216, 999999998, 16777216},
		{16777216, 999999999, 16777217},
		{1000000000, 999999940, 1000000000},
		{1000000000, 999999941, 1000000001},
		{1073741823, 999999940, 1073741823},
		{1073741823, 999999941, 1073741824},
		{1073741824, 999999880, 1073741824},
		{1073741824, 999999881, 1073741825},
		{1700000000, 0, 1700000000},
		{1700000000, 500000000, 1700000000},
		{1700000000, 999999880, 1700000000},
		{1700000000, 999999881, 1700000001},
		{1700000000, 999999900, 1700000001},
		{1700000000, 999999999, 1700000001},
		{TWO_TO_31 - 1, 999999880, TWO_TO_31 - 1},
		{TWO_TO_31 - 1, 999999881, TWO_TO_31},
		{TWO_TO_31, 999999761, TWO_TO_31},
		{TWO_TO_31, 999999762, TWO_TO_31 + 1},
		{TWO_TO_32 - 1, 999999761, TWO_TO_32 - 1},
		{TWO_TO_32 - 1, 999999762, TWO_TO_32},
		{TWO_TO_32, 999999700, TWO_TO_32 + 1},
		{2 * TWO_TO_32, 999999700, 2 * TWO_TO_32 + 1},
		/* Toward zero, not down. */
		{-1, 0, -1},
		{-1, 1, 0},
		{-1, 999999999, 0},
		{-2, 0, -2},
		{-2, 1, -1},
		{-100, 1, -99},
		{-16777216, 1, -16777215},
		{-1700000000, 0, -1700000000},
		{-1700000000, 1, -1700000000}, /* too near to be told from it */
		{-1700000000, 500000000, -1699999999},
		{-TWO_TO_31 + 1, 1, -TWO_TO_31 + 1},
		{-TWO_TO_31 + 1, 500000000, -TWO_TO_31 + 2},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(pyc_mtime_int(at(cases[i].sec, cases[i].nsec)),
				 cases[i].expected);
}

/* No file system has such times, but a time_t can; a double has 53 bits. */
static void test_absurd_times(void **state)
{
	uint32_t word = 1;

	(void)state;
	assert_int_equal(pyc_mtime_int(at(INT64_MIN, 0)), INT64_MIN);
	assert_int_equal(pyc_mtime_int(at(INT64_MIN, 999999999)), INT64_MIN);
	assert_int_equal(pyc_mtime_int(at(INT64_MAX, 0)), INT64_MAX);
	assert_int_equal(pyc_mtime_int(at(INT64_MAX - 511, 0)), INT64_MAX);
	assert_int_equal(pyc_mtime_int(at(INT64_MAX - 512, 0)), INT64_MAX - 1023);
	assert_int_equal(pyc_mtime_int(at((INT64_C(1) << 53) + 1, 0)), INT64_C(1) << 53);

	/* int(float(2**63 - 1)) is 2**63, of which the mask leaves 0. */
	assert_true(pyc_mtime_embed(pyc_magic_lookup(PYTHON311), at(INT64_MAX, 0), &word));
	assert_int_equal(word, 0);
	assert_false(pyc_mtime_embed(pyc_magic_lookup(PYTHON36), at(INT64_MAX, 0), &word));
	assert_false(pyc_mtime_embed(pyc_magic_lookup(PYTHON36), at(INT64_MIN, 0), &word));
}

struct embed_case {
	int64_t sec;
	long nsec;
	int64_t expected; /* -1: no word matches */
};

static void check_embed(uint16_t number, const struct embed_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t word = 0x5a5a5a5a;
		bool found = pyc_mtime_embed(pyc_magic_lookup(number),
					     at(cases[i].sec, cases[i].nsec), &word);

		assert_int_equal(found, cases[i].expected >= 0);
		if (found)
			assert_int_equal(word, cases[i].expected);
		else
			assert_int_equal(word, 0x5a5a5a5a);
	}
}

/* Python 2.7.18 imported, or did not, a pyc with each of these words. */
static void test_embed_signed(void **state)
{
	static const struct embed_case cases[] = {
		{0, 0, 0},
		{5, 0, 5},
		{1700000000, 999999999, 1700000000}, /* an integer, not a double */
		{TWO_TO_31 - 1, 0, TWO_TO_31 - 1},
		{TWO_TO_31 - 1, 999999999, TWO_TO_31 - 1},
		{TWO_TO_31, 0, -1},
		{TWO_TO_31 + 5, 0, -1},
		{TWO_TO_32 - 1, 0, -1},
		{TWO_TO_32 + 5, 0, 5},
		{2 * TWO_TO_32 + 7, 0, 7},
		{-1, 0, -1},
		{-TWO_TO_31 + 3, 0, -1},
	};

	(void)state;
	check_embed(PYTHON27, cases, LENGTH(cases));
}

static void test_embed_unmasked(void **state)
{
	static const struct embed_case cases[] = {
		{0, 0, 0},
		{1700000000, 999999880, 1700000000},
		{1700000000, 999999881, 1700000001},
		{TWO_TO_31, 0, TWO_TO_31},
		{TWO_TO_32 - 1, 0, TWO_TO_32 - 1},
		{TWO_TO_32 - 1, 999999762, -1},
		{TWO_TO_32, 0, -1},
		{-1, 0, -1},
		{-1, 1, 0},
	};

	(void)state;
	check_embed(PYTHON36, cases, LENGTH(cases));
}

static void test_embed_masked(void **state)
{
	static const struct embed_case cases[] = {
		{0, 0, 0},
		{1700000000, 999999880, 1700000000},
		{1700000000, 999999881, 1700000001},
		{TWO_TO_32 - 1, 0, TWO_TO_32 - 1},
		{TWO_TO_32 - 1, 999999762, 0},
		{TWO_TO_32 + 5, 0, 5},
		{-1, 0, TWO_TO_32 - 1},
		{-1, 1, 0},
		{-TWO_TO_31, 0, TWO_TO_31},
	};

	(void)state;
	check_embed(PYTHON311, cases, LENGTH(cases));
}

static struct pyc_header header_of(uint16_t magic, uint32_t mtime, uint32_t size)
{
	return (struct pyc_header){
		.magic = pyc_magic_lookup(magic), .mtime = mtime, .source_size = size};
}

static void test_matches(void **state)
{
	struct pyc_header old = header_of(PYTHON27, 100, 0);
	struct pyc_header strict = header_of(PYTHON36, 100, 7);
	struct pyc_header masked = header_of(PYTHON311, 100, 7);

	(void)state;
	assert_true(pyc_mtime_matches(&old, at(100, 0)));
	assert_true(pyc_mtime_matches(&strict, at(100, 999999999)));
	assert_false(pyc_mtime_matches(&strict, at(101, 0)));
	assert_true(pyc_mtime_matches(&masked, at(TWO_TO_32 + 100, 0)));
	/* No word matches this time there, not even the one that it would be cut to. */
	assert_false(pyc_mtime_matches(&strict, at(TWO_TO_32 + 100, 0)));

	assert_true(pyc_size_matches(&old, 7)); /* it records none */
	assert_true(pyc_size_matches(&masked, 7));
	assert_true(pyc_size_matches(&masked, TWO_TO_32 + 7));
	assert_false(pyc_size_matches(&masked, 8));
	assert_false(pyc_size_matches(&masked, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_int_of_st_mtime),
		cmocka_unit_test(test_absurd_times),
		cmocka_unit_test(test_embed_signed),
		cmocka_unit_test(test_embed_unmasked),
		cmocka_unit_test(test_embed_masked),
		cmocka_unit_test(test_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
