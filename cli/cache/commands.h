/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What canonfs cache does, a function for each word after it.
 */
#ifndef CANONFS_CLI_CACHE_COMMANDS_H
#define CANONFS_CLI_CACHE_COMMANDS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/store/db.h"
#include "cache/store/proof_file.h"

#define CACHE_ALL_DAYS UINT_MAX

/**
 * struct cache_request - a command line
 * @cache:   the database; NULL for the default one
 * @operand: FILE; NULL where the word takes none
 * @json:    print JSON
 * @size:    prune: bytes to keep at most
 * @days:    prune: images that were not used for so long go; CACHE_ALL_DAYS: none
 * @proofs:  import: what cache_import_read() read
 * @path:    of the database, for messages
 */
struct cache_request {
	const char *cache;
	const char *operand;
	bool json;
	int64_t size;
	unsigned days;
	struct proof_set proofs;
	const char *path;
};

/**
 * struct cache_work - what a word works on
 * @db:     NULL where it needs none
 * @place:  where both are
 * @proofs: as they were read before
 */
struct cache_work {
	struct store_db *db;
	const struct store_place *place;
	const struct proof_book *proofs;
};

/**
 * struct cache_word - what follows "canonfs cache"
 * @run:  Return: an exit status, with a line logged where it failed. NULL for "path", which
 *        needs no database.
 * @has_operand: FILE follows
 * @needs_database: without one it fails
 * @mode: how the database is opened; for those that need it
 */
struct cache_word {
	const char *name;
	int (*run)(const struct cache_work *work, const struct cache_request *request);
	bool has_operand;
	bool needs_database;
	enum store_db_mode mode;
};

/* Return: NULL where there is no such word. */
const struct cache_word *cache_word(const char *name);

/* All that canonfs cache does. Return: an exit status. */
int cache_run(const struct cache_word *word, struct cache_request *request);

int cache_list(const struct cache_work *work, const struct cache_request *request);
int cache_verify(const struct cache_work *work, const struct cache_request *request);
int cache_prune(const struct cache_work *work, const struct cache_request *request);
int cache_clear(const struct cache_work *work, const struct cache_request *request);
int cache_export(const struct cache_work *work, const struct cache_request *request);
int cache_import(const struct cache_work *work, const struct cache_request *request);

/*
 * Reads and checks the file of an import before the database is opened, so that a wrong
 * file neither makes a cache nor sets one aside. Return: 0, or -errno with a line logged.
 */
int cache_import_read(struct cache_request *request);

#define EXIT_CACHE_USAGE   1
#define EXIT_CACHE_FAILURE 2

/* Says that an operation on the database failed. Return: EXIT_CACHE_FAILURE. */
int cache_fail(const struct cache_request *request, const char *what, int error);

#endif
