/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An interpreter that compiles sources for canonfs verify: a process that runs
 * worker.py and answers over pipes.
 */
#ifndef CANONFS_CLI_VERIFY_WORKER_H
#define CANONFS_CLI_VERIFY_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/python/child.h"
#include "cli/python/interpreters.h"

/**
 * struct verify_worker - a process, or none; zeroed is none
 * @child: the process; its standard output is the answers
 * @requests: its standard input; meaningful if @is_running
 */
struct verify_worker {
	bool is_running;
	struct child child;
	int requests;
};

/**
 * struct verify_answer - what became of a source
 * @compiled: whether it could be compiled
 * @data:     the bytecode's body; else what is wrong, printable and ended by a NUL; owned
 * @len:      bytes of it
 */
struct verify_answer {
	bool compiled;
	uint8_t *data;
	size_t len;
};

/* Does this interpreter get the level at its start, for all sources? */
bool verify_worker_has_one_level(const struct interpreter *interpreter);

/**
 * verify_worker_start() - start an interpreter, and check its magic
 * @level: of optimisation, if verify_worker_has_one_level()
 *
 * Return: 0; -ENOEXEC where it does not run, or is of another magic than it was;
 * -ETIMEDOUT; another -errno.
 */
int verify_worker_start(struct verify_worker *worker, const struct interpreter *interpreter,
			int level, int timeout_ms);

/**
 * verify_worker_compile() - compile a source
 * @timeout_ms: after which it is given up
 *
 * Return: 0; -EPIPE where the interpreter crashed; -ETIMEDOUT; -EPROTO where it answers
 * nonsense; -ENOMEM. After a failure it does not run any more.
 */
int verify_worker_compile(struct verify_worker *worker, int level, const uint8_t *source,
			  size_t len, int timeout_ms, struct verify_answer *ret_answer);

/* Ends the process, if there is one. */
void verify_worker_stop(struct verify_worker *worker);

#endif
