/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: to which distribution of Python, or package of the system, a file
 * belongs.
 */
#ifndef CANONFS_CLI_CHECK_OWNERS_H
#define CANONFS_CLI_CHECK_OWNERS_H

#include <stddef.h>

#include "cache/tree/walk.h"

enum check_by {
	CHECK_BY_DIRECTORY,
	CHECK_BY_DISTRIBUTION, /* what pip installs */
	CHECK_BY_PACKAGE,      /* what dpkg installs */
	CHECK_BYS
};

/**
 * struct owner - whose a file is
 * @name:     borrowed from the owners; NULL where nobody is known
 * @path_len: length of the part of the directory that stands for all of the owner's files
 */
struct owner {
	const char *name;
	size_t path_len;
};

/* Safe from any thread. */
struct owners;

/* Return: NULL when out of memory. */
struct owners *owners_new(enum check_by by);

void owners_free(struct owners *owners);

/**
 * owners_load_packages() - CHECK_BY_PACKAGE: read the lists of dpkg
 * @root_fd: of the readers' root directory
 * Return: 0 or -errno (ENOENT: dpkg installed nothing there).
 */
int owners_load_packages(struct owners *owners, int root_fd);

/**
 * owners_learn() - CHECK_BY_DISTRIBUTION: learn which distributions are installed in a
 * directory
 * @tree, @dir: where it is. Call this before owner_of() for what is below it.
 * @path:       absolute path of @dir
 */
void owners_learn(struct owners *owners, const struct tree *tree,
		  const struct walk_dir *dir, const char *path);

/**
 * owner_of() - who owns a source file, and its bytecode
 * @path: the source's directory, absolute; for packages, as a reader in the root sees it
 * @name: of the source; "" for what is not in @path itself
 */
struct owner owner_of(struct owners *owners, const char *path, const char *name);

#endif
