/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Python interpreters that are installed, here or in an image.
 */
#ifndef CANONFS_CLI_PYTHON_INTERPRETERS_H
#define CANONFS_CLI_PYTHON_INTERPRETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "pyc/magic.h"

/**
 * struct interpreter - one program; the strings are owned
 * @program: its path as a process in @root sees it, links resolved
 * @name:    as it was found: "python3.11", "pypy3"
 * @root:    the image that it is run in, in a sandbox; NULL for "/"
 * @release: all of its version, which tells its compiler from others of the same magic:
 *           "3.11.2", "PyPy 7.3.11 (3.9.16)"; NULL where only its name is known
 * @magic:   of the bytecode that it reads and writes; static storage
 * @prefix:  sys.base_prefix; its own libraries lie below; NULL with @release
 * @libraries: what is on its path by default (sys.path without the script's folder),
 *           NULL-terminated; never NULL itself
 * @device, @inode: of the program
 * @was_named: the user named it: interpreters_add()
 */
struct interpreter {
	char *program;
	char *name;
	char *root;
	char *release;
	const struct pyc_magic *magic;
	char *prefix;
	char **libraries;
	dev_t device;
	ino_t inode;
	bool was_named;
};

/**
 * struct interpreter_list - interpreters
 * @distrusted: the path of one that was left out since other users can change it
 *              (places.h); NULL for none; owned
 */
struct interpreter_list {
	struct interpreter *interpreters;
	size_t count;
	char *distrusted;
};

/* How interpreters_find() learns what an image's interpreters are. */
enum interpreters_how {
	INTERPRETERS_NAMED, /* their names tell; none of them is run */
	INTERPRETERS_ASKED, /* they are run in a sandbox; one line is logged where that
			       fails */
};

/**
 * interpreters_find() - what the installed interpreters are
 * @root: the readers' root directory; "/" or an image's
 * @how:  of an image. This machine's are always asked. An image's that is not asked, or
 *        does not answer, is known by its name if that says the version (python3.11 has the
 *        final release's magic), and has no release.
 * @ret_list: written always; sorted by implementation, version and release, the newest last
 *
 * Looks in PATH (not in an image), /usr/local/bin, /usr/bin and where pyenv keeps versions;
 * one of each program (links resolved; scripts such as pyenv's shims are none) is run once,
 * isolated (-E -s -B), all at the same time, with a time limit. An interpreter that does
 * not answer, or whose magic is not known, is left out. Nothing is run that other users can
 * change (places.h); one line is logged where that leaves something out. Return: 0 or
 * -errno; interpreters_free() either way.
 */
int interpreters_find(const char *root, enum interpreters_how how,
		      struct interpreter_list *ret_list);

/**
 * interpreters_add() - the same for one program that the user named
 * @root:    as above; the program is asked
 * @program: path, whoever's it is, or a name to be looked up where interpreters_find()
 * looks. May be a script that starts an interpreter: that one is added.
 * @list:    the program is the last of it afterwards, also if it was in the list
 * Return: 0; -errno with one line logged where it is no interpreter that we know.
 */
int interpreters_add(const char *root, const char *program, struct interpreter_list *list);

/**
 * interpreters_find_in() - the same for the programs in one directory
 * @dir:  as who is in @root calls it
 * @list: has those that are known; others are added if they may be run
 */
int interpreters_find_in(const char *root, const char *dir, struct interpreter_list *list);

/**
 * interpreters_of_dir() - which of the list are the programs in a directory?
 * @dir: as above
 * Return: the first that reads @magic, in the order of interpreters_next(); NULL for none.
 */
const struct interpreter *interpreters_of_dir(const struct interpreter_list *list,
					      const struct pyc_magic *magic,
					      const char *root, const char *dir);

/**
 * interpreters_next() - an interpreter that reads the bytecode of a magic
 * @after: the one that was returned before; NULL for the first, which is the newest, or the
 *         last one that was added
 * Return: NULL for none, or no more.
 */
const struct interpreter *interpreters_next(const struct interpreter_list *list,
					    const struct pyc_magic *magic,
					    const struct interpreter *after);

/* The name of the program for a magic: "python3.11", "pypy3.9", "graalpy"; the caller's,
 * NULL when out of memory. */
char *interpreter_program(const struct pyc_magic *magic);

/* Follows the links in .prefix and .libraries of this machine's, for interpreters_owner().
 */
void interpreters_resolve_libraries(struct interpreter_list *machine);

/**
 * interpreters_owner() - the interpreter that imports a file where it lies
 * @path: absolute, in the interpreters' root directory, without symlinks
 *
 * Of those below whose prefix or on whose path it lies, the closest one; of equals the
 * newest. Return: NULL for none.
 */
const struct interpreter *interpreters_owner(const struct interpreter_list *list,
					     const struct pyc_magic *magic,
					     const char *path);

void interpreters_free(struct interpreter_list *list);

#endif
