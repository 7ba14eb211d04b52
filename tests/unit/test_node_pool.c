/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slot pool: no slot twice, none beyond the capacity, never slot 0, and a freed slot
 * keeps all but its first four bytes (node generations live there). It grows without moving
 * what is there, and where it cannot grow it says so and loses nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/front/node_pool.h"
#include "tests/unit/sanitized.h"

#define CAPACITY 64
#define SLOT	 24

/* A pool in a memfd of its own. */
struct fixture {
	struct pool pool;
	struct pool_state *state;
	int fd;
};

static void make_pool(struct fixture *fixture, uint32_t slot_size, uint32_t capacity)
{
	fixture->fd = memfd_create("pool", MFD_CLOEXEC);
	fixture->state = calloc(1, sizeof(*fixture->state));
	assert_true(fixture->fd >= 0);
	assert_non_null(fixture->state);
	assert_int_equal(
		pool_init(&fixture->pool, fixture->state, fixture->fd, slot_size, capacity),
		0);
}

static void end_pool(struct fixture *fixture)
{
	pool_fini(&fixture->pool);
	free(fixture->state);
	close(fixture->fd);
}

static uint32_t take(struct pool *pool)
{
	uint32_t index;

	assert_int_equal(pool_take(pool, &index), 0);
	return index;
}

static void assert_full(struct pool *pool, int error)
{
	uint32_t index = 77;

	assert_int_equal(pool_take(pool, &index), error);
	assert_int_equal(index, 77);
}

static void test_take_all(void **state)
{
	struct fixture fixture;
	struct pool *pool = &fixture.pool;
	bool seen[CAPACITY] = {false};
	char *first;

	(void)state;
	make_pool(&fixture, SLOT, CAPACITY);
	assert_int_equal(pool_reach(pool, 0), 0);
	first = pool_slot(pool, 0);
	for (uint32_t i = 1; i < CAPACITY; i++) {
		uint32_t index = take(pool);

		assert_in_range(index, 1, CAPACITY - 1);
		assert_false(seen[index]);
		seen[index] = true;
		assert_ptr_equal(pool_slot(pool, index), first + (size_t)index * SLOT);
		memset(pool_slot(pool, index), (int)index, SLOT);
	}
	assert_int_equal(pool->state->live, CAPACITY - 1);
	assert_full(pool, -ENFILE);
	assert_full(pool, -ENFILE);
	assert_int_equal(pool->state->live, CAPACITY - 1);
	for (uint32_t i = 1; i < CAPACITY; i++)
		assert_int_equal(((uint8_t *)pool_slot(pool, i))[SLOT - 1], i);
	/* Slot 0 is nobody's. */
	for (size_t i = 0; i < SLOT; i++)
		assert_int_equal((uint8_t)first[i], 0);
	end_pool(&fixture);
}

static void test_reuse(void **state)
{
	struct fixture fixture;
	struct pool *pool = &fixture.pool;
	uint32_t a, b, c;
	uint8_t *slot;

	(void)state;
	make_pool(&fixture, SLOT, CAPACITY);
	a = take(pool);
	b = take(pool);
	c = take(pool);
	slot = pool_slot(pool, b);
	memset(slot, 0x11, SLOT);
	pool_give(pool, a);
	pool_give(pool, b);
	assert_int_equal(pool->state->live, 1);
	for (size_t i = 4; i < SLOT; i++)
		assert_int_equal(slot[i], 0x11);
	assert_int_equal(take(pool), b); /* warm memory first */
	assert_int_equal(take(pool), a);
	assert_int_equal(take(pool), c + 1);
	assert_int_equal(pool->state->live, 4);
	end_pool(&fixture);
}

static void test_full_then_free(void **state)
{
	struct fixture fixture;
	struct pool *pool = &fixture.pool;
	uint32_t index;

	(void)state;
	make_pool(&fixture, SLOT, CAPACITY);
	while (pool_take(pool, &index) == 0)
		;
	pool_give(pool, 17);
	assert_int_equal(take(pool), 17);
	assert_full(pool, -ENFILE);
	for (uint32_t i = 1; i < CAPACITY; i++)
		pool_give(pool, i);
	assert_int_equal(pool->state->live, 0);
	for (uint32_t i = 1; i < CAPACITY; i++)
		assert_int_not_equal(take(pool), 0);
	assert_full(pool, -ENFILE);
	end_pool(&fixture);
}

/* ---- growing ---- */

/* Takes slots until @pool has @chunks, each with its own number in it. */
static void fill_chunks(struct pool *pool, uint32_t chunks)
{
	while (pool->state->used < chunks * POOL_CHUNK_SLOTS) {
		uint32_t index = take(pool);

		memcpy(pool_slot(pool, index), &index, sizeof(index));
	}
	assert_int_equal(pool->state->chunks, chunks);
}

static void assert_numbers(const struct pool *pool)
{
	for (uint32_t i = 1; i < pool->state->used; i++)
		assert_int_equal(*(uint32_t *)pool_slot(pool, i), i);
}

/* Two pools in one file: neither moves, and neither writes where the other is. */
static void test_grow_side_by_side(void **state)
{
	struct fixture a;
	struct pool b;
	struct pool_state *b_state = calloc(1, sizeof(*b_state));
	void *slot;

	(void)state;
	assert_non_null(b_state);
	make_pool(&a, 4, POOL_MAX_SLOTS);
	assert_int_equal(pool_init(&b, b_state, a.fd, 256, POOL_MAX_SLOTS), 0);
	fill_chunks(&a.pool, 1);
	slot = pool_slot(&a.pool, 1);
	for (uint32_t chunks = 1; chunks <= 5; chunks++) {
		fill_chunks(&b, chunks);
		fill_chunks(&a.pool, chunks + 1);
	}
	assert_ptr_equal(pool_slot(&a.pool, 1), slot);
	assert_numbers(&a.pool);
	assert_numbers(&b);
	pool_fini(&b);
	free(b_state);
	end_pool(&a);
}

/* What another process needs to find the slots is in the state. */
static void test_state_leads_to_slots(void **state)
{
	struct fixture fixture;
	uint32_t number;

	(void)state;
	make_pool(&fixture, 72, POOL_MAX_SLOTS);
	fill_chunks(&fixture.pool, 3);
	for (uint32_t i = 1; i < fixture.pool.state->used; i += 1000) {
		uint64_t place = fixture.pool.state->place[i / POOL_CHUNK_SLOTS];

		assert_int_equal(pread(fixture.fd, &number, sizeof(number),
				       (off_t)(place * POOL_ALIGN +
					       (uint64_t)i % POOL_CHUNK_SLOTS * 72)),
				 sizeof(number));
		assert_int_equal(number, i);
	}
	end_pool(&fixture);
}

/* Where the file is large already, places are worked out in 64 bits. */
static void test_beyond_4_gib(void **state)
{
	struct fixture fixture;
	uint32_t number = 0;

	(void)state;
	make_pool(&fixture, 16, CAPACITY);
	if (ftruncate(fixture.fd, (off_t)5 << 30) < 0)
		skip();
	*(uint32_t *)pool_slot(&fixture.pool, take(&fixture.pool)) = 4711;
	assert_int_equal(pread(fixture.fd, &number, sizeof(number), ((off_t)5 << 30) + 16),
			 sizeof(number));
	assert_int_equal(number, 4711);
	end_pool(&fixture);
}

/* The last slot that there can be, without those before it. */
static void test_reach_the_last(void **state)
{
	struct fixture fixture;

	(void)state;
	make_pool(&fixture, 4, POOL_MAX_SLOTS);
	assert_int_equal(pool_reach(&fixture.pool, POOL_MAX_SLOTS - 1), 0);
	assert_int_equal(fixture.state->chunks, POOL_MAX_CHUNKS);
	*(uint32_t *)pool_slot(&fixture.pool, POOL_MAX_SLOTS - 1) = 1;
	assert_int_equal(pool_reach(&fixture.pool, 0), 0);
	assert_int_equal(fixture.state->chunks, POOL_MAX_CHUNKS);
	end_pool(&fixture);
}

/* Sets the soft limit; returns the one before. */
static rlim_t set_limit(__rlimit_resource_t resource, rlim_t soft)
{
	struct rlimit limit;
	rlim_t before;

	assert_int_equal(getrlimit(resource, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = soft;
	assert_int_equal(setrlimit(resource, &limit), 0);
	return before;
}

static off_t file_size(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

static void check_limited(__rlimit_resource_t resource)
{
	struct fixture fixture;
	struct pool *pool = &fixture.pool;
	rlim_t before;
	off_t size;

	make_pool(&fixture, SLOT, POOL_MAX_SLOTS);
	fill_chunks(pool, 1);
	size = file_size(fixture.fd);
	before = set_limit(resource, (rlim_t)size);
	for (int i = 0; i < 3; i++)
		assert_full(pool, -ENOMEM);
	/* A slot that is given back is to be had all the same. */
	pool_give(pool, 7);
	assert_int_equal(take(pool), 7);
	assert_full(pool, -ENOMEM);
	set_limit(resource, before);
	assert_int_equal(file_size(fixture.fd), size);
	assert_int_equal(pool->state->live, POOL_CHUNK_SLOTS - 1);
	*(uint32_t *)pool_slot(pool, 7) = 7;
	fill_chunks(pool, 2);
	assert_numbers(pool);
	end_pool(&fixture);
}

/* ulimit -f: the file cannot grow. Then it can. */
static void test_file_size_is_limited(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN); /* as the server does */
	check_limited(RLIMIT_FSIZE);
}

/* ulimit -v: the chunk cannot be mapped. */
static void test_address_space_is_limited(void **state)
{
	(void)state;
	if (!SANITIZED) /* sanitizers map as they like */
		check_limited(RLIMIT_AS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_all),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_full_then_free),
		cmocka_unit_test(test_grow_side_by_side),
		cmocka_unit_test(test_state_leads_to_slots),
		cmocka_unit_test(test_beyond_4_gib),
		cmocka_unit_test(test_reach_the_last),
		cmocka_unit_test(test_file_size_is_limited),
		cmocka_unit_test(test_address_space_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
