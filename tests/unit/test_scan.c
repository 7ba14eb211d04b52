/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over a tree: everything once, a directory with its cache, by any number of
 * threads.
 */
#include "cli/trees/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/scratch.h"

#define MAX_VISITS 4096

/* What the callbacks were told. */
struct seen {
	pthread_mutex_t lock;
	char *dir[MAX_VISITS];
	size_t dirs;
	size_t entries; /* in them and in their caches */
	size_t with_cache;
	size_t errors;
	int last_error;
	unsigned workers; /* that were used, a bit each */
	bool busy[SCAN_THREADS_MAX];
	bool overlapped; /* one worker, two visits */
};

static struct fixture {
	char path[SCRATCH_MAX];
	struct tree tree;
	struct seen seen;
} fixture;

static void visit(void *context, unsigned worker, const struct scan_listing *dir,
		  const struct scan_listing *cache)
{
	struct seen *seen = context;

	pthread_mutex_lock(&seen->lock);
	seen->overlapped |= seen->busy[worker];
	seen->busy[worker] = true;
	seen->workers |= 1u << worker;
	assert_true(seen->dirs < MAX_VISITS);
	seen->dir[seen->dirs++] = strdup(dir->path);
	seen->entries += dir->count + cache->count;
	seen->with_cache += cache->fd >= 0;
	pthread_mutex_unlock(&seen->lock);
	usleep(100);
	pthread_mutex_lock(&seen->lock);
	seen->busy[worker] = false;
	pthread_mutex_unlock(&seen->lock);
}

static void error(void *context, const char *path, int number)
{
	struct seen *seen = context;

	(void)path;
	pthread_mutex_lock(&seen->lock);
	seen->errors++;
	seen->last_error = number;
	pthread_mutex_unlock(&seen->lock);
}

static void make_dir(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", fixture.path, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_file(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fixture.path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	fixture = (struct fixture){.seen.lock = PTHREAD_MUTEX_INITIALIZER};
	scratch_make(fixture.path, "scan");
	return tree_open(&fixture.tree, fixture.path, "/", fixture.path);
}

static void forget(void)
{
	for (size_t i = 0; i < fixture.seen.dirs; i++)
		free(fixture.seen.dir[i]);
	fixture.seen = (struct seen){.lock = PTHREAD_MUTEX_INITIALIZER};
}

static int teardown(void **state)
{
	(void)state;
	forget();
	tree_close(&fixture.tree);
	scratch_remove(fixture.path);
	return 0;
}

static int walk(unsigned threads, const char *start)
{
	const struct scan scan = {
		.tree = &fixture.tree,
		.threads = threads,
		.visit = visit,
		.error = error,
		.context = &fixture.seen,
	};

	forget();
	return scan_run(&scan, start);
}

static size_t times_seen(const char *path)
{
	size_t times = 0;

	for (size_t i = 0; i < fixture.seen.dirs; i++)
		times += strcmp(fixture.seen.dir[i], path) == 0;
	return times;
}

static void test_empty_tree(void **state)
{
	(void)state;
	assert_int_equal(walk(3, "."), 0);
	assert_int_equal(fixture.seen.dirs, 1);
	assert_int_equal(fixture.seen.entries, 0);
	assert_int_equal(times_seen("."), 1);
}

static void test_everything_once(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		make_dir(name);
		for (int j = 0; j < 30; j++) {
			snprintf(name, sizeof(name), "d%d/e%d", i, j);
			make_dir(name);
			snprintf(name, sizeof(name), "d%d/e%d/file", i, j);
			make_file(name);
		}
	}
	for (unsigned threads = 1; threads <= 8; threads += 7) {
		assert_int_equal(walk(threads, "."), 0);
		assert_int_equal(fixture.seen.dirs, 1 + 30 + 900);
		assert_int_equal(fixture.seen.entries, 30 + 900 + 900);
		assert_false(fixture.seen.overlapped);
		assert_true(fixture.seen.workers < 1u << threads);
		for (int i = 0; i < 30; i++) {
			snprintf(name, sizeof(name), "d%d/e%d", i, i);
			assert_int_equal(times_seen(name), 1);
		}
	}
}

/* A __pycache__ comes with its directory, and once; what is below it comes, too. */
static void test_cache_comes_along(void **state)
{
	(void)state;
	make_dir("a");
	make_dir("a/__pycache__");
	make_file("a/__pycache__/m.pyc");
	make_dir("a/__pycache__/sub");
	make_dir("a/__pycache__/__pycache__");
	assert_int_equal(walk(2, "."), 0);
	assert_int_equal(times_seen("a"), 1);
	assert_int_equal(times_seen("a/__pycache__"), 0);
	assert_int_equal(times_seen("a/__pycache__/sub"), 1);
	assert_int_equal(times_seen("a/__pycache__/__pycache__"), 1);
	assert_int_equal(fixture.seen.with_cache, 1);
	assert_int_equal(walk(2, "a/__pycache__"), 0);
	assert_int_equal(times_seen("a/__pycache__"), 1);
	assert_int_equal(fixture.seen.with_cache, 1);
}

static void test_links_are_not_followed(void **state)
{
	char path[128];

	(void)state;
	make_dir("a");
	snprintf(path, sizeof(path), "%s/a/up", fixture.path);
	assert_int_equal(symlink("..", path), 0);
	snprintf(path, sizeof(path), "%s/__pycache__", fixture.path);
	assert_int_equal(symlink("a", path), 0);
	assert_int_equal(walk(2, "."), 0);
	assert_int_equal(fixture.seen.dirs, 2);
	assert_int_equal(fixture.seen.with_cache, 0);
	assert_int_equal(fixture.seen.errors, 0);
}

/* Longer than one call returns, and than one buffer holds. */
static void test_large_directory(void **state)
{
	char name[256];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "%0150d", i);
		make_file(name);
	}
	assert_int_equal(walk(1, "."), 0);
	assert_int_equal(fixture.seen.entries, 2000);
}

static void test_start_that_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(walk(2, "nowhere"), 0);
	assert_int_equal(fixture.seen.dirs, 0);
	assert_int_equal(fixture.seen.errors, 0);
}

static void test_threads(void **state)
{
	struct scan scan = {.threads = 5};

	(void)state;
	assert_int_equal(scan_threads(&scan), 5);
	scan.threads = 100000;
	assert_int_equal(scan_threads(&scan), SCAN_THREADS_MAX);
	scan.threads = 0;
	assert_true(scan_threads(&scan) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty_tree, setup, teardown),
		cmocka_unit_test_setup_teardown(test_everything_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cache_comes_along, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_are_not_followed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_large_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_that_is_not_there, setup,
						teardown),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
