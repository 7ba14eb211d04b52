/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Was a tree canonicalised? Half of enough sources must share one whole second; one big
 * package, odd files, and walks without end must not decide it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "cache/tree/sample.h"
#include "tests/unit/scratch.h"

#define SHARED 1600000000

struct fixture {
	char base[SCRATCH_MAX];
	int fd;
	struct tree tree;
	unsigned made;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	scratch_make(fixture->base, "sample");
	fixture->fd = open(fixture->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return tree_open(&fixture->tree, fixture->base, "/", "/view");
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	tree_close(&fixture->tree);
	close(fixture->fd);
	scratch_remove(fixture->base);
	free(fixture);
	return 0;
}

static void put(struct fixture *fixture, const char *path, const char *text, time_t seconds,
		long nanoseconds)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = seconds, .tv_nsec = nanoseconds}};
	scope_fd int fd = openat(fixture->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(futimens(fd, times), 0);
}

/* @count sources of their own times or a shared one, @per_dir to a directory. */
static void fill(struct fixture *fixture, const char *prefix, unsigned count,
		 unsigned per_dir, time_t shared)
{
	for (unsigned i = 0; i < count; i++) {
		char dir[64], path[128];

		snprintf(dir, sizeof(dir), "%s%u", prefix, i / per_dir);
		mkdirat(fixture->fd, dir, 0755);
		snprintf(path, sizeof(path), "%s/m%u.py", dir, i);
		put(fixture, path, "x = 1\n",
		    shared ? shared : (time_t)(1000000 + ++fixture->made), 0);
	}
}

static bool sampled(struct fixture *fixture, int64_t *ret_time)
{
	*ret_time = -99;
	return sample_canonical_time(&fixture->tree, ret_time);
}

static void test_shared_time(void **state)
{
	int64_t time;

	fill(*state, "d", SAMPLE_MIN_SOURCES, 8, SHARED);
	assert_true(sampled(*state, &time));
	assert_int_equal(time, SHARED);
}

static void test_too_few(void **state)
{
	int64_t time;

	fill(*state, "d", SAMPLE_MIN_SOURCES - 1, 8, SHARED);
	assert_false(sampled(*state, &time));
	assert_int_equal(time, -99);
}

static void test_empty_tree(void **state)
{
	int64_t time;

	assert_false(sampled(*state, &time));
	assert_int_equal(time, -99);
}

static void test_exactly_half(void **state)
{
	int64_t time;

	fill(*state, "d", 40, 8, SHARED);
	fill(*state, "e", 40, 8, 0);
	assert_true(sampled(*state, &time));
	assert_int_equal(time, SHARED);
}

static void test_less_than_half(void **state)
{
	int64_t time;

	fill(*state, "d", 40, 8, SHARED);
	fill(*state, "e", 41, 8, 0);
	assert_false(sampled(*state, &time));
}

/* Sources with nanoseconds speak against, never for. */
static void test_nanoseconds(void **state)
{
	struct fixture *fixture = *state;
	int64_t time;

	for (unsigned i = 0; i < 48; i++) {
		char dir[16], path[32];

		snprintf(dir, sizeof(dir), "n%u", i / 8);
		mkdirat(fixture->fd, dir, 0755);
		snprintf(path, sizeof(path), "%s/n%u.py", dir, i);
		put(fixture, path, "x", SHARED, 1);
	}
	assert_false(sampled(fixture, &time));
	fill(fixture, "d", 40, 8, SHARED);
	assert_false(sampled(fixture, &time));
	fill(fixture, "e", 8, 8, SHARED);
	assert_true(sampled(fixture, &time));
}

/* Empty files keep the checkout's time under ostree; other files say nothing. */
static void test_what_counts(void **state)
{
	struct fixture *fixture = *state;
	int64_t time;

	fill(fixture, "d", SAMPLE_MIN_SOURCES, 8, SHARED);
	for (unsigned i = 0; i < 64; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d0/empty%u.py", i);
		put(fixture, path, "", 2000000 + (time_t)i, 0);
		snprintf(path, sizeof(path), "d0/data%u.txt", i);
		put(fixture, path, "x", 3000000 + (time_t)i, 0);
		snprintf(path, sizeof(path), "link%u.py", i);
		assert_int_equal(symlinkat("/etc/passwd", fixture->fd, path), 0);
		snprintf(path, sizeof(path), "fifo%u.py", i);
		assert_int_equal(mkfifoat(fixture->fd, path, 0644), 0);
	}
	assert_true(sampled(fixture, &time));
	assert_int_equal(time, SHARED);
}

/* One large package of another time does not outvote many small ones. */
static void test_large_package(void **state)
{
	int64_t time;

	fill(*state, "d", 40, 4, SHARED);
	fill(*state, "big", 900, 900, SHARED + 1);
	assert_true(sampled(*state, &time));
	assert_int_equal(time, SHARED);
}

/* __pycache__ and hidden directories are not walked. */
static void test_dirs_not_walked(void **state)
{
	struct fixture *fixture = *state;
	int64_t time;

	fill(fixture, ".git", 64, 8, SHARED);
	mkdirat(fixture->fd, "p", 0755);
	mkdirat(fixture->fd, "p/__pycache__", 0755);
	for (unsigned i = 0; i < 8; i++) {
		char dir[48];

		snprintf(dir, sizeof(dir), "p/__pycache__/x%u", i);
		fill(fixture, dir, 8, 8, SHARED);
	}
	assert_false(sampled(fixture, &time));
}

/* Links to directories lead nowhere, so loops end; python's own come first. */
static void test_links_and_order(void **state)
{
	struct fixture *fixture = *state;
	int64_t time;

	assert_int_equal(symlinkat(".", fixture->fd, "loop"), 0);
	assert_int_equal(symlinkat("/usr/lib", fixture->fd, "out"), 0);
	/* More of the others than the sample takes. */
	fill(fixture, "a", 1100, 16, 0);
	mkdirat(fixture->fd, "python3", 0755);
	fill(fixture, "python3/p", 640, 16, SHARED);
	assert_true(sampled(fixture, &time));
	assert_int_equal(time, SHARED);
}

static void test_deep(void **state)
{
	struct fixture *fixture = *state;
	char path[4096] = "";
	int64_t time;

	for (int i = 0; i < 40; i++) {
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "%sdir%d",
			 i ? "/" : "", i);
		assert_int_equal(mkdirat(fixture->fd, path, 0755), 0);
		strcat(path, "/m.py");
		put(fixture, path, "x", SHARED, 0);
		path[strlen(path) - 5] = '\0';
	}
	assert_true(sampled(fixture, &time));
	assert_int_equal(time, SHARED);
}

static void test_negative_time(void **state)
{
	int64_t time;

	fill(*state, "d", SAMPLE_MIN_SOURCES, 8, -5);
	assert_true(sampled(*state, &time));
	assert_true(time == -5);
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAIN(test_shared_time),
		PLAIN(test_too_few),
		PLAIN(test_empty_tree),
		PLAIN(test_exactly_half),
		PLAIN(test_less_than_half),
		PLAIN(test_nanoseconds),
		PLAIN(test_what_counts),
		PLAIN(test_large_package),
		PLAIN(test_dirs_not_walked),
		PLAIN(test_links_and_order),
		PLAIN(test_deep),
		PLAIN(test_negative_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
