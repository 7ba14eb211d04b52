/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where proofs are kept: a file of their own, beside the database.
 *
 * The database is disposable and has one user at a time; a disproof is neither. So whoever
 * reads proofs waits for nobody and changes nothing, and a file that cannot be read is told
 * from one that is not there: then something may have been disproved, and nobody knows
 * what.
 *
 * The file is that of proof.h with one line more, the checksum of all before it. It is
 * never changed but replaced as a whole: whoever has it open reads what it was, and a
 * writer that dies leaves it as it was.
 */
#ifndef CANONFS_CACHE_STORE_PROOF_FILE_H
#define CANONFS_CACHE_STORE_PROOF_FILE_H

#include "cache/store/place.h"
#include "cache/store/proof.h"

enum proof_state {
	PROOFS_NONE,   /* there is no file, or nobody wants it: cache=off */
	PROOFS_READ,   /* all of them are known */
	PROOFS_UNREAD, /* there are some, or may be, that could not be read */
};

/**
 * struct proof_book - all proofs of one place; zeroed is none
 * @set:  sealed; empty unless @state is PROOFS_READ
 * @why:  of PROOFS_UNREAD
 */
struct proof_book {
	enum proof_state state;
	struct proof_set set;
	struct reason why;
};

/* The names of the states: "none", "read", "unread". Static storage. */
const char *proof_state_name(enum proof_state state);

/**
 * proof_book_read() - read the proofs of a place
 * @place: of store_place_open(), which found nothing wrong
 *
 * Takes no lock. Proofs in a database of an earlier version are moved to their file first.
 */
void proof_book_read(struct proof_book *ret_book, const struct store_place *place);

/**
 * proof_book_refuse() - the proofs of a place that store_place_open() refused
 * @error, @why: what it said
 */
void proof_book_refuse(struct proof_book *ret_book, const struct store_place *place,
		       int error, const struct reason *why);

/* Why the proofs could not be read; NULL where nothing was to be read, or all was. */
static inline const char *proof_book_unread(const struct proof_book *book)
{
	return book->state == PROOFS_UNREAD ? book->why.text : NULL;
}

/* One line in the log if the proofs could not be read. @path may be NULL. */
void proof_book_warn(const struct proof_book *book, const char *path);

void proof_book_fini(struct proof_book *book);

/**
 * proof_file_record() - add proofs to the file
 *
 * Waits for other writers, for PROOF_FILE_LOCK_MS at most. All proofs are on the disk then,
 * or the file is as it was.
 * Return: 0; -EBUSY; -EBADMSG where the proofs that are there cannot be read: they are not
 * given up; -E2BIG where there would be more than PROOF_MAX; another -errno.
 */
int proof_file_record(const struct store_place *place, const struct proof_set *more,
		      struct reason *ret_why);

/* The same for the proofs of a database that store_upgrade() has open. */
int proof_file_take_over(const struct store_place *place, const struct proof_set *old,
			 struct reason *ret_why);

/* Could proofs be recorded, as far as can be told without doing it? Return: 0 or -errno. */
int proof_file_can_record(const struct store_place *place, struct reason *ret_why);

/* Deletes all proofs, also those that cannot be read. Return: 0 or -errno; -ENOENT. */
int proof_file_delete(const struct store_place *place, struct reason *ret_why);

#define PROOF_FILE_LOCK_MS 5000

#endif
