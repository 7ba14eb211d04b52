/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables: aligned, cut where they may be, and harmless.
 */
#include "cli/print/columns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"

/* What columns_print() printed; the caller's. */
static char *printed(const struct columns *columns, unsigned width)
{
	char path[] = "/tmp/canonfs-columns-XXXXXX";
	scope_fd int file = mkstemp(path);
	scope_fd int saved = dup(STDOUT_FILENO);
	char *text = calloc(1, 4096);

	assert_true(file >= 0 && saved >= 0 && text);
	unlink(path);
	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	columns_print(columns, width);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	assert_true(pread(file, text, 4095, 0) >= 0);
	return text;
}

static void check(const struct columns *columns, unsigned width, const char *expected)
{
	scope_free char *text = printed(columns, width);

	assert_string_equal(text, expected);
}

static const struct column paths[] = {
	{"N", .fit = COLUMN_RIGHT},
	{"NAME", .fit = COLUMN_LEFT},
	{"PATH", .fit = COLUMN_CUT_HEAD},
};

static void test_alignment(void **state)
{
	struct columns *columns = columns_new(paths, ARRAY_SIZE(paths));

	(void)state;
	columns_add(columns, COLOUR_NONE, (const char *[]){"1", "a", "/usr"});
	columns_add(columns, COLOUR_BAD, (const char *[]){"12,345", "longer", "/"});
	check(columns, 0,
	      "     N  NAME    PATH\n"
	      "     1  a       /usr\n"
	      "12,345  longer  /\n");
	columns_free(columns);
}

/* So that tables of several runs look alike. */
static void test_least_width(void **state)
{
	static const struct column column[] = {
		{"NAME", COLUMN_LEFT, .width = 6},
		{"N", COLUMN_RIGHT, .width = 3, .colour = COLOUR_GOOD},
	};
	struct columns *columns = columns_new(column, ARRAY_SIZE(column));

	(void)state;
	columns_add(columns, COLOUR_NONE, (const char *[]){"a", "0"});
	check(columns, 0, "NAME      N\na         0\n");
	columns_add(columns, COLOUR_NONE, (const char *[]){"longer one", "1234"});
	check(columns, 0,
	      "NAME           N\n"
	      "a              0\n"
	      "longer one  1234\n");
	columns_free(columns);
}

static void test_cut_at_the_head(void **state)
{
	struct columns *columns = columns_new(paths, ARRAY_SIZE(paths));

	(void)state;
	columns_add(columns, COLOUR_NONE, (const char *[]){"1", "a", "/usr/lib/python3"});
	check(columns, 19, "N  NAME  PATH\n1  a     ...python3\n");
	check(columns, 25, "N  NAME  PATH\n1  a     /usr/lib/python3\n");
	/* Not below the heading. */
	check(columns, 3, "N  NAME  PATH\n1  a     ...3\n");
	columns_free(columns);
}

static void test_cut_at_the_tail(void **state)
{
	static const struct column column[] = {{"WHY", .fit = COLUMN_CUT_TAIL},
					       {"N", .fit = COLUMN_RIGHT}};
	struct columns *columns = columns_new(column, ARRAY_SIZE(column));

	(void)state;
	columns_add(columns, COLOUR_NONE, (const char *[]){"for a reason", "10"});
	check(columns, 12, "WHY        N\nfor a...  10\n");
	columns_free(columns);
}

/* Characters count, not bytes; and a cut leaves none in halves. */
static void test_utf8(void **state)
{
	struct columns *columns = columns_new(paths, ARRAY_SIZE(paths));

	(void)state;
	columns_add(columns, COLOUR_NONE,
		    (const char *[]){"1", "\xc3\xa9",
				     "\xc3\xa9\xc3\xa8\xc3\xa9\xc3\xa8\xc3\xa9"
				     "\xc3\xa8"});
	check(columns, 0,
	      "N  NAME  PATH\n"
	      "1  \xc3\xa9     \xc3\xa9\xc3\xa8\xc3\xa9\xc3\xa8\xc3\xa9\xc3\xa8\n");
	check(columns, 14,
	      "N  NAME  PATH\n"
	      "1  \xc3\xa9     ...\xc3\xa9\xc3\xa8\n");
	columns_free(columns);
}

static void test_names_do_no_harm(void **state)
{
	struct columns *columns = columns_new(paths, ARRAY_SIZE(paths));

	(void)state;
	columns_add(columns, COLOUR_NONE,
		    (const char *[]){"1", "a\033[2J", "it's a\\b\xff"});
	/* U+202E turns what follows round, U+200B is not seen at all. */
	columns_add(columns, COLOUR_NONE,
		    (const char *[]){"2", "yp.\xe2\x80\xae", "a\xe2\x80\x8b"});
	check(columns, 0,
	      "N  NAME             PATH\n"
	      "1  a\\x1b[2J         it's a\\b\\xff\n"
	      "2  yp.\\xe2\\x80\\xae  a\\xe2\\x80\\x8b\n");
	columns_free(columns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_least_width),
		cmocka_unit_test(test_cut_at_the_head),
		cmocka_unit_test(test_cut_at_the_tail),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_names_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
