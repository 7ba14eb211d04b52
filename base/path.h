/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths as text.
 */
#ifndef CANONFS_BASE_PATH_H
#define CANONFS_BASE_PATH_H

#include <string.h>

/**
 * path_below() - where a path lies in a directory
 * @path, @dir: absolute, without symlinks, "." or ".."; @dir may be "/"
 *
 * Return: the rest of @path, "" for @dir itself, else from its slash on; NULL where @path
 * does not lie there.
 */
static inline const char *path_below(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	if (strncmp(path, dir, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

#endif
