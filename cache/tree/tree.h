/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source: one tree, never written, addressed by paths relative to its root.
 *
 * A relative path here has no leading slash, no "." or ".." component and no symlink on
 * the way; the root itself is ".". It may be longer than PATH_MAX.
 */
#ifndef CANONFS_CACHE_TREE_TREE_H
#define CANONFS_CACHE_TREE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/tree/layers.h"

/**
 * struct tree - a source tree
 * @root_fd:   O_PATH descriptor of its root; owned
 * @host_fd:   O_PATH descriptor of the readers' root directory ("/", or a container's);
 *             owned. Symlinks that leave the tree are followed there.
 * @view_path: the absolute path, without symlinks and from the readers' root, under which
 *             they see the tree (the mount point, or the tree's own path where nothing is
 *             mounted); owned
 * @mount_id:  the number, in /proc/self/mountinfo, of the mount that the source was found
 *             on; 0 where it is not known
 * @is_clone:  @root_fd is a private copy of the mount, without submounts
 * @layers:    those of an overlay, where they are known (fs/mount/tree_layers.h)
 *
 * Immutable once opened; safe from any thread.
 */
struct tree {
	int root_fd;
	int host_fd;
	char *view_path;
	uint64_t mount_id;
	bool is_clone;
	struct layers layers;
};

/**
 * tree_open() - open a source
 * @path:      directory
 * @host:      the readers' root directory
 * @view_path: see struct tree; copied
 * Return: 0 or -errno (ENOENT, ENOTDIR, EACCES, ENOMEM...).
 */
int tree_open(struct tree *tree, const char *path, const char *host, const char *view_path);

void tree_close(struct tree *tree);

/**
 * tree_openat() - open a file of the tree
 * @flags: open(2) flags; O_CLOEXEC and O_NOFOLLOW are added
 *
 * A symlink is opened only as itself (O_PATH), else ELOOP. Never leaves the tree, never
 * crosses into another mount (EXDEV). O_NONBLOCK is the caller's to add where @path may
 * be a fifo.
 * Return: a descriptor, the caller's, or -errno.
 */
int tree_openat(const struct tree *tree, const char *path, uint64_t flags);

/**
 * tree_open_in() - tree_openat() for those who have the file's directory open
 * @dir:  a directory of the tree, opened by tree_openat()
 * @name: in it; one component
 */
int tree_open_in(int dir, const char *name, uint64_t flags);

/* statx_at() of a path in the tree. */
int tree_stat(const struct tree *tree, const char *path, struct statx *ret_stx);

/* Is this the root of a mount below the tree's own? Readers do not see such. */
static inline bool tree_is_submount(const struct statx *stx)
{
	return (stx->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/*
 * Can inode numbers of the tree collide? Several devices in one mount: overlayfs layers,
 * btrfs subvolumes.
 */
bool tree_has_many_devices(const struct tree *tree);

#endif
