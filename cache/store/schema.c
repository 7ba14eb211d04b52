/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings and schema of the database: made once, and compared to the letter ever after.
 *
 * A schema is code: triggers, views, generated columns and indices on expressions run when
 * a table is used. So a database is only used if its sqlite_schema has our statements and
 * nothing else, and until then nothing but sqlite_schema is read.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/scope.h"
#include "cache/store/private.h"

/* Strings and blobs are a few bytes each; a longer one is not ours. */
#define MAX_LENGTH 65536

/* The last one was in STORE_VERSION_WITH_PROOFS only. */
static const char *const tables[] = {
	"CREATE TABLE image(id INTEGER PRIMARY KEY, fs_type INTEGER, fsid INTEGER, "
	"root_inode INTEGER, root_btime INTEGER, last_used INTEGER)",

	/* The columns are those of row.h, in that order. */
	"CREATE TABLE header(image INTEGER, inode INTEGER, generation INTEGER, "
	"btime INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, body INTEGER, "
	"stored INTEGER, disk BLOB, digest BLOB, checksum INTEGER, "
	"PRIMARY KEY(image, inode)) WITHOUT ROWID",

	"CREATE TABLE proof(source BLOB, body BLOB, magic INTEGER, level INTEGER, "
	"result INTEGER, stored INTEGER, interpreter TEXT, checksum INTEGER, "
	"PRIMARY KEY(source, body, magic, level)) WITHOUT ROWID",
};

#define TABLES (ARRAY_SIZE(tables) - 1)

int store_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_IOERR:
		return -EIO;
	default: /* CORRUPT, NOTADB, TOOBIG, ERROR for a file format of the future... */
		return -EBADMSG;
	}
}

static int store_schema_configure(sqlite3 *sql)
{
	sqlite3_busy_timeout(sql, 0);
	sqlite3_limit(sql, SQLITE_LIMIT_LENGTH, MAX_LENGTH);
	sqlite3_limit(sql, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(sql, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(sql, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	/*
	 * EXCLUSIVE comes before the first access: then there is no -shm file, which is
	 * mapped, and whose truncation would kill us with SIGBUS.
	 */
	return store_sql_run(sql, "PRAGMA locking_mode=EXCLUSIVE;"
				  "PRAGMA mmap_size=0;"
				  "PRAGMA cell_size_check=ON;"
				  "PRAGMA trusted_schema=OFF;"
				  "PRAGMA temp_store=MEMORY;"
				  "PRAGMA synchronous=NORMAL;"
				  "PRAGMA journal_size_limit=4194304");
}

/* In one transaction: a crash leaves all of it, or a database without tables. */
static int store_schema_make(sqlite3 *sql)
{
	char version[128];
	/* auto_vacuum can be set while the file is empty only. */
	int r = store_sql_run(sql,
			      "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
			      "BEGIN IMMEDIATE");

	for (size_t i = 0; r == 0 && i < TABLES; i++)
		r = store_sql_run(sql, tables[i]);
	snprintf(version, sizeof(version),
		 "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
		 STORE_APPLICATION_ID, STORE_VERSION);
	if (r == 0)
		r = store_sql_run(sql, version);
	/* The file itself says from now on that it is ours. */
	return r < 0 ? r : store_sql_run(sql, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static bool store_schema_is_text(sqlite3_stmt *statement, int column, const char *text)
{
	const unsigned char *found = sqlite3_column_text(statement, column);

	return found && strcmp((const char *)found, text) == 0;
}

static int store_schema_compare(sqlite3_stmt *statement, size_t count)
{
	int code;

	for (size_t i = 0; i < count; i++) {
		code = sqlite3_step(statement);
		if (code != SQLITE_ROW)
			return code == SQLITE_DONE ? -EBADMSG : store_error(code);
		if (!store_schema_is_text(statement, 0, "table") ||
		    !store_schema_is_text(statement, 1, tables[i]))
			return -EBADMSG;
	}
	code = sqlite3_step(statement);
	return code == SQLITE_ROW ? -EBADMSG : store_error(code);
}

static int store_schema_check(sqlite3 *sql, size_t count)
{
	scope_statement sqlite3_stmt *statement = NULL;
	int r = store_sql_prepare(sql, "SELECT type, sql FROM sqlite_schema ORDER BY rowid",
				  &statement);

	return r < 0 ? r : store_schema_compare(statement, count);
}

int store_schema_open(sqlite3 *sql)
{
	int64_t application = 0, version = 0, objects = 0;
	int r = store_schema_configure(sql);

	if (r == 0)
		r = store_sql_ask(sql, "PRAGMA application_id", &application);
	if (r == 0)
		r = store_sql_ask(sql, "PRAGMA user_version", &version);
	if (r == 0)
		r = store_sql_ask(sql, "SELECT count(*) FROM sqlite_schema", &objects);
	if (r < 0)
		return r;
	if (application == 0 && version == 0 && objects == 0)
		return store_schema_make(sql);
	if (application != STORE_APPLICATION_ID)
		return -EBADMSG;
	if (version == STORE_VERSION_WITH_PROOFS) {
		r = store_schema_check(sql, ARRAY_SIZE(tables));
		return r < 0 ? r : 1;
	}
	r = version == STORE_VERSION ? store_schema_check(sql, TABLES) : -EBADMSG;
	return r < 0 ? r : store_sql_run(sql, "PRAGMA journal_mode=WAL");
}
