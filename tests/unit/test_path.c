/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths, reasons and deadlines: the small things that everything else is made of.
 */
#include "base/path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/reason.h"

static void assert_owned(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_below(void **state)
{
	(void)state;
	assert_string_equal(path_below("/usr/lib", "/usr"), "/lib");
	assert_string_equal(path_below("/usr", "/usr"), "");
	assert_string_equal(path_below("/usr", "/"), "/usr");
	assert_null(path_below("/usrlocal", "/usr"));
	assert_null(path_below("/", "/usr"));
}

static void test_parts(void **state)
{
	(void)state;
	assert_string_equal(path_last("a/b"), "b");
	assert_string_equal(path_last("b"), "b");
	assert_string_equal(path_last("a/"), "");
	assert_owned(path_parent("/a/b"), "/a");
	assert_owned(path_parent("/a"), "/");
	assert_owned(path_parent("/"), "/");
	assert_owned(path_parent("a/b"), "a");
	assert_owned(path_parent("b"), ".");
}

static void test_join(void **state)
{
	(void)state;
	assert_owned(path_join(".", "a"), "a");
	assert_owned(path_join("/", "a"), "/a");
	assert_owned(path_join("a/b", "c"), "a/b/c");
	assert_owned(path_join("", "a"), "/a");
}

static void test_reasons(void **state)
{
	struct reason reason = {""};
	char long_text[REASON_MAX + 10];

	(void)state;
	assert_int_equal(reason_set(&reason, -EPERM, "no %s", "way"), -EPERM);
	assert_string_equal(reason.text, "no way");
	assert_int_equal(reason_set_errno(&reason, -ENOENT, "no %d", 1), -ENOENT);
	assert_string_equal(reason.text, "no 1: No such file or directory");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	reason_set_errno(&reason, -EIO, "%s", long_text);
	assert_int_equal(strlen(reason.text), REASON_MAX - 1);
}

static void test_deadlines(void **state)
{
	struct timespec until = clock_deadline(2500);
	int64_t until_ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000;
	int64_t now = clock_ms();

	(void)state;
	assert_true(until.tv_nsec >= 0 && until.tv_nsec < 1000000000);
	assert_true(until_ms <= now + 2500);
	assert_int_equal(clock_left_ms(now - 1), 0);
	assert_true(clock_left_ms(now + 1000000) > 0);
	assert_int_equal(clock_left_ms(INT64_MAX), INT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_below),	  cmocka_unit_test(test_parts),
		cmocka_unit_test(test_join),	  cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_deadlines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
