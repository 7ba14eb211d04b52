/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guesses the tree that people would mount for a file. explain and trace look at that tree
 * and name it in the commands that they suggest.
 */
#ifndef CANONFS_CLI_TREES_MOUNTABLE_H
#define CANONFS_CLI_TREES_MOUNTABLE_H

/**
 * mountable_tree() - guess the tree of a file
 * @root:   the readers' root directory: absolute, without symlinks; "/" for ours
 * @folder: the directory that holds the source, as a reader in @root calls it: absolute,
 *          without symlinks. For bytecode it is the one above the __pycache__.
 *
 * The guess is the first of these that exists: the canonfs mount that holds the folder; the
 * folder's path up to a component "usr"; the prefix of a Python (before lib/python3.11);
 * the mount that holds the folder, if it is read-only; the folder above the packages. The
 * tree never reaches beyond the mount that holds the folder, since a canonfs mount would
 * not. It is "/" only for a file in "/" itself, because the times there are mixed.
 *
 * Return: the tree as a reader in @root calls it; the caller's; NULL when out of memory.
 */
char *mountable_tree(const char *root, const char *folder);

#endif
