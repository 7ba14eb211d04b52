/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system call wrappers: short and interrupted reads are completed, errors come back as
 * -errno, descriptors are never inherited, links are never followed by accident.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "tests/unit/scratch.h"

/* What the next reads do; 0: what the kernel does. */
static struct {
	size_t at_most;
	int interrupts;
	int error_at; /* fail when so many bytes were read */
	size_t done;
} fault;

ssize_t pread(int fd, void *buffer, size_t len, off_t offset)
{
	ssize_t n;

	if (fault.interrupts > 0) {
		fault.interrupts--;
		errno = EINTR;
		return -1;
	}
	if (fault.error_at && fault.done >= (size_t)fault.error_at) {
		errno = EIO;
		return -1;
	}
	if (fault.at_most && len > fault.at_most)
		len = fault.at_most;
	n = syscall(SYS_pread64, fd, buffer, len, offset);
	fault.done += n > 0 ? (size_t)n : 0;
	return n;
}

struct dir {
	char path[SCRATCH_MAX];
	int fd;
};

static void put(struct dir *dir, const char *name, const char *text)
{
	scope_fd int fd =
		openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int setup(void **state)
{
	struct dir *dir = calloc(1, sizeof(*dir));

	memset(&fault, 0, sizeof(fault));
	scratch_make(dir->path, "fdio");
	dir->fd = open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = dir;
	put(dir, "file", "0123456789");
	return dir->fd < 0 || symlinkat("file", dir->fd, "link") < 0 ||
	       mkdirat(dir->fd, "sub", 0755) < 0;
}

static int teardown(void **state)
{
	struct dir *dir = *state;

	memset(&fault, 0, sizeof(fault));
	close(dir->fd);
	scratch_remove(dir->path);
	free(dir);
	return 0;
}

static void test_pread_full(void **state)
{
	struct dir *dir = *state;
	scope_fd int fd = openat(dir->fd, "file", O_RDONLY | O_CLOEXEC);
	char buffer[32] = "";

	assert_int_equal(pread_full(fd, buffer, 10, 0), 10);
	assert_memory_equal(buffer, "0123456789", 10);
	assert_int_equal(pread_full(fd, buffer, sizeof(buffer), 4), 6);
	assert_memory_equal(buffer, "456789", 6);
	assert_int_equal(pread_full(fd, buffer, 5, 100), 0);
	assert_int_equal(pread_full(fd, buffer, 0, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0); /* the offset is the caller's */
}

static void test_pread_full_short_reads(void **state)
{
	struct dir *dir = *state;
	scope_fd int fd = openat(dir->fd, "file", O_RDONLY | O_CLOEXEC);
	char buffer[32] = "";

	fault.at_most = 3;
	fault.interrupts = 2;
	assert_int_equal(pread_full(fd, buffer, sizeof(buffer), 0), 10);
	assert_memory_equal(buffer, "0123456789", 10);
	assert_int_equal(pread_full(fd, buffer, 7, 1), 7);
	assert_memory_equal(buffer, "1234567", 7);
}

static void test_pread_full_errors(void **state)
{
	struct dir *dir = *state;
	scope_fd int fd = openat(dir->fd, "file", O_RDONLY | O_CLOEXEC);
	char buffer[32];

	assert_int_equal(pread_full(-1, buffer, 1, 0), -EBADF);
	assert_int_equal(pread_full(dir->fd, buffer, 1, 0), -EBADF); /* O_PATH */
	assert_int_equal(pread_full(fd, buffer, 1, -1), -EINVAL);
	/* An error in the middle is an error, not a short file. */
	fault.at_most = 4;
	fault.error_at = 4;
	assert_int_equal(pread_full(fd, buffer, sizeof(buffer), 0), -EIO);
}

static void test_openat2(void **state)
{
	struct dir *dir = *state;
	scope_fd int fd = openat2_fd(dir->fd, "file", O_RDONLY, RESOLVE_BENEATH);

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(openat2_fd(dir->fd, "none", O_RDONLY, 0), -ENOENT);
	assert_int_equal(openat2_fd(dir->fd, "link", O_RDONLY, RESOLVE_NO_SYMLINKS),
			 -ELOOP);
	assert_int_equal(openat2_fd(dir->fd, "..", O_PATH, RESOLVE_BENEATH), -EXDEV);
	assert_int_equal(openat2_fd(dir->fd, "/", O_PATH, RESOLVE_BENEATH), -EXDEV);
	assert_int_equal(openat2_fd(-1, "file", O_RDONLY, 0), -EBADF);
}

static void test_statx(void **state)
{
	struct dir *dir = *state;
	struct statx stx;
	struct stat st, converted;

	assert_int_equal(statx_at(dir->fd, "file", &stx), 0);
	assert_int_equal(fstatat(dir->fd, "file", &st, AT_SYMLINK_NOFOLLOW), 0);
	statx_to_stat(&stx, &converted);
	assert_int_equal(converted.st_dev, st.st_dev);
	assert_int_equal(converted.st_ino, st.st_ino);
	assert_int_equal(converted.st_mode, st.st_mode);
	assert_int_equal(converted.st_nlink, st.st_nlink);
	assert_int_equal(converted.st_uid, st.st_uid);
	assert_int_equal(converted.st_gid, st.st_gid);
	assert_int_equal(converted.st_rdev, st.st_rdev);
	assert_int_equal(converted.st_size, st.st_size);
	assert_int_equal(converted.st_blksize, st.st_blksize);
	assert_int_equal(converted.st_blocks, st.st_blocks);
	assert_memory_equal(&converted.st_mtim, &st.st_mtim, sizeof(st.st_mtim));
	assert_memory_equal(&converted.st_ctim, &st.st_ctim, sizeof(st.st_ctim));
	assert_memory_equal(&converted.st_atim, &st.st_atim, sizeof(st.st_atim));
}

static void test_statx_targets(void **state)
{
	struct dir *dir = *state;
	struct statx stx;

	assert_int_equal(statx_at(dir->fd, "link", &stx), 0);
	assert_true(S_ISLNK(stx.stx_mode));
	assert_int_equal(statx_at(dir->fd, "", &stx), 0);
	assert_true(S_ISDIR(stx.stx_mode));
	assert_int_equal(statx_at(dir->fd, "none", &stx), -ENOENT);
	assert_int_equal(statx_at(-1, "", &stx), -EBADF);
}

static void test_scope(void **state)
{
	struct dir *dir = *state;
	int outer, taken;

	{
		scope_fd int fd = dup(dir->fd);
		scope_fd int kept = dup(dir->fd);
		scope_fd int empty = -1;

		outer = fd;
		taken = take_fd(&kept);
		assert_int_equal(kept, -1);
		errno = ENOTCONN;
		(void)empty;
	}
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(fcntl(outer, F_GETFD), -1);
	assert_true(fcntl(taken, F_GETFD) >= 0);
	close_fd(&taken);
	assert_int_equal(taken, -1);
}

static void test_read_file(void **state)
{
	struct dir *dir = *state;
	scope_fd int fd = -1;
	scope_free char *data = NULL;
	size_t len = 0;

	put(dir, "four", "1234");
	fd = openat(dir->fd, "four", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_file(fd, 3, &data, &len), -EFBIG);
	assert_int_equal(read_file(dir->fd, 4096, &data, &len), -EFBIG);
	fault.error_at = 1;
	fault.done = 1;
	assert_int_equal(read_file(fd, 4, &data, &len), -EIO);
	assert_null(data);
	memset(&fault, 0, sizeof(fault));
	assert_int_equal(read_file(fd, 4, &data, &len), 0);
	assert_int_equal(len, 4);
	assert_string_equal(data, "1234");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pread_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pread_full_short_reads, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_pread_full_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openat2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_statx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_statx_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scope, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
