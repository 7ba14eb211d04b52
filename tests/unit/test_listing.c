/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names in a directory: all of them, any bytes, with their types, also where the file
 * system does not tell those.
 */
#include "base/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/scope.h"
#include "tests/unit/scratch.h"

static struct fixture {
	char path[SCRATCH_MAX];
	int fd;
	bool without_types; /* getdents64() tells none */
	struct listing listing;
} fixture;

/* libc's, on a file system that may not tell types. */
ssize_t getdents64(int fd, void *buffer, size_t len)
{
	long n = syscall(SYS_getdents64, fd, buffer, len);

	for (long at = 0; fixture.without_types && at < n;) {
		struct dirent64 *record = (void *)((char *)buffer + at);

		record->d_type = DT_UNKNOWN;
		at += record->d_reclen;
	}
	return n;
}

static int setup(void **state)
{
	(void)state;
	scratch_make(fixture.path, "listing");
	fixture.fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fixture.fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	listing_fini(&fixture.listing);
	close_fd(&fixture.fd);
	scratch_remove(fixture.path);
	fixture = (struct fixture){.fd = -1};
	return 0;
}

static void make_file(const char *name)
{
	int fd = openat(fixture.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int list(const char *name)
{
	scope_fd int fd = openat(fixture.fd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return listing_read(&fixture.listing, fd);
}

/* The type of a name that is there once; -1 where it is not. */
static int type_of(const char *name)
{
	int type = -1;

	for (size_t i = 0; i < fixture.listing.count; i++) {
		if (strcmp(fixture.listing.entries[i].name, name) != 0)
			continue;
		assert_int_equal(type, -1);
		type = fixture.listing.entries[i].type;
	}
	return type;
}

static void test_types(void **state)
{
	(void)state;
	make_file("file");
	assert_int_equal(mkdirat(fixture.fd, "dir", 0755), 0);
	assert_int_equal(mkfifoat(fixture.fd, "fifo", 0644), 0);
	assert_int_equal(symlinkat("dir", fixture.fd, "link"), 0);
	for (int i = 0; i < 2; i++) {
		fixture.without_types = i == 1;
		assert_int_equal(list("."), 0);
		assert_int_equal(fixture.listing.count, 4);
		assert_int_equal(type_of("file"), DT_REG);
		assert_int_equal(type_of("dir"), DT_DIR);
		assert_int_equal(type_of("fifo"), DT_FIFO);
		assert_int_equal(type_of("link"), DT_LNK);
	}
}

/* Dots are left out only where they are the directory and the one above it. */
static void test_odd_names(void **state)
{
	static const char *const names[] = {"...", ".. ", "..a", ".a",	 "a\nb",
					    "\t",  "*",	  "\\",	 "\xff", "\xc3\xa4"};
	char longest[NAME_MAX + 1];

	(void)state;
	memset(longest, 'n', NAME_MAX);
	longest[NAME_MAX] = '\0';
	make_file(longest);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		make_file(names[i]);
	assert_int_equal(list("."), 0);
	assert_int_equal(fixture.listing.count, ARRAY_SIZE(names) + 1);
	assert_int_equal(type_of(longest), DT_REG);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(type_of(names[i]), DT_REG);
}

/* Longer than one call returns, and than one buffer holds; then one that is short again. */
static void test_large_directory(void **state)
{
	char name[256];

	(void)state;
	assert_int_equal(mkdirat(fixture.fd, "small", 0755), 0);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "%0150d", i);
		make_file(name);
	}
	assert_int_equal(list("."), 0);
	assert_int_equal(fixture.listing.count, 2001);
	for (int i = 0; i < 2000; i += 100) {
		snprintf(name, sizeof(name), "%0150d", i);
		assert_int_equal(type_of(name), DT_REG);
	}
	make_file("small/file");
	assert_int_equal(list("small"), 0);
	assert_int_equal(fixture.listing.count, 1);
	assert_int_equal(type_of("file"), DT_REG);
}

static void test_failure_leaves_it_empty(void **state)
{
	(void)state;
	make_file("file");
	assert_int_equal(list("."), 0);
	assert_int_equal(fixture.listing.count, 1);
	assert_int_equal(list("file"), -ENOTDIR);
	assert_int_equal(fixture.listing.count, 0);
}

static void test_removed_while_open(void **state)
{
	scope_fd int fd = -1;

	(void)state;
	make_file("file");
	assert_int_equal(list("."), 0);
	assert_int_equal(mkdirat(fixture.fd, "gone", 0755), 0);
	fd = openat(fixture.fd, "gone", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlinkat(fixture.fd, "gone", AT_REMOVEDIR), 0);
	assert_int_equal(listing_read(&fixture.listing, fd), 0);
	assert_int_equal(fixture.listing.count, 0);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(test_types),
		WITH_FOLDER(test_odd_names),
		WITH_FOLDER(test_large_directory),
		WITH_FOLDER(test_failure_leaves_it_empty),
		WITH_FOLDER(test_removed_while_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
