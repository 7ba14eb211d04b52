/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times that are not forgiven: the option for them, what they look like, and the counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/trees/times.h"

#define EMBEDDED 1700000001u
#define SIZE	 100

static struct timespec at(int64_t sec)
{
	return (struct timespec){.tv_sec = sec};
}

/* A source of that time, and a pyc of 3.11 that an interpreter wrote. */
static struct pyc_facts facts_of(int64_t source, uint32_t embedded)
{
	uint8_t raw[PYC_HEADER_MAX] = {3495 & 0xff, 3495 >> 8, '\r', '\n'};
	struct pyc_facts facts = {
		.source = PYC_SOURCE_REGULAR,
		.source_size = SIZE,
		.source_mtime = at(source),
		.served_mtime = at(source),
		.mtime = at(1800000000),
	};

	for (size_t i = 0; i < 4; i++)
		raw[8 + i] = (uint8_t)(embedded >> (8 * i));
	raw[12] = SIZE;
	assert_int_equal(pyc_header_parse(raw, sizeof(raw), &facts.header), PYC_HEADER_OK);
	pyc_name_parse("foo.cpython-311.pyc", true, &facts.name);
	return facts;
}

static void expect_option(const struct pyc_facts *facts, const struct pyc_policy *policy,
			  const char *expected)
{
	char option[TIMES_OPTION_MAX];
	bool found = times_option(facts, policy, option);

	assert_int_equal(found, expected != NULL);
	if (expected)
		assert_string_equal(option, expected);
}

static void test_options(void **state)
{
	const struct pyc_policy none = {.trust = PYC_TRUST_CANONICAL};
	struct pyc_policy full = {.canonical_count = PYC_CANONICAL_MAX};
	struct pyc_facts facts = facts_of(1600000000, EMBEDDED);

	(void)state;
	expect_option(&facts, &none, "canonical=1600000000");
	expect_option(&facts, &full, NULL);
	facts.mtime = at(1600000000);
	expect_option(&facts, &none, "immutable");
	facts.outside = true;
	expect_option(&facts, &none, "canonical=1600000000");
	facts = facts_of(1750000000, EMBEDDED);
	expect_option(&facts, &none, "trust=size,canonical=1750000000");
	facts = facts_of(315532800, 1000);
	expect_option(&facts, &none, "trust=size");
	facts = facts_of(-5, EMBEDDED);
	expect_option(&facts, &none, "canonical=-5");

	/* What no time helps. */
	facts = facts_of(1600000000, EMBEDDED);
	facts.source_mtime.tv_nsec = 1;
	expect_option(&facts, &none, NULL);
	facts = facts_of(1600000000, EMBEDDED);
	facts.source_size++;
	expect_option(&facts, &none, NULL);
	facts = facts_of(1600000000, EMBEDDED);
	facts.body = PYC_CHECK_BAD;
	expect_option(&facts, &none, NULL);
	facts.body = PYC_CHECK_UNKNOWN;
	facts.proof = PYC_CHECK_BAD;
	expect_option(&facts, &none, NULL);
}

static void expect_look(int64_t source, long nsec, enum times_look expected,
			int64_t shift_s)
{
	int64_t found_s;

	assert_int_equal(times_look((struct timespec){source, nsec}, EMBEDDED, &found_s),
			 expected);
	assert_int_equal(found_s, shift_s);
}

static void test_looks(void **state)
{
	(void)state;
	expect_look(EMBEDDED - 5, 0, TIMES_EARLIER, 0);
	expect_look(EMBEDDED + 5, 0, TIMES_LATER, 0);
	expect_look(EMBEDDED - 1, 0, TIMES_ROUNDED, 0);
	expect_look(EMBEDDED + 1, 0, TIMES_ROUNDED, 0);
	expect_look(EMBEDDED - 2, 0, TIMES_EARLIER, 0); /* odd: in no zip archive */
	expect_look(EMBEDDED - 1, 1, TIMES_EARLIER, 0);
	expect_look(EMBEDDED + 3, 0, TIMES_LATER, 0);
	expect_look(EMBEDDED + 7200, 0, TIMES_SHIFTED, 7200);
	expect_look(EMBEDDED - 19800, 0, TIMES_SHIFTED, -19800);
	expect_look(EMBEDDED + 20700, 0, TIMES_SHIFTED, 20700); /* Nepal */
	expect_look(EMBEDDED + 7201, 0, TIMES_SHIFTED, 7200);	/* rounded as well */
	expect_look(EMBEDDED - 7201, 0, TIMES_SHIFTED, -7200);
	expect_look(EMBEDDED - 1801, 0, TIMES_SHIFTED, -1800);
	expect_look(EMBEDDED + 7202, 0, TIMES_LATER, 0); /* odd */
	expect_look(EMBEDDED + 7205, 0, TIMES_LATER, 0);
	expect_look(EMBEDDED + 7200, 1, TIMES_LATER, 0);
	expect_look(EMBEDDED + 93600, 0, TIMES_SHIFTED, 93600); /* 26 hours */
	expect_look(EMBEDDED + 94500, 0, TIMES_LATER, 0);
	for (int i = 0; i < TIMES_LOOKS; i++) {
		assert_true(strlen(times_look_name((enum times_look)i)) > 4);
		assert_true(strlen(times_look_text((enum times_look)i)) > 10);
	}
}

static void add(struct times *times, const struct pyc_facts *facts,
		const struct pyc_policy *policy)
{
	struct pyc_decision decision;

	pyc_decide(facts, policy, &decision);
	times_add(times, facts, &decision, policy);
}

static void expect_row(const struct times_row *row, uint64_t files, const char *option,
		       enum times_look look, int64_t shift_s)
{
	assert_int_equal(row->files, files);
	assert_string_equal(row->option, option);
	if (!option[0])
		assert_int_equal(row->look, look);
	assert_int_equal(row->shift_s, shift_s);
}

static void test_counts(void **state)
{
	const struct pyc_policy policy = {.trust = PYC_TRUST_CANONICAL};
	struct times *times = times_new();
	struct pyc_facts facts;
	const struct times_row **row;
	size_t count;

	(void)state;
	for (int i = 0; i < 5; i++) {
		facts = facts_of(1600000000, EMBEDDED + (uint32_t)i);
		add(times, &facts, &policy);
		facts = facts_of(EMBEDDED + 7200 + i, EMBEDDED + (uint32_t)i);
		facts.source_mtime.tv_nsec = i == 0; /* that one is an edit */
		add(times, &facts, &policy);
	}
	/* Fresh, forgiven, of another size: not our business. */
	facts = facts_of(EMBEDDED, EMBEDDED);
	add(times, &facts, &policy);
	facts = facts_of(0, EMBEDDED);
	facts.body = PYC_CHECK_OK;
	add(times, &facts, &policy);
	facts.source_size++;
	add(times, &facts, &policy);

	row = times_sorted(times, &count);
	assert_int_equal(count, 2 + 1 + 4);
	expect_row(row[0], 5, "canonical=1600000000", 0, 0);
	assert_int_equal(row[0]->seconds, 1600000000);
	expect_row(row[1], 4, "", TIMES_SHIFTED, 7200);
	expect_row(row[2], 1, "", TIMES_LATER, 0);
	expect_row(row[3], 1, "trust=size,canonical=1700007202", 0, 0);
	times_free(times);
	times_free(NULL);
}

/* Memory is bounded; what is known goes on being counted. */
static void test_too_many(void **state)
{
	const struct pyc_policy policy = {.trust = PYC_TRUST_CANONICAL};
	struct times *times = times_new();
	const struct times_row **row;
	struct pyc_facts facts;
	size_t count;

	(void)state;
	for (int i = 0; i < TIMES_ROWS_MAX + 10; i++) {
		facts = facts_of(1500000001 + 2 * i, EMBEDDED);
		add(times, &facts, &policy);
	}
	facts = facts_of(1500000001, EMBEDDED);
	add(times, &facts, &policy);
	row = times_sorted(times, &count);
	assert_int_equal(count, TIMES_ROWS_MAX);
	expect_row(row[0], 2, "canonical=1500000001", 0, 0);
	times_free(times);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
