/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was learned from the contents of bytecode files, in memory and bounded.
 *
 * Only facts are kept, never verdicts: a verdict also depends on the source's times, and
 * is cheap to work out anew from a fresh stat. Requests see nothing but this table; it
 * begins with what the store (cache/store/store.h) has of earlier mounts.
 */
#ifndef CANONFS_CACHE_TABLE_H
#define CANONFS_CACHE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/content.h"
#include "cache/tree/identity.h"

struct table;

/* Entries of a mount's table: 64 Ki, some 20 MiB when full. */
#define TABLE_CAPACITY 65536

/**
 * table_new() - an empty table
 * @capacity: entries at most; memory is touched only as they fill
 * Return: NULL when out of memory.
 */
struct table *table_new(size_t capacity);

void table_free(struct table *table);

/**
 * table_get() - what is known of a file
 * @ret_current: whether the entry is of exactly this identity; false: it is of an earlier
 *               state of the same inode, and only its digest can vouch for it
 *
 * Locking: takes one of the table's own locks; no i/o under it.
 * Return: whether there is an entry for the inode; outputs are written only then.
 */
bool table_get(struct table *table, const struct identity *identity,
	       struct content *ret_content, bool *ret_current);

/* Remembers; the least recently used entry of its bucket gives way. */
void table_put(struct table *table, const struct identity *identity,
	       const struct content *content);

#endif
