/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where programs lie that could be Python interpreters, by their names; nothing is run.
 */
#ifndef CANONFS_CLI_PYTHON_PLACES_H
#define CANONFS_CLI_PYTHON_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * struct candidate - a program that may be an interpreter; the strings are owned
 * @program: absolute path as seen in the root directory, links resolved
 * @name:    the last component of @program where that is an interpreter's name, else as it
 *           was found
 * @is_script: it begins with #!
 * @device, @inode: which file it is: programs have several hard links
 */
struct candidate {
	char *program;
	char *name;
	bool is_script;
	dev_t device;
	ino_t inode;
};

struct candidate_list {
	struct candidate *candidates;
	size_t count;
};

/* "python", "python3", "python3.13t", "pypy3.9", "graalpy": no python3-config. */
bool is_interpreter_name(const char *name);

/**
 * candidates_find() - every executable of such a name, each file once
 * @root_fd: the readers' root directory
 * @is_host: whether that is ours: then PATH and pyenv's versions count
 *
 * No scripts.
 * Return: 0 or -ENOMEM; candidates_free() either way.
 */
int candidates_find(int root_fd, bool is_host, struct candidate_list *ret_list);

/**
 * candidate_named() - the program that a user means
 * @program: a path, or a name that is looked up as candidates_find() does; a script is the
 *           last resort there
 * @ret_list: one candidate
 * Return: 0, -ENOENT, -EACCES (not an executable file), -ENOMEM; candidates_free() either
 * way.
 */
int candidate_named(int root_fd, bool is_host, const char *program,
		    struct candidate_list *ret_list);

void candidates_free(struct candidate_list *list);

#endif
