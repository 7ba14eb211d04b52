/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The magic table against the data that it was generated from, by a mapping of the
 * test's own: a slip in scripts/gen-magics must not check itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "pyc/magic.h"
#include "tests/data/magic_vectors.h"

#define VECTOR_COUNT (sizeof(magic_vectors) / sizeof(magic_vectors[0]))

static const struct magic_vector *find_vector(int number)
{
	for (size_t i = 0; i < VECTOR_COUNT; i++) {
		if (magic_vectors[i].number == number)
			return &magic_vectors[i];
	}
	return NULL;
}

static void test_table_is_sorted(void **state)
{
	(void)state;
	for (size_t i = 1; i < pyc_magic_count; i++)
		assert_true(pyc_magic_table[i - 1].number < pyc_magic_table[i].number);
}

static void test_lookup_finds_all_and_only_those(void **state)
{
	(void)state;
	assert_int_equal(VECTOR_COUNT, 249);
	assert_int_equal(pyc_magic_count, VECTOR_COUNT);
	for (int number = 0; number <= UINT16_MAX; number++) {
		const struct pyc_magic *magic = pyc_magic_lookup((uint16_t)number);

		if (find_vector(number)) {
			assert_non_null(magic);
			assert_int_equal(magic->number, number);
		} else {
			assert_null(magic);
		}
	}
}

static int known(int json_offset)
{
	return json_offset < 0 ? 0 : json_offset;
}

static void test_layouts(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTOR_COUNT; i++) {
		const struct magic_vector *v = &magic_vectors[i];
		const struct pyc_magic *magic = pyc_magic_lookup((uint16_t)v->number);

		assert_int_equal(magic->header_size, v->header_size);
		assert_int_equal(magic->mtime_offset, known(v->mtime_offset));
		assert_int_equal(magic->size_offset, known(v->size_offset));
		assert_int_equal(magic->flags_offset, known(v->flags_offset));
	}
}

static void check_cpython(const struct magic_vector *v, const struct pyc_magic *magic)
{
	char tag[32] = "";
	int major, minor;

	assert_int_equal(sscanf(v->version, "%d.%d", &major, &minor), 2);
	assert_int_equal(magic->implementation, PYC_CPYTHON);
	assert_int_equal(magic->major, major);
	assert_int_equal(magic->minor, minor);
	if (major == 3 && minor >= 2)
		snprintf(tag, sizeof(tag), "cpython-%d%d", major, minor);
	assert_string_equal(magic->tag, tag);
	assert_false(magic->tag_is_prefix);
	assert_memory_equal(magic->version, v->version, strlen(magic->version));
}

static void check_pypy(const struct magic_vector *v, const struct pyc_magic *magic)
{
	char version[32];
	char tag[32];

	assert_int_equal(magic->implementation, PYC_PYPY);
	snprintf(version, sizeof(version), "pypy%d.%d", magic->major, magic->minor);
	assert_string_equal(magic->version, version);
	/* One JSON entry words it in another way: "pypy3 2.x (3.2)". */
	if (v->number != 48)
		assert_memory_equal(v->version, version, strlen(version));
	else
		assert_string_equal(version, "pypy3.2");

	if (magic->major == 2) {
		assert_string_equal(magic->tag, "");
	} else if (magic->minor < 7) {
		assert_string_equal(magic->tag, "pypy3");
		assert_true(magic->tag_is_prefix);
		return;
	} else {
		snprintf(tag, sizeof(tag), "pypy%d%d", magic->major, magic->minor);
		assert_string_equal(magic->tag, tag);
	}
	assert_false(magic->tag_is_prefix);
}

static void test_who_writes_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTOR_COUNT; i++) {
		const struct magic_vector *v = &magic_vectors[i];
		const struct pyc_magic *magic = pyc_magic_lookup((uint16_t)v->number);

		if (strcmp(v->implementation, "cpython") == 0) {
			check_cpython(v, magic);
		} else if (strcmp(v->implementation, "pypy") == 0) {
			check_pypy(v, magic);
		} else {
			assert_string_equal(v->implementation, "graalpy");
			assert_int_equal(magic->implementation, PYC_GRAALPY);
			assert_string_equal(magic->tag, "graalpy");
			assert_true(magic->tag_is_prefix);
		}
	}
}

/* facts/python.md: who hashes how; wherever there is a doubt, not at all. */
static void test_hash_algorithms(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTOR_COUNT; i++) {
		const struct magic_vector *v = &magic_vectors[i];
		const struct pyc_magic *magic = pyc_magic_lookup((uint16_t)v->number);
		int expected;

		if (!v->hash_algorithm)
			expected = PYC_HASH_NONE;
		else if (v->number >= 21000 || v->has_hash_note)
			expected = PYC_HASH_UNKNOWN;
		else if (strcmp(v->hash_algorithm, "siphash24") == 0)
			expected = PYC_HASH_SIPHASH24;
		else
			expected = PYC_HASH_SIPHASH13;
		assert_int_equal(magic->hash, expected);
		assert_int_equal(magic->hash == PYC_HASH_NONE, magic->flags_offset == 0);
	}
	assert_int_equal(pyc_magic_lookup(3439)->hash, PYC_HASH_SIPHASH24); /* 3.10 */
	assert_int_equal(pyc_magic_lookup(3495)->hash, PYC_HASH_SIPHASH13); /* 3.11 */
}

/* Magics of releases, from pycore_magic_number.h and from running the interpreters. */
static void test_mtime_rules(void **state)
{
	static const struct {
		uint16_t number;
		enum pyc_mtime_rule rule;
	} known_rules[] = {
		{62211, PYC_MTIME_SIGNED},  {62218, PYC_MTIME_SIGNED},
		{3131, PYC_MTIME_SIGNED},   {3180, PYC_MTIME_SIGNED},
		{3230, PYC_MTIME_UNMASKED}, {3379, PYC_MTIME_UNMASKED},
		{192, PYC_MTIME_UNMASKED},  {3394, PYC_MTIME_MASKED},
		{3531, PYC_MTIME_MASKED},   {3666, PYC_MTIME_MASKED},
		{336, PYC_MTIME_MASKED},    {21290, PYC_MTIME_MASKED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known_rules) / sizeof(known_rules[0]); i++)
		assert_int_equal(pyc_magic_lookup(known_rules[i].number)->mtime_rule,
				 known_rules[i].rule);
	/* PEP 552 brought the mask, the size came with 3.3: the layout tells the rule. */
	for (size_t i = 0; i < pyc_magic_count; i++) {
		const struct pyc_magic *magic = &pyc_magic_table[i];
		int expected = magic->flags_offset  ? PYC_MTIME_MASKED
			       : magic->size_offset ? PYC_MTIME_UNMASKED
						    : PYC_MTIME_SIGNED;

		assert_int_equal(magic->mtime_rule, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_sorted),
		cmocka_unit_test(test_lookup_finds_all_and_only_those),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_who_writes_them),
		cmocka_unit_test(test_hash_algorithms),
		cmocka_unit_test(test_mtime_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
