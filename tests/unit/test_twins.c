/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of several names: one stub for those that show the same, made once, whoever comes
 * first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/scope.h"
#include "fs/stack/twins.h"

#define FILES	1000
#define THREADS 4

static struct twin_key key_of(uint64_t inode, uint8_t shows)
{
	return (struct twin_key){.device = 1, .inode = inode, .shows = {shows}};
}

static void test_first_name_has_the_stub(void **state)
{
	struct twins *twins = twins_new();
	struct twin_key key = key_of(7, 0);

	(void)state;
	assert_non_null(twins);
	assert_null(twins_begin(twins, &key));
	assert_int_equal(twins_end(twins, &key, "a"), 0);
	assert_string_equal(twins_begin(twins, &key), "a");
	assert_int_equal(twins_end(twins, &key, NULL), 0);
	twins_free(twins);
}

static void test_next_one_makes_what_the_first_could_not(void **state)
{
	struct twins *twins = twins_new();
	struct twin_key key = key_of(7, 0);

	(void)state;
	assert_null(twins_begin(twins, &key));
	assert_int_equal(twins_end(twins, &key, NULL), 0);
	assert_null(twins_begin(twins, &key));
	assert_int_equal(twins_end(twins, &key, "b"), 0);
	twins_free(twins);
}

static void test_other_files_are_no_twins(void **state)
{
	struct twin_key keys[] = {key_of(7, 0), key_of(7, 1), key_of(8, 0), key_of(7, 0)};
	struct twins *twins = twins_new();

	(void)state;
	keys[3].device = 2;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char name[8];

		assert_null(twins_begin(twins, &keys[i]));
		snprintf(name, sizeof(name), "%zu", i);
		assert_int_equal(twins_end(twins, &keys[i], name), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char name[8];

		snprintf(name, sizeof(name), "%zu", i);
		assert_string_equal(twins_begin(twins, &keys[i]), name);
		assert_int_equal(twins_end(twins, &keys[i], NULL), 0);
	}
	twins_free(twins);
}

/* Counts who makes the stub of each file. */
struct crowd {
	struct twins *twins;
	_Atomic unsigned made[FILES];
};

static void *come_with_all(void *closure)
{
	struct crowd *crowd = closure;

	for (uint64_t inode = 0; inode < FILES; inode++) {
		struct twin_key key = key_of(inode, 0);
		const char *twin = twins_begin(crowd->twins, &key);

		crowd->made[inode] += !twin;
		twins_end(crowd->twins, &key, twin ? NULL : "made");
	}
	return NULL;
}

static void test_each_is_made_once(void **state)
{
	struct crowd crowd = {.twins = twins_new()};
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_with_all, &crowd),
				 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < FILES; i++)
		assert_int_equal(crowd.made[i], 1);
	twins_free(crowd.twins);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_name_has_the_stub),
		cmocka_unit_test(test_next_one_makes_what_the_first_could_not),
		cmocka_unit_test(test_other_files_are_no_twins),
		cmocka_unit_test(test_each_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
