/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store: what was learned comes back, only where it may, and nothing that can happen
 * to a file does any harm. SQLite's own system calls are replaced where the disk has to be
 * full or to hang; the file system's type is this program's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cache/recall.h"
#include "cache/resolve.h"
#include "cache/store/db.h"
#include "cache/store/proof_file.h"
#include "cache/store/queue.h"
#include "cache/store/store.h"
#include "cache/table.h"
#include "pyc/siphash.h"
#include "tests/unit/inject.h"
#include "tests/unit/scratch.h"

/* ---- the file system as this program wants it ---- */

#define EXT4_TYPE  0xef53
#define EROFS_TYPE 0xe0f5e1e2

static long fake_type = EXT4_TYPE;
static int fake_fsid = 1;
static atomic_int last_asked; /* the descriptor of the last question */

int fstatfs(int fd, struct statfs *ret)
{
	last_asked = fd;
	*ret = (struct statfs){.f_type = fake_type};
	memcpy(&ret->f_fsid, &fake_fsid, sizeof(fake_fsid));
	return 0;
}

static const char *fake_real; /* what every path was, when it was resolved */

char *realpath(const char *path, char *resolved)
{
	(void)resolved;
	return fake_real ? strdup(fake_real) : canonicalize_file_name(path);
}

/* ---- SQLite's writes as this program wants them ---- */

static atomic_int writes_left = INT32_MAX; /* then the disk is full */
static atomic_bool hang;
static sem_t hung, resume;

static ssize_t test_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	if (hang) {
		sem_post(&hung);
		sem_wait(&resume);
	}
	if (atomic_fetch_sub(&writes_left, 1) <= 0) {
		errno = ENOSPC;
		return -1;
	}
	return pwrite(fd, data, len, offset);
}

static void replace_writes(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)test_pwrite);
	vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)test_pwrite);
}

/* ---- a file of proofs that does not answer ---- */

static atomic_bool proofs_hang;
static sem_t proofs_resume;

FILE *fmemopen(void *data, size_t len, const char *mode)
{
	FILE *(*real)(void *, size_t, const char *) = dlsym(RTLD_NEXT, "fmemopen");

	if (proofs_hang)
		sem_wait(&proofs_resume);
	return real(data, len, mode);
}

/* ---- threads that the store does not wait for ---- */

/* Their ends are waited for here: until then they have the database. */
static pthread_t detached[64];
static atomic_size_t detached_count;

int pthread_detach(pthread_t thread)
{
	size_t i = detached_count++;

	assert_true(i < ARRAY_SIZE(detached));
	detached[i] = thread;
	return 0;
}

static void join_detached(void)
{
	for (size_t i = 0; i < detached_count; i++)
		assert_int_equal(pthread_join(detached[i], NULL), 0);
	detached_count = 0;
}

/* ---- a folder, and rows to be stored ---- */

struct fixture {
	char folder[SCRATCH_MAX];
	char path[96];
	int root_fd;
	struct image image;
	struct store_place place;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct reason why;

	fake_type = EXT4_TYPE;
	fake_fsid = 1;
	fake_now_ns = 0;
	monotonic_ahead_s = HOUR; /* every wait is for as long as it takes */
	fake_real = NULL;
	writes_left = INT32_MAX;
	scratch_make(fixture->folder, "store");
	snprintf(fixture->path, sizeof(fixture->path), "%s/cache.db", fixture->folder);
	fixture->root_fd = open(fixture->folder, O_PATH | O_CLOEXEC);
	assert_int_equal(image_of(fixture->root_fd, &fixture->image), 0);
	assert_int_equal(store_place_open(&fixture->place, fixture->path, &why), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	join_detached();
	store_place_close(&fixture->place);
	close(fixture->root_fd);
	scratch_remove(fixture->folder);
	free(fixture);
	return 0;
}

#define HEADER                             \
	"\xa7\x0d\x0d\x0a\x00\x00\x00\x00" \
	"\x01\x02\x03\x04\x05\x06\x07\x08"

static struct store_row learned(const struct fixture *fixture, uint64_t inode)
{
	struct store_row row = {
		.pyc = {.mount_id = fixture->image.mount_id,
			.device = fixture->image.device,
			.inode = inode,
			.generation = 7,
			.btime_ns = 1600000000000000003,
			.size = 100,
			.mtime_ns = 0,
			.ctime_ns = 1600000000000000005},
		.body = PYC_CHECK_OK,
		.digest = {.low = inode, .high = ~inode},
	};

	assert_int_equal(pyc_header_parse((const uint8_t *)HEADER, 16, &row.header),
			 PYC_HEADER_OK);
	return row;
}

/* What the row says, as the table has it. */
static struct content content_of(const struct store_row *row)
{
	return (struct content){
		.header = row->header, .body = row->body, .digest = row->digest};
}

static void put(struct store *store, const struct store_row *row)
{
	store_put(store, row, false);
}

static void take_row(const struct store_row *row, void *closure)
{
	struct content content = content_of(row);

	table_put(closure, &row->pyc, &content);
}

/* A store with an empty table; and with a table that the caller wants. */
static struct store *start(struct fixture *fixture, struct table *table)
{
	struct store *store =
		store_open(&fixture->place, fixture->root_fd, STORE_DEFAULT_SIZE);
	struct table *own = table ? NULL : table_new(8);

	if (store)
		store_load(store, take_row, table ? table : own);
	table_free(own);
	return store;
}

/* Stores files with the inodes 1 to @count. */
static void store_files(struct fixture *fixture, uint64_t count)
{
	struct store *store = start(fixture, NULL);

	assert_non_null(store);
	for (uint64_t i = 1; i <= count; i++) {
		struct store_row row = learned(fixture, i);

		put(store, &row);
	}
	store_close(store);
}

enum known { NOTHING, EARLIER, CURRENT };

/* What a new mount knows of a file. */
static enum known known(struct fixture *fixture, const struct identity *identity,
			struct content *ret_content)
{
	struct table *table = table_new(4096);
	struct store *store = start(fixture, table);
	bool current = false;
	bool found = table_get(table, identity, ret_content, &current);

	store_close(store);
	table_free(table);
	return !found ? NOTHING : current ? CURRENT : EARLIER;
}

static sqlite3 *open_sql(const char *path)
{
	sqlite3 *sql;

	assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
	return sql;
}

static void run_sql(const char *path, const char *text)
{
	sqlite3 *sql = open_sql(path);

	assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sql);
}

static bool exists(const struct fixture *fixture, const char *suffix)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", fixture->path, suffix);
	return access(path, F_OK) == 0;
}

/* ---- what comes back, and as what ---- */

static void test_round_trip(void **state)
{
	struct fixture *fixture = *state;
	struct store_row row = learned(fixture, 3);
	struct content content = {0};

	store_files(fixture, 1000);
	assert_int_equal(known(fixture, &row.pyc, &content), CURRENT);
	assert_int_equal(content.body, PYC_CHECK_OK);
	assert_true(digest_equal(content.digest, row.digest));
	assert_memory_equal(&content.header, &row.header, sizeof(content.header));
	assert_false(exists(fixture, "-shm"));
	row.pyc.inode = 1001;
	assert_int_equal(known(fixture, &row.pyc, &content), NOTHING);
}

static void test_each_validator(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 3).pyc;
	struct content content;

	store_files(fixture, 3);
	for (int i = 0; i < 6; i++) {
		struct identity other = identity;

		switch (i) {
		case 0:
			other.generation++;
			break;
		case 1:
			other.btime_ns++;
			break;
		case 2:
			other.size++;
			break;
		case 3:
			other.mtime_ns++;
			break;
		case 4:
			other.ctime_ns++;
			break;
		default:
			other.mount_id++;
			break;
		}
		assert_int_equal(known(fixture, &other, &content), EARLIER);
	}
	assert_int_equal(known(fixture, &identity, &content), CURRENT);
}

static void test_file_systems_that_do_not_vouch(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;

	fake_type = EROFS_TYPE;
	store_files(fixture, 1);
	assert_int_equal(known(fixture, &identity, &content), EARLIER);
	assert_int_equal(content.body, PYC_CHECK_OK); /* its digest can bring it back */
}

static void test_inodes_that_do_not_vouch(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 3; i++) {
		struct store_row row = learned(fixture, 1);
		struct store *store;
		struct content content;

		if (i == 0)
			row.pyc.generation = 0;
		else if (i == 1)
			row.pyc.btime_ns = 0;
		else
			row.pyc.ctime_ns = 1600000000000000000; /* whole seconds */
		store = start(fixture, NULL);
		put(store, &row);
		store_close(store);
		assert_int_equal(known(fixture, &row.pyc, &content), EARLIER);
	}
}

static void test_images_are_apart(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;

	store_files(fixture, 1);
	fake_fsid = 2;
	assert_int_equal(known(fixture, &identity, &content), NOTHING);
	fake_fsid = 1;
	assert_int_equal(known(fixture, &identity, &content), CURRENT);
}

static void test_not_stored(void **state)
{
	struct fixture *fixture = *state;
	struct store_row other_device = learned(fixture, 1);
	struct store_row confirmed = learned(fixture, 2);
	struct store *store;
	struct content content;

	fake_type = EROFS_TYPE;
	store = start(fixture, NULL);
	other_device.pyc.device++;
	store_put(store, &other_device, false);
	store_put(store, &confirmed, true);
	store_close(store);
	for (uint64_t inode = 1; inode <= 2; inode++) {
		struct identity identity = learned(fixture, inode).pyc;

		assert_int_equal(known(fixture, &identity, &content), NOTHING);
	}
	/* Where the inode vouches, the file's new state is news. */
	fake_type = EXT4_TYPE;
	store = start(fixture, NULL);
	store_put(store, &confirmed, true);
	store_close(store);
	assert_int_equal(known(fixture, &confirmed.pyc, &content), CURRENT);
}

/* ---- places that are refused ---- */

static void assert_refused(struct fixture *fixture)
{
	struct stat before = {0}, after = {0};
	struct store *store;

	lstat(fixture->path, &before);
	store = start(fixture, NULL);
	assert_null(store);
	lstat(fixture->path, &after);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(before.st_mode, after.st_mode);
	assert_false(exists(fixture, ".bad"));
}

static void test_refused_files(void **state)
{
	struct fixture *fixture = *state;
	char other[128], victim[128];

	store_files(fixture, 1);
	snprintf(other, sizeof(other), "%s/other", fixture->folder);

	chmod(fixture->path, 0640);
	assert_refused(fixture);
	chmod(fixture->path, 0600);

	assert_int_equal(link(fixture->path, other), 0);
	assert_refused(fixture);
	unlink(other);

	if (geteuid() == 0) {
		assert_int_equal(chown(fixture->path, 1, 1), 0);
		assert_refused(fixture);
		assert_int_equal(chown(fixture->path, 0, 0), 0);
	}

	rename(fixture->path, other);
	assert_int_equal(symlink("other", fixture->path), 0);
	assert_refused(fixture);
	unlink(fixture->path);
	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	assert_refused(fixture);
	unlink(fixture->path);
	assert_int_equal(mkdir(fixture->path, 0700), 0);
	assert_refused(fixture);
	rmdir(fixture->path);
	rename(other, fixture->path);

	snprintf(other, sizeof(other), "%s-wal", fixture->path);
	assert_int_equal(symlink("cache.db", other), 0);
	assert_refused(fixture);
	unlink(other);
	close(open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	snprintf(victim, sizeof(victim), "%s/victim", fixture->folder);
	assert_int_equal(link(other, victim), 0);
	assert_refused(fixture);
	unlink(other);
	store_files(fixture, 1);
}

static void test_refused_directories(void **state)
{
	struct fixture *fixture = *state;
	struct store_place place;
	struct reason why;
	char path[128];

	for (int above = 0; above < 2; above++) {
		snprintf(path, sizeof(path), "%s/sub", fixture->folder);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/%s", fixture->folder,
			 above ? "sub/cache.db" : "cache.db");
		assert_int_equal(store_place_open(&place, path, &why), 0);
		store_place_close(&place);
		chmod(fixture->folder, 0770);
		assert_int_equal(store_place_open(&place, path, &why), -EPERM);
		store_place_close(&place);
		chmod(fixture->folder,
		      0701 | S_ISVTX | 02); /* sticky: for what is above only */
		assert_int_equal(store_place_open(&place, path, &why), above ? 0 : -EPERM);
		store_place_close(&place);
		chmod(fixture->folder, 0700);
	}
	snprintf(path, sizeof(path), "%s/none/cache.db", fixture->folder);
	assert_int_equal(store_place_open(&place, path, &why), -ENOENT);
	store_place_close(&place);
}

/* The directory became a symlink after its path was resolved. */
static void test_swapped_directory(void **state)
{
	struct fixture *fixture = *state;
	struct reason why;
	char path[128], link[128];
	struct store_place place;

	snprintf(path, sizeof(path), "%s/sub/cache.db", fixture->folder);
	snprintf(link, sizeof(link), "%s/sub", fixture->folder);
	assert_int_equal(symlink(".", link), 0);
	assert_int_equal(store_place_open(&place, path, &why), 0); /* resolved */
	assert_string_equal(place.path, fixture->path);
	store_place_close(&place);
	fake_real = link;
	assert_int_equal(store_place_open(&place, path, &why), -ELOOP);
	store_place_close(&place);
	fake_real = NULL;
}

static void test_default_place(void **state)
{
	char *path;

	(void)state;
	setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1);
	path = store_place_default();
	assert_string_equal(path, "/var/lib/one/cache.db");
	free(path);
	unsetenv("STATE_DIRECTORY");
	setenv("XDG_CACHE_HOME", "/x", 1);
	path = store_place_default();
	assert_string_equal(path, geteuid() == 0 ? "/var/lib/canonfs/cache.db"
						 : "/x/canonfs/cache.db");
	free(path);
}

/* Somebody named the wrong file: it is not ours to move away. */
static void test_foreign_files(void **state)
{
	struct fixture *fixture = *state;
	FILE *file;

	run_sql(fixture->path, "CREATE TABLE bookmarks(url); PRAGMA user_version=3");
	chmod(fixture->path, 0600);
	assert_refused(fixture);
	unlink(fixture->path);
	file = fopen(fixture->path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("a letter to grandmother\n", file);
	fclose(file);
	chmod(fixture->path, 0600);
	assert_refused(fixture);
}

/* The file is cut to 40 bytes, or all of it is zeros. */
static void break_header(const struct fixture *fixture, bool zeros)
{
	assert_int_equal(truncate(fixture->path, zeros ? 0 : 40), 0);
	if (zeros)
		assert_int_equal(truncate(fixture->path, 65536), 0);
}

static void test_damaged_headers(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;
	char bad[128];

	snprintf(bad, sizeof(bad), "%s.bad", fixture->path);
	for (int zeros = 0; zeros < 2; zeros++) {
		store_files(fixture, 1);
		break_header(fixture, zeros);
		assert_refused(fixture);
		fixture->place.is_default = true;
		store_files(fixture, 1);
		assert_true(exists(fixture, ".bad"));
		assert_int_equal(known(fixture, &identity, &content), CURRENT);
		fixture->place.is_default = false;
		unlink(bad);
	}
}

static void test_set_aside_or_left_alone(void **state)
{
	struct fixture *fixture = *state;
	char bad[128], wal[128];

	store_files(fixture, 1);
	snprintf(wal, sizeof(wal), "%s-wal", fixture->path);
	close(open(wal, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	snprintf(bad, sizeof(bad), "%s.bad", fixture->path);
	mkdir(bad, 0700); /* a file cannot be renamed to it */
	assert_int_equal(store_place_set_aside(&fixture->place), -EISDIR);
	assert_true(exists(fixture, ""));
	assert_true(exists(fixture, "-wal"));
	rmdir(bad);
	assert_int_equal(store_place_set_aside(&fixture->place), 0);
	assert_false(exists(fixture, ""));
	assert_false(exists(fixture, "-wal"));
}

static void test_busy(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;
	int ready[2], status;
	char byte;
	pid_t pid;

	store_files(fixture, 1);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct store *store = start(fixture, NULL);

		_exit(write(ready[1], store ? "y" : "n", 1) != 1 || pause());
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_refused(fixture);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(known(fixture, &identity, &content), CURRENT);
}

/* ---- databases that are set aside ---- */

static void test_hostile_schemas(void **state)
{
	static const char *const hostile[] = {
		"PRAGMA user_version=2",
		"PRAGMA user_version=1",
		"PRAGMA user_version=0",
		"CREATE TABLE more(x)",
		"CREATE VIEW v AS SELECT * FROM header",
		"CREATE INDEX i ON header(abs(inode))",
		"CREATE TRIGGER t AFTER INSERT ON image BEGIN DELETE FROM header; END",
		"DROP TABLE image",
		"ALTER TABLE header ADD COLUMN extra AS (image + 1)",
		"ALTER TABLE header RENAME COLUMN disk TO other",
		"DROP TABLE header; CREATE VIEW header AS SELECT 1",
		"DROP TABLE image; CREATE VIRTUAL TABLE image USING fts5(x)",
	};
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		store_files(fixture, 1);
		run_sql(fixture->path, hostile[i]);
		assert_int_equal(known(fixture, &identity, &content), NOTHING);
		assert_true(exists(fixture, ".bad"));
		store_files(fixture, 1);
		assert_int_equal(known(fixture, &identity, &content), CURRENT);
	}
}

static void test_hostile_rows(void **state)
{
	static const char *const hostile[] = {
		"UPDATE header SET generation = generation + 1",
		"UPDATE header SET body = 7",
		"UPDATE header SET body = 'text'",
		"UPDATE header SET body = NULL",
		"UPDATE header SET digest = zeroblob(16)",
		"UPDATE header SET disk = zeroblob(15)",
		"UPDATE header SET disk = zeroblob(60000)",
		"UPDATE header SET checksum = 0",
		"UPDATE header SET checksum = 1e300",
		"UPDATE header SET inode = 2",
		"UPDATE header SET digest = 'sixteen letters!'",
	};
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct identity moved = learned(fixture, 2).pyc;
	struct content content;

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		store_files(fixture, 1);
		assert_int_equal(known(fixture, &identity, &content), CURRENT);
		run_sql(fixture->path, hostile[i]);
		assert_int_equal(known(fixture, &identity, &content), NOTHING);
		assert_int_equal(known(fixture, &moved, &content), NOTHING);
		assert_false(exists(fixture, ".bad")); /* the rest of it is good */
		run_sql(fixture->path, "DELETE FROM header");
	}
	store_files(fixture, 1);
	run_sql(fixture->path, "UPDATE header SET disk = zeroblob(1 << 20)");
	assert_int_equal(known(fixture, &identity, &content), NOTHING);
	store_files(fixture, 1);
	assert_int_equal(known(fixture, &identity, &content), CURRENT);
}

/* ---- damage ---- */

#define DAMAGE_ROWS 300

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	return *seed ^= *seed << 17;
}

static void copy_file(const char *from, const char *to)
{
	scope_fd int in = open(from, O_RDONLY | O_CLOEXEC);
	scope_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char data[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, data, sizeof(data))) > 0)
		assert_int_equal(write(out, data, (size_t)n), n);
}

/* Flips a bit, or cuts. */
static void damage(const char *path, uint64_t *seed)
{
	scope_fd int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	uint8_t byte;
	off_t offset;

	fstat(fd, &st);
	if (st.st_size == 0)
		return;
	offset = (off_t)(next_random(seed) % (uint64_t)st.st_size);
	if (next_random(seed) % 4 == 0) {
		assert_int_equal(ftruncate(fd, offset), 0);
		return;
	}
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= (uint8_t)(1u << next_random(seed) % 8);
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

/* Every entry that a mount has now is one that was put. Return: how many it has. */
static unsigned count_right_rows(struct fixture *fixture)
{
	struct table *table = table_new(4096);
	struct store *store = start(fixture, table);
	unsigned count = 0;

	for (uint64_t inode = 0; inode < DAMAGE_ROWS + 100; inode++) {
		struct store_row right = learned(fixture, inode);
		struct content content;
		bool current;

		if (!table_get(table, &right.pyc, &content, &current))
			continue;
		assert_true(inode >= 1 && inode <= DAMAGE_ROWS && current);
		assert_int_equal(content.body, PYC_CHECK_OK);
		assert_true(digest_equal(content.digest, right.digest));
		assert_memory_equal(&content.header, &right.header, sizeof(content.header));
		count++;
	}
	store_close(store);
	table_free(table);
	return count;
}

/* Populates, and copies the files while the newer half of it is in the -wal. */
static void make_originals(struct fixture *fixture, const char *db, const char *wal)
{
	struct store_db *store;
	struct reason why;
	char path[128];

	store_files(fixture, DAMAGE_ROWS / 2);
	assert_int_equal(store_db_open(&fixture->place, STORE_DB_EXISTING, &store, &why),
			 0);
	for (uint64_t inode = DAMAGE_ROWS / 2; inode <= DAMAGE_ROWS; inode++) {
		struct store_row row = learned(fixture, inode);

		row.image = fixture->image.id;
		assert_int_equal(store_db_put(store, &row), 0);
	}
	copy_file(fixture->path, db);
	snprintf(path, sizeof(path), "%s-wal", fixture->path);
	copy_file(path, wal);
	store_db_close(store);
}

static void test_damage(void **state)
{
	const char *is_long = getenv("CANONFS_LONG");
	int rounds = is_long && strtol(is_long, NULL, 10) ? 50000 : 1000;
	struct fixture *fixture = *state;
	char db[96], wal[96], used_wal[128], bad[128];
	uint64_t seed = 88172645463325252u;
	uint64_t survivors = 0;

	snprintf(db, sizeof(db), "%s/original", fixture->folder);
	snprintf(wal, sizeof(wal), "%s/original-wal", fixture->folder);
	snprintf(used_wal, sizeof(used_wal), "%s-wal", fixture->path);
	snprintf(bad, sizeof(bad), "%s.bad", fixture->path);
	make_originals(fixture, db, wal);
	copy_file(db, fixture->path);
	copy_file(wal, used_wal);
	assert_int_equal(count_right_rows(fixture), DAMAGE_ROWS);
	for (int i = 0; i < rounds; i++) {
		copy_file(db, fixture->path);
		copy_file(wal, used_wal);
		damage(next_random(&seed) % 2 ? fixture->path : used_wal, &seed);
		survivors += count_right_rows(fixture);
		unlink(fixture->path);
		unlink(used_wal);
		unlink(bad);
	}
	assert_in_range(survivors, rounds, (uint64_t)rounds * DAMAGE_ROWS - 1);
}

/* ---- a disk that is full, or hangs ---- */

static void test_disk_full(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct store_counts counts;
	struct store *store;
	struct content content;

	store_files(fixture, 10);
	for (int left = 0; left < 40; left++) {
		writes_left = left;
		store = start(fixture, NULL);
		assert_non_null(store);
		for (uint64_t i = 100; i < 600; i++) {
			struct store_row row = learned(fixture, i);

			put(store, &row);
		}
		store_close(store);
		writes_left = INT32_MAX;
		assert_int_equal(known(fixture, &identity, &content), CURRENT);
	}
	writes_left = 0;
	store = start(fixture, NULL);
	assert_non_null(store);
	for (uint64_t i = 1000; i < 1100; i++) {
		struct store_row row = learned(fixture, i);

		put(store, &row);
	}
	counts = store_counts(store);
	assert_int_equal(counts.written, 0);
	assert_int_equal(counts.dropped, 100);
	store_close(store);
}

static struct store *hanging; /* reachable for ever: that is what store_close() leaves */

static void test_a_writer_that_hangs(void **state)
{
	struct fixture *fixture = *state;
	struct table *table = table_new(8);
	struct store_row row = learned(fixture, 1);
	struct store_counts counts;
	uint64_t total = UINT64_C(3) * STORE_QUEUE_ROWS;

	monotonic_ahead_s = -HOUR; /* no wait is long enough */
	hanging = start(fixture, table);
	hang = true;
	put(hanging, &row);
	sem_wait(&hung); /* it holds a batch, and hangs in a write */
	for (uint64_t i = 1; i < total; i++) {
		struct content content;
		bool current;

		row = learned(fixture, i);
		put(hanging, &row);
		take_row(&row, table);
		assert_true(table_get(table, &row.pyc, &content, &current));
	}
	counts = store_counts(hanging);
	assert_int_equal(counts.written, 0);
	assert_int_equal(counts.dropped, total - 1 - STORE_QUEUE_ROWS);
	store_close(hanging); /* comes back */
	hang = false;
	for (int i = 0; i < 100; i++)
		sem_post(&resume);
	join_detached();
	assert_int_equal(store_counts(hanging).written, 1 + STORE_QUEUE_ROWS);
	table_free(table);
}

/* ---- size ---- */

static bool count_images(const struct store_image *image, void *closure)
{
	(void)image;
	++*(int *)closure;
	return true;
}

static int64_t shrunk_size(struct fixture *fixture, int64_t limit, int *ret_images)
{
	struct store_db *db;
	struct reason why;
	int64_t bytes = 0;

	*ret_images = 0;
	assert_int_equal(store_db_open(&fixture->place, STORE_DB_EXISTING, &db, &why), 0);
	assert_int_equal(store_db_shrink(db, limit), 0);
	assert_int_equal(store_db_size(db, &bytes), 0);
	assert_int_equal(store_db_images(db, count_images, ret_images), 0);
	store_db_close(db);
	return bytes;
}

static void test_old_images_go_first(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;
	int images;

	for (fake_fsid = 1; fake_fsid <= 4; fake_fsid++) {
		fixture->image.id = 0;
		image_of(fixture->root_fd, &fixture->image);
		store_files(fixture, 2000);
	}
	run_sql(fixture->path, "UPDATE image SET last_used = fsid");
	assert_true(shrunk_size(fixture, 512 << 10, &images) <= 512 << 10);
	assert_true(images >= 1 && images < 4);
	fake_fsid = 4;
	assert_int_equal(known(fixture, &identity, &content), CURRENT);
	fake_fsid = 1;
	assert_int_equal(known(fixture, &identity, &content), NOTHING);
	fake_fsid = 4;
	store_files(fixture, 2000);
	assert_true(shrunk_size(fixture, 256 << 10, &images) <= 256 << 10);
	assert_true(shrunk_size(fixture, 0, &images) < 64 << 10);
}

/* The clock was ahead once: the images of that day are not the newest for ever. */
static void test_images_of_the_future(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;
	int images;

	for (fake_fsid = 1; fake_fsid <= 3; fake_fsid++) {
		image_of(fixture->root_fd, &fixture->image);
		store_files(fixture, 2000);
		run_sql(fixture->path, "UPDATE image SET last_used = 99999999999");
	}
	for (fake_fsid = 1; fake_fsid <= 3; fake_fsid++) {
		image_of(fixture->root_fd, &fixture->image);
		store_files(fixture, 2000);
		shrunk_size(fixture, 300 << 10, &images);
		assert_in_range(images, 1, 2);
		assert_int_equal(known(fixture, &identity, &content), CURRENT);
	}
}

/* More than one transaction holds: what waits for others. */
#define BATCH_ROWS 300

static void wait_for_writer(struct store *store, uint64_t count)
{
	struct store_counts counts = store_counts(store);

	while (counts.written + counts.dropped + BATCH_ROWS < count) {
		usleep(1000);
		counts = store_counts(store);
	}
}

static void test_bounded_while_writing(void **state)
{
	struct fixture *fixture = *state;
	struct store *store =
		store_open(&fixture->place, fixture->root_fd, INT64_C(256) << 10);
	struct table *table = table_new(8);
	struct stat st;

	store_load(store, take_row, table);
	for (uint64_t i = 1; i <= 20000; i++) {
		struct store_row row = learned(fixture, i);

		put(store, &row);
		if (i % 1000 == 0)
			wait_for_writer(store, i);
	}
	assert_int_equal(store_counts(store).dropped, 0);
	store_close(store);
	assert_int_equal(stat(fixture->path, &st), 0);
	assert_in_range(st.st_size, 4096, 768 << 10);
	table_free(table);
}

/* ---- proofs ---- */

#define SOURCE "m.py"
#define PYC    "__pycache__/m.cpython-311.pyc"

/* marshal.dumps(compile("x = 1\n", "m.py", "exec")) of CPython 3.11 */
static const uint8_t body[] =
	"\x63\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	"\x00\xf3\x0a\x00\x00\x00\x97\x00\x64\x00\x5a\x00\x64\x01\x53\x00\x29\x02\xe9\x01"
	"\x00\x00\x00\x4e\x29\x01\xda\x01\x78\xa9\x00\xf3\x00\x00\x00\x00\xfa\x04\x6d\x2e"
	"\x70\x79\xfa\x08\x3c\x6d\x6f\x64\x75\x6c\x65\x3e\x72\x06\x00\x00\x00\x01\x00\x00"
	"\x00\x73\x0e\x00\x00\x00\xf0\x03\x01\x01\x01\xd8\x04\x05\x80\x01\x80\x01\x80\x01"
	"\x72\x04\x00\x00\x00";
#define BODY_SIZE (sizeof(body) - 1)
#define TEXT	  "x = 1\n"

static void write_file(const struct fixture *fixture, const char *name, const void *data,
		       size_t len, const char *more, size_t more_len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(write(fd, more, more_len), more_len);
	close(fd);
}

/* m.py with mtime @mtime, and its pyc, which embeds 1600000000. */
static void write_pair(struct fixture *fixture, time_t mtime)
{
	static const uint8_t header[] =
		"\xa7\x0d\x0d\x0a\0\0\0\0\x00\x10\x5e\x5f\x06\0\0\0";
	const struct timespec times[] = {{.tv_sec = mtime}, {.tv_sec = mtime}};
	char path[128];

	snprintf(path, sizeof(path), "%s/__pycache__", fixture->folder);
	mkdir(path, 0755);
	write_file(fixture, SOURCE, TEXT, strlen(TEXT), "", 0);
	write_file(fixture, PYC, header, 16, (const char *)body, BODY_SIZE);
	snprintf(path, sizeof(path), "%s/" SOURCE, fixture->folder);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void put_proof_at(struct fixture *fixture, uint8_t level, enum pyc_check result)
{
	struct proof proof = {
		.source = digest_of(TEXT, strlen(TEXT)),
		.body = digest_of(body, BODY_SIZE),
		.magic = 3495,
		.level = level,
		.result = result,
	};
	struct proof_set set = {.count = 0};
	struct reason why;

	assert_int_equal(proof_set_add(&set, &proof), 0);
	proof_set_seal(&set);
	assert_int_equal(proof_file_record(&fixture->place, &set, &why), 0);
	proof_set_fini(&set);
}

static void put_proof(struct fixture *fixture, enum pyc_check result)
{
	put_proof_at(fixture, 0, result);
}

static struct resolver_counts counts; /* of the last mount, as the next */
static enum proof_state proofs_state;

/* What a mount finds, whose first request this is. */
static enum pyc_reason reason_of(struct fixture *fixture, const struct pyc_policy *policy)
{
	struct proof_book proofs;
	struct table *table;
	struct store *store = recall_await(
		recall_start(&fixture->place, fixture->root_fd, STORE_DEFAULT_SIZE, false),
		&table, &proofs);
	struct resolution resolution;
	struct resolver *resolver;
	struct statx stx;
	struct tree tree;
	struct pyc_question question = {.path = PYC, .stx = &stx, .source_dir = -1};
	int fd;

	proofs_state = proofs.state;
	assert_int_equal(tree_open(&tree, fixture->folder, "/", fixture->folder), 0);
	resolver = resolver_new(&tree, policy, &proofs, store, table);
	question.fd = fd = tree_openat(&tree, PYC, O_RDONLY);
	assert_int_equal(statx_at(fd, "", &stx), 0);
	assert_int_equal(resolve_pyc(resolver, &question, &resolution), 0);
	counts = resolver_counts(resolver);
	close(fd);
	resolver_free(resolver);
	store_close(store);
	proof_book_fini(&proofs);
	tree_close(&tree);
	return resolution.decision.reason;
}

static void test_proofs(void **state)
{
	const struct pyc_policy canonical = {0};
	const struct pyc_policy verified = {.trust = PYC_TRUST_VERIFIED};
	struct fixture *fixture = *state;

	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_CANONICAL);
	assert_int_equal(reason_of(fixture, &verified), PYC_R_NOT_PROVED);
	put_proof(fixture, PYC_CHECK_OK);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_CANONICAL);
	assert_int_equal(reason_of(fixture, &verified), PYC_R_PROVED);
	write_pair(fixture, 1500000000); /* no canonical time: the proof forgives it too */
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_PROVED);
	put_proof(fixture, PYC_CHECK_BAD);
	/* Stale either way: nothing is read to find out why. */
	assert_int_equal(reason_of(fixture, &verified), PYC_R_NOT_PROVED);
	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_DISPROVED);
	write_pair(fixture, 1600000000); /* and over a time that matches */
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_DISPROVED);
	put_proof(fixture, PYC_CHECK_OK); /* does not take it back */
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_DISPROVED);
}

/* What may have been disproved is forgiven no time, whatever the policy; the rest goes on.
 */
static void test_proofs_that_cannot_be_read(void **state)
{
	const struct pyc_policy canonical = {0}, size = {.trust = PYC_TRUST_SIZE},
				verified = {.trust = PYC_TRUST_VERIFIED},
				epoch = {.view = PYC_VIEW_EPOCH, .epoch = 1};
	struct fixture *fixture = *state;

	put_proof(fixture, PYC_CHECK_OK);
	assert_int_equal(chmod(fixture->place.proofs, 0644), 0);
	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_PROOFS_UNREAD);
	assert_int_equal(proofs_state, PROOFS_UNREAD);
	assert_int_equal(reason_of(fixture, &size), PYC_R_PROOFS_UNREAD);
	assert_int_equal(reason_of(fixture, &verified), PYC_R_NOT_PROVED);
	write_pair(fixture, 1500000000);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_NOT_CANONICAL);
	write_pair(fixture,
		   1600000000); /* Python would take it from the bare source, too */
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_MATCHES);
	assert_int_equal(reason_of(fixture, &epoch), PYC_R_VIEW);
	assert_int_equal(chmod(fixture->place.proofs, 0600), 0);
	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_CANONICAL);
}

/* Another process has the database: the proofs are read all the same. */
static void test_proofs_beside_a_busy_database(void **state)
{
	const struct pyc_policy canonical = {0};
	struct fixture *fixture = *state;
	sqlite3 *sql;

	put_proof(fixture, PYC_CHECK_BAD);
	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_DISPROVED);
	sql = open_sql(fixture->path);
	assert_int_equal(sqlite3_exec(sql,
				      "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;"
				      "DELETE FROM image",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_DISPROVED);
	assert_int_equal(proofs_state, PROOFS_READ);
	sqlite3_close(sql);
	assert_int_equal(chmod(fixture->path, 0644), 0);
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_DISPROVED);
}

/* An edited source of the same size: the proof was about another one. */
static void test_proof_of_another_source(void **state)
{
	const struct pyc_policy verified = {.trust = PYC_TRUST_VERIFIED};
	struct fixture *fixture = *state;

	write_pair(fixture, 1);
	put_proof(fixture, PYC_CHECK_OK);
	assert_int_equal(reason_of(fixture, &verified), PYC_R_PROVED);
	write_file(fixture, SOURCE, "x = 2\n", 6, "", 0);
	assert_int_equal(reason_of(fixture, &verified), PYC_R_NOT_PROVED);
}

/* A body of python -O is not what belongs under the plain name. */
static void test_proof_of_another_level(void **state)
{
	const struct pyc_policy verified = {.trust = PYC_TRUST_VERIFIED};
	struct fixture *fixture = *state;

	write_pair(fixture, 1);
	put_proof_at(fixture, 1, PYC_CHECK_OK);
	assert_int_equal(reason_of(fixture, &verified), PYC_R_NOT_PROVED);
	put_proof_at(fixture, 1, PYC_CHECK_BAD);
	put_proof_at(fixture, 0, PYC_CHECK_OK);
	assert_int_equal(reason_of(fixture, &verified), PYC_R_PROVED);
}

/* ---- the digest path, through a resolver ---- */

/* A row that says of the file's good body that it is bad: whoever believes it shows it. */
static void put_bad_body(struct fixture *fixture, const char *path)
{
	struct store_row row = learned(fixture, 0);
	struct store_db *db;
	struct reason why;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	row.image = fixture->image.id;
	row.pyc = (struct identity){.inode = st.st_ino, .size = st.st_size};
	row.body = PYC_CHECK_BAD;
	row.digest = digest_of(body, BODY_SIZE);
	assert_int_equal(store_db_open(&fixture->place, STORE_DB_MAKE, &db, &why), 0);
	assert_int_equal(store_db_put(db, &row), 0);
	store_db_close(db);
}

/* On a file system that does not vouch, a walked body is found again by its digest. */
static void test_header_does_not_displace_a_body(void **state)
{
	const struct pyc_policy policy = {0};
	struct fixture *fixture = *state;
	char path[128];

	fake_type = EROFS_TYPE;
	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &policy), PYC_R_CANONICAL);
	image_of(fixture->root_fd, &fixture->image);
	snprintf(path, sizeof(path), "%s/" PYC, fixture->folder);
	put_bad_body(fixture, path);
	assert_int_equal(reason_of(fixture, &policy), PYC_R_BODY);
	write_pair(fixture, 1); /* the same bytes, another state of the inode */
	assert_int_equal(reason_of(fixture, &policy), PYC_R_BODY);
	write_file(fixture, PYC, "\xa7\x0d\x0d\x0a\0\0\0\0\x00\x10\x5e\x5f\x06\0\0\0", 16,
		   "N", 1); /* other bytes: it is walked */
	assert_int_equal(reason_of(fixture, &policy), PYC_R_BODY);
	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &policy), PYC_R_CANONICAL);
}

/*
 * A store through a mapping leaves a source's ctime as it is, and the hash decides which
 * code runs: so each mount reads the source anew.
 */
static void test_sources_are_read_again(void **state)
{
	const struct pyc_policy policy = {.hash = PYC_HASH_UNCHECK};
	struct fixture *fixture = *state;
	uint8_t header[] = "\xa7\x0d\x0d\x0a\x03\0\0\0........";

	write_pair(fixture, 1);
	assert_true(
		pyc_source_hash(pyc_magic_lookup(3495), TEXT, strlen(TEXT), header + 8));
	write_file(fixture, PYC, header, 16, (const char *)body, BODY_SIZE);
	for (int mount = 0; mount < 2; mount++) {
		assert_int_equal(reason_of(fixture, &policy), PYC_R_PROMOTED);
		assert_int_equal(counts.sources, 1);
	}
	write_file(fixture, SOURCE, "x = 2\n", 6, "", 0);
	assert_int_equal(reason_of(fixture, &policy), PYC_R_HASH_MISMATCH);
}

static int64_t count_rows(const struct fixture *fixture)
{
	sqlite3 *sql = open_sql(fixture->path);
	sqlite3_stmt *statement;
	int64_t rows;

	assert_int_equal(sqlite3_prepare_v2(sql, "SELECT count(*) FROM header", -1,
					    &statement, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	rows = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(sql);
	return rows;
}

/* What was cheap to learn is not stored: a header, and a file that has none. */
static void test_bodies_are_stored_and_nothing_else(void **state)
{
	const struct pyc_policy policy = {0};
	struct fixture *fixture = *state;

	write_pair(fixture, 1600000000); /* it matches: nobody reads the body */
	assert_int_equal(reason_of(fixture, &policy), PYC_R_MATCHES);
	assert_int_equal(count_rows(fixture), 0);
	write_file(fixture, PYC, "\xa7\x0d\x0d\x0a\0", 5, "", 0);
	assert_int_equal(reason_of(fixture, &policy), PYC_R_SHORT);
	assert_int_equal(count_rows(fixture), 0);
	write_pair(fixture, 1);
	assert_int_equal(reason_of(fixture, &policy), PYC_R_CANONICAL);
	assert_int_equal(count_rows(fixture), 1);
}

/* ---- the version that had proofs in it ---- */

/* The schema of version 3, and what it wrote of a proof and of a disproof. */
#define OLD_PROOFS                                                                   \
	"CREATE TABLE proof(source BLOB, body BLOB, magic INTEGER, level INTEGER, "  \
	"result INTEGER, stored INTEGER, interpreter TEXT, checksum INTEGER, "       \
	"PRIMARY KEY(source, body, magic, level)) WITHOUT ROWID;"                    \
	"INSERT INTO proof VALUES(X'01000000000000000000000000000000', "             \
	"X'02000000000000000000000000000000',3495,0,1,1700000000,'CPython 3.11.7', " \
	"-6022475047771828229);"                                                     \
	"INSERT INTO proof VALUES(X'02000000000000000000000000000000', "             \
	"X'03000000000000000000000000000000',3495,1,2,1700000001,'CPython 3.11.7', " \
	"4207494586871505738);"                                                      \
	"PRAGMA user_version=3"

static enum pyc_check old_proof(const struct proof_book *book, uint64_t number)
{
	return proof_set_find(&book->set, (struct digest){.low = number},
			      (struct digest){.low = number + 1}, 3495,
			      (uint8_t)(number - 1));
}

static void assert_old_proofs(const struct fixture *fixture)
{
	struct proof_book book;

	proof_book_read(&book, &fixture->place);
	assert_int_equal(book.state, PROOFS_READ);
	assert_int_equal(old_proof(&book, 1), PYC_CHECK_OK);
	assert_int_equal(old_proof(&book, 2), PYC_CHECK_BAD);
	proof_book_fini(&book);
}

static void assert_unread(const struct fixture *fixture)
{
	struct proof_book book;

	proof_book_read(&book, &fixture->place);
	assert_int_equal(book.state, PROOFS_UNREAD);
	assert_true(book.why.text[0]);
	proof_book_fini(&book);
}

static void test_old_proofs_are_moved(void **state)
{
	struct fixture *fixture = *state;
	struct identity identity = learned(fixture, 1).pyc;
	struct content content;

	store_files(fixture, 1);
	run_sql(fixture->path, OLD_PROOFS);
	assert_old_proofs(fixture);
	assert_false(store_db_has_old_proofs(&fixture->place));
	assert_old_proofs(fixture);
	assert_int_equal(known(fixture, &identity, &content), CURRENT); /* rows stay */
	assert_false(exists(fixture, ".bad"));
	/* An earlier version was used again: what it proved is added. */
	unlink(fixture->place.proofs);
	put_proof(fixture, PYC_CHECK_OK);
	run_sql(fixture->path, OLD_PROOFS);
	put_proof(fixture, PYC_CHECK_BAD); /* who only writes does it, too */
	assert_old_proofs(fixture);
	assert_false(store_db_has_old_proofs(&fixture->place));
}

/* Where they cannot be moved they stay, and that is known. */
static void test_old_proofs_are_not_lost(void **state)
{
	struct fixture *fixture = *state;
	struct store_db *db;
	struct reason why;
	char in_the_way[128];
	sqlite3 *sql;

	store_files(fixture, 1);
	run_sql(fixture->path, OLD_PROOFS);
	sql = open_sql(fixture->path);
	assert_int_equal(sqlite3_exec(sql, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	assert_unread(fixture);
	sqlite3_close(sql);
	snprintf(in_the_way, sizeof(in_the_way), "%s.new", fixture->place.proofs);
	mkdir(in_the_way, 0700);
	assert_unread(fixture);
	assert_null(start(fixture, NULL));
	rmdir(in_the_way);
	assert_true(store_db_has_old_proofs(&fixture->place));
	assert_old_proofs(fixture);

	unlink(fixture->place.proofs);
	run_sql(fixture->path, OLD_PROOFS "; UPDATE proof SET result = 1");
	assert_unread(fixture); /* a damaged one may have been a disproof */
	assert_null(start(fixture, NULL));
	assert_false(exists(fixture, ".bad"));
	assert_false(exists(fixture, ".proofs"));
	/* Somebody wants all to go. */
	assert_int_equal(store_db_open(&fixture->place, STORE_DB_RENEW, &db, &why), 0);
	store_db_close(db);
	assert_true(exists(fixture, ".bad"));
	put_proof(fixture, PYC_CHECK_OK);
}

/* ---- a disk that hangs ---- */

static void test_proofs_that_hang(void **state)
{
	const struct pyc_policy canonical = {0};
	struct fixture *fixture = *state;

	put_proof(fixture, PYC_CHECK_BAD);
	write_pair(fixture, 1);
	proofs_hang = true;
	monotonic_ahead_s = -HOUR; /* nobody waits */
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_PROOFS_UNREAD);
	assert_int_equal(proofs_state, PROOFS_UNREAD);
	monotonic_ahead_s = HOUR;
	sem_post(&proofs_resume);
	join_detached();
	proofs_hang = false;
	assert_int_equal(reason_of(fixture, &canonical), PYC_R_DISPROVED);
}

/* The store is too late, the proofs are not. */
static void test_proofs_before_a_store_that_hangs(void **state)
{
	struct fixture *fixture = *state;
	struct proof_book proofs;
	struct recall *recall;
	struct table *table;

	put_proof(fixture, PYC_CHECK_BAD);
	while (sem_trywait(&resume) == 0 || sem_trywait(&hung) == 0)
		; /* of an earlier test */
	hang = true;
	monotonic_ahead_s = -HOUR;
	recall = recall_start(&fixture->place, fixture->root_fd, STORE_DEFAULT_SIZE, false);
	sem_wait(&hung);
	assert_null(recall_await(recall, &table, &proofs));
	assert_null(table);
	assert_int_equal(proofs.state, PROOFS_READ);
	assert_int_equal(proofs.set.count, 1);
	proof_book_fini(&proofs);
	monotonic_ahead_s = HOUR;
	hang = false;
	for (int i = 0; i < 100; i++)
		sem_post(&resume);
	join_detached();
}

/* A start that nobody waits for goes on when its caller has closed the descriptor. */
static void test_a_start_has_its_own_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct proof_book proofs;
	struct table *table;
	struct store *store;

	last_asked = -1;
	store = recall_await(
		recall_start(&fixture->place, fixture->root_fd, STORE_DEFAULT_SIZE, false),
		&table, &proofs);
	assert_non_null(store);
	assert_true(last_asked >= 0 && last_asked != fixture->root_fd);
	store_close(store);
	table_free(table);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_each_validator),
		TEST(test_file_systems_that_do_not_vouch),
		TEST(test_inodes_that_do_not_vouch),
		TEST(test_images_are_apart),
		TEST(test_not_stored),
		TEST(test_refused_files),
		TEST(test_refused_directories),
		TEST(test_swapped_directory),
		TEST(test_default_place),
		TEST(test_foreign_files),
		TEST(test_damaged_headers),
		TEST(test_set_aside_or_left_alone),
		TEST(test_busy),
		TEST(test_hostile_schemas),
		TEST(test_hostile_rows),
		TEST(test_damage),
		TEST(test_disk_full),
		TEST(test_a_writer_that_hangs),
		TEST(test_old_images_go_first),
		TEST(test_images_of_the_future),
		TEST(test_bounded_while_writing),
		TEST(test_proofs),
		TEST(test_proofs_that_cannot_be_read),
		TEST(test_proofs_beside_a_busy_database),
		TEST(test_proof_of_another_source),
		TEST(test_proof_of_another_level),
		TEST(test_header_does_not_displace_a_body),
		TEST(test_sources_are_read_again),
		TEST(test_bodies_are_stored_and_nothing_else),
		TEST(test_old_proofs_are_moved),
		TEST(test_old_proofs_are_not_lost),
		TEST(test_proofs_that_hang),
		TEST(test_proofs_before_a_store_that_hangs),
		TEST(test_a_start_has_its_own_descriptor),
	};

	replace_writes();
	sem_init(&hung, 0, 0);
	sem_init(&resume, 0, 0);
	sem_init(&proofs_resume, 0, 0);
	freopen("/dev/null", "w", stderr); /* one warning for each round */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
