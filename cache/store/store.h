/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What outlives a mount: what bodies of bytecode files were found to be. Proofs outlive it,
 * too, in a file of their own (proof_file.h).
 *
 * The database is read once, before the first request. Then a thread of its own writes what
 * a bounded queue brings: no request waits for SQL or for the disk. Rows that the queue
 * cannot hold are dropped and counted. On any error the mount sets the store aside or goes
 * on without it, with one line in the log.
 */
#ifndef CANONFS_CACHE_STORE_STORE_H
#define CANONFS_CACHE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/store/place.h"
#include "cache/store/row.h"

struct store;

/**
 * store_open() - open the store for one tree
 * @place:   owned by the caller; must outlive the store
 * @root_fd: the tree's root; borrowed, for this call
 * @limit:   bytes that the database may use
 *
 * Return: NULL where there can be none; one line was logged.
 */
struct store *store_open(const struct store_place *place, int root_fd, int64_t limit);

/* Takes a row of this tree, with the identity that the file has on this mount. */
typedef void store_take_fn(const struct store_row *row, void *closure);

/**
 * store_load() - hand out what is known of this tree, and start the writer
 *
 * To be called once, before the first store_put(). Where the file system vouches for its
 * inodes (image_vouches()) a row's identity is that of the file as it was. Any other has
 * IDENTITY_NEVER_CURRENT: only the digest of the file's body brings it back.
 */
void store_load(struct store *store, store_take_fn *take, void *closure);

/**
 * store_put() - queue a row for writing
 * @row:          of a file with a settled identity; .image and .stored_s are filled in here
 * @is_confirmed: header, body and digest were in a row of store_load(), of an earlier state
 *
 * Never waits: drops where the queue is full, or nothing is written any more.
 * Locking: takes the queue's lock, held for copies of rows only.
 */
void store_put(struct store *store, const struct store_row *row, bool is_confirmed);

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

#endif
