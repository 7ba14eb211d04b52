/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What interpreters do without canonfs: every rule once by hand. That the rules are the
 * interpreters' own is shown by tests/e2e/test_explain.py, which asks them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "pyc/outcome.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define PYTHON27  62211
#define PYTHON31  3151
#define PYTHON34  3310
#define PYTHON36  3379
#define PYTHON311 3495
#define PYTHON312 3531
#define PYPY39	  336
#define GRAALPY	  21320

#define COMPILED 1600000000u
#define SIZE	 100

#define CACHED	  "foo.cpython-311.pyc"
#define CACHED_36 "foo.cpython-36.pyc"

static void store_le32(uint8_t *p, uint32_t value)
{
	for (size_t i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static struct timespec at(int64_t sec)
{
	return (struct timespec){.tv_sec = sec};
}

static const struct pyc_magic *magic(uint16_t number)
{
	return pyc_magic_lookup(number);
}

/* A good pyc of an unchanged source. */
static struct pyc_facts made(uint16_t number, uint32_t flags, const char *name,
			     bool in_cache)
{
	struct pyc_facts facts = {
		.source = PYC_SOURCE_REGULAR,
		.source_size = SIZE,
		.body = PYC_CHECK_OK,
		.hash = PYC_CHECK_OK,
	};
	uint8_t raw[PYC_HEADER_MAX] = {(uint8_t)number, (uint8_t)(number >> 8), '\r', '\n'};
	uint8_t *p = raw + 4;

	if (magic(number)->flags_offset) {
		store_le32(p, flags);
		p += 4;
	}
	store_le32(p, COMPILED);
	if (magic(number)->size_offset)
		store_le32(p + 4, SIZE);
	facts.header_status = pyc_header_parse(raw, sizeof(raw), &facts.header);
	assert_int_equal(facts.header_status, PYC_HEADER_OK);
	pyc_name_parse(name, in_cache, &facts.name);
	return facts;
}

static struct pyc_facts cached(uint32_t flags)
{
	return made(PYTHON311, flags, CACHED, true);
}

/* Without a source, in the source's place. */
static struct pyc_facts alone(uint16_t number, uint32_t flags, const char *name)
{
	struct pyc_facts facts = made(number, flags, name, false);

	facts.source = PYC_SOURCE_NONE;
	return facts;
}

/* As the file's own reader, and as that one when it is named. */
#define assert_outcome(facts, outcome)                                                    \
	do {                                                                              \
		assert_int_equal(pyc_outcome(facts, at(COMPILED), NULL), outcome);        \
		assert_int_equal(pyc_outcome(facts, at(COMPILED), (facts)->header.magic), \
				 outcome);                                                \
	} while (0)

static void test_times(void **state)
{
	struct pyc_facts facts = cached(0);

	(void)state;
	assert_outcome(&facts, PYC_LOADS);
	assert_int_equal(pyc_outcome(&facts, at(COMPILED - 1), NULL), PYC_COMPILES);
	assert_int_equal(pyc_outcome(&facts, at(COMPILED + 1), NULL), PYC_COMPILES);
	/* 3.7 and later mask the time. */
	assert_int_equal(pyc_outcome(&facts, at(COMPILED + (INT64_C(1) << 32)), NULL),
			 PYC_LOADS);
	facts = made(PYTHON36, 0, CACHED_36, true);
	assert_outcome(&facts, PYC_LOADS);
	assert_int_equal(pyc_outcome(&facts, at(COMPILED + (INT64_C(1) << 32)), NULL),
			 PYC_COMPILES);
}

static void test_sizes(void **state)
{
	struct pyc_facts facts = cached(0);

	(void)state;
	facts.source_size = SIZE + 1;
	assert_outcome(&facts, PYC_COMPILES);
	facts.source_size = SIZE + (INT64_C(1) << 32);
	assert_outcome(&facts, PYC_LOADS);
	facts = made(PYTHON27, 0, "foo.pyc", false);
	facts.source_size = SIZE + 1;
	assert_outcome(&facts, PYC_LOADS);
}

static void test_bodies(void **state)
{
	struct pyc_facts facts = cached(0);

	(void)state;
	facts.body = PYC_CHECK_BAD;
	assert_outcome(&facts, PYC_FAILS);
	/* What is not accepted is not loaded either. */
	assert_int_equal(pyc_outcome(&facts, at(0), NULL), PYC_COMPILES);
	facts.body = PYC_CHECK_UNKNOWN;
	assert_outcome(&facts, PYC_OUTCOME_UNKNOWN);
	assert_int_equal(pyc_outcome(&facts, at(0), NULL), PYC_COMPILES);
}

static void test_flags(void **state)
{
	struct pyc_facts facts = cached(2);

	(void)state;
	assert_outcome(&facts, PYC_LOADS); /* a timestamp all the same */
	assert_int_equal(pyc_outcome(&facts, at(0), NULL), PYC_COMPILES);
	facts = cached(1);
	facts.hash = PYC_CHECK_BAD;
	assert_outcome(&facts, PYC_LOADS);
	facts = cached(4);
	assert_outcome(&facts, PYC_COMPILES);
}

static void test_checked_hashes(void **state)
{
	struct pyc_facts facts = cached(3);

	(void)state;
	assert_outcome(&facts, PYC_LOADS_CHECKED);
	facts.body = PYC_CHECK_BAD;
	assert_outcome(&facts, PYC_FAILS);
	facts.hash = PYC_CHECK_BAD;
	assert_outcome(&facts, PYC_COMPILES);
	facts.hash = PYC_CHECK_UNKNOWN;
	assert_outcome(&facts, PYC_OUTCOME_UNKNOWN);
}

/* Who reads a file depends on its name; whether it likes what it reads, on the magic. */
static void test_readers(void **state)
{
	struct pyc_facts facts = cached(0);
	struct pyc_facts legacy = made(PYTHON27, 0, "foo.pyc", false);

	(void)state;
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), magic(PYTHON312)), PYC_IGNORES);
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), magic(PYPY39)), PYC_IGNORES);
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), magic(PYTHON27)), PYC_IGNORES);
	/* An earlier alpha of the same tag. */
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), magic(3494)), PYC_COMPILES);
	assert_int_equal(pyc_outcome(&legacy, at(COMPILED), magic(PYTHON31)), PYC_COMPILES);
	assert_int_equal(pyc_outcome(&legacy, at(COMPILED), magic(PYTHON311)), PYC_IGNORES);
	facts.header_status = PYC_HEADER_SHORT;
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), magic(PYTHON311)), PYC_COMPILES);
}

/* Nobody says who the reader is: the name does, if the magic does not contradict. */
static void test_nobodys(void **state)
{
	struct pyc_facts facts = made(PYTHON312, 0, CACHED, true);
	struct pyc_facts legacy = made(PYTHON27, 0, "foo.pyc", false);

	(void)state;
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), NULL), PYC_COMPILES);
	facts.header_status = PYC_HEADER_SHORT;
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), NULL), PYC_COMPILES);
	pyc_name_parse("foo.cpython-311.pyo", true, &facts.name);
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), NULL), PYC_IGNORES);
	pyc_name_parse("foo.cpython-399.opt-1.pyc", true, &facts.name);
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), NULL), PYC_COMPILES);
	pyc_name_parse(CACHED, true, &facts.name);
	/* What a version of tomorrow writes, it reads. */
	facts.header_status = PYC_HEADER_UNKNOWN_MAGIC;
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), NULL), PYC_OUTCOME_UNKNOWN);
	facts.source = PYC_SOURCE_UNKNOWN;
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), NULL), PYC_OUTCOME_UNKNOWN);
	facts.source = PYC_SOURCE_NONE;
	assert_int_equal(pyc_outcome(&facts, at(COMPILED), NULL), PYC_IGNORES);
	legacy.header_status = PYC_HEADER_UNKNOWN_MAGIC;
	assert_int_equal(pyc_outcome(&legacy, at(COMPILED), NULL), PYC_OUTCOME_UNKNOWN);
}

static void test_places(void **state)
{
	static const char *const nobodys[] = {"foo.cpython-311-pytest-7.2.1.pyc",
					      "foo.pyc"};

	(void)state;
	for (size_t i = 0; i < LENGTH(nobodys); i++) {
		struct pyc_facts facts = made(PYTHON311, 0, nobodys[i], true);

		assert_outcome(&facts, PYC_IGNORES);
	}
}

static void test_no_source(void **state)
{
	struct pyc_facts facts = cached(0);

	(void)state;
	facts.source = PYC_SOURCE_NONE;
	assert_outcome(&facts, PYC_IGNORES);
	facts.source = PYC_SOURCE_UNKNOWN;
	assert_outcome(&facts, PYC_OUTCOME_UNKNOWN);
}

static void test_sourceless(void **state)
{
	struct pyc_facts facts = alone(PYTHON311, 0, "foo.pyc");

	(void)state;
	assert_int_equal(pyc_outcome(&facts, at(0), magic(PYTHON311)), PYC_LOADS);
	assert_int_equal(pyc_outcome(&facts, at(0), magic(PYTHON312)), PYC_FAILS);
	facts.body = PYC_CHECK_BAD;
	assert_outcome(&facts, PYC_FAILS);
	facts = alone(PYTHON311, 3, "foo.pyc");
	facts.hash = PYC_CHECK_BAD;
	assert_outcome(&facts, PYC_LOADS);
	facts = alone(PYTHON311, 4, "foo.pyc");
	assert_outcome(&facts, PYC_FAILS);
	facts.header_status = PYC_HEADER_SHORT;
	assert_int_equal(pyc_outcome(&facts, at(0), magic(PYTHON311)), PYC_FAILS);
}

/* 2.7, and 3.0 to 3.4, call optimised code so. */
static void test_pyo(void **state)
{
	struct pyc_facts facts = alone(PYTHON27, 0, "foo.pyo");

	(void)state;
	assert_outcome(&facts, PYC_LOADS);
	assert_int_equal(pyc_outcome(&facts, at(0), magic(PYTHON311)), PYC_IGNORES);
	facts = alone(PYTHON34, 0, "foo.pyo");
	assert_outcome(&facts, PYC_LOADS);
	facts = alone(PYTHON36, 0, "foo.pyo");
	assert_outcome(&facts, PYC_IGNORES);
	facts = made(PYTHON36, 0, "foo.cpython-36.pyo", true);
	assert_outcome(&facts, PYC_IGNORES);
	facts = made(PYTHON36, 0, "foo.cpython-36.opt-1.pyc", true);
	assert_outcome(&facts, PYC_LOADS);
	facts = made(PYTHON34, 0, "foo.cpython-34.pyo", true);
	assert_outcome(&facts, PYC_LOADS);
	facts = made(PYTHON34, 0, "foo.cpython-34.opt-1.pyc", true);
	assert_outcome(&facts, PYC_IGNORES);
	/* Its versions are not Python's. */
	facts = made(GRAALPY, 0, "foo.graalpy250-311.opt-1.pyc", true);
	facts.body = PYC_CHECK_OK;
	assert_outcome(&facts, PYC_LOADS);
}

/* foo.py is a directory: 3.x goes on to foo.pyc. */
static void test_irregular(void **state)
{
	struct pyc_facts facts = alone(PYTHON27, 0, "foo.pyc");

	(void)state;
	assert_outcome(&facts, PYC_LOADS);
	facts.irregular = true;
	assert_outcome(&facts, PYC_FAILS);
	facts = alone(PYTHON311, 0, "foo.pyc");
	facts.irregular = true;
	assert_outcome(&facts, PYC_LOADS);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(pyc_outcome_name(PYC_LOADS_CHECKED), "loads-checked");
	assert_string_equal(pyc_outcome_name((enum pyc_outcome)99), "unknown");
	assert_string_equal(pyc_outcome_text((enum pyc_outcome)99),
			    pyc_outcome_text(PYC_OUTCOME_UNKNOWN));
	for (int i = 0; i < PYC_OUTCOMES; i++)
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(pyc_outcome_name((enum pyc_outcome)i),
						pyc_outcome_name((enum pyc_outcome)j));
			assert_string_not_equal(pyc_outcome_text((enum pyc_outcome)i),
						pyc_outcome_text((enum pyc_outcome)j));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_checked_hashes),
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_nobodys),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_no_source),
		cmocka_unit_test(test_sourceless),
		cmocka_unit_test(test_pyo),
		cmocka_unit_test(test_irregular),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
