/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strings in JSON: what is UTF-8 stays, what is not can be taken back.
 */
#include "base/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(const char *text, const char *expected)
{
	struct json_object *string = json_text(text);

	assert_non_null(string);
	assert_string_equal(
		json_object_to_json_string_ext(
			string, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		expected);
	json_object_put(string);
}

static void test_utf8_stays(void **state)
{
	(void)state;
	check("", "\"\"");
	check("/usr/lib/caf\xc3\xa9", "\"/usr/lib/caf\xc3\xa9\"");
	check("\xf0\x9f\x90\x8d", "\"\xf0\x9f\x90\x8d\"");
	check("\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"");
}

static void test_controls_are_escaped(void **state)
{
	(void)state;
	check("a\"b\\c", "\"a\\\"b\\\\c\"");
	check("a\x01\n", "\"a\\u0001\\n\"");
	check("a\"b\\c\n\xff", "\"a\\\"b\\\\c\\u000a\\udcff\"");
}

static void test_other_bytes_become_surrogates(void **state)
{
	(void)state;
	check("\xff", "\"\\udcff\"");
	check("caf\xe9/\xc3\xa9", "\"caf\\udce9/\xc3\xa9\"");
	/* Cut, overlong (of 2, 3 and 4 bytes), a surrogate, above U+10FFFF. */
	check("\xc3", "\"\\udcc3\"");
	check("\xc0\xaf", "\"\\udcc0\\udcaf\"");
	check("\xe0\x80\xaf", "\"\\udce0\\udc80\\udcaf\"");
	check("\xf0\x80\x80\xaf", "\"\\udcf0\\udc80\\udc80\\udcaf\"");
	check("\xed\xa0\x80", "\"\\udced\\udca0\\udc80\"");
	check("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\"");
}

static void test_null_is_null(void **state)
{
	(void)state;
	assert_null(json_text(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_stays),
		cmocka_unit_test(test_controls_are_escaped),
		cmocka_unit_test(test_other_bytes_become_surrogates),
		cmocka_unit_test(test_null_is_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
