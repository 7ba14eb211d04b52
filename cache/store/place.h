/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the database lies, and whether others could have written it.
 *
 * Whoever can write the database can have bytecode vouched for. So it has to belong to
 * us alone: a regular file with one link and mode 0600, in a directory that nobody else
 * can write or swap for another. With that, no check can be raced by anybody else.
 */
#ifndef CANONFS_CACHE_STORE_PLACE_H
#define CANONFS_CACHE_STORE_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/reason.h"

/**
 * struct store_place - the place of a database
 * @path:   absolute, of the file; its directory has no symlinks in it; owned
 * @proofs: the same of the file with the proofs, which lies beside it; owned
 * @dir_fd: O_PATH descriptor of the directory; owned
 * @is_default: nobody named it, so nobody is told that it is missing or busy
 */
struct store_place {
	char *path;
	char *proofs;
	int dir_fd;
	bool is_default;
};

/**
 * store_place_default() - where the cache lies unless one says otherwise
 *
 * $STATE_DIRECTORY/cache.db, /var/lib/canonfs/cache.db for root,
 * ${XDG_CACHE_HOME:-$HOME/.cache}/canonfs/cache.db for others.
 * Return: a path, the caller's; NULL where there is none.
 */
char *store_place_default(void);

/**
 * store_place_open() - find and check the directory
 * @path:    NULL for the default place, the directory of which is made (0700)
 * @ret_why: on failure, the reason
 * Return: 0 or -errno; store_place_close() either way. Where only the directory is not good
 * enough, the place is filled in nevertheless.
 */
int store_place_open(struct store_place *place, const char *path, struct reason *ret_why);

void store_place_close(struct store_place *place);

/**
 * store_place_check() - may the file, and what SQLite puts beside it, be used?
 * @create: make an empty file (0600) if there is none
 * Return: 0; -EPERM where others could have written it; another -errno (-ENOENT: there
 * is none; -EROFS...); *@ret_why says it.
 */
int store_place_check(const struct store_place *place, bool create, struct reason *ret_why);

/*
 * The same for one file, of which @st tells: -EPERM where it is not ours alone. A file that
 * was opened may have lost its name since.
 */
int store_place_check_stat(const struct stat *st, struct reason *ret_why);

/*
 * Renames the database to PATH.bad and deletes the files beside it. Return: 0; -errno where
 * it cannot be renamed: nothing has changed then.
 */
int store_place_set_aside(const struct store_place *place);

#endif
