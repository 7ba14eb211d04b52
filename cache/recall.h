/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known from earlier: a thread reads the proofs, then opens the store and loads it
 * into a table, beside the rest of a mount's start.
 *
 * The disk of the cache may hang, and the mount must not: RECALL_MS after the start it goes
 * on without the store. Without the store a mount is slow once; without the proofs it is
 * slow until it ends, so these have RECALL_PROOFS_MS.
 */
#ifndef CANONFS_CACHE_RECALL_H
#define CANONFS_CACHE_RECALL_H

#include <stdint.h>

#include <stdbool.h>

#include "cache/store/place.h"
#include "cache/store/proof_file.h"

#define RECALL_MS	 500
#define RECALL_PROOFS_MS 3000

struct recall;
struct store;
struct table;

/**
 * recall_start() - begin
 * @place, @root_fd, @limit: as of store_open(). @place lives until the end of the process
 * @proofs_only: open no store
 * Return: NULL where there can be none. Else recall_await() it.
 */
struct recall *recall_start(const struct store_place *place, int root_fd, int64_t limit,
			    bool proofs_only);

/**
 * recall_await() - the end of recall_start()
 * @recall:     taken; of NULL there are neither store nor proofs
 * @ret_table:  what is known, the caller's; NULL without a store
 * @ret_proofs: the caller's; with a line in the log where they could not be read
 *
 * Return: NULL where there can be none; one line was logged.
 */
struct store *recall_await(struct recall *recall, struct table **ret_table,
			   struct proof_book *ret_proofs);

#endif
