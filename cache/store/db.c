/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database's beginning and end, and its rows; see db.h.
 */
#include "cache/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/store/private.h"

/* ---- open, close ---- */

static int store_db_explain(int error, struct reason *why)
{
	const char *text = error == -EBUSY ? "a running mount or another command uses it"
			   : error == -EBADMSG ? "it is damaged, or of another version"
					       : strerror(-error);

	return reason_set(why, error, "%s", text);
}

/* What the beginning of a database says of itself. */
enum {
	STORE_AT_VERSION = 60,	   /* user_version */
	STORE_AT_APPLICATION = 68, /* application_id */
	STORE_HEAD_BYTES = 72,
};

/* Does the file say that canonfs made it? */
static bool store_db_read_head(const struct store_place *place,
			       uint8_t head[STORE_HEAD_BYTES])
{
	scope_fd int fd = openat(place->dir_fd, path_last(place->path),
				 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && pread_full(fd, head, STORE_HEAD_BYTES, 0) == STORE_HEAD_BYTES &&
	       load_be32(head + STORE_AT_APPLICATION) == STORE_APPLICATION_ID;
}

/*
 * A file that somebody named by mistake must not be moved away. In the default place every
 * file is ours, however little of it is left.
 */
static bool store_db_is_ours(const struct store_place *place)
{
	uint8_t head[STORE_HEAD_BYTES];

	return place->is_default || store_db_read_head(place, head);
}

bool store_db_has_old_proofs(const struct store_place *place)
{
	uint8_t head[STORE_HEAD_BYTES];

	return store_db_read_head(place, head) &&
	       load_be32(head + STORE_AT_VERSION) == STORE_VERSION_WITH_PROOFS;
}

static int store_db_attach(const struct store_place *place, struct store_db *db,
			   struct reason *why)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX |
		    SQLITE_OPEN_EXRESCODE;
	int r = store_error(sqlite3_open_v2(place->path, &db->sql, flags, NULL));

	/* Without leave to write, SQLite opens it for reading. */
	if (r == 0 && sqlite3_db_readonly(db->sql, "main"))
		r = -EROFS;
	if (r == 0)
		r = store_schema_open(db->sql);
	if (r < 0)
		store_db_explain(r, why);
	return r > 0 ? store_upgrade(db->sql, place, why) : r;
}

/*
 * Return: -EAGAIN where a bad database was set aside; *@why says why. It is locked until
 * then, so it cannot be somebody's new one. When SQLite closes a database that was moved,
 * it leaves the file at the path alone. One that may have proofs stays, unless all is to
 * go.
 */
static int store_db_open_once(const struct store_place *place, enum store_db_mode mode,
			      struct store_db *db, struct reason *why)
{
	int r = store_place_check(place, mode == STORE_DB_MAKE, why);
	bool ours, may_go;

	if (r < 0)
		return r;
	/* Before SQLite opens it: our closing drops its locks. */
	ours = store_db_is_ours(place);
	may_go = mode == STORE_DB_RENEW ||
		 (mode == STORE_DB_MAKE && !store_db_has_old_proofs(place));
	r = store_db_attach(place, db, why);
	if (r == 0 && mode == STORE_DB_RENEW) {
		r = store_db_check(db);
		if (r < 0)
			store_db_explain(r, why);
	}
	if (r == 0)
		return 0;
	if (r == -EBADMSG && !ours)
		r = reason_set(why, -EPERM, "it is not a cache of canonfs");
	else if (r == -EBADMSG && may_go && store_place_set_aside(place) == 0)
		r = -EAGAIN;
	sqlite3_close(db->sql);
	db->sql = NULL;
	return r;
}

int store_db_open(const struct store_place *place, enum store_db_mode mode,
		  struct store_db **ret_db, struct reason *ret_why)
{
	scope_free struct store_db *db = calloc(1, sizeof(*db));
	struct reason why;
	int r;

	if (!db)
		return store_db_explain(-ENOMEM, ret_why);
	ret_why->text[0] = '\0';
	r = store_db_open_once(place, mode, db, ret_why);
	if (r == -EAGAIN) {
		r = store_db_open_once(place, STORE_DB_MAKE, db, &why);
		if (r < 0)
			*ret_why = why;
	}
	if (r == 0)
		*ret_db = take_ptr(db);
	return r;
}

void store_db_close(struct store_db *db)
{
	if (!db)
		return;
	sqlite3_finalize(db->put_row);
	sqlite3_close(db->sql);
	free(db);
}

/* ---- statements ---- */

int store_sql_run(sqlite3 *sql, const char *text)
{
	return store_error(sqlite3_exec(sql, text, NULL, NULL, NULL));
}

int store_sql_prepare(sqlite3 *sql, const char *text, sqlite3_stmt **ret_statement)
{
	return store_error(sqlite3_prepare_v2(sql, text, -1, ret_statement, NULL));
}

int store_sql_ask(sqlite3 *sql, const char *text, int64_t *ret_number)
{
	scope_statement sqlite3_stmt *statement = NULL;
	int r = store_sql_prepare(sql, text, &statement);
	int code;

	if (r < 0)
		return r;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_number = sqlite3_column_int64(statement, 0);
	return code == SQLITE_DONE ? -EBADMSG : store_error(code);
}

void store_sql_finalize_(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

bool store_sql_number(sqlite3_stmt *statement, int column, int64_t *ret_number)
{
	if (sqlite3_column_type(statement, column) != SQLITE_INTEGER)
		return false;
	*ret_number = sqlite3_column_int64(statement, column);
	return true;
}

bool store_sql_blob(sqlite3_stmt *statement, int column, uint8_t blob[WIRE_BLOB_SIZE])
{
	if (sqlite3_column_type(statement, column) != SQLITE_BLOB ||
	    sqlite3_column_bytes(statement, column) != WIRE_BLOB_SIZE)
		return false;
	memcpy(blob, sqlite3_column_blob(statement, column), WIRE_BLOB_SIZE);
	return true;
}

int store_db_begin(struct store_db *db)
{
	return store_sql_run(db->sql, "BEGIN IMMEDIATE");
}

int store_db_end(struct store_db *db, int result)
{
	if (result == 0)
		result = store_sql_run(db->sql, "COMMIT");
	if (result < 0 && !sqlite3_get_autocommit(db->sql))
		store_sql_run(db->sql, "ROLLBACK");
	return result;
}

/* ---- rows ---- */

#define ROW_COLUMNS (WIRE_NUMBERS + WIRE_BLOBS + 1)

static int store_db_prepare_put(struct store_db *db)
{
	char text[64 + 2 * ROW_COLUMNS] = "INSERT OR REPLACE INTO header VALUES(?";

	for (int i = 1; i < ROW_COLUMNS; i++)
		strcat(text, ",?");
	return store_sql_prepare(db->sql, strcat(text, ")"), &db->put_row);
}

int store_db_put(struct store_db *db, const struct store_row *row)
{
	int r = db->put_row ? 0 : store_db_prepare_put(db);
	struct store_wire wire;
	int place = 1;

	if (r < 0)
		return r;
	store_row_encode(row, &wire);
	for (int i = 0; i < WIRE_NUMBERS; i++)
		sqlite3_bind_int64(db->put_row, place++, wire.number[i]);
	for (int i = 0; i < WIRE_BLOBS; i++)
		sqlite3_bind_blob(db->put_row, place++, wire.blob[i], WIRE_BLOB_SIZE,
				  SQLITE_STATIC);
	sqlite3_bind_int64(db->put_row, place, wire.checksum);
	sqlite3_step(db->put_row);
	r = store_error(sqlite3_reset(db->put_row));
	sqlite3_clear_bindings(db->put_row);
	return r;
}

static bool store_db_read_row(sqlite3_stmt *statement, struct store_row *ret_row)
{
	struct store_wire wire;
	int column = 0;

	for (int i = 0; i < WIRE_NUMBERS; i++)
		if (!store_sql_number(statement, column++, &wire.number[i]))
			return false;
	for (int i = 0; i < WIRE_BLOBS; i++)
		if (!store_sql_blob(statement, column++, wire.blob[i]))
			return false;
	return store_sql_number(statement, column, &wire.checksum) &&
	       store_row_decode(&wire, ret_row);
}

int store_db_rows(struct store_db *db, int64_t image, store_row_fn *take, void *closure)
{
	scope_statement sqlite3_stmt *statement = NULL;
	struct store_row row;
	bool go_on = true;
	int code = SQLITE_ROW;
	int r = store_sql_prepare(db->sql,
				  image < 0 ? "SELECT * FROM header"
					    : "SELECT * FROM header WHERE image = ?",
				  &statement);

	if (r < 0)
		return r;
	if (image >= 0)
		sqlite3_bind_int64(statement, 1, image);
	while (go_on && (code = sqlite3_step(statement)) == SQLITE_ROW)
		go_on = take(store_db_read_row(statement, &row) ? &row : NULL, closure);
	return store_error(code);
}

/* ---- images ---- */

static bool store_db_read_image(sqlite3_stmt *statement, struct store_image *ret_image)
{
	int64_t number[7];

	for (int i = 0; i < 7; i++)
		if (!store_sql_number(statement, i, &number[i]))
			return false;
	*ret_image = (struct store_image){
		.image = {.id = number[0],
			  .fs_type = (uint64_t)number[1],
			  .fsid = (uint64_t)number[2],
			  .root_inode = (uint64_t)number[3],
			  .root_btime_ns = number[4]},
		.last_used_s = number[5],
		.rows = number[6],
	};
	return true;
}

int store_db_images(struct store_db *db, store_image_fn *take, void *closure)
{
	scope_statement sqlite3_stmt *statement = NULL;
	struct store_image image;
	bool go_on = true;
	int code = SQLITE_ROW;
	int r = store_sql_prepare(
		db->sql,
		"SELECT id, fs_type, fsid, root_inode, root_btime, last_used, "
		"(SELECT count(*) FROM header WHERE image = id) FROM image "
		"ORDER BY last_used DESC, id",
		&statement);

	if (r < 0)
		return r;
	while (go_on && (code = sqlite3_step(statement)) == SQLITE_ROW)
		if (store_db_read_image(statement, &image))
			go_on = take(&image, closure);
	return store_error(code);
}

/* Runs a statement that takes numbers. */
static int store_sql_run_with(sqlite3 *sql, const char *text, const int64_t *numbers,
			      int count)
{
	scope_statement sqlite3_stmt *statement = NULL;
	int r = store_sql_prepare(sql, text, &statement);

	if (r < 0)
		return r;
	for (int i = 0; i < count; i++)
		sqlite3_bind_int64(statement, i + 1, numbers[i]);
	return store_error(sqlite3_step(statement));
}

int store_db_use_image(struct store_db *db, const struct image *image)
{
	int64_t now = time(NULL);
	const int64_t columns[] = {image->id,
				   (int64_t)image->fs_type,
				   (int64_t)image->fsid,
				   (int64_t)image->root_inode,
				   image->root_btime_ns,
				   now};
	/* A clock that ran ahead must not keep an image for ever. */
	int r = store_sql_run_with(
		db->sql, "UPDATE image SET last_used = ?1 - 1 WHERE last_used >= ?1", &now,
		1);

	return r < 0 ? r
		     : store_sql_run_with(
			       db->sql, "INSERT OR REPLACE INTO image VALUES(?,?,?,?,?,?)",
			       columns, ARRAY_SIZE(columns));
}

/* ---- size ---- */

int store_db_size(struct store_db *db, int64_t *ret_bytes)
{
	return store_sql_ask(db->sql,
			     "SELECT (page_count - freelist_count) * page_size FROM "
			     "pragma_page_count, pragma_freelist_count, pragma_page_size",
			     ret_bytes);
}

/* Rows of no image: of deleted ones, and where the key is damaged. */
#define DELETE_ORPHANS "DELETE FROM header WHERE image NOT IN (SELECT id FROM image)"

/*
 * Deletes the oldest image. Of the last one, which the running mount uses, it deletes a
 * quarter of the rows. Return: rows deleted, or -errno.
 */
static int store_db_delete_oldest(struct store_db *db)
{
	int64_t images = 0;
	int before = sqlite3_total_changes(db->sql);
	int r = store_sql_ask(db->sql, "SELECT count(*) FROM image", &images);

	if (r == 0 && images > 1)
		r = store_sql_run(db->sql,
				  "DELETE FROM image WHERE id = (SELECT id FROM image "
				  "ORDER BY last_used, id LIMIT 1);" DELETE_ORPHANS);
	else if (r == 0)
		r = store_sql_run(db->sql,
				  "DELETE FROM header WHERE (image, inode) IN "
				  "(SELECT image, inode FROM header ORDER BY stored "
				  "LIMIT max(1, (SELECT count(*) FROM header) / 4))");
	return r < 0 ? r : sqlite3_total_changes(db->sql) - before;
}

int store_db_shrink(struct store_db *db, int64_t limit)
{
	int64_t bytes = 0;
	int r = store_db_size(db, &bytes);

	if (r < 0 || bytes <= limit)
		return r;
	/* Each round deletes something, or is the last. */
	while (r >= 0 && bytes > limit) {
		r = store_db_delete_oldest(db);
		if (r <= 0)
			break;
		r = store_db_size(db, &bytes);
	}
	return r < 0 ? r : store_sql_run(db->sql, "PRAGMA incremental_vacuum");
}

int store_db_forget(struct store_db *db, int64_t before_s)
{
	int r = store_sql_run_with(db->sql, "DELETE FROM image WHERE last_used < ?",
				   &before_s, 1);

	return r < 0 ? r
		     : store_sql_run(db->sql, DELETE_ORPHANS "; PRAGMA incremental_vacuum");
}

int store_db_clear(struct store_db *db)
{
	return store_sql_run(db->sql, "DELETE FROM header; DELETE FROM image;"
				      "PRAGMA incremental_vacuum");
}

int store_db_check(struct store_db *db)
{
	scope_statement sqlite3_stmt *statement = NULL;
	const unsigned char *text;
	int r = store_sql_prepare(db->sql, "PRAGMA quick_check(1)", &statement);

	if (r < 0)
		return r;
	r = store_error(sqlite3_step(statement));
	if (r < 0)
		return r;
	text = sqlite3_column_text(statement, 0);
	return text && strcmp((const char *)text, "ok") == 0 ? 0 : -EBADMSG;
}
