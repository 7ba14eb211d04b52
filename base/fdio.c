/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thin wrappers of system calls; see fdio.h.
 */
#include "base/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/scope.h"

ssize_t pread_full(int fd, void *buffer, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pread(fd, (char *)buffer + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int read_file(int fd, size_t max, char **ret_data, size_t *ret_len)
{
	scope_free char *data = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size > max)
		return -EFBIG;
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return -ENOMEM;
	n = pread_full(fd, data, (size_t)st.st_size, 0);
	if (n < 0)
		return (int)n;
	data[n] = '\0';
	*ret_data = take_ptr(data);
	*ret_len = (size_t)n;
	return 0;
}

int openat2_fd(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
	int tries = 32;
	long fd;

	/* EAGAIN: a rename raced with the RESOLVE_BENEATH walk (openat2(2)). */
	do {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN) && --tries > 0);
	return fd < 0 ? -errno : (int)fd;
}

int open_tree_clone(int dir)
{
	/* OPEN_TREE_CLONE; <linux/mount.h>, which has it, does not go with <sys/mount.h>
	 * before glibc 2.36. */
	static const unsigned clone = 1;
	long fd = syscall(SYS_open_tree, dir, "", clone | O_CLOEXEC | AT_EMPTY_PATH);

	return fd < 0 ? -errno : (int)fd;
}

int statx_at(int dir, const char *name, struct statx *ret_stx)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;

	return statx(dir, name, flags, FDIO_STATX_MASK, ret_stx) < 0 ? -errno : 0;
}

uint64_t statx_mount_id(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
		return 0;
	return stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
}

void statx_to_stat(const struct statx *stx, struct stat *ret_st)
{
	*ret_st = (struct stat){
		.st_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.st_ino = stx->stx_ino,
		.st_mode = stx->stx_mode,
		.st_nlink = stx->stx_nlink,
		.st_uid = stx->stx_uid,
		.st_gid = stx->stx_gid,
		.st_rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor),
		.st_size = (off_t)stx->stx_size,
		.st_blksize = stx->stx_blksize,
		.st_blocks = (blkcnt_t)stx->stx_blocks,
		.st_atim = statx_time(stx->stx_atime),
		.st_mtim = statx_time(stx->stx_mtime),
		.st_ctim = statx_time(stx->stx_ctime),
	};
}

struct proc_path proc_path(int fd)
{
	struct proc_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

char *path_of_fd(int fd)
{
	char path[PATH_MAX];
	struct proc_path link = proc_path(fd);
	ssize_t len = readlink(link.text, path, sizeof(path) - 1);

	if (len < 0)
		return NULL;
	path[len] = '\0';
	return strdup(path);
}
