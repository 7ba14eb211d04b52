/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What outlives a mount: the content table's entries on disk, and proofs.
 *
 * The database is read once, into the table, before the first request. From then on it
 * belongs to a thread of its own, fed through a bounded queue: no request ever waits for
 * SQL or for the disk; what the queue cannot hold is dropped and counted. The store is
 * disposable: on any error it is set aside or done without, with one line in the log.
 */
#ifndef CANONFS_CACHE_STORE_STORE_H
#define CANONFS_CACHE_STORE_STORE_H

#include <stdint.h>

#include "cache/content.h"
#include "cache/store/place.h"
#include "cache/store/proof.h"
#include "cache/tree/image.h"
#include "pyc/verdict.h"

struct store;
struct store_start;
struct table;

/**
 * store_open() - open the store for one tree
 * @place:   owned by the caller; must outlive the store
 * @root_fd: the tree's root; borrowed, for this call
 * @limit:   bytes that the database may use
 *
 * Return: NULL where there can be none; one line was logged.
 */
struct store *store_open(const struct store_place *place, int root_fd, int64_t limit);

/**
 * store_start() - store_open() and store_load() into a table of the store's own, in a
 * thread
 * @place, @root_fd: as of store_open(); @root_fd stays open until store_await()
 * Return: NULL where there can be none. Else store_await() it.
 */
struct store_start *store_start(const struct store_place *place, int root_fd,
				int64_t limit);

/**
 * store_await() - the end of store_start()
 * @start: taken; may be NULL
 *
 * The disk of the cache may hang, and the mount must not: STORE_START_MS after the start
 * the store is done without.
 * Return: NULL where there can be none; one line was logged.
 */
struct store *store_await(struct store_start *start);

#define STORE_START_MS 500

/* The table of store_start(); the caller's from now on. NULL where it was taken. */
struct table *store_take_table(struct store *store);

/**
 * store_load() - fill the table with what is known of this tree, and start the writer
 *
 * To be called once, before the first store_put(). A row of a file system that vouches for
 * its inodes (image_vouches()) becomes a current entry; any other becomes an entry of an
 * earlier state, which only the digest of the file's body brings back.
 */
void store_load(struct store *store, struct table *table);

/* The proofs, loaded by store_load() and constant since. Locking: none needed. */
const struct proof_set *store_proofs(const struct store *store);

/**
 * store_put() - have something written, some time
 * @file:     a file whose content was learned; its identity is settled
 * @decision: for the listings
 *
 * Never waits: drops where the queue is full, or nothing is written any more.
 * Locking: takes the queue's lock, held for copies of rows only.
 */
void store_put(struct store *store, const struct content_file *file,
	       const struct pyc_decision *decision);

/**
 * struct store_counts - what became of rows
 * @loaded, @bad:      in store_load(); @bad were damaged and skipped
 * @written, @dropped: of store_put()
 */
struct store_counts {
	uint64_t loaded;
	uint64_t bad;
	uint64_t written;
	uint64_t dropped;
};

struct store_counts store_counts(struct store *store);

/**
 * store_close() - write what is queued, and close
 *
 * Waits for the writer for STORE_CLOSE_S seconds at most; then the disk hangs, and the
 * store is left to the end of the process. NULL is ignored.
 */
void store_close(struct store *store);

#define STORE_CLOSE_S 2

/* Rows that are loaded at most; as many as the content table has room for. */
#define STORE_LOAD_ROWS 65536

/* Rows that wait for the writer, at most; some 1.5 MiB. */
#define STORE_QUEUE_ROWS 4096

#endif
