/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Was this tree canonicalised, and to which time? A sample of its sources tells.
 */
#ifndef CANONFS_CACHE_TREE_SAMPLE_H
#define CANONFS_CACHE_TREE_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/tree/tree.h"

/* A time that fewer sources than this share is a coincidence. */
#define SAMPLE_MIN_SOURCES 32

/**
 * sample_canonical_time() - the mtime that at least half of the tree's .py files share
 * @ret_time: seconds; written on success only
 *
 * Walks a bounded part of the tree, breadth first, Python's own directories before others;
 * a few files of each directory, so that one large package does not outvote the rest.
 * Only times without nanoseconds count: canonicalising tools set none.
 *
 * Return: whether there is such a time.
 */
bool sample_canonical_time(const struct tree *tree, int64_t *ret_time);

#endif
