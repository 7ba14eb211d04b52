/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to the control socket, from anybody: what is understood, and that whatever else
 * comes is refused with a reason, wherever it is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "fs/control/request.h"

/* From memory of exactly that size, so that a sanitizer sees what is read beyond. */
static const char *parse(const char *text, size_t len, struct control_request *ret_request)
{
	char *copy = malloc(len + 1);
	const char *why;

	assert_non_null(copy);
	memcpy(copy, text, len);
	copy = realloc(copy, len ? len : 1);
	why = control_request_parse(copy, len, ret_request);
	free(copy);
	return why;
}

static void test_understood(void **state)
{
	static const struct {
		const char *text;
		enum control_command command;
		bool all;
	} good[] = {
		{"{\"command\": \"status\"}", CONTROL_STATUS, false},
		{"{\"command\":\"trace\"}", CONTROL_TRACE, false},
		{"\n{\"all\": true, \"command\": \"trace\"}\r\n\t ", CONTROL_TRACE, true},
		{"{\"command\": \"trace\", \"all\": false}", CONTROL_TRACE, false},
		{"{\"command\": \"status\", \"more\": [1, {}]}", CONTROL_STATUS, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct control_request request = {.command = CONTROL_STATUS};

		assert_null(parse(good[i].text, strlen(good[i].text), &request));
		assert_int_equal(request.command, good[i].command);
		assert_int_equal(request.all, good[i].all);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"[]",
		"null",
		"1",
		"\"status\"",
		"{}",
		"{\"command\": null}",
		"{\"command\": 1}",
		"{\"command\": \"Status\"}",
		"{\"command\": \"\"}",
		"{\"command\": \"status\"} {}",
		"{\"command\": \"status\"}x",
		"{\"command\": \"trace\", \"all\": 1}",
		"{\"command\": \"trace\", \"all\": \"true\"}",
		"{'command': 'status'}",
		"{\"command\": \"status\",}",
		"{\"a\": {\"a\": {\"a\": {\"a\": {\"a\": 1}}}}, \"command\": \"status\"}",
		"\xff\xfe",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct control_request request;
		const char *why = parse(bad[i], strlen(bad[i]), &request);

		if (!why)
			fail_msg("%s is taken", bad[i]);
		else
			assert_true(strlen(why) > 5);
	}
}

static void test_every_cut_is_refused(void **state)
{
	static const char text[] = "{\"command\": \"trace\", \"all\": true}";
	struct control_request request;

	(void)state;
	for (size_t len = 0; len < strlen(text); len++)
		assert_non_null(parse(text, len, &request));
	assert_null(parse(text, strlen(text), &request));
}

static void test_embedded_zero(void **state)
{
	static const char inside[] = "{\"command\": \"status\0\"}";
	static const char after[] = "{\"command\": \"status\"}\0garbage";
	struct control_request request;

	(void)state;
	assert_non_null(parse(inside, sizeof(inside) - 1, &request));
	assert_non_null(parse(after, sizeof(after) - 1, &request));
}

static void test_deep_and_random(void **state)
{
	struct control_request request;
	char text[4096];

	(void)state;
	memset(text, '[', sizeof(text));
	assert_non_null(parse(text, sizeof(text), &request));
	srand(1);
	for (int round = 0; round < 2000; round++) {
		size_t len = (size_t)rand() % sizeof(text);

		for (size_t i = 0; i < len; i++)
			text[i] = (char)rand();
		assert_non_null(parse(text, len, &request));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_understood),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_embedded_zero),
		cmocka_unit_test(test_deep_and_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
