/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which mtime a source shows where sources show what their bytecode embeds
 * (PYC_VIEW_EMBEDDED): the bytecode files of one source vote.
 */
#ifndef CANONFS_CACHE_VOTES_H
#define CANONFS_CACHE_VOTES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cache/tree/tree.h"
#include "pyc/verdict.h"

/**
 * votes_ask_fn - ask one bytecode file
 * @path:      relative to the tree; there may be no such file
 * @ret_mtime: the time that it embeds
 * Return: whether it votes.
 */
typedef bool votes_ask_fn(void *context, const char *path, uint32_t *ret_mtime);

/**
 * votes_mtime() - what the bytecode files of a source agree on
 * @path: of the source, relative to the tree; ends in ".py"
 * @own:  the source's own mtime
 * @ask:  called for each name that its bytecode can have
 *
 * Names are tried rather than listed: one source's vote must not cost more the more
 * modules lie beside it. Files with other names (odd optimisation levels, GraalPy) have no
 * vote, and follow the others.
 *
 * Return: pyc_view_mtime() of the votes; @own when out of memory.
 */
struct timespec votes_mtime(const struct tree *tree, const struct pyc_policy *policy,
			    const char *path, struct timespec own, votes_ask_fn *ask,
			    void *context);

#endif
