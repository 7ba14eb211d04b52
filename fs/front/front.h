/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mounted tree as FUSE shows it: what both kinds need, the passthrough
 * (fs/front/passthrough.h) and the data layer of a stacked mount (fs/stack/data.h).
 *
 * Handlers need nothing between requests but a table, of nodes or of the data layer's
 * files: a directory stream is its node and the lower file system's own d_off cookie. So
 * any process that has the table can answer a request. What readers have open on a source
 * that can change is kept beside it (fs/front/handle.h).
 */
#ifndef CANONFS_FS_FRONT_FRONT_H
#define CANONFS_FS_FRONT_FRONT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/reason.h"
#include "cache/resolve.h"
#include "cache/store/proof_file.h"
#include "cache/tree/tree.h"
#include "fs/front/node.h"
#include "fs/watch/trace.h"

struct front;
struct fuse_lowlevel_ops;
struct fuse_session;
struct recall;
struct stats;

/**
 * struct front_kind - what the two kinds do each in its own way
 * @ops:        the request handlers, for fuse_session_new()
 * @describe:   fills in the path of @event, a request to the node @id, as readers know it.
 *              What the request asks for is in @event's name, and may move to the path.
 * @node_stats: how many nodes there are
 * @scanned:    all bytecode was judged before the first request, and what that rests on is
 *              counted
 */
struct front_kind {
	const struct fuse_lowlevel_ops *ops;
	void (*describe)(struct front *front, uint64_t id, struct trace_event *event);
	struct node_stats (*node_stats)(struct front *front);
	bool scanned;
};

/**
 * struct front - one mounted tree
 * @kind:      which of the two it is part of
 * @tree:      borrowed
 * @resolver:  owned; NULL before front_load()
 * @store:     owned; NULL where nothing is remembered
 * @proofs:    owned
 * @immutable: the source cannot change: the kernel may cache for ever
 * @told:      the source can change, and changes are told (fs/front/told.h); where they are
 *             not, @why_asked is the reason, written before it becomes false
 * @session:   for notifications to the kernel; borrowed
 * @stats:     counters; borrowed
 * @trace:     events for those who watch
 */
struct front {
	const struct front_kind *kind;
	const struct tree *tree;
	struct resolver *resolver;
	struct store *store;
	struct proof_book proofs;
	bool immutable;
	_Atomic bool told;
	struct reason why_asked;
	struct fuse_session *session;
	struct stats *stats;
	struct trace trace;
};

/**
 * front_init() - for the two kinds: begin with what they share
 * Return: 0 or -errno; front_fini() either way.
 */
int front_init(struct front *front, const struct front_kind *kind, const struct tree *tree,
	       bool immutable, struct stats *stats);

void front_fini(struct front *front);

/* How long the kernel may believe what nobody tells it to forget, in seconds. */
#define FRONT_ASKED_TIMEOUT_S 1.0

/* Whether the kernel may keep what it is answered until it is told to forget it. */
static inline bool front_may_keep(const struct front *front)
{
	return front->immutable || front->told;
}

/* How long the kernel may believe names and attributes, in seconds. */
double front_timeout_s(const struct front *front);

/**
 * front_load() - get what verdicts need, before the first request
 * @start: the proofs and the store that are being loaded; taken; NULL for none, or where
 * they cannot be loaded: then front.proofs says so Return: 0 or -ENOMEM.
 */
int front_load(struct front *front, const struct pyc_policy *policy, struct recall *start);

/**
 * front_open_known() - open the file at @path, if it is the one that was known there
 * @flags:   open(2) flags; O_PATH where the content is not needed
 * @ret_stx: of the open file
 *
 * Return: a descriptor, the caller's; -ESTALE where the name is another file by now (the
 * kernel then looks the name up again); another -errno.
 */
int front_open_known(struct front *front, const char *path, const struct node_key *known,
		     uint64_t flags, struct statx *ret_stx);

#endif
