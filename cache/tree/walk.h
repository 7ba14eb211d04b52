/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A walk over the directories of a tree, by one thread or by several.
 *
 * The walk follows no symbolic link and enters no other mount. Each thread has only the
 * directory open that it visits, and its __pycache__. Memory holds the paths of directories
 * that were found and not visited yet: in depth-first order these are the siblings on the
 * way down, not the whole tree.
 */
#ifndef CANONFS_CACHE_TREE_WALK_H
#define CANONFS_CACHE_TREE_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/listing.h"
#include "cache/tree/tree.h"

/* Threads at most. */
#define WALK_THREADS_MAX 64

/* How often walk.tick is called. */
#define WALK_TICK_MS 50

/* The order is exact with one thread only. */
enum walk_order {
	WALK_DEPTH_FIRST, /* the last that was found is the next */
	WALK_SORTED,	  /* depth first, the names of each directory in bytewise order */
};

/**
 * struct walk_dir - a directory that is visited
 * @path:    relative to the tree, "." for its root
 * @fd:      open for reading; -1 where there is no such directory
 * @entries: what is in it; @count of them
 *
 * All of it belongs to the walk, and is gone after the call that it is given to.
 */
struct walk_dir {
	const char *path;
	int fd;
	const struct listing_entry *entries;
	size_t count;
};

/**
 * struct walk - what to do in a tree
 * @threads: how many visit, as walk_threads() says
 * @with_cache: visit a directory and its __pycache__ together: bytecode can be paired with
 *           its sources then
 * @visit:   called for each directory. @worker is below @threads; several visits run at the
 *           same time, but one for each worker. The fd of @cache is -1 without @with_cache,
 *           and where that is no directory or cannot be read.
 *           Return: 0, or what walk_run() is to return: then the walk ends.
 * @error:   a directory could not be opened or listed; the walk goes on without it. @error
 *           is -errno: -EXDEV where something is mounted on it, -ENOENT, -ENOTDIR or -ELOOP
 *           where it is gone since its name was read. From any thread; may be NULL.
 * @tick:    called now and then by the thread that called walk_run(); may be NULL
 */
struct walk {
	const struct tree *tree;
	unsigned threads;
	enum walk_order order;
	bool with_cache;
	int (*visit)(void *context, unsigned worker, const struct walk_dir *dir,
		     const struct walk_dir *cache);
	void (*error)(void *context, const char *path, int error);
	void (*tick)(void *context);
	void *context;
};

/* The threads for @wanted: not too many; for 0, one for each processor. */
unsigned walk_threads(unsigned wanted);

/**
 * walk_run() - walk
 * @start: the directory to begin with, relative to the tree; if it is a __pycache__ itself,
 *         it is visited as a directory without one
 *
 * One thread without @tick is the caller's own.
 * Return: 0; what @visit said; -ENOMEM: then some was not visited.
 */
int walk_run(const struct walk *walk, const char *start);

#endif
