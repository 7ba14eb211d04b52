/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database: rows in and out. For one thread at a time; the mount uses it through
 * store.h, which gives it a thread of its own, the commands directly.
 */
#ifndef CANONFS_CACHE_STORE_DB_H
#define CANONFS_CACHE_STORE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/store/place.h"
#include "cache/store/row.h"
#include "cache/tree/image.h"

struct store_db;

/* The size of the database unless one says otherwise, in bytes. */
#define STORE_DEFAULT_SIZE (INT64_C(64) << 20)

enum store_db_mode {
	STORE_DB_EXISTING, /* fails where there is none, or a bad one */
	STORE_DB_MAKE,	   /* makes one; sets a bad one aside first */
	STORE_DB_RENEW,	   /* fails where there is none; checks all of it, as
			      store_db_check(), and sets a bad one aside for a new one */
};

/**
 * store_db_open() - open a database, for this process alone
 * @place:   borrowed; must outlive the database
 * @ret_why: on failure the reason; on success "" or what had to be set aside
 *
 * Return: 0; -EBUSY where another process has it; -EPERM where others could have written
 * it, and for a named one that does not say it is ours; -EBADMSG where it is damaged or of
 * another version; -ENOENT; -EROFS; -ENOSPC; another -errno.
 */
int store_db_open(const struct store_place *place, enum store_db_mode mode,
		  struct store_db **ret_db, struct reason *ret_why);

void store_db_close(struct store_db *db);

/*
 * Does the file say that it is of the version that had proofs in it? store_db_open() moves
 * them to their file, or fails and leaves it as it is. Not to be asked while this process
 * has the database open.
 */
bool store_db_has_old_proofs(const struct store_place *place);

/* The functions below return 0 or -errno as above. */

int store_db_begin(struct store_db *db);

/* Commits if @result is 0, else takes all back. Return: @result, or why it was no success.
 */
int store_db_end(struct store_db *db, int result);

/* ---- rows ---- */

int store_db_put(struct store_db *db, const struct store_row *row);

/* Takes one row; NULL stands for one that is damaged. Return: whether to go on. */
typedef bool store_row_fn(const struct store_row *row, void *closure);

/* Goes through the rows of an image; of all images where @image is negative. */
int store_db_rows(struct store_db *db, int64_t image, store_row_fn *take, void *closure);

/* ---- images ---- */

/**
 * struct store_image - an image, for listings
 * @rows: how many, damaged ones too
 */
struct store_image {
	struct image image;
	int64_t last_used_s;
	int64_t rows;
};

typedef bool store_image_fn(const struct store_image *image, void *closure);

/* The most recently used first. */
int store_db_images(struct store_db *db, store_image_fn *take, void *closure);

/*
 * Notes that an image is used now: later than all others, whatever the clock said when they
 * were used, so that store_db_shrink() deletes it last.
 */
int store_db_use_image(struct store_db *db, const struct image *image);

/* ---- size ---- */

/* Bytes in use. */
int store_db_size(struct store_db *db, int64_t *ret_bytes);

/**
 * store_db_shrink() - delete until at most @limit bytes are in use
 *
 * The least recently used images go first, whole; then, of the last one, what was stored
 * first.
 */
int store_db_shrink(struct store_db *db, int64_t limit);

/* Deletes the images that were last used before a time, seconds since 1970. */
int store_db_forget(struct store_db *db, int64_t before_s);

/* Deletes all rows and images. */
int store_db_clear(struct store_db *db);

/* Does SQLite itself find the database sound? -EBADMSG if not. */
int store_db_check(struct store_db *db);

#endif
