/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file with the proofs; see proof_file.h.
 */
#include "cache/store/proof_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/store/db.h"

/* More than PROOF_MAX lines of any length. */
#define PROOF_FILE_BYTES_MAX (64 << 20)

#define CHECKSUM_WORD  "checksum "
#define CHECKSUM_BYTES (sizeof(CHECKSUM_WORD) - 1 + 16 + 1)

#define RETRY_NS 5000000

const char *proof_state_name(enum proof_state state)
{
	static const char *const names[] = {"none", "read", "unread"};

	return names[state];
}

/* The file's name in its directory. */
static const char *proof_file_name(const struct store_place *place)
{
	return path_last(place->proofs);
}

/* ---- reading ---- */

/*
 * Opens the file if it is ours alone. A fifo in its place does not stop us. Return: -ENOENT
 * where there is none.
 */
static int proof_file_open(const struct store_place *place, struct reason *why)
{
	scope_fd int fd = openat(place->dir_fd, proof_file_name(place),
				 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return reason_set_errno(why, -errno, "it cannot be opened");
	r = store_place_check_stat(&st, why);
	return r < 0 ? r : take_fd(&fd);
}

static void proof_file_checksum(const char *data, size_t len, char line[CHECKSUM_BYTES + 1])
{
	snprintf(line, CHECKSUM_BYTES + 1, CHECKSUM_WORD "%016" PRIx64 "\n",
		 (uint64_t)XXH3_64bits(data, len));
}

/* Takes the proofs out of what the file holds, if the checksum at its end is right. */
static int proof_file_parse(char *data, size_t len, struct proof_set *set)
{
	char line[CHECKSUM_BYTES + 1];
	size_t line_number;
	FILE *stream;
	int r;

	if (len <= CHECKSUM_BYTES)
		return -EBADMSG;
	len -= CHECKSUM_BYTES;
	proof_file_checksum(data, len, line);
	if (memcmp(data + len, line, CHECKSUM_BYTES) != 0)
		return -EBADMSG;
	stream = fmemopen(data, len, "r");
	if (!stream)
		return -errno;
	r = proof_set_read(set, stream, &line_number);
	fclose(stream);
	return r;
}

/* Return: 0; -ENOENT where there is no file; another -errno with *@why. */
static int proof_file_read(const struct store_place *place, struct proof_set *set,
			   struct reason *why)
{
	scope_fd int fd = proof_file_open(place, why);
	scope_free char *data = NULL;
	size_t len = 0;
	int r = fd < 0 ? fd : read_file(fd, PROOF_FILE_BYTES_MAX, &data, &len);

	if (fd < 0)
		return r;
	if (r == 0)
		r = proof_file_parse(data, len, set);
	if (r == -EBADMSG)
		return reason_set(why, r, "it is damaged, or of another version");
	return r < 0 ? reason_set_errno(why, r, "it cannot be read") : 0;
}

/*
 * Proofs in a database of an earlier version are moved to the file. Return: 0; -ENOENT
 * where there are none; another -errno where they cannot be moved.
 */
static int proof_file_move_old(const struct store_place *place, struct reason *why)
{
	struct store_db *db = NULL;
	int r;

	if (!store_db_has_old_proofs(place))
		return -ENOENT;
	r = store_db_open(place, STORE_DB_EXISTING, &db, why);
	store_db_close(db);
	/* Another process may have moved them meanwhile. */
	return r < 0 && store_db_has_old_proofs(place) ? r : 0;
}

void proof_book_read(struct proof_book *ret_book, const struct store_place *place)
{
	struct reason why = {""};
	int r;

	*ret_book = (struct proof_book){.state = PROOFS_NONE};
	r = proof_file_move_old(place, &why);
	if (r == 0 || r == -ENOENT)
		r = proof_file_read(place, &ret_book->set, &why);
	if (r == 0)
		ret_book->state = PROOFS_READ;
	else if (r != -ENOENT)
		*ret_book = (struct proof_book){.state = PROOFS_UNREAD, .why = why};
}

/*
 * Has a place that may not be used any proofs? None were recorded where there is no
 * directory, nor by us where we may not look; root may look everywhere.
 */
static bool proof_book_may_be(const struct store_place *place, int error)
{
	struct stat st;

	if (place->proofs)
		return fstatat(place->dir_fd, proof_file_name(place), &st,
			       AT_SYMLINK_NOFOLLOW) == 0 ||
		       errno != ENOENT || store_db_has_old_proofs(place);
	return error != -ENOENT && error != -ENOTDIR &&
	       (error != -EACCES || geteuid() == 0);
}

void proof_book_refuse(struct proof_book *ret_book, const struct store_place *place,
		       int error, const struct reason *why)
{
	*ret_book = (struct proof_book){.state = PROOFS_NONE};
	if (proof_book_may_be(place, error))
		*ret_book = (struct proof_book){.state = PROOFS_UNREAD, .why = *why};
}

void proof_book_warn(const struct proof_book *book, const char *path)
{
	if (book->state == PROOFS_UNREAD)
		log_warning("cannot read the proofs %s: %s; bytecode for which only times "
			    "speak counts as stale; canonfs cache clear deletes them",
			    quoted(path ? path : "in the default place"), book->why.text);
}

void proof_book_fini(struct proof_book *book)
{
	proof_set_fini(&book->set);
}

/* ---- writing ---- */

/* The new file until it has its name; also the lock of those who write. */
static char *proof_file_new_name(const struct store_place *place)
{
	char *name;

	return asprintf(&name, "%s.new", proof_file_name(place)) < 0 ? NULL : name;
}

/* Is @fd still the file of that name? The writer before us may have renamed it. */
static bool proof_file_is_named(const struct store_place *place, const char *name, int fd)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 &&
	       fstatat(place->dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Return: a descriptor that holds the lock; -EAGAIN where somebody else has it. */
static int proof_file_try_lock(const struct store_place *place, const char *name)
{
	scope_fd int fd =
		openat(place->dir_fd, name,
		       O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return proof_file_is_named(place, name, fd) ? take_fd(&fd) : -EAGAIN;
}

static int proof_file_lock(const struct store_place *place, const char *name,
			   struct reason *why)
{
	const struct timespec wait = {.tv_nsec = RETRY_NS};
	int64_t until = clock_ms() + PROOF_FILE_LOCK_MS;
	int r;

	while ((r = proof_file_try_lock(place, name)) == -EAGAIN && clock_ms() < until)
		nanosleep(&wait, NULL);
	if (r == -EAGAIN)
		return reason_set(why, -EBUSY, "another command is writing it");
	return r < 0 ? reason_set_errno(why, r, "it cannot be written") : r;
}

static int proof_file_fill(int fd, const struct proof_set *set)
{
	scope_free char *text = NULL;
	char line[CHECKSUM_BYTES + 1];
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	FILE *file;
	int r;

	if (!memory)
		return -errno;
	r = proof_set_write(set, memory);
	if (fclose(memory) != 0 && r == 0)
		r = -errno;
	if (r < 0)
		return r;
	file = fdopen(fd, "w");
	if (!file) {
		close_fd(&fd);
		return -errno;
	}
	proof_file_checksum(text, len, line);
	if (fwrite(text, 1, len, file) != len || fputs(line, file) < 0 ||
	    fflush(file) != 0 || fsync(fileno(file)) < 0)
		r = errno ? -errno : -EIO;
	if (fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}

/* The name of a file that was renamed is on the disk when its directory is. */
static void proof_file_sync_dir(const struct store_place *place)
{
	scope_fd int fd = openat(place->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fsync(fd);
}

/* Writes @set in place of the file. @lock is that of proof_file_lock(). */
static int proof_file_replace(const struct store_place *place, const char *new_name,
			      int lock, const struct proof_set *set)
{
	scope_fd int fd = fcntl(lock, F_DUPFD_CLOEXEC, 0);
	int r = 0;

	if (fd < 0 || fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0)
		return -errno;
	r = proof_file_fill(take_fd(&fd), set);
	if (r == 0 &&
	    renameat(place->dir_fd, new_name, place->dir_fd, proof_file_name(place)) < 0)
		r = -errno;
	if (r == 0)
		proof_file_sync_dir(place);
	return r;
}

/* What is there already; empty where nothing is. */
static int proof_file_merge(const struct store_place *place, const struct proof_set *more,
			    struct proof_set *set, struct reason *why)
{
	int r = proof_file_read(place, set, why);

	if (r < 0 && r != -ENOENT)
		return r;
	r = proof_set_merge(set, more);
	if (r == -E2BIG)
		return reason_set(why, r, "it would have more than %d proofs", PROOF_MAX);
	return r < 0 ? reason_set_errno(why, r, "it cannot be written") : 0;
}

int proof_file_take_over(const struct store_place *place, const struct proof_set *more,
			 struct reason *ret_why)
{
	scope_free char *new_name = proof_file_new_name(place);
	struct proof_set set = {.count = 0};
	scope_fd int lock = -1;
	int r;

	if (!new_name)
		return reason_set_errno(ret_why, -ENOMEM, "it cannot be written");
	lock = proof_file_lock(place, new_name, ret_why);
	if (lock < 0)
		return lock;
	r = proof_file_merge(place, more, &set, ret_why);
	if (r == 0) {
		r = proof_file_replace(place, new_name, lock, &set);
		if (r < 0)
			reason_set_errno(ret_why, r, "it cannot be written");
	}
	if (r < 0)
		unlinkat(place->dir_fd, new_name, 0);
	proof_set_fini(&set);
	return r;
}

int proof_file_record(const struct store_place *place, const struct proof_set *more,
		      struct reason *ret_why)
{
	int r = proof_file_move_old(place, ret_why);

	return r == 0 || r == -ENOENT ? proof_file_take_over(place, more, ret_why) : r;
}

int proof_file_can_record(const struct store_place *place, struct reason *ret_why)
{
	if (faccessat(place->dir_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return reason_set_errno(ret_why, -errno, "it cannot be written");
	return 0;
}

int proof_file_delete(const struct store_place *place, struct reason *ret_why)
{
	scope_free char *new_name = proof_file_new_name(place);
	scope_fd int lock = -1;
	int r = 0;

	if (!new_name)
		return reason_set_errno(ret_why, -ENOMEM, "it cannot be deleted");
	lock = proof_file_lock(place, new_name, ret_why);
	if (lock < 0)
		return lock;
	if (unlinkat(place->dir_fd, proof_file_name(place), 0) < 0)
		r = reason_set_errno(ret_why, -errno, "it cannot be deleted");
	unlinkat(place->dir_fd, new_name, 0);
	return r;
}
