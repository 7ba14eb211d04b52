/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the node ids of both kinds of front stand for.
 */
#ifndef CANONFS_FS_FRONT_NODE_H
#define CANONFS_FS_FRONT_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define NODE_ROOT UINT64_C(1) /* FUSE_ROOT_ID */

/**
 * struct node_key - which file a name was
 * @device:   st_dev
 * @inode:    st_ino
 * @btime_ns: birth, 0 where the file system records none; tells a reused inode number
 * @type:     S_IFMT bits
 * @handle:   a hash of its file handle, by which changes of the file are told
 *            (fs/front/told.h); 0 where they are not; says nothing about equality
 */
struct node_key {
	uint64_t device;
	uint64_t inode;
	int64_t btime_ns;
	uint32_t type;
	uint32_t handle;
};

struct node_key node_key_of(const struct statx *stx);

bool node_key_equal(const struct node_key *a, const struct node_key *b);

/* How many nodes a front has, and what they cost. */
struct node_stats {
	uint32_t nodes;
	uint64_t bytes; /* of memory in use, names included */
};

#endif
