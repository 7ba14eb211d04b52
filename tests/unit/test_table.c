/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content table: what was put in comes out, an earlier state of an inode is never
 * taken for the current one, it stays within its bound, and threads may share it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "cache/table.h"

#define WAYS 8 /* of a bucket, as in cache/table.c */

static struct identity file(uint64_t inode)
{
	return (struct identity){
		.mount_id = 1,
		.device = 2,
		.inode = inode,
		.generation = 3,
		.btime_ns = 4,
		.size = 5,
		.mtime_ns = 6,
		.ctime_ns = 7,
	};
}

static struct content marked(uint64_t mark)
{
	return (struct content){.body = PYC_CHECK_OK,
				.digest = {.low = mark, .high = ~mark}};
}

static bool has(struct table *table, uint64_t inode, uint64_t mark)
{
	struct identity identity = file(inode);
	struct content content;
	bool current;

	return table_get(table, &identity, &content, &current) && current &&
	       content.digest.low == mark && content.digest.high == ~mark;
}

static void put(struct table *table, uint64_t inode, uint64_t mark)
{
	struct identity identity = file(inode);
	struct content content = marked(mark);

	table_put(table, &identity, &content);
}

static void test_put_get(void **state)
{
	struct table *table = table_new(1024);

	(void)state;
	assert_non_null(table);
	assert_false(has(table, 1, 10));
	put(table, 1, 10);
	put(table, 2, 20);
	assert_true(has(table, 1, 10));
	assert_true(has(table, 2, 20));
	put(table, 1, 11);
	assert_true(has(table, 1, 11));
	table_free(table);
	table_free(NULL);
}

static void test_outputs_only_on_success(void **state)
{
	struct table *table = table_new(8);
	struct identity identity = file(1);
	struct content content = marked(99);
	bool current = true;

	(void)state;
	assert_false(table_get(table, &identity, &content, &current));
	assert_int_equal(content.digest.low, 99);
	assert_true(current);
	table_free(table);
}

/* The heart of it: a change of any validator makes an entry an earlier state. */
static void test_changed_file_is_not_current(void **state)
{
	struct table *table = table_new(1024);
	struct identity changed[6];
	struct content content;
	bool current;

	(void)state;
	put(table, 1, 10);
	for (int i = 0; i < 6; i++)
		changed[i] = file(1);
	changed[0].mount_id++;
	changed[1].generation++;
	changed[2].btime_ns++;
	changed[3].size++;
	changed[4].mtime_ns++;
	changed[5].ctime_ns++;
	for (int i = 0; i < 6; i++) {
		current = true;
		assert_true(table_get(table, &changed[i], &content, &current));
		assert_false(current);
		assert_int_equal(content.digest.low, 10);
	}
	assert_true(has(table, 1, 10));
	/* The new state takes the old one's place: there is one entry for an inode. */
	content = marked(11);
	table_put(table, &changed[5], &content);
	assert_true(table_get(table, &changed[5], &content, &current));
	assert_true(current);
	assert_false(has(table, 1, 10));
	table_free(table);
}

/* The same number on another device is another file, even in the same bucket. */
static void test_devices_are_apart(void **state)
{
	struct table *table = table_new(1);
	struct identity other = file(1);
	struct content content = marked(20);
	bool current;

	(void)state;
	other.device++;
	put(table, 1, 10);
	table_put(table, &other, &content);
	assert_true(has(table, 1, 10));
	assert_true(table_get(table, &other, &content, &current));
	assert_int_equal(content.digest.low, 20);
	table_free(table);
}

static void test_oldest_gives_way(void **state)
{
	struct table *table = table_new(0); /* one bucket */

	(void)state;
	for (uint64_t i = 1; i <= WAYS; i++)
		put(table, i, i);
	assert_true(has(table, 1, 1)); /* used again: 2 is the oldest now */
	put(table, WAYS + 1, WAYS + 1);
	assert_true(has(table, 1, 1));
	assert_false(has(table, 2, 2));
	for (uint64_t i = 3; i <= WAYS + 1; i++)
		assert_true(has(table, i, i));
	table_free(table);
}

static void test_bounded(void **state)
{
	struct table *table = table_new(256);
	size_t kept = 0;

	(void)state;
	for (uint64_t i = 1; i <= 10000; i++)
		put(table, i, i);
	for (uint64_t i = 1; i <= 10000; i++)
		kept += has(table, i, i);
	assert_true(kept <= 256);
	assert_true(kept >= 128); /* the hash spreads consecutive inodes */
	table_free(table);
}

#define THREADS 8
#define FILES	512

struct crowd {
	struct table *table;
	_Atomic unsigned wrong;
};

/* Each entry's parts belong together, whoever writes it at the same time. */
static void *hammer(void *argument)
{
	struct crowd *crowd = argument;
	static _Atomic uint64_t seed;
	uint64_t random = ++seed * UINT64_C(0x9e3779b97f4a7c15);

	for (int i = 0; i < 20000; i++) {
		struct content content;
		struct identity identity;
		bool current;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		identity = file(1 + random % FILES);
		if (random >> 40 & 1) {
			put(crowd->table, identity.inode, random);
			continue;
		}
		if (table_get(crowd->table, &identity, &content, &current) &&
		    (!current || content.digest.high != ~content.digest.low))
			crowd->wrong++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct crowd crowd = {.table = table_new(FILES / 2)};
	pthread_t thread[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(crowd.wrong, 0);
	table_free(crowd.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get),
		cmocka_unit_test(test_outputs_only_on_success),
		cmocka_unit_test(test_changed_file_is_not_current),
		cmocka_unit_test(test_devices_are_apart),
		cmocka_unit_test(test_oldest_gives_way),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
