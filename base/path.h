/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths as text.
 */
#ifndef CANONFS_BASE_PATH_H
#define CANONFS_BASE_PATH_H

/**
 * path_below() - where a path lies in a directory
 * @path, @dir: absolute, without symlinks, "." or ".."; @dir may be "/"
 *
 * Return: the rest of @path, "" for @dir itself, else from its slash on; NULL where @path
 * does not lie there.
 */
const char *path_below(const char *path, const char *dir);

/* The last component, all of a path without a slash; "" where @path ends with one. */
const char *path_last(const char *path);

/**
 * path_join() - the path of a name in a directory
 * @dir: may be "/"; of "." the result is @name alone, and of "" it begins with a slash
 * Return: the caller's to free; NULL when out of memory.
 */
char *path_join(const char *dir, const char *name);

/**
 * path_parent() - the directory that a path's last component is in
 * Return: "/" for what is in it and for "/" itself, "." for a path without a slash; the
 * caller's to free; NULL when out of memory.
 */
char *path_parent(const char *path);

#endif
