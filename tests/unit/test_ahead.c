/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes that are prepared before they are asked for: whoever asks gets them once, waits for
 * them, and never gets old ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/stack/ahead.h"

/* The tests' own clock. */
static time_t clock_s = 1000;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){.tv_sec = clock_s};
	return 0;
}

static void prepare(struct ahead *ahead, uint64_t id, const char *text)
{
	const struct served_bytes bytes = {
		.data = (uint8_t *)strdup(text), .len = strlen(text), .resolved = true};

	assert_true(ahead_begin(ahead, id));
	ahead_end(ahead, id, &bytes);
}

static void assert_takes(struct ahead *ahead, uint64_t id, const char *text)
{
	struct served_bytes bytes;

	assert_true(ahead_take(ahead, id, &bytes));
	assert_int_equal(bytes.len, strlen(text));
	assert_memory_equal(bytes.data, text, bytes.len);
	assert_true(bytes.resolved);
	free(bytes.data);
}

static void assert_nothing(struct ahead *ahead, uint64_t id)
{
	struct served_bytes bytes;

	assert_false(ahead_take(ahead, id, &bytes));
}

static int setup(void **state)
{
	*state = ahead_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	ahead_free(*state);
	return 0;
}

static void test_is_taken_once(void **state)
{
	prepare(*state, 1, "one");
	prepare(*state, 2, "two");
	assert_nothing(*state, 3);
	assert_takes(*state, 2, "two");
	assert_takes(*state, 1, "one");
	assert_nothing(*state, 1);
	assert_nothing(*state, 2);
}

static void test_is_prepared_once(void **state)
{
	prepare(*state, 1, "one");
	assert_false(ahead_begin(*state, 1));
	assert_takes(*state, 1, "one");
	prepare(*state, 1, "again");
	assert_takes(*state, 1, "again");
}

static void test_in_vain(void **state)
{
	const struct served_bytes nothing = {.data = NULL};

	assert_true(ahead_begin(*state, 1));
	ahead_end(*state, 1, &nothing);
	assert_nothing(*state, 1);
	prepare(*state, 1, "one");
	assert_takes(*state, 1, "one");
}

static void test_old_bytes_are_not_used(void **state)
{
	prepare(*state, 1, "one");
	clock_s += 1;
	assert_takes(*state, 1, "one");
	prepare(*state, 1, "one");
	clock_s += 2;
	assert_nothing(*state, 1);
	prepare(*state, 1, "new");
	assert_takes(*state, 1, "new");
}

/* What nobody takes gives way, the oldest first; the last ones are there. */
static void test_is_bounded(void **state)
{
	struct served_bytes bytes;
	unsigned kept = 0;

	for (uint64_t id = 1; id <= 1000; id++)
		prepare(*state, id, "text");
	assert_takes(*state, 1000, "text");
	for (uint64_t id = 1; id < 1000; id++) {
		if (ahead_take(*state, id, &bytes)) {
			assert_true(id > 900);
			free(bytes.data);
			kept++;
		}
	}
	assert_true(kept > 0);
}

struct reader {
	struct ahead *ahead;
	struct served_bytes bytes;
	bool found;
};

static sem_t arrived; /* the reader waits, or is back */

int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
	sem_post(&arrived);
	return __real_pthread_cond_wait(condition, lock);
}

static void *take_in_thread(void *closure)
{
	struct reader *reader = closure;

	reader->found = ahead_take(reader->ahead, 1, &reader->bytes);
	sem_post(&arrived);
	return NULL;
}

static void test_reader_waits(void **state)
{
	const struct served_bytes bytes = {.data = (uint8_t *)strdup("late"), .len = 4};
	struct reader reader = {.ahead = *state};
	pthread_t thread;

	sem_init(&arrived, 0, 0);
	assert_true(ahead_begin(*state, 1));
	assert_int_equal(pthread_create(&thread, NULL, take_in_thread, &reader), 0);
	sem_wait(&arrived);
	ahead_end(*state, 1, &bytes);
	pthread_join(thread, NULL);
	assert_true(reader.found);
	assert_memory_equal(reader.bytes.data, "late", 4);
	free(reader.bytes.data);
	sem_destroy(&arrived);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_is_taken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_is_prepared_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_bytes_are_not_used, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_waits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
