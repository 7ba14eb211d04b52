/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages: paths are attacker-made text, so what reaches a terminal or a log must be one
 * line without control bytes, whatever the buffer; and errno survives a message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define GUARD 0x5a

static void test_quote_plain(void **state)
{
	char buffer[64];

	(void)state;
	assert_ptr_equal(quote_path("usr/lib", buffer, sizeof(buffer)), buffer);
	assert_string_equal(buffer, "'usr/lib'");
	assert_string_equal(quote_path("", buffer, sizeof(buffer)), "''");
	assert_string_equal(quote_path("a b", buffer, sizeof(buffer)), "'a b'");
	assert_string_equal(quoted("x"), "'x'");
}

static void test_quote_escapes(void **state)
{
	char buffer[64];

	(void)state;
	assert_string_equal(quote_path("a\nb", buffer, sizeof(buffer)), "'a\\x0ab'");
	assert_string_equal(quote_path("\x1b[2J", buffer, sizeof(buffer)), "'\\x1b[2J'");
	assert_string_equal(quote_path("\x01\x7f", buffer, sizeof(buffer)), "'\\x01\\x7f'");
	assert_string_equal(quote_path("it's", buffer, sizeof(buffer)), "'it\\'s'");
	assert_string_equal(quote_path("a\\b", buffer, sizeof(buffer)), "'a\\\\b'");
}

/* Text that decodes stays readable. */
static void test_quote_utf8(void **state)
{
	char buffer[64];

	(void)state;
	assert_string_equal(quote_path("caf\xc3\xa9", buffer, sizeof(buffer)),
			    "'caf\xc3\xa9'");
	assert_string_equal(quote_path("\xe6\x97\xa5", buffer, sizeof(buffer)),
			    "'\xe6\x97\xa5'");
	assert_string_equal(quote_path("\xf0\x9f\x90\x8d", buffer, sizeof(buffer)),
			    "'\xf0\x9f\x90\x8d'");
}

/* log.h: undecodable bytes as \xNN. 0x9b alone is a terminal's CSI. */
static void test_quote_undecodable(void **state)
{
	char buffer[64];

	(void)state;
	assert_string_equal(quote_path("\xff", buffer, sizeof(buffer)), "'\\xff'");
	assert_string_equal(quote_path("a\x9b"
				       "2J",
				       buffer, sizeof(buffer)),
			    "'a\\x9b2J'");
	assert_string_equal(quote_path("\xc3", buffer, sizeof(buffer)), "'\\xc3'");
	assert_string_equal(quote_path("\xc3(", buffer, sizeof(buffer)), "'\\xc3('");
}

/* No size and no path writes behind the buffer or leaves it without an end. */
static void test_quote_cut(void **state)
{
	char path[40];
	char buffer[128];

	(void)state;
	for (size_t len = 0; len < sizeof(path); len++) {
		memset(path, len % 2 ? '\n' : 'x', len);
		path[len] = '\0';
		for (size_t size = 16; size <= 100; size++) {
			size_t used;

			memset(buffer, GUARD, sizeof(buffer));
			quote_path(path, buffer, size);
			used = strnlen(buffer, size);
			assert_true(used < size);
			assert_int_equal(buffer[0], '\'');
			assert_int_equal(buffer[used - 1], '\'');
			for (size_t i = size; i < sizeof(buffer); i++)
				assert_int_equal(buffer[i], GUARD);
		}
	}
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	quote_path(path, buffer, 20);
	assert_non_null(strstr(buffer, "...'"));
	assert_int_equal(strncmp(buffer, "'xxx", 4), 0);
}

/* Runs with standard error in a file; what was written is in @ret_text. */
static void capture(void (*act)(void), char *ret_text, size_t size)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	act();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	n = fread(ret_text, 1, size - 1, file);
	ret_text[n] = '\0';
	fclose(file);
}

static void speak(void)
{
	log_set_level(LOG_LEVEL_WARNING);
	errno = ENOTCONN;
	log_error("one %d", 1);
	assert_int_equal(errno, ENOTCONN);
	log_info("hidden");
	assert_int_equal(errno, ENOTCONN);
	log_set_level(LOG_LEVEL_INFO);
	log_info("shown %s", "2");
	log_message(LOG_LEVEL_DEBUG, "hidden");
	log_set_level(LOG_LEVEL_WARNING);
}

/* A message that cannot be written is lost, but errno is not. */
static void test_errno_survives(void **state)
{
	int saved = dup(STDERR_FILENO);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int after;

	(void)state;
	dup2(null, STDERR_FILENO);
	errno = ENOTCONN;
	log_error("lost");
	after = errno;
	dup2(saved, STDERR_FILENO);
	clearerr(stderr);
	close(saved);
	close(null);
	assert_int_equal(after, ENOTCONN);
}

static void speak_long(void)
{
	char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
}

static void test_levels(void **state)
{
	char text[256];

	(void)state;
	capture(speak, text, sizeof(text));
	assert_string_equal(text, "canonfs: one 1\ncanonfs: shown 2\n");
}

static void test_long_line(void **state)
{
	char text[8192];

	(void)state;
	capture(speak_long, text, sizeof(text));
	assert_true(strlen(text) > 1000 && strlen(text) < 5000);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quote_plain),
		cmocka_unit_test(test_quote_escapes),
		cmocka_unit_test(test_quote_utf8),
		cmocka_unit_test(test_quote_undecodable),
		cmocka_unit_test(test_quote_cut),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_errno_survives),
		cmocka_unit_test(test_long_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
