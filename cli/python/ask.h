/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking a real interpreter what it does with bytecode: it looks for modules and loads
 * their code, but runs none of it.
 */
#ifndef CANONFS_CLI_PYTHON_ASK_H
#define CANONFS_CLI_PYTHON_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/python/interpreters.h"
#include "pyc/outcome.h"

/**
 * struct ask_job - one module; the rest is written by ask()
 * @folder:   absolute path of the directory that is searched, as the interpreter sees it
 * @stem:     the file name without .py; both are borrowed
 * @answered: whether the interpreter got that far
 * @looked:   the bytecode file that it looks for; NULL where it finds no module; owned
 * @outcome:  what it does with that file
 * @error:    the name of the exception that the import ended with, NULL for none; owned
 * @lines:    what -v printed about it; owned
 */
struct ask_job {
	const char *folder;
	const char *stem;
	bool answered;
	char *looked;
	enum pyc_outcome outcome;
	char *error;
	char *lines;
};

/**
 * ask() - run an interpreter once for many modules
 * @level: of optimisation: 0, 1 for -O, 2 for -OO
 * @jobs:  .folder and .stem filled in; ask_job_fini() each, either way
 *
 * Isolated (-E -s -B), with -v. It does all of an import up to the code object:
 * PathFinder and the loader's get_code() in 3.4 and later; imp.load_module() in 2.7, where
 * a trace function stops the code before its first line. Return: 0; -ETIME where it did not
 * end in time, -EBADMSG where it failed altogether, or another -errno.
 */
int ask(const struct interpreter *interpreter, unsigned level, struct ask_job *jobs,
	size_t count);

void ask_job_fini(struct ask_job *job);

#endif
