/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database's settings and schema: made once, and compared to the letter ever after.
 */
#ifndef CANONFS_CACHE_STORE_SCHEMA_H
#define CANONFS_CACHE_STORE_SCHEMA_H

#include <sqlite3.h>

/*
 * PRAGMA user_version. To be raised when the schema changes, and when what a row says
 * does: a stricter check of bodies, or another digest.
 */
#define STORE_VERSION 3

/* PRAGMA application_id: "cnfs" */
#define STORE_APPLICATION_ID 0x636e6673

/**
 * store_schema_open() - set up a connection, and make or check the schema
 *
 * Return: 0; -EBADMSG where it is not a database of ours or of another version; -EBUSY
 * where another process has it; another -errno.
 */
int store_schema_open(sqlite3 *sql);

/* The -errno that a result code of SQLite stands for; 0 for success. */
int store_error(int code);

#endif
