/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files: kept until they are released, found by node, the last opened first; another
 * process's are told apart; half of the descriptors stay free.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/front/handle.h"
#include "fs/front/served.h"

/* Nodes of one bucket, if there are as many buckets as a power of two up to this. */
#define NODE	   7
#define OTHER_NODE (NODE + (1 << 16))

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct served_header header_of(uint8_t first)
{
	struct served_header header = {.resolved = true};

	header.disk.raw[0] = first;
	return header;
}

static void test_kept_until_released(void **state)
{
	struct handle_table *table = handle_table_new();
	struct served_header header = header_of(1);
	int plain = open_null(), bytecode = open_null();
	uint64_t plain_fh, bytecode_fh;

	(void)state;
	plain_fh = handle_keep(table, NODE, plain, NULL);
	bytecode_fh = handle_keep(table, OTHER_NODE, bytecode, &header);
	assert_int_equal(handle_fd(table, plain_fh), plain);
	assert_int_equal(handle_fd(table, bytecode_fh), bytecode);
	assert_false(handle_is_bytecode(plain_fh));
	assert_true(handle_is_bytecode(bytecode_fh));
	handle_release(table, NODE, plain_fh);
	assert_false(is_open(plain));
	assert_true(is_open(bytecode));
	handle_table_free(table);
	assert_false(is_open(bytecode));
}

static void test_found_by_node(void **state)
{
	struct handle_table *table = handle_table_new();
	struct served_header first = header_of(1), second = header_of(2), found;
	uint64_t last;
	int fd;

	(void)state;
	assert_int_equal(handle_dup(table, NODE, &found), -ESTALE);
	handle_keep(table, NODE, open_null(), &first);
	last = handle_keep(table, NODE, open_null(), &second);
	assert_int_equal(handle_dup(table, OTHER_NODE, &found), -ESTALE);
	fd = handle_dup(table, NODE, &found);
	assert_true(fd >= 0 && fd != handle_fd(table, last));
	assert_int_equal(found.disk.raw[0], 2);
	handle_release(table, NODE, last);
	assert_true(is_open(fd));
	close(fd);
	fd = handle_dup(table, NODE, &found);
	assert_true(fd >= 0);
	assert_int_equal(found.disk.raw[0], 1);
	close(fd);
	handle_table_free(table);
}

static void test_of_another_process(void **state)
{
	struct handle_table *ours = handle_table_new(), *theirs = handle_table_new();
	int fd = open_null();
	uint64_t fh = handle_keep(ours, NODE, fd, NULL);

	(void)state;
	assert_int_equal(handle_fd(theirs, fh), -1);
	assert_int_equal(handle_fd(ours, 0), -1);
	handle_release(theirs, NODE, fh);
	handle_release(ours, NODE, 0);
	assert_true(is_open(fd));
	handle_table_free(theirs);
	handle_table_free(ours);
}

static void test_no_table_has_nothing(void **state)
{
	struct handle_table *table = handle_table_new();
	int fd = open_null();
	uint64_t fh = handle_keep(table, NODE, fd, NULL);

	(void)state;
	assert_int_equal(handle_fd(NULL, fh), -1);
	assert_int_equal(handle_fd(NULL, 0), -1);
	assert_int_equal(handle_dup(NULL, NODE, NULL), -ESTALE);
	handle_release(NULL, NODE, fh);
	assert_true(is_open(fd));
	handle_table_free(NULL);
	handle_table_free(table);
}

static void test_descriptors_stay_free(void **state)
{
	struct handle_table *table;
	struct rlimit limit;
	int fd, kept = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 8;
	limit.rlim_max = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	table = handle_table_new();
	while (handle_keep(table, NODE, fd = open_null(), NULL) != 0)
		kept++;
	assert_true(is_open(fd));
	close(fd);
	assert_int_equal(fd, 32);
	assert_true(kept > 8);
	handle_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_until_released),
		cmocka_unit_test(test_found_by_node),
		cmocka_unit_test(test_of_another_process),
		cmocka_unit_test(test_no_table_has_nothing),
		cmocka_unit_test(test_descriptors_stay_free), /* lowers the limit: last */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
