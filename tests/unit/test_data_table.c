/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of the data layer: numbers and names lead to the files that were added, and to
 * nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/scope.h"
#include "fs/stack/data.h"

#define FILES_EACH 5000
#define THREADS	   4

static struct statx attributes(uint64_t inode)
{
	return (struct statx){
		.stx_mode = S_IFREG | 0644,
		.stx_ino = inode,
		.stx_size = 10 * inode,
		.stx_blocks = inode / 2,
	};
}

/* Adds files whose paths end with their inode numbers. */
static void add_range(struct data_table *table, uint64_t first, uint64_t count)
{
	for (uint64_t inode = first; inode < first + count; inode++) {
		struct statx stx = attributes(inode);
		uint64_t number;
		char path[64];

		snprintf(path, sizeof(path), "dir/__pycache__/m%llu",
			 (unsigned long long)inode);
		assert_int_equal(data_table_add(table, path, &stx, &number), 0);
	}
}

struct range {
	struct data_table *table;
	uint64_t first;
};

static void *add_in_thread(void *closure)
{
	const struct range *range = closure;

	add_range(range->table, range->first, FILES_EACH);
	return NULL;
}

static void add_in_threads(struct data_table *table)
{
	struct range ranges[THREADS];
	pthread_t threads[THREADS];

	for (uint64_t i = 0; i < THREADS; i++) {
		ranges[i] = (struct range){table, i * FILES_EACH};
		assert_int_equal(
			pthread_create(&threads[i], NULL, add_in_thread, &ranges[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_every_number_is_one_file(void **state)
{
	struct data_table *table = data_table_new();
	bool seen[THREADS * FILES_EACH] = {false};
	struct data_file file;

	(void)state;
	assert_non_null(table);
	add_in_threads(table);
	for (uint64_t number = 0; number < ARRAY_SIZE(seen); number++) {
		char path[64];

		assert_int_equal(data_table_find(table, number, &file), 0);
		snprintf(path, sizeof(path), "dir/__pycache__/m%llu",
			 (unsigned long long)file.key.inode);
		assert_string_equal(file.path, path);
		assert_int_equal(file.size, 10 * file.key.inode);
		assert_int_equal(file.blocks, file.key.inode / 2);
		assert_false(seen[file.key.inode]);
		seen[file.key.inode] = true;
	}
	assert_int_equal(data_table_find(table, ARRAY_SIZE(seen), &file), -ENOENT);
	assert_int_equal(data_table_stats(table).nodes, ARRAY_SIZE(seen));
	data_table_free(table);
}

static void test_names(void **state)
{
	struct data_table *table = data_table_new();
	uint64_t directory, file;

	(void)state;
	assert_non_null(table);
	add_range(table, 0, 12);
	directory = data_lookup_name(table, NODE_ROOT, DATA_DIR);
	assert_int_not_equal(directory, 0);
	assert_int_not_equal(directory, NODE_ROOT);
	assert_string_equal(data_path(table, NODE_ROOT), ".");
	assert_string_equal(data_path(table, directory), DATA_DIR);
	file = data_lookup_name(table, directory, "11");
	assert_string_equal(data_path(table, file), "dir/__pycache__/m11");
	assert_int_equal(data_lookup_name(table, file, "0"), 0);
	data_table_free(table);
}

static void test_what_is_not_there(void **state)
{
	static const char *const in_root[] = {"", "0", "dir", ".", "..", ".canonfs2"};
	static const char *const in_directory[] = {"",
						   "12",
						   "-1",
						   "+1",
						   "01",
						   " 1",
						   "1 ",
						   "1x",
						   "..",
						   DATA_DIR,
						   "dir",
						   "0/1",
						   "0x1",
						   "1.",
						   "",
						   "99999999",
						   "4294967296",
						   "18446744073709551615",
						   "18446744073709551616"};
	struct data_table *table = data_table_new();
	uint64_t directory;

	(void)state;
	assert_non_null(table);
	add_range(table, 0, 12);
	directory = data_lookup_name(table, NODE_ROOT, DATA_DIR);
	for (size_t i = 0; i < ARRAY_SIZE(in_root); i++)
		if (data_lookup_name(table, NODE_ROOT, in_root[i]) != 0)
			fail_msg("'%s' is there", in_root[i]);
	for (size_t i = 0; i < ARRAY_SIZE(in_directory); i++)
		if (data_lookup_name(table, directory, in_directory[i]) != 0)
			fail_msg("'%s' is a file", in_directory[i]);
	data_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_number_is_one_file),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
