/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The place of the database; see place.h.
 */
#include "cache/store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"

/* Directories deeper than this are nobody's. */
#define MAX_DEPTH 128

/* What SQLite makes beside a database. */
static const char *const companions[] = {"-wal", "-journal", "-shm"};

/* ---- the directory ---- */

static const char *store_place_environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

char *store_place_default(void)
{
	const char *state = store_place_environment("STATE_DIRECTORY");
	const char *cache = store_place_environment("XDG_CACHE_HOME");
	const char *home = store_place_environment("HOME");
	char *path = NULL;
	int n = -1;

	if (state) /* systemd.exec(5): several are separated by colons */
		n = asprintf(&path, "%.*s/cache.db", (int)strcspn(state, ":"), state);
	else if (geteuid() == 0)
		return strdup("/var/lib/canonfs/cache.db");
	else if (cache)
		n = asprintf(&path, "%s/canonfs/cache.db", cache);
	else if (home)
		n = asprintf(&path, "%s/.cache/canonfs/cache.db", home);
	return n < 0 ? NULL : path;
}

/* Makes the last two directories of a default path if they are missing. */
static void store_place_make_dir(const char *path)
{
	scope_free char *dir = path_parent(path);
	scope_free char *above = dir ? path_parent(dir) : NULL;

	if (!above || mkdir(dir, 0700) == 0 || errno != ENOENT)
		return;
	mkdir(above, 0700);
	mkdir(dir, 0700);
}

/* Could somebody else put another file at a name in this directory? */
static bool store_place_is_ours_alone(const struct stat *st, bool sticky_will_do)
{
	bool writable = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;

	if (st->st_uid != geteuid() && st->st_uid != 0)
		return false;
	return !writable || (sticky_will_do && st->st_mode & S_ISVTX);
}

/*
 * The directory itself, then all above it: in a directory with the sticky bit others
 * cannot move what is ours.
 */
static int store_place_check_ancestors(int dir_fd, struct reason *why)
{
	scope_fd int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	struct stat st, above;

	if (fd < 0 || fstat(fd, &st) < 0)
		return reason_set_errno(why, -errno, "its directory cannot be looked at");
	if (!store_place_is_ours_alone(&st, false))
		return reason_set(why, -EPERM, "others can write its directory");
	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		int next = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (next < 0 || fstat(next, &above) < 0) {
			close_fd(&next);
			return reason_set_errno(why, -errno,
						"a directory above it cannot be looked at");
		}
		close_fd(&fd);
		fd = next;
		if (above.st_dev == st.st_dev && above.st_ino == st.st_ino)
			return 0;
		if (!store_place_is_ours_alone(&above, true))
			return reason_set(why, -EPERM,
					  "others can write a directory above it");
		st = above;
	}
	return reason_set(why, -ELOOP, "it lies too deep");
}

/*
 * Opens the directory of @path. SQLite gets the directory's real path, so no symlink that
 * somebody puts in later is followed.
 */
static int store_place_open_dir(struct store_place *place, const char *path,
				struct reason *why)
{
	scope_free char *dir = path_parent(path);
	scope_free char *real = dir ? realpath(dir, NULL) : NULL;
	const char *name = path_last(path);
	struct stat st;
	int r;

	if (!real)
		return reason_set_errno(why, -errno, "its directory cannot be used");
	r = openat2_fd(AT_FDCWD, real, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (r < 0)
		return reason_set_errno(why, r, "its directory cannot be used");
	place->dir_fd = r;
	place->path = path_join(real, name);
	if (!place->path || asprintf(&place->proofs, "%s.proofs", place->path) < 0) {
		place->proofs = NULL;
		return reason_set(why, -ENOMEM, "out of memory");
	}
	if (fstatat(place->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISREG(st.st_mode))
		return reason_set(why, -EPERM, "it is not a regular file");
	return 0;
}

int store_place_open(struct store_place *place, const char *path, struct reason *ret_why)
{
	scope_free char *standard = path ? NULL : store_place_default();
	int r;

	*place = (struct store_place){.dir_fd = -1, .is_default = !path};
	if (!path && !standard)
		return reason_set(ret_why, -ENOENT,
				  "there is no place for it: HOME is not set");
	if (!path)
		store_place_make_dir(standard);
	r = store_place_open_dir(place, path ? path : standard, ret_why);
	return r < 0 ? r : store_place_check_ancestors(place->dir_fd, ret_why);
}

void store_place_close(struct store_place *place)
{
	free(place->path);
	free(place->proofs);
	place->path = place->proofs = NULL;
	close_fd(&place->dir_fd);
}

/* ---- the files ---- */

static const char *store_place_name(const struct store_place *place)
{
	return path_last(place->path);
}

/* The name of a file beside the database, the caller's; NULL when out of memory. */
static char *store_place_beside(const struct store_place *place, const char *suffix)
{
	char *name;

	return asprintf(&name, "%s%s", store_place_name(place), suffix) < 0 ? NULL : name;
}

int store_place_check_stat(const struct stat *st, struct reason *ret_why)
{
	if (!S_ISREG(st->st_mode))
		return reason_set(ret_why, -EPERM, "it is not a regular file");
	if (st->st_uid != geteuid())
		return reason_set(ret_why, -EPERM, "it belongs to somebody else");
	if ((st->st_mode & 07777) != 0600)
		return reason_set(ret_why, -EPERM, "its mode is not 0600");
	if (st->st_nlink > 1)
		return reason_set(ret_why, -EPERM, "it has more than one name");
	return 0;
}

static int store_place_check_file(const struct store_place *place, const char *name,
				  struct reason *why)
{
	struct stat st;

	if (fstatat(place->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
			       ? reason_set(why, -ENOENT, "there is none yet")
			       : reason_set_errno(why, -errno, "it cannot be looked at");
	return store_place_check_stat(&st, why);
}

static int store_place_check_companions(const struct store_place *place, struct reason *why)
{
	for (size_t i = 0; i < ARRAY_SIZE(companions); i++) {
		scope_free char *name = store_place_beside(place, companions[i]);
		int r;

		if (!name)
			return reason_set(why, -ENOMEM, "out of memory");
		r = store_place_check_file(place, name, why);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return reason_set(why, r, "the %s file beside it is not ours alone",
					  companions[i]);
	}
	return 0;
}

int store_place_check(const struct store_place *place, bool create, struct reason *ret_why)
{
	int r;

	if (create) {
		/* Before SQLite has the file open: closing ours would drop its locks. */
		int fd = openat(place->dir_fd, store_place_name(place),
				O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd >= 0)
			fchmod(fd, 0600); /* whatever the umask is */
		else if (errno != EEXIST)
			return reason_set_errno(ret_why, -errno, "it cannot be made");
		close_fd(&fd);
	}
	r = store_place_check_file(place, store_place_name(place), ret_why);
	if (r == 0)
		r = store_place_check_companions(place, ret_why);
	if (r == 0)
		ret_why->text[0] = '\0';
	return r;
}

int store_place_set_aside(const struct store_place *place)
{
	scope_free char *bad = store_place_beside(place, ".bad");

	if (!bad)
		return -ENOMEM;
	if (renameat(place->dir_fd, store_place_name(place), place->dir_fd, bad) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(companions); i++) {
		scope_free char *name = store_place_beside(place, companions[i]);

		if (name)
			unlinkat(place->dir_fd, name, 0);
	}
	return 0;
}
