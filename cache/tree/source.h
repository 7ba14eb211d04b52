/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source file that Python compares a pyc with, found as Python finds it.
 */
#ifndef CANONFS_CACHE_TREE_SOURCE_H
#define CANONFS_CACHE_TREE_SOURCE_H

#include <sys/stat.h>

#include "cache/tree/tree.h"
#include "pyc/verdict.h"

/**
 * struct source - what Python finds where a pyc's source file should be
 * @state:  see enum pyc_source_state
 * @error:  -errno if @state is PYC_SOURCE_UNKNOWN
 * @stx:    of the final file, if @state is PYC_SOURCE_REGULAR, or PYC_SOURCE_NONE because
 *          that is no regular file; else zeroes
 * @path:   relative path of the final file, NULL where it lies outside of the tree; owned
 */
struct source {
	enum pyc_source_state state;
	int error;
	struct statx stx;
	char *path;
};

/**
 * source_find() - look at a source file, symlinks followed as a reader would
 * @path:       of the source file, relative to the tree
 * @ret_source: written always; source_fini() it
 *
 * Where root asks, a link of another user leads only to files that the user could read:
 * elsewhere the source is unknown (EACCES). A right that only a group or an ACL gives does
 * not count, since nobody knows the user's groups here.
 *
 * A link that leads to a path below the tree's view_path leads into the tree, any other
 * to the readers' root. The walk is done here, component by component: the kernel's own
 * would enter the mount that this process may be serving.
 */
void source_find(const struct tree *tree, const char *path, struct source *ret_source);

/**
 * source_find_for_all() - source_find() with all rights that this process has
 *
 * For those who ask where some reader may be led, and do not tell what is there.
 */
void source_find_for_all(const struct tree *tree, const char *path,
			 struct source *ret_source);

/**
 * source_find_in() - source_find() for those who have the source's directory open
 * @dir: of @path, opened by tree_openat(); -1: not open
 */
void source_find_in(const struct tree *tree, const char *path, int dir,
		    struct source *ret_source);

void source_fini(struct source *source);

/**
 * source_open() - open what source_find() found, for reading
 * Return: a descriptor, the caller's, or -errno (ESTALE where it is another file by now).
 */
int source_open(const struct tree *tree, const char *path, const struct source *source);

#endif
