/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What earlier mounts learned: the store is opened and loaded into a table by a thread,
 * beside the rest of a mount's start.
 *
 * The disk of the cache may hang, and the mount must not: RECALL_MS after the start it goes
 * on without.
 */
#ifndef CANONFS_CACHE_RECALL_H
#define CANONFS_CACHE_RECALL_H

#include <stdint.h>

#include "cache/store/place.h"

#define RECALL_MS 500

struct recall;
struct store;
struct table;

/**
 * recall_start() - begin
 * @place, @root_fd, @limit: as of store_open(). @place lives until the end of the process
 * Return: NULL where there can be none. Else recall_await() it.
 */
struct recall *recall_start(const struct store_place *place, int root_fd, int64_t limit);

/**
 * recall_await() - the end of recall_start()
 * @recall:    taken; may be NULL
 * @ret_table: what is known, the caller's; NULL without a store
 *
 * Return: NULL where there can be none; one line was logged.
 */
struct store *recall_await(struct recall *recall, struct table **ret_table);

#endif
