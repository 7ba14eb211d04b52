/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one answer to "what is this pyc, and what do we serve?": the mount and every
 * command ask here, so they cannot disagree.
 *
 * Contents that were read are remembered in a table by the file's identity, and in the
 * store for the next mount; verdicts are worked out anew each time, from a fresh look at
 * the source.
 */
#ifndef CANONFS_CACHE_RESOLVE_H
#define CANONFS_CACHE_RESOLVE_H

#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "cache/tree/alias.h"
#include "cache/tree/identity.h"
#include "cache/tree/tree.h"
#include "pyc/verdict.h"

struct proof_book;
struct resolver;
struct store;
struct table;

/**
 * resolver_new() - a resolver for one tree
 * @tree:   borrowed; must outlive the resolver
 * @policy: copied
 * @proofs: what recompiling proved; borrowed, must outlive the resolver; NULL for nothing.
 *          Where they could not be read, nothing is vouched for that only times speak for
 * @store:  keeps what is learned for the next mount; borrowed, must outlive the resolver;
 *          NULL for none
 * @table:  what is known from earlier mounts (recall_await()); takes ownership, in any
 *          case; NULL for nothing
 * Return: NULL when out of memory.
 */
struct resolver *resolver_new(const struct tree *tree, const struct pyc_policy *policy,
			      const struct proof_book *proofs, struct store *store,
			      struct table *table);

/**
 * resolver_new_for_walk() - a resolver that looks at each file about once: it remembers
 * fewer, and stores nothing
 * @proofs: as of resolver_new()
 */
struct resolver *resolver_new_for_walk(const struct tree *tree,
				       const struct pyc_policy *policy,
				       const struct proof_book *proofs);

void resolver_free(struct resolver *resolver);

/**
 * struct resolution - one pyc, resolved
 * @facts:    what is known; facts.name points into the path that was resolved
 * @decision: what follows
 * @pyc:      the pyc's identity when it was read
 * @source:   the source's; meaningful if facts.source is PYC_SOURCE_REGULAR
 * @record:   the record that @facts.record is of, for people; lives as long as the
 * resolver. NULL for none. In a survey, of a file of several names, it is set if there is
 *            a record
 */
struct resolution {
	struct pyc_facts facts;
	struct pyc_decision decision;
	struct identity pyc;
	struct identity source;
	const char *record;
};

/**
 * enum pyc_depth - which facts are looked up
 * @PYC_DEPTH_VERDICT: those that the verdict depends on
 * @PYC_DEPTH_SURVEY:  the same, but no source is compared with its package's record: for
 *                     those who ask again before anybody reads the file
 * @PYC_DEPTH_OUTCOME: also those that pyc_outcome() depends on, of its own interpreter
 * @PYC_DEPTH_WHOLE:   every fact that can be known, for those who explain
 */
enum pyc_depth { PYC_DEPTH_VERDICT, PYC_DEPTH_SURVEY, PYC_DEPTH_OUTCOME, PYC_DEPTH_WHOLE };

/**
 * struct pyc_question - one bytecode file, and how much to find out about it
 * @path:  relative to the tree
 * @fd:    the file, open for reading; its offset is not moved. All bytes are read from it,
 *         so the answer is about the file that the caller will serve
 * @stx:   of @fd, just taken
 * @source_dir: the directory of the source, opened by tree_openat(): saves the walk to it;
 *              -1 where the caller does not have it open
 * @depth: see there
 */
struct pyc_question {
	const char *path;
	int fd;
	const struct statx *stx;
	int source_dir;
	enum pyc_depth depth;
};

/**
 * resolve_pyc() - resolve one bytecode file
 * @question: borrowed, and all that is in it
 *
 * Return: 0; -EINVAL where the path is not named like a bytecode file or the descriptor is
 * not of a regular file; another -errno where it cannot be read.
 */
int resolve_pyc(struct resolver *resolver, const struct pyc_question *question,
		struct resolution *ret_resolution);

/* The policy that verdicts follow; borrowed. */
const struct pyc_policy *resolver_policy(const struct resolver *resolver);

/**
 * struct resolver_counts - what was known of contents, and what had to be read
 * @known, @unknown: files whose content was known in their very state, and others
 * @bodies:          of pycs that were read whole
 * @sources:         that were read
 */
struct resolver_counts {
	uint64_t known;
	uint64_t unknown;
	uint64_t bodies;
	uint64_t sources;
};

struct resolver_counts resolver_counts(const struct resolver *resolver);

/**
 * resolve_mtime() - the st_mtime that a view shows for a file
 * @path: relative to the tree, of the file itself
 * @stx:  of the file
 *
 * Return: the file's own mtime unless it is a source (a regular .py file) and the policy's
 * view shows another.
 */
struct timespec resolve_mtime(struct resolver *resolver, const char *path,
			      const struct statx *stx);

/*
 * Does the mtime that a view shows for a file also depend on its bytecode? @path, @stx: as
 * of resolve_mtime()
 */
bool resolve_mtime_is_voted(const struct resolver *resolver, const char *path,
			    const struct statx *stx);

/**
 * resolve_link() - find what a link to bytecode makes ambiguous, before readers see it
 * @path:  of the link, relative to the tree; alias_is_link_name() of its last component
 * @found: called for each pyc that the link makes ambiguous: it is not vouched for from
 *         then on, and what readers have of it must be forgotten; NULL: there are none
 * Return: 0 or -errno; see alias_check().
 */
int resolve_link(struct resolver *resolver, const char *path, alias_found_fn *found,
		 void *context);

#endif
