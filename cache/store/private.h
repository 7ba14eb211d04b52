/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files that speak SQL share.
 */
#ifndef CANONFS_CACHE_STORE_PRIVATE_H
#define CANONFS_CACHE_STORE_PRIVATE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/store/db.h"

/**
 * struct store_db - an open database
 * @put_row: prepared when the first row is put; NULL before
 */
struct store_db {
	sqlite3 *sql;
	sqlite3_stmt *put_row;
};

/*
 * PRAGMA user_version. It is raised when the schema changes, and when the meaning of a row
 * does: a stricter check of bodies, or another digest.
 */
#define STORE_VERSION 4

/* The last one that had proofs in it, too; they have a file of their own now. */
#define STORE_VERSION_WITH_PROOFS 3

/* PRAGMA application_id: "cnfs" */
#define STORE_APPLICATION_ID 0x636e6673

/**
 * store_schema_open() - set up a connection, and make or check the schema
 *
 * Return: 0; 1 where it is a good one of STORE_VERSION_WITH_PROOFS, which has to be
 * upgraded; -EBADMSG where it is not a database of ours or of another version; -EBUSY where
 * another process has it; another -errno.
 */
int store_schema_open(sqlite3 *sql);

/**
 * store_upgrade() - move the proofs of an earlier version to their file
 *
 * They are on the disk there before they go here. Where that fails nothing is lost.
 * Return: 0; -EBADMSG where a proof is damaged; another -errno.
 */
int store_upgrade(sqlite3 *sql, const struct store_place *place, struct reason *why);

/* The -errno that a result code of SQLite stands for; 0 for success. */
int store_error(int code);

/* The functions below return 0 or such a -errno, unless they say otherwise. */

/* Runs statements that give no rows. */
int store_sql_run(sqlite3 *sql, const char *text);

/* Prepares a statement; on failure *@ret_statement is NULL. */
int store_sql_prepare(sqlite3 *sql, const char *text, sqlite3_stmt **ret_statement);

/* The number in the first column of the first row. -EBADMSG where there is no row. */
int store_sql_ask(sqlite3 *sql, const char *text, int64_t *ret_number);

/* Columns of the very type; false where it is another. */
bool store_sql_number(sqlite3_stmt *statement, int column, int64_t *ret_number);
bool store_sql_blob(sqlite3_stmt *statement, int column, uint8_t blob[WIRE_BLOB_SIZE]);

#define scope_statement __attribute__((cleanup(store_sql_finalize_)))
void store_sql_finalize_(sqlite3_stmt **statement);

#endif
