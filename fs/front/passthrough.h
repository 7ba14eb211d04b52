/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The passthrough: all of a tree shown by FUSE.
 */
#ifndef CANONFS_FS_FRONT_PASSTHROUGH_H
#define CANONFS_FS_FRONT_PASSTHROUGH_H

#include <stddef.h>

#include "fs/front/alias_reply.h"
#include "fs/front/front.h"
#include "fs/front/handle.h"
#include "fs/front/node_table.h"

struct fuse_entry_param;

/* Nodes at most; 120 bytes and a page of the kernel's own for each. */
#define PASSTHROUGH_MAX_NODES (UINT32_C(1) << 24)

/**
 * struct passthrough - a tree that is shown by FUSE alone
 * @nodes:        what the kernel's node ids mean
 * @handles:      what readers have open; NULL if the source cannot change
 * @posix_acl:    the source's file system has POSIX ACLs, so the kernel must ask for them
 * @many_devices: st_ino is made up for some files (node_ino())
 * @told:         has changes told; NULL where they are not
 * @aliases:      lookups of links to bytecode, which are answered one by one
 */
struct passthrough {
	struct front front;
	struct node_table *nodes;
	struct handle_table *handles;
	struct told *told;
	bool posix_acl;
	bool many_devices;
	struct alias_queue aliases;
};

/**
 * passthrough_init() - before the first request; front_load() has to follow
 * @tree, @stats: borrowed
 * @immutable:    the source cannot change
 *
 * Return: 0 or -errno; passthrough_fini() either way.
 */
int passthrough_init(struct passthrough *passthrough, const struct tree *tree,
		     bool immutable, struct stats *stats);

/* After the session has ended. */
void passthrough_fini(struct passthrough *passthrough);

/**
 * passthrough_open() - open the file that a node stands for
 * @flags:    as of front_open_known()
 * @ret_path: relative path in the tree, the caller's to free; may be NULL
 * @ret_stx:  of the open file
 *
 * Return: as front_open_known().
 */
int passthrough_open(struct passthrough *passthrough, uint64_t id, uint64_t flags,
		     char **ret_path, struct statx *ret_stx);

/* The same for a file that a reader may have open: that stays the file that it was. */
int passthrough_reach(struct passthrough *passthrough, uint64_t id, uint64_t flags,
		      char **ret_path, struct statx *ret_stx);

/* The passthrough that a front is part of. */
static inline struct passthrough *passthrough_from(struct front *front)
{
	return (void *)((char *)front - offsetof(struct passthrough, front));
}

/*
 * The attributes that the mount shows for a file at @path. Return: how long the kernel may
 * believe them, in seconds.
 */
double passthrough_attr(struct passthrough *passthrough, const char *path,
			const struct statx *stx, struct stat *ret_st);

/**
 * passthrough_lookup() - look a name up in an open directory
 * @parent: its node
 * @dir_fd: the directory; @dir_path: where it is
 * @ret_entry: the node, of which one kernel reference is counted, the attributes, and how
 *             long the name and they may be believed
 * @ret_path:  relative to the tree; the caller's to free; may be NULL
 * Return: 0 or -errno; -ENOENT also for what the mount hides (submounts). Outputs are
 * written on success only.
 */
int passthrough_lookup(struct passthrough *passthrough, uint64_t parent, int dir_fd,
		       const char *dir_path, const char *name,
		       struct fuse_entry_param *ret_entry, char **ret_path);

/* Whether a name in the directory @dir_fd is hidden from readers. */
bool passthrough_hides(struct passthrough *passthrough, int dir_fd, const char *name);

#endif
