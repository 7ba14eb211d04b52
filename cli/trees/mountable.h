/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which tree would be mounted for a file, where nobody says: what explain and trace look
 * at, and what they tell people to mount. (check and verify are told.)
 */
#ifndef CANONFS_CLI_TREES_MOUNTABLE_H
#define CANONFS_CLI_TREES_MOUNTABLE_H

/**
 * mountable_tree() - guess the tree of a file
 * @root:   the readers' root directory: absolute, without symlinks; "/" for ours
 * @folder: the directory that holds the source, as a reader in @root calls it: absolute,
 *          without symlinks; of bytecode the one above its __pycache__
 *
 * The first that there is of: the canonfs mount that holds the folder; the folder's path up
 * to a first component "usr"; the prefix of a Python (before lib/python3.11); the mount
 * that holds it, if that is read-only; what lies above its packages. None reaches beyond
 * the mount that holds the folder, since a mount of ours would not. None is "/", whose
 * mixture of times tells nothing, but for a file right in it.
 *
 * Return: as a reader in @root calls it; the caller's; NULL when out of memory.
 */
char *mountable_tree(const char *root, const char *folder);

#endif
