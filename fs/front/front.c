/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the passthrough and the data layer share; see front.h.
 */
#include "fs/front/front.h"

#include <errno.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cache/recall.h"
#include "cache/store/store.h"

/* For ever, as far as a kernel is concerned; in seconds. */
#define FRONT_KEPT_TIMEOUT_S (365.0 * 86400)

int front_init(struct front *front, const struct front_kind *kind, const struct tree *tree,
	       bool immutable, struct stats *stats)
{
	*front = (struct front){
		.kind = kind,
		.tree = tree,
		.immutable = immutable,
		.stats = stats,
	};
	return trace_init(&front->trace);
}

double front_timeout_s(const struct front *front)
{
	return front_may_keep(front) ? FRONT_KEPT_TIMEOUT_S : FRONT_ASKED_TIMEOUT_S;
}

void front_fini(struct front *front)
{
	resolver_free(front->resolver);
	store_close(front->store);
	proof_book_fini(&front->proofs);
	trace_fini(&front->trace);
}

int front_load(struct front *front, const struct pyc_policy *policy, struct recall *start)
{
	struct pyc_policy of_source = *policy;
	struct table *table = NULL;

	of_source.immutable = front->immutable;
	if (start)
		front->store = recall_await(start, &table, &front->proofs);
	front->resolver =
		resolver_new(front->tree, &of_source, &front->proofs, front->store, table);
	return front->resolver ? 0 : -ENOMEM;
}

/* The name is gone, or is another kind of file: not the node's file any more. */
static int front_stale_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -EXDEV:
	case -ENXIO:
		return -ESTALE;
	default:
		return error;
	}
}

int front_open_known(struct front *front, const char *path, const struct node_key *known,
		     uint64_t flags, struct statx *ret_stx)
{
	scope_fd int fd = tree_openat(front->tree, path, flags);
	struct node_key found;
	int r;

	if (fd < 0)
		return front_stale_error(fd);
	r = statx_at(fd, "", ret_stx);
	if (r < 0)
		return r;
	found = node_key_of(ret_stx);
	return node_key_equal(known, &found) ? take_fd(&fd) : -ESTALE;
}
