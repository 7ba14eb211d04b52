/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs programs, several at a time, and collects what they print. Each has an end: in time,
 * in bytes, and with us.
 */
#ifndef CANONFS_CLI_PYTHON_CHILD_H
#define CANONFS_CLI_PYTHON_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"

/**
 * struct child - a program that runs, or ran
 * @pid:    0 where it could not be started, or is over
 * @out:    its end of the pipe; -1 once it was read to the end
 * @text:   what it printed, with a NUL after it; owned
 * @len:    bytes of it
 * @max:    bytes that it may print; one that prints more is ended
 * @status: as of waitpid(2); meaningful if @finished
 * @finished: it ended by itself, in time, and did not print too much
 */
struct child {
	pid_t pid;
	int out;
	char *text;
	size_t len;
	size_t max;
	int status;
	bool finished;
};

/**
 * struct child_command - what to run, and how
 * @argv:     absolute path and arguments, NULL-terminated
 * @root:     NULL for a program that is trusted. Else the absolute path of an image: its
 *            programs are anybody's, and run in a sandbox (cli/python/sandbox.h) or not at
 *            all.
 * @input:    descriptor of its standard input; -1 for /dev/null
 * @errors:   whether standard error is collected as well; else it is dropped
 * @max_bytes: that it may print
 * @memory_bytes: address space that it may use; 0: as much as it likes, or as the sandbox
 *            allows
 *
 * The program runs in the root directory and in a session of its own. Its environment has
 * PATH and LC_ALL only. It ends with the thread that started it. It cannot write to files:
 * PyPy saves bytecode in spite of -B.
 */
struct child_command {
	const char *const *argv;
	const char *root;
	int input;
	bool errors;
	size_t max_bytes;
	uint64_t memory_bytes;
};

/**
 * child_start() - start a program
 * @ret_child: written always; child_fini() it
 * Return: 0 or -errno. A program that cannot be executed, or not in its sandbox, ends with
 * status 127.
 */
int child_start(const struct child_command *command, struct child *ret_child);

/**
 * child_can_run_in() - whether programs of an image can be run, in a sandbox
 * @ret_why: what is missing, where they cannot
 */
bool child_can_run_in(const char *root, struct reason *ret_why);

/**
 * children_wait() - collect what programs print until all of them have ended
 * @timeout_ms: for all; programs that still run then are killed, with their children
 */
void children_wait(struct child *children, size_t count, int timeout_ms);

/* Whether it ended by itself with exit status 0. */
bool child_succeeded(const struct child *child);

/* Ends it if it still runs. */
void child_fini(struct child *child);

#endif
