/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file is this, and is it still the same? If so, what was read of it still holds.
 *
 * Inode numbers are reused at once (ext4), and two images can agree in inode, size and
 * times: so an identity is good within one mounted file system, and for as long as
 * nothing in it changed.
 */
#ifndef CANONFS_CACHE_TREE_IDENTITY_H
#define CANONFS_CACHE_TREE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

/**
 * struct identity - one state of one file
 * @mount_id:   the kernel's unique mount id, 0 where it has none (before Linux 6.8)
 * @device:     st_dev
 * @inode:      st_ino
 * @generation: FS_IOC_GETVERSION, 0 where the file system has none or it was not asked
 * @btime_ns:   birth, in nanoseconds since 1970; 0 where the file system records none
 * @size:       bytes
 * @mtime_ns, @ctime_ns: nanoseconds since 1970
 */
struct identity {
	uint64_t mount_id;
	uint64_t device;
	uint64_t inode;
	uint64_t generation;
	int64_t btime_ns;
	int64_t size;
	int64_t mtime_ns;
	int64_t ctime_ns;
};

/**
 * identity_of() - the identity in a statx
 * @mount_id: of the tree; see identity_mount_id()
 */
struct identity identity_of(const struct statx *stx, uint64_t mount_id);

/* The unique id of the mount that @fd is on; 0 where the kernel does not tell. */
uint64_t identity_mount_id(int fd);

/* The inode generation of an open file; 0 where the file system has none. */
uint64_t identity_generation(int fd);

bool identity_equal(const struct identity *a, const struct identity *b);

/* The same name for the same file, whatever its content: device and inode. */
uint64_t identity_hash(const struct identity *identity);

/**
 * identity_is_settled() - may content that was read now be remembered by this identity?
 * @now: CLOCK_REALTIME
 *
 * A write within the same clock tick as the last one leaves ctime as it is, so a ctime
 * younger than IDENTITY_SETTLE_S, or one in the future, proves nothing yet.
 */
bool identity_is_settled(const struct identity *identity, struct timespec now);

#define IDENTITY_SETTLE_S 2

/* No file has this generation: an identity with it is that of an earlier state, always. */
#define IDENTITY_NEVER_CURRENT UINT64_MAX

#endif
