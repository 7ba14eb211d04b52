/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tree as the commands look at it: opened as a mount would open it, judged by the same
 * resolver under the same options and proofs, but not mounted, and never written.
 */
#ifndef CANONFS_CLI_INSPECT_H
#define CANONFS_CLI_INSPECT_H

#include "cache/store/proof.h"
#include "cache/resolve.h"
#include "cache/tree/tree.h"
#include "fs/mount/options.h"

/**
 * struct inspection - an open tree
 * @path: where the tree is for this process: absolute, without symlinks; owned. What a
 *        reader in the root directory calls it is tree.view_path.
 * @root: absolute path of the readers' root directory, "/" or an image's; owned
 */
struct inspection {
	char *path;
	char *root;
	struct tree tree;
	struct proof_set proofs;
	struct resolver *resolver;
};

/**
 * inspection_open() - open a tree
 * @path:    a directory; where @root is given, as seen from there ("/usr")
 * @root:    the readers' root directory (--root); NULL for "/"
 * @options: the policy, and where the cache with the proofs is
 *
 * Proofs are done without, with a line where somebody may miss them, if the cache is in use
 * by a mount or damaged.
 * Return: 0, or -errno with one line logged; inspection_close() either way.
 */
int inspection_open(struct inspection *inspection, const char *path, const char *root,
		    const struct mount_options *options);

void inspection_close(struct inspection *inspection);

#endif
