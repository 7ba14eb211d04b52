/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scan at the beginning of a stacked mount: what does the view change, in the whole
 * tree? For each such file it writes a stub.
 *
 * Everything is looked at anew in each mount: the names, so that no link to bytecode goes
 * unseen, and of each pyc and its source the attributes that cache/resolve believes what it
 * knows by. What bytes say is known from earlier mounts (cache/store/store.h), so a second
 * scan of an image reads next to nothing.
 */
#ifndef CANONFS_FS_STACK_SCAN_H
#define CANONFS_FS_STACK_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/reason.h"
#include "cache/resolve.h"
#include "cache/tree/tree.h"
#include "fs/stack/stubs.h"

struct scan;
struct stats;

/**
 * scan_new() - a scan of a tree
 * @tree:        borrowed
 * @all_sources: sources show other times, too, so they have to be looked at
 * @stubs:       empty; borrowed
 * @ret_why:     on failure, what cannot be shown by a stacked mount; borrowed
 * Return: NULL when out of memory.
 */
struct scan *scan_new(const struct tree *tree, bool all_sources, struct stubs *stubs,
		      struct reason *ret_why);

void scan_free(struct scan *scan);

/* The names in the tree: nothing needs to be known for that yet. Return: 0 or -errno. */
int scan_names(struct scan *scan);

/**
 * scan_stubs() - write the stubs, after scan_names()
 * @resolver: of the tree; borrowed
 * @stats:    counts what verdicts rest on; borrowed
 *
 * Return: 0 or -errno. To be called before anybody sees the tree: links to bytecode are
 * found on the way.
 */
int scan_stubs(struct scan *scan, struct resolver *resolver, struct stats *stats);

#endif
