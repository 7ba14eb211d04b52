/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file a node stands for; see node.h.
 */
#include "fs/front/node.h"

#include <sys/sysmacros.h>

/* Unsigned arithmetic, so that absurd times wrap instead of being undefined. */
static int64_t node_btime_ns(const struct statx *stx)
{
	if (!(stx->stx_mask & STATX_BTIME))
		return 0;
	return (int64_t)((uint64_t)stx->stx_btime.tv_sec * 1000000000u +
			 stx->stx_btime.tv_nsec);
}

struct node_key node_key_of(const struct statx *stx)
{
	return (struct node_key){
		.device = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.inode = stx->stx_ino,
		.btime_ns = node_btime_ns(stx),
		.type = stx->stx_mode & S_IFMT,
	};
}

bool node_key_equal(const struct node_key *a, const struct node_key *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->btime_ns == b->btime_ns && a->type == b->type;
}
