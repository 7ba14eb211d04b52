/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another process, seen through /proc: is it a Python, and what do its paths mean here?
 */
#ifndef CANONFS_CLI_TRACE_PYTHON_PROCESS_H
#define CANONFS_CLI_TRACE_PYTHON_PROCESS_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "pyc/header.h"

/**
 * struct python_process - a process that this one traces; the strings are owned
 * @pid:     thread group
 * @pidfd:   its descriptor; owned, -1 where there is none
 * @program: path of the executable file
 * @root:    its root directory, "" for ours
 * @elsewhere: it is in another mount namespace, so that its paths mean nothing here
 */
struct python_process {
	pid_t pid;
	int pidfd;
	char *program;
	char *root;
	bool elsewhere;
};

/*
 * What /proc does not show stays empty. Return: 0 or -ENOMEM; python_process_close() either
 * way.
 */
int python_process_open(struct python_process *process, pid_t pid);

void python_process_close(struct python_process *process);

/**
 * python_process_is_python() - can this process import modules?
 * @bytecode: name of the bytecode file that it opens first; NULL as long as there is none
 *
 * It can if the program is called python, pypy or graalpy, or has libpython or libpypy in
 * memory when it opens bytecode. A program with Python built in is known by the bytecode
 * that every Python 3 opens first: that of the package encodings.
 */
bool python_process_is_python(const struct python_process *process, const char *bytecode);

/**
 * python_process_path() - the path, for us, of a name that the process gave the kernel
 * @dir: the descriptor of the process that the name is relative to, or AT_FDCWD
 *
 * Only links in the path of the working directory or of @dir are resolved.
 * Return: absolute, the caller's; NULL when out of memory.
 */
char *python_process_path(const struct python_process *process, int dir, const char *name);

/**
 * python_process_file() - look at a descriptor of the process; its offset is not moved
 * @ret_header: its first bytes, PYC_HEADER_MAX at most; NULL: they are not read
 * Return: how many bytes those are, or -errno; -EINVAL where it is not a regular file.
 */
ssize_t python_process_file(const struct python_process *process, int fd,
			    uint8_t *ret_header, struct stat *ret_st);

#endif
