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

/* Runs statements that give no rows. */
int store_sql_run(struct store_db *db, const char *text);

/* Prepares a statement; on failure *@ret_statement is NULL. */
int store_sql_prepare(struct store_db *db, const char *text, sqlite3_stmt **ret_statement);

/* Columns of the very type; false where it is another. */
bool store_sql_number(sqlite3_stmt *statement, int column, int64_t *ret_number);
bool store_sql_blob(sqlite3_stmt *statement, int column, uint8_t blob[WIRE_BLOB_SIZE]);

#define scope_statement __attribute__((cleanup(store_sql_finalize_)))
void store_sql_finalize_(sqlite3_stmt **statement);

#endif
