/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tree as the commands look at it. They open it as a mount would, and judge it by the
 * same resolver, options and proofs. They do not mount it, and never write to it.
 */
#ifndef CANONFS_CLI_TREES_TREE_SET_H
#define CANONFS_CLI_TREES_TREE_SET_H

#include "cache/resolve.h"
#include "cache/store/proof_file.h"
#include "cache/tree/tree.h"
#include "fs/mount/mutability.h"
#include "fs/mount/options.h"

/**
 * struct tree_set - an open tree
 * @path: where the tree is for this process: absolute, without symlinks; owned. What a
 *        reader in the root directory calls it is tree.view_path.
 * @mutability: can the tree change? As a mount of it would judge
 * @root: absolute path of the readers' root directory, "/" or an image's; owned
 * @next: in the list of tree_set_get(); there, a tree that could not be opened has no
 *        resolver, and @path is what a reader calls it
 */
struct tree_set {
	char *path;
	char *root;
	struct tree tree;
	struct mutability mutability;
	struct proof_book proofs;
	struct resolver *resolver;
	struct tree_set *next;
};

/**
 * tree_set_open() - open a tree
 * @path:    a directory; where @root is given, as seen from there ("/usr")
 * @root:    the readers' root directory (--root); NULL for "/"
 * @options: the policy, and where the cache with the proofs is
 *
 * Where there are proofs that cannot be read, the tree is judged as a mount would judge it,
 * and a line is logged.
 * Return: 0, or -errno with one line logged; tree_set_close() either way.
 */
int tree_set_open(struct tree_set *set, const char *path, const char *root,
		  const struct mount_options *options);

void tree_set_close(struct tree_set *set);

/**
 * tree_set_get() - a tree of a list; it is opened and added where the list lacks it
 * @path, @root: absolute, without symlinks; else as for tree_set_open()
 * Return: the list's; NULL where it cannot be opened, with one line logged at the first
 * time, or when out of memory.
 */
struct tree_set *tree_set_get(struct tree_set **list, const char *path, const char *root,
			      const struct mount_options *options);

void tree_set_free_list(struct tree_set **list);

/**
 * tree_set_locate() - where a directory is
 * @root: the readers' root directory, absolute
 * @path: as a reader in @root calls it; symlinks resolve there
 * Return: its path for this process, without symlinks; the caller's. NULL with errno set.
 */
char *tree_set_locate(const char *root, const char *path);

/* What a reader in @root calls a path of ours, which lies below it. A part of @path. */
const char *tree_set_view(const char *root, const char *path);

#endif
