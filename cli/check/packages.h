/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: which package of dpkg installed a source file.
 */
#ifndef CANONFS_CLI_CHECK_PACKAGES_H
#define CANONFS_CLI_CHECK_PACKAGES_H

/* The Python sources of all packages; read only, so safe from any thread. */
struct packages;

/**
 * packages_load() - read the lists in var/lib/dpkg/info
 * @root_fd: of the root directory in which dpkg ran; symlinks resolve in it
 * Return: 0, -ENOENT where dpkg installed nothing, another -errno.
 */
int packages_load(int root_fd, struct packages **ret_packages);

void packages_free(struct packages *packages);

/* The package of a file; NULL for none. @packages may be NULL. */
const char *packages_find(const struct packages *packages, const char *dir,
			  const char *name);

#endif
