/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where programs lie that could be Python interpreters, by their names; nothing is run. And
 * the list of interpreters: a program that was found has .program, .name, .device and
 * .inode.
 *
 * A tree that is looked at may have anybody's programs. $PATH, $HOME and $PYENV_ROOT come
 * from whoever called sudo(8), and lead to that user's. So everybody takes from this
 * machine only her or his own and root's: the program and each directory above it are, and
 * nobody else may write to them.
 */
#ifndef CANONFS_CLI_PYTHON_PLACES_H
#define CANONFS_CLI_PYTHON_PLACES_H

#include "cli/python/interpreters.h"

/* Frees a NULL-terminated array and its strings; NULL is none. */
void free_strings(char **strings);

/* Frees what an interpreter owns, and empties it. */
void interpreter_fini(struct interpreter *interpreter);

/* Moves @interpreter to the end of the list. Return: 0; -ENOMEM, then it stays. */
int interpreters_put(struct interpreter_list *list, struct interpreter *interpreter);

/* The one that is the same file: programs have several hard links. NULL for none. */
struct interpreter *interpreters_find_same(const struct interpreter_list *list,
					   const struct interpreter *program);

/* "python", "python3", "python3.13t", "pypy3.9", "graalpy"; not "python3-config". */
bool is_interpreter_name(const char *name);

/**
 * program_is_ours() - whether nobody but root and this user decides what a program does
 * @path: absolute, without symlinks
 *
 * In a user namespace root's files are somebody else's (65534); there the owner of "/"
 * counts as root. A directory with the sticky bit, as /tmp, may be written by others. A
 * group with its user's number is that user's alone, as login(1) takes it.
 */
bool program_is_ours(const char *path);

/**
 * candidates_find() - add every executable of such a name, each file once; no scripts
 * @root_fd: the readers' root directory
 * @is_host: whether that is ours: then PATH and pyenv's versions count
 *
 * Their .name is the last component of .program where that is an interpreter's name, else
 * the name that was found. list->distrusted is one that others can change, and was left
 * out.
 * Return: 0 or -ENOMEM.
 */
int candidates_find(int root_fd, bool is_host, struct interpreter_list *list);

/**
 * candidates_find_in() - the same for one directory of this machine or an image
 * @dir: absolute, of who has that root directory
 */
int candidates_find_in(int root_fd, bool is_host, const char *dir,
		       struct interpreter_list *list);

/**
 * candidate_named() - the program that a user means
 * @program: a path, or a name that is looked up as candidates_find() does; a script is the
 *           last resort there
 * @ret:     empty; interpreter_fini() it either way
 *
 * Whoever gives a path means that program. A name means none that others can change.
 * Return: 0; 1 for a script; -ENOENT, -EACCES (not an executable file), -EPERM (others can
 * change all that have the name), -ENOMEM.
 */
int candidate_named(int root_fd, bool is_host, const char *program,
		    struct interpreter *ret);

#endif
