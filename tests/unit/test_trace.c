/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring of events: none is lost or doubled between threads while there is room, what
 * there is no room for is counted, and nobody who puts ever waits for who takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "fs/watch/trace.h"

#define THREADS 4
#define ROUNDS	2000
#define BATCH	64

static void put(struct trace *trace, uint32_t number)
{
	struct trace_event event = {
		.kind = TRACE_REQUEST,
		.opcode = number,
		.path = strdup("path"),
		.name = strdup("name"),
	};

	trace_put(trace, &event, 0);
}

static bool is_awake(const struct trace *trace)
{
	struct pollfd fd = {.fd = trace->wake_fd, .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void test_wanted(void **state)
{
	struct trace trace;

	(void)state;
	assert_int_equal(trace_init(&trace), 0);
	assert_false(trace_wanted(&trace, TRACE_DECISION));
	assert_false(trace_wanted(&trace, TRACE_REQUEST));
	trace_want(&trace, TRACE_DECISION);
	assert_true(trace_wanted(&trace, TRACE_DECISION));
	assert_false(trace_wanted(&trace, TRACE_REQUEST));
	trace_want(&trace, 0);
	assert_false(trace_wanted(&trace, TRACE_DECISION));
	trace_fini(&trace);
}

static void test_in_turn(void **state)
{
	struct trace_event event;
	struct trace trace;
	uint64_t lost;

	(void)state;
	assert_int_equal(trace_init(&trace), 0);
	trace_want(&trace, TRACE_REQUEST);
	assert_false(is_awake(&trace));
	/* More than the ring holds, but never at once. */
	for (uint32_t i = 0; i < 3 * TRACE_RING; i++) {
		put(&trace, i);
		if (i % 2 == 0)
			continue;
		for (uint32_t k = i - 1; k <= i; k++) {
			assert_int_equal(trace_take(&trace, &event, 1, &lost), 1);
			assert_int_equal(event.opcode, k);
			assert_int_equal(lost, 0);
			assert_string_equal(event.path, "path");
			trace_event_fini(&event);
		}
	}
	assert_int_equal(trace_take(&trace, &event, 1, &lost), 0);
	assert_false(is_awake(&trace));
	trace_fini(&trace);
}

static void test_full(void **state)
{
	struct trace_event *events = calloc(TRACE_RING + 1, sizeof(*events));
	struct trace trace;
	uint64_t lost;

	(void)state;
	assert_non_null(events);
	assert_int_equal(trace_init(&trace), 0);
	trace_want(&trace, TRACE_REQUEST);
	for (uint32_t i = 0; i < TRACE_RING + 123; i++)
		put(&trace, i);
	assert_true(is_awake(&trace));
	assert_int_equal(trace_take(&trace, events, TRACE_RING + 1, &lost), TRACE_RING);
	assert_int_equal(lost, 123);
	assert_false(is_awake(&trace));
	for (uint32_t i = 0; i < TRACE_RING; i++) {
		assert_int_equal(events[i].opcode, i);
		trace_event_fini(&events[i]);
	}
	/* It is counted once, and there is room again. */
	put(&trace, 7);
	assert_true(is_awake(&trace));
	assert_int_equal(trace_take(&trace, events, TRACE_RING, &lost), 1);
	assert_int_equal(lost, 0);
	trace_event_fini(&events[0]);
	free(events);
	trace_fini(&trace);
}

/* Events that nobody took are nobody's any more. A sanitizer sees what is left. */
static void test_nobody_listens_any_more(void **state)
{
	struct trace_event event;
	struct trace trace;
	uint64_t lost;

	(void)state;
	assert_int_equal(trace_init(&trace), 0);
	for (uint32_t i = 0; i < TRACE_RING + 5; i++)
		put(&trace, i);
	trace_want(&trace, 0);
	trace_want(&trace, TRACE_REQUEST);
	assert_int_equal(trace_take(&trace, &event, 1, &lost), 0);
	assert_int_equal(lost, 0);
	put(&trace, 1);
	trace_fini(&trace);
}

static void test_process(void **state)
{
	char name[TRACE_PROCESS_MAX] = "";
	struct trace_event event = {.kind = TRACE_DECISION, .path = strdup("p")};
	struct trace_event taken;
	struct timespec before, after;
	struct trace trace;
	uint64_t lost;

	(void)state;
	assert_int_equal(prctl(PR_SET_NAME, "a )(\tname"), 0);
	prctl(PR_GET_NAME, name);
	assert_int_equal(trace_init(&trace), 0);
	trace_want(&trace, TRACE_DECISION);
	clock_gettime(CLOCK_REALTIME, &before);
	trace_put(&trace, &event, gettid());
	clock_gettime(CLOCK_REALTIME, &after);
	assert_int_equal(trace_take(&trace, &taken, 1, &lost), 1);
	assert_string_equal(taken.process, name);
	assert_int_equal(taken.pid, getpid());
	assert_true(taken.time_ns >= (int64_t)before.tv_sec * 1000000000 + before.tv_nsec);
	assert_true(taken.time_ns <= (int64_t)after.tv_sec * 1000000000 + after.tv_nsec);
	trace_event_fini(&taken);

	/* The kernel itself, another pid namespace; a process that is gone. */
	event = (struct trace_event){.kind = TRACE_DECISION};
	trace_put(&trace, &event, 0);
	event = (struct trace_event){.kind = TRACE_DECISION};
	trace_put(&trace, &event, 0x3ffffff0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(trace_take(&trace, &taken, 1, &lost), 1);
		assert_string_equal(taken.process, "");
	}
	trace_fini(&trace);
}

/* A thread's request is its process's. */
static void *put_from_thread(void *context)
{
	struct trace_event event = {.kind = TRACE_DECISION};

	trace_put(context, &event, gettid());
	return NULL;
}

static void test_thread_of_a_process(void **state)
{
	struct trace_event taken;
	struct trace trace;
	pthread_t thread;
	uint64_t lost;

	(void)state;
	assert_int_equal(trace_init(&trace), 0);
	assert_int_equal(pthread_create(&thread, NULL, put_from_thread, &trace), 0);
	pthread_join(thread, NULL);
	assert_int_equal(trace_take(&trace, &taken, 1, &lost), 1);
	assert_int_equal(taken.pid, getpid());
	trace_fini(&trace);
}

struct putter {
	struct trace *trace;
	uint32_t number;
	_Atomic unsigned *running;
};

static void *put_many(void *context)
{
	const struct putter *putter = context;

	for (uint32_t i = 0; i < ROUNDS; i++)
		if (trace_wanted(putter->trace, TRACE_REQUEST))
			put(putter->trace, putter->number << 16 | i);
	--*putter->running;
	return NULL;
}

/* Takes what there is; the events of each thread come in turn. */
static uint64_t take_all(struct trace *trace, uint32_t next[THREADS], uint64_t *ret_lost)
{
	struct trace_event events[BATCH];
	uint64_t lost;
	uint64_t taken = 0;
	size_t count;

	do {
		count = trace_take(trace, events, BATCH, &lost);
		*ret_lost += lost;
		for (size_t i = 0; i < count; i++) {
			uint32_t thread = events[i].opcode >> 16;

			assert_true((events[i].opcode & 0xffff) >= next[thread]);
			next[thread] = (events[i].opcode & 0xffff) + 1;
			trace_event_fini(&events[i]);
		}
		taken += count;
	} while (count == BATCH);
	return taken;
}

static void test_threads(void **state)
{
	_Atomic unsigned running = THREADS;
	uint32_t next[THREADS] = {0};
	struct putter putters[THREADS];
	pthread_t threads[THREADS];
	struct trace trace;
	uint64_t taken = 0;
	uint64_t lost = 0;

	(void)state;
	assert_int_equal(trace_init(&trace), 0);
	trace_want(&trace, TRACE_REQUEST);
	for (uint32_t i = 0; i < THREADS; i++) {
		putters[i] = (struct putter){&trace, i, &running};
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, &putters[i]),
				 0);
	}
	while (running > 0) {
		struct pollfd fd = {.fd = trace.wake_fd, .events = POLLIN};

		poll(&fd, 1, 10);
		taken += take_all(&trace, next, &lost);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	taken += take_all(&trace, next, &lost);
	assert_int_equal(taken + lost, THREADS * ROUNDS);
	assert_true(taken > 0);
	assert_false(is_awake(&trace));
	trace_fini(&trace);
}

/* Nobody takes: those who put come to an end all the same. */
static void test_stopped_taker(void **state)
{
	_Atomic unsigned running = THREADS;
	uint32_t next[THREADS] = {0};
	struct putter putters[THREADS];
	pthread_t threads[THREADS];
	struct trace trace;
	uint64_t lost = 0;

	(void)state;
	assert_int_equal(trace_init(&trace), 0);
	trace_want(&trace, TRACE_REQUEST);
	for (uint32_t i = 0; i < THREADS; i++) {
		putters[i] = (struct putter){&trace, i, &running};
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, &putters[i]),
				 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(take_all(&trace, next, &lost), TRACE_RING);
	assert_int_equal(lost, THREADS * ROUNDS - TRACE_RING);
	trace_fini(&trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_in_turn),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_nobody_listens_any_more),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_thread_of_a_process),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_stopped_taker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
