/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A walk over all directories of a tree by several threads.
 *
 * A directory and its __pycache__ are visited together, so that bytecode can be paired with
 * its sources. Memory: the paths of directories that are not visited yet; the last found
 * are visited first, so that these are the siblings on the way down, not the whole tree.
 */
#ifndef CANONFS_CLI_TREES_SCAN_H
#define CANONFS_CLI_TREES_SCAN_H

#include <stddef.h>

#include "cache/tree/tree.h"

/* Threads at most. */
#define SCAN_THREADS_MAX 64

/* How often scan.tick is called. */
#define SCAN_TICK_MS 50

/**
 * struct scan_entry - one name in a directory
 * @name: its last component
 * @type: DT_REG, DT_DIR, DT_LNK...; DT_UNKNOWN where it could not be looked at
 */
struct scan_entry {
	const char *name;
	unsigned char type;
};

/**
 * struct scan_listing - what a directory holds; "." and ".." are left out
 * @path: relative to the tree, "." for its root
 * @fd:   open; -1 where the directory does not exist or cannot be read
 */
struct scan_listing {
	const char *path;
	int fd;
	const struct scan_entry *entries;
	size_t count;
};

/**
 * struct scan - a walk
 * @threads: how many visit; 0: one for each processor
 * @visit:   called for each directory, @worker is below @threads. @cache is its
 *           __pycache__, empty where that is no directory. All is gone after the call.
 *           Several visits run at the same time, but one for each worker.
 * @error:   a directory could not be read; @error is -errno (-EXDEV: something is mounted
 *           there). From any thread.
 * @tick:    called now and then by the thread that called scan_run(); may be NULL
 */
struct scan {
	const struct tree *tree;
	unsigned threads;
	void (*visit)(void *context, unsigned worker, const struct scan_listing *dir,
		      const struct scan_listing *cache);
	void (*error)(void *context, const char *path, int error);
	void (*tick)(void *context);
	void *context;
};

/* The number of threads that scan_run() would use. */
unsigned scan_threads(const struct scan *scan);

/**
 * scan_run() - walk
 * @start: the directory to begin with, relative to the tree; if it is a __pycache__ itself,
 *         it is visited as a directory without one
 * Return: 0, or -errno where there are no threads or no memory; then some was not visited.
 */
int scan_run(const struct scan *scan, const char *start);

#endif
