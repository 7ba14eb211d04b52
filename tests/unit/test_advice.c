/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that can be copied into a shell.
 */
#include "cli/print/advice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/scope.h"

static void assert_text(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_words(void **state)
{
	(void)state;
	assert_text(shell_word("/usr/lib/python3.11"), "/usr/lib/python3.11");
	assert_text(shell_word(""), "''");
	assert_text(shell_word("two words"), "'two words'");
	assert_text(shell_word("it's"), "'it'\\''s'");
	assert_text(shell_word("back\\slash"), "'back\\slash'");
	assert_text(shell_word("\303\274"), "'\303\274'");
	assert_text(shell_word("$HOME"), "'$HOME'");
}

/* No terminal gets these, and bash reads them as they were. */
static void test_control_characters(void **state)
{
	char longer[3 * 5000 + 1];
	scope_free char *word = NULL;

	(void)state;
	assert_text(shell_word("a\033b"), "$'a\\x1bb'");
	assert_text(shell_word("it's\n"), "$'it\\'s\\x0a'");
	assert_text(shell_word("\\\377"), "$'\\\\\\xff'");
	memset(longer, '\n', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	word = shell_word(longer);
	assert_int_equal(strlen(word), 4 * strlen(longer) + strlen("$''"));
}

static void test_mount(void **state)
{
	(void)state;
	assert_text(advise_mount("/usr", "/usr", NULL, NULL, NULL), "canonfs /usr /usr");
	assert_text(advise_mount("/usr", "/mnt", "mtime=1", NULL, NULL),
		    "canonfs /usr /mnt -o mtime=1");
	assert_text(advise_mount("/a b", "/mnt", "mtime=1", "trust=size", "/image"),
		    "canonfs '/a b' /mnt -o mtime=1,trust=size,root=/image");
	assert_text(advise_mount("/usr", "/mnt", NULL, "trust=size", NULL),
		    "canonfs /usr /mnt -o trust=size");
	assert_text(advise_mount("/usr", "/mnt", NULL, NULL, "/my image"),
		    "canonfs /usr /mnt -o 'root=/my image'");
}

static void test_compile(void **state)
{
	(void)state;
	assert_text(advise_compile("/", "python3", 1, " -f", "/a b.py"),
		    "python3 -O -m compileall -f '/a b.py'");
	assert_text(advise_compile("", "python3", 0, "", "/lib"),
		    "python3 -m compileall /lib");
	assert_text(advise_compile("/my image", "/usr/bin/python3", 0, " -q", "/lib"),
		    "chroot '/my image' /usr/bin/python3 -m compileall -q /lib");
	assert_text(advise_compile("/", "python3", 2, "", "/lib"),
		    "python3 -OO -m compileall /lib");
	assert_text(advise_compile("/", "python3", -1, "", "/lib"),
		    "python3 -m compileall /lib");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_mount),
		cmocka_unit_test(test_compile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
