/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File identities; see identity.h.
 */
#include "cache/tree/identity.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

/* Since Linux 6.8; older headers lack it, older kernels ignore it. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

#define NS_PER_S INT64_C(1000000000)

/* Times that do not fit (before 1677, after 2262) are the first or the last that does. */
static int64_t identity_nanoseconds(struct statx_timestamp stamp)
{
	int64_t ns;

	if (__builtin_mul_overflow(stamp.tv_sec, NS_PER_S, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)stamp.tv_nsec, &ns))
		return stamp.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

struct identity identity_of(const struct statx *stx, uint64_t mount_id)
{
	return (struct identity){
		.mount_id = mount_id,
		.device = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.inode = stx->stx_ino,
		.btime_ns = stx->stx_mask & STATX_BTIME
				    ? identity_nanoseconds(stx->stx_btime)
				    : 0,
		.size = (int64_t)stx->stx_size,
		.mtime_ns = identity_nanoseconds(stx->stx_mtime),
		.ctime_ns = identity_nanoseconds(stx->stx_ctime),
	};
}

uint64_t identity_mount_id(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &stx) < 0)
		return 0;
	return stx.stx_mask & STATX_MNT_ID_UNIQUE ? stx.stx_mnt_id : 0;
}

uint64_t identity_generation(int fd)
{
	/* The kernel writes an int, whatever the macro's type says (ioctl_iflags(2)). */
	union {
		long unused;
		uint32_t generation;
	} version = {0};

	return ioctl(fd, FS_IOC_GETVERSION, &version) < 0 ? 0 : version.generation;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	return a->mount_id == b->mount_id && a->device == b->device &&
	       a->inode == b->inode && a->generation == b->generation &&
	       a->btime_ns == b->btime_ns && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

uint64_t identity_hash(const struct identity *identity)
{
	/* Fibonacci hashing: inode numbers are mostly consecutive. */
	return (identity->inode ^ identity->device << 32) * 0x9e3779b97f4a7c15u;
}

bool identity_is_settled(const struct identity *identity, struct timespec now)
{
	int64_t now_ns = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;

	return identity->ctime_ns <= now_ns - IDENTITY_SETTLE_S * NS_PER_S;
}
