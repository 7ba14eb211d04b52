/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytecode files that a reader reaches through a symbolic link beside another source.
 *
 * A pyc is judged by the place where it lies. Where b/__pycache__ is a link to
 * a/__pycache__, Python pairs a's pycs with b's sources. A pyc that is restamped for a/m.py
 * would match b/m.py as well, if that has the same size and canonical time. The server
 * cannot tell the two readers apart, so it does not vouch for such a pyc.
 *
 * Links that lead to the same source on both sides (the link farms of Nix) are harmless
 * and stay vouched for. Links from outside of the tree are not seen.
 */
#ifndef CANONFS_CACHE_TREE_ALIAS_H
#define CANONFS_CACHE_TREE_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/tree/tree.h"

/* The pycs, by device and inode; they stay in it. Safe from any thread. */
struct alias_set;

/* Return: NULL when out of memory. */
struct alias_set *alias_set_new(void);

void alias_set_free(struct alias_set *set);

bool alias_set_has(struct alias_set *set, uint64_t device, uint64_t inode);

/*
 * Called for each pyc that is about to enter the set, from one thread or several.
 * Return: 0, or -errno: then it does not enter, and the check ends with the error.
 */
typedef int alias_found_fn(void *context, uint64_t device, uint64_t inode);

/* Is a symbolic link of this name one through which Python looks for bytecode? */
bool alias_is_link_name(const char *name);

/**
 * alias_check() - what a symbolic link makes ambiguous
 * @path:  of the link, relative to the tree; alias_is_link_name() of its last component
 * @found: NULL where nobody has seen anything of the tree yet
 *
 * Return: 0, also where the link leads to nothing in the tree; -errno where that could not
 * be found out, so that nobody may be told of the link.
 */
int alias_check(struct alias_set *set, const struct tree *tree, const char *path,
		alias_found_fn *found, void *context);

#endif
