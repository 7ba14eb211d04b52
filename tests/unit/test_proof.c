/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proofs: found by content, a disproof wins, and a file of them is taken whole or not at
 * all, whatever it holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/store/proof.h"

#define PY311 3495
#define A     "0123456789abcdef0123456789abcdef"
#define B     "fedcba9876543210fedcba9876543210"
#define LINE  A " " B " 3495 0 same 1700000000 CPython 3.11.7\n"

static struct digest number(uint64_t low)
{
	return (struct digest){.low = low, .high = ~low};
}

static struct proof proof(uint64_t source, uint64_t body, enum pyc_check result)
{
	return (struct proof){
		.source = number(source),
		.body = number(body),
		.magic = PY311,
		.result = result,
		.when_s = 1700000000,
		.interpreter = "CPython 3.11.7",
	};
}

static int read_text(const char *text, size_t len, struct proof_set *set, size_t *line)
{
	FILE *file = tmpfile();
	int r;

	assert_non_null(file);
	fwrite(text, 1, len, file);
	rewind(file);
	r = proof_set_read(set, file, line);
	fclose(file);
	return r;
}

static void test_find(void **state)
{
	struct proof_set set = {0};

	(void)state;
	proof_set_seal(&set);
	assert_int_equal(proof_set_find(&set, number(1), number(1), PY311, 0),
			 PYC_CHECK_UNKNOWN);
	for (uint64_t i = 0; i < 1000; i++) {
		struct proof one = proof(i, i + 1, i % 2 ? PYC_CHECK_OK : PYC_CHECK_BAD);

		assert_int_equal(proof_set_add(&set, &one), 0);
	}
	proof_set_seal(&set);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(proof_set_find(&set, number(i), number(i + 1), PY311, 0),
				 i % 2 ? PYC_CHECK_OK : PYC_CHECK_BAD);
		assert_int_equal(proof_set_find(&set, number(i), number(i), PY311, 0),
				 PYC_CHECK_UNKNOWN);
		assert_int_equal(
			proof_set_find(&set, number(i), number(i + 1), PY311 + 1, 0),
			PYC_CHECK_UNKNOWN);
	}
	proof_set_fini(&set);
}

/* What is right at one level says nothing about another. */
static void test_levels(void **state)
{
	struct proof plain = proof(1, 2, PYC_CHECK_OK),
		     optimised = proof(1, 2, PYC_CHECK_BAD);
	struct proof_set set = {0};

	(void)state;
	optimised.level = 2;
	proof_set_add(&set, &optimised);
	proof_set_add(&set, &plain);
	proof_set_seal(&set);
	assert_int_equal(set.count, 2);
	assert_int_equal(proof_set_find(&set, number(1), number(2), PY311, 0),
			 PYC_CHECK_OK);
	assert_int_equal(proof_set_find(&set, number(1), number(2), PY311, 1),
			 PYC_CHECK_UNKNOWN);
	assert_int_equal(proof_set_find(&set, number(1), number(2), PY311, 2),
			 PYC_CHECK_BAD);
	proof_set_fini(&set);
}

static void test_disproof_wins(void **state)
{
	struct proof good = proof(1, 2, PYC_CHECK_OK), bad = proof(1, 2, PYC_CHECK_BAD);

	(void)state;
	for (int order = 0; order < 2; order++) {
		struct proof_set set = {0};

		proof_set_add(&set, order ? &good : &bad);
		proof_set_add(&set, order ? &bad : &good);
		proof_set_seal(&set);
		assert_int_equal(set.count, 1);
		assert_int_equal(proof_set_find(&set, number(1), number(2), PY311, 0),
				 PYC_CHECK_BAD);
		proof_set_fini(&set);
	}
}

static void test_bounded(void **state)
{
	struct proof one = proof(1, 2, PYC_CHECK_OK);
	struct proof_set set = {0};

	(void)state;
	for (size_t i = 0; i < PROOF_MAX; i++)
		assert_int_equal(proof_set_add(&set, &one), 0);
	assert_int_equal(proof_set_add(&set, &one), -E2BIG);
	proof_set_fini(&set);
}

static void test_round_trip(void **state)
{
	struct proof first = proof(1, 2, PYC_CHECK_OK), second = proof(3, 4, PYC_CHECK_BAD);
	struct proof_set set = {0}, back = {0};
	char *text = NULL;
	size_t len = 0, line;
	FILE *file = open_memstream(&text, &len);

	(void)state;
	memset(second.interpreter, 0, sizeof(second.interpreter));
	proof_set_add(&set, &first);
	proof_set_add(&set, &second);
	proof_set_seal(&set);
	assert_int_equal(proof_set_write(&set, file), 0);
	fclose(file);
	assert_int_equal(read_text(text, len, &back, &line), 0);
	assert_int_equal(set.count, 2);
	assert_int_equal(back.count, set.count);
	for (size_t i = 0; i < set.count; i++) {
		assert_true(digest_equal(back.proofs[i].source, set.proofs[i].source));
		assert_true(digest_equal(back.proofs[i].body, set.proofs[i].body));
		assert_int_equal(back.proofs[i].magic, set.proofs[i].magic);
		assert_int_equal(back.proofs[i].level, set.proofs[i].level);
		assert_int_equal(back.proofs[i].result, set.proofs[i].result);
		assert_int_equal(back.proofs[i].when_s, set.proofs[i].when_s);
		assert_string_equal(back.proofs[i].interpreter, set.proofs[i].interpreter);
	}
	free(text);
	proof_set_fini(&set);
	proof_set_fini(&back);
}

static void test_hostile_files(void **state)
{
	static const struct {
		const char *text;
		size_t line;
	} cases[] = {
		{"", 1},
		{"canonfs-proofs 2\nend 0\n", 1},
		{"canonfs-proofs 1", 1},
		{"canonfs-proofs 1\n", 2},
		{"canonfs-proofs 1\n\n", 2},
		{"canonfs-proofs 1\nend 0", 2},
		{"canonfs-proofs 1\nend 1\n", 2},
		{"canonfs-proofs 1\nend -0\n", 2},
		{"canonfs-proofs 1\nend 0\nend 0\n", 2},
		{"canonfs-proofs 1\nend 0\n ", 2},
		{"canonfs-proofs 1\n" LINE, 3},
		{"canonfs-proofs 1\n" LINE "end 2\n", 3},
		{"canonfs-proofs 1\n" A " " B " 3495 0 perhaps 1 x\nend 1\n", 2},
		{"canonfs-proofs 1\n" A " " B " 3495 0 same -1 x\nend 1\n", 2},
		{"canonfs-proofs 1\n" A " " B " 3495 0 same 1\nend 1\n", 2},
		{"canonfs-proofs 1\n" A " " B
		 " 3495 0 same 99999999999999999999 x\nend 1\n",
		 2},
		{"canonfs-proofs 1\n" A " " B " 0x7 0 same 1 x\nend 1\n", 2},
		{"canonfs-proofs 1\n" A " " B " 65536 0 same 1 x\nend 1\n", 2},
		{"canonfs-proofs 1\n" A " " B " 1 0 same 1 x\nend 1\n",
		 2}, /* no such magic */
		{"canonfs-proofs 1\n" A " " B " 3495 same 1 x\nend 1\n", 2}, /* no level */
		{"canonfs-proofs 1\n" A " " B " 3495 3 same 1 x\nend 1\n", 2},
		{"canonfs-proofs 1\n" A "0 " B " 3495 0 same 1 x\nend 1\n", 2},
		{"canonfs-proofs 1\nA" A " " B " 3495 0 same 1 x\nend 1\n", 2},
		{"canonfs-proofs 1\n" A " " B " 3495 0 same 1 \x1b[31m\nend 1\n", 2},
		{"canonfs-proofs 1\n" A " " B " 3495 0 same 1 "
		 "0123456789012345678901234567890123456789012345678901234567890123456789\ne"
		 "nd 1\n",
		 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct proof_set set = {0};
		size_t line = 0;

		assert_int_equal(
			read_text(cases[i].text, strlen(cases[i].text), &set, &line),
			-EBADMSG);
		assert_int_equal(line, cases[i].line);
		assert_int_equal(set.count, 0);
		assert_null(set.proofs);
	}
}

static void test_a_file_that_cannot_be_read(void **state)
{
	FILE *file = fopen("/", "re");
	struct proof_set set = {0};
	size_t line;

	(void)state;
	assert_non_null(file);
	assert_int_equal(proof_set_read(&set, file, &line), -EISDIR);
	assert_null(set.proofs);
	fclose(file);
}

/* Any byte changed to anything: refused, or a file that is as well-formed. */
static void test_changed_bytes(void **state)
{
	static const char good[] = "canonfs-proofs 1\n" LINE LINE "end 2\n";
	char text[sizeof(good)];

	(void)state;
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		for (int c = 0; c < 256; c++) {
			struct proof_set set = {0};
			size_t line;
			int r;

			memcpy(text, good, sizeof(good));
			text[i] = (char)c;
			r = read_text(text, sizeof(good) - 1, &set, &line);
			assert_true(r == 0 || (r == -EBADMSG && set.count == 0));
			for (size_t j = 0; j < set.count; j++)
				assert_true(proof_is_valid(&set.proofs[j]));
			proof_set_fini(&set);
		}
	}
	for (size_t len = 0; len < sizeof(good) - 1; len++) {
		struct proof_set set = {0};
		size_t line;

		assert_int_equal(read_text(good, len, &set, &line), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_disproof_wins),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_a_file_that_cannot_be_read),
		cmocka_unit_test(test_changed_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
