/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slot pool: no slot twice, none beyond the capacity, never slot 0, and a freed slot
 * keeps all but its first four bytes (node generations live there).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fs/front/node_pool.h"

#define CAPACITY 64
#define SLOT	 24
#define OFFSET	 4096

static char *new_base(void)
{
	char *base = malloc(OFFSET + CAPACITY * SLOT);

	assert_non_null(base);
	memset(base, 0xee, OFFSET + CAPACITY * SLOT);
	return base;
}

static struct pool new_pool(void)
{
	return (struct pool){.offset = OFFSET, .slot_size = SLOT, .capacity = CAPACITY};
}

static void test_take_all(void **state)
{
	char *base = new_base();
	struct pool pool = new_pool();
	bool seen[CAPACITY] = {false};

	(void)state;
	for (uint32_t i = 1; i < CAPACITY; i++) {
		uint32_t index = pool_take(&pool, base);

		assert_in_range(index, 1, CAPACITY - 1);
		assert_false(seen[index]);
		seen[index] = true;
		assert_ptr_equal(pool_slot(&pool, base, index),
				 base + OFFSET + index * SLOT);
		memset(pool_slot(&pool, base, index), (int)index, SLOT);
	}
	assert_int_equal(pool.live, CAPACITY - 1);
	assert_int_equal(pool_take(&pool, base), 0);
	assert_int_equal(pool_take(&pool, base), 0);
	assert_int_equal(pool.live, CAPACITY - 1);
	for (uint32_t i = 1; i < CAPACITY; i++)
		assert_int_equal(((uint8_t *)pool_slot(&pool, base, i))[SLOT - 1], i);
	/* Slot 0 and what lies before it are nobody's. */
	for (size_t i = 0; i < OFFSET + SLOT; i++)
		assert_int_equal((uint8_t)base[i], 0xee);
	free(base);
}

static void test_reuse(void **state)
{
	char *base = new_base();
	struct pool pool = new_pool();
	uint32_t a = pool_take(&pool, base);
	uint32_t b = pool_take(&pool, base);
	uint32_t c = pool_take(&pool, base);
	uint8_t *slot = pool_slot(&pool, base, b);

	(void)state;
	memset(slot, 0x11, SLOT);
	pool_give(&pool, base, a);
	pool_give(&pool, base, b);
	assert_int_equal(pool.live, 1);
	for (size_t i = 4; i < SLOT; i++)
		assert_int_equal(slot[i], 0x11);
	assert_int_equal(pool_take(&pool, base), b); /* warm memory first */
	assert_int_equal(pool_take(&pool, base), a);
	assert_int_equal(pool_take(&pool, base), c + 1);
	assert_int_equal(pool.live, 4);
	free(base);
}

static void test_full_then_free(void **state)
{
	char *base = new_base();
	struct pool pool = new_pool();

	(void)state;
	while (pool_take(&pool, base))
		;
	pool_give(&pool, base, 17);
	assert_int_equal(pool_take(&pool, base), 17);
	assert_int_equal(pool_take(&pool, base), 0);
	for (uint32_t i = 1; i < CAPACITY; i++)
		pool_give(&pool, base, i);
	assert_int_equal(pool.live, 0);
	for (uint32_t i = 1; i < CAPACITY; i++)
		assert_int_not_equal(pool_take(&pool, base), 0);
	assert_int_equal(pool_take(&pool, base), 0);
	free(base);
}

static void test_bytes(void **state)
{
	(void)state;
	assert_int_equal(pool_bytes(24, 0), 0);
	assert_int_equal(pool_bytes(1, 1), 4096);
	assert_int_equal(pool_bytes(16, 256), 4096);
	assert_int_equal(pool_bytes(16, 257), 8192);
	/* More than 32 bits of bytes. */
	assert_true(pool_bytes(256, UINT32_C(1) << 24) == UINT64_C(1) << 32);
}

/* The address is worked out in 64 bits; nothing is touched there. */
static void test_slot_beyond_4_gib(void **state)
{
	size_t len = (size_t)256 << 25;
	struct pool pool = {.offset = 0, .slot_size = 256, .capacity = UINT32_MAX};
	char *base = mmap(NULL, len + 4096, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)state;
	if (base == MAP_FAILED)
		skip();
	assert_ptr_equal(pool_slot(&pool, base, UINT32_C(1) << 25), base + len);
	munmap(base, len + 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_all),	  cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_full_then_free),	  cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_slot_beyond_4_gib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
