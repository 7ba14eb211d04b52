/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls that libc does not wrap, or that need a loop.
 */
#ifndef CANONFS_BASE_FDIO_H
#define CANONFS_BASE_FDIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/**
 * pread_full() - read until @len bytes, the end of the file or an error
 * Return: bytes read (fewer than @len only at the end of the file) or -errno.
 */
ssize_t pread_full(int fd, void *buffer, size_t len, off_t offset);

/**
 * read_file() - all of an open file
 * @ret_data: owned by the caller; a NUL follows its @ret_len bytes
 * Return: 0; -EFBIG where it is no regular file, or has more than @max bytes; another
 * -errno.
 */
int read_file(int fd, size_t max, char **ret_data, size_t *ret_len);

/**
 * openat2_fd() - openat2(2)
 * @resolve: RESOLVE_ flags
 * Return: a descriptor (O_CLOEXEC always) or -errno.
 */
int openat2_fd(int dir, const char *path, uint64_t flags, uint64_t resolve);

/* What canonfs wants to know of a file. */
#define FDIO_STATX_MASK (STATX_BASIC_STATS | STATX_BTIME)

/**
 * statx_at() - statx(2) of @name in @dir, or of @dir itself where @name is ""; a symlink
 * is not followed, an automount not triggered
 * Return: 0 or -errno.
 */
int statx_at(int dir, const char *name, struct statx *ret_stx);

/* The same as a struct stat. */
void statx_to_stat(const struct statx *stx, struct stat *ret_st);

/**
 * struct proc_path - the path of the magic link that leads to an open file
 *
 * For calls that take no O_PATH descriptor (getxattr): opening for reading needs rights
 * that they do not, and fails for devices and symlinks. The link leads to the file itself,
 * also where that is a symlink.
 */
struct proc_path {
	char text[sizeof("/proc/self/fd/") + 12];
};

struct proc_path proc_path(int fd);

/* The number in /proc/self/mountinfo of the mount that a file is on; 0: not known. */
uint64_t statx_mount_id(int fd);

/**
 * open_tree_clone() - a detached copy of the mount that holds a directory, without what is
 * mounted below it. Needs CAP_SYS_ADMIN, and no locked submounts.
 * Return: a descriptor, the caller's, or -errno.
 */
int open_tree_clone(int dir);

/* The absolute path of an open file, without symlinks; the caller's. NULL with errno set.
 */
char *path_of_fd(int fd);

static inline struct timespec statx_time(struct statx_timestamp stamp)
{
	return (struct timespec){.tv_sec = stamp.tv_sec, .tv_nsec = stamp.tv_nsec};
}

#endif
