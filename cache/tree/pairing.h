/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which source file a bytecode file pairs with, by their paths in the tree.
 */
#ifndef CANONFS_CACHE_TREE_PAIRING_H
#define CANONFS_CACHE_TREE_PAIRING_H

#include "pyc/names.h"

/**
 * pairing_name() - pyc_name_parse() of a path
 * @ret_name: points into @path
 */
enum pyc_placement pairing_name(const char *path, struct pyc_name *ret_name);

/**
 * pairing_source() - the path of the source that pairs with a pyc
 * @path:     of the pyc, relative to the tree
 * @name:     what pairing_name() said of @path
 * @ret_path: the caller's to free; written on success only
 * Return: 0, -ENOENT where no source can pair with it, -ENOMEM.
 */
int pairing_source(const char *path, const struct pyc_name *name, char **ret_path);

#endif
