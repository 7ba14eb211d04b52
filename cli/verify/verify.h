/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs verify: what it looks at, and what came of it.
 *
 *	verify.c	a run, and what the cache knows and will know
 *	collect.c	which bytecode files, and with which sources
 *	reader.c		which interpreter reads a file where it lies
 *	choose.c		which interpreters could have compiled a file
 *	compile.c	compiles and compares, on all processors
 *	worker.c		an interpreter as a compiler
 *	report.c		what is printed, and in which words
 *
 * A file's bytes are read into memory, then digested, compiled and compared there. A proof
 * holds for these bytes, whatever becomes of the file.
 */
#ifndef CANONFS_CLI_VERIFY_VERIFY_H
#define CANONFS_CLI_VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/store/proof.h"
#include "cli/python/child.h"
#include "cli/python/interpreters.h"
#include "cli/trees/tree_set.h"

/* ---- an interpreter as a compiler: a process that runs worker.py, and pipes ---- */

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

/* ---- files and what came of them ---- */

enum verify_result {
	VERIFY_PROVED,
	VERIFY_DISPROVED,
	VERIFY_UNKNOWN,
	VERIFY_NOT_TRIED,
	VERIFY_RESULTS
};

/* Why a file has its result; verify_why_result() is the map. */
enum verify_why {
	VERIFY_NOT_YET,
	/* proved */
	VERIFY_SAME,
	VERIFY_KNOWN_SAME, /* there is a proof in the cache */
	/* disproved */
	VERIFY_DIFFERS,
	VERIFY_KNOWN_DIFFERS,
	/* unknown */
	VERIFY_OTHER_COMPILER, /* differs, but the interpreter is not the file's own */
	VERIFY_NOT_COMPILED,   /* the source is no program to the interpreter */
	VERIFY_CRASHED,
	VERIFY_TIMED_OUT,
	VERIFY_UNDECIDED, /* bodies that cannot be compared */
	VERIFY_CHANGED,	  /* not what it was a moment ago, or cannot be read any more */
	/* not tried */
	VERIFY_NO_INTERPRETER,
	VERIFY_CANNOT_RUN,   /* there is one, but it does not run */
	VERIFY_NOT_VERIFIED, /* struct verify_file.reason says why */
	VERIFY_NO_LEVEL,
	VERIFY_UNREADABLE,
	VERIFY_WHYS
};

enum verify_result verify_why_result(enum verify_why why);

/* "proved", "not-tried". Static storage. */
const char *verify_result_name(enum verify_result result);

/**
 * struct verify_file - one bytecode file
 * @set: the tree that it is in; borrowed
 * @path:     relative to the tree; owned
 * @name:     parsed; points into @path
 * @magic:    NULL where it is not known
 * @level:    that its name says; see pyc_name_level()
 * @own:      the interpreter that reads it where it lies; borrowed; NULL: it is not known
 * @source, @body: digests of what was read; not set where @why is a reason not to try
 * @why:      the outcome
 * @reason:   of the verdict, for VERIFY_NOT_VERIFIED
 * @by:       the interpreter that decided or failed; NULL for none; borrowed
 * @field:    what of the code differs; static storage, may be NULL
 * @error:    what the interpreter said of the source; owned, may be NULL
 */
struct verify_file {
	const struct tree_set *set;
	char *path;
	struct pyc_name name;
	const struct pyc_magic *magic;
	int level;
	const struct interpreter *own;
	struct digest source;
	struct digest body;
	enum verify_why why;
	enum pyc_reason reason;
	const struct interpreter *by;
	const char *field;
	char *error;
};

struct verify_list {
	struct verify_file *files;
	size_t count;
};

/* The path as readers know it, in a new string; NULL when out of memory. */
char *verify_file_path(const struct verify_file *file);

/**
 * verify_collect() - find the bytecode files of a tree
 * @path: relative to the tree; of a directory, "." for all of it, or of one file
 *
 * The list is sorted by name; the files of a directory come before those below it. A file
 * that cannot be verified has its .why. Symlinks and other mounts are not entered. Return:
 * 0, -ENOMEM, or for @path itself another -errno.
 */
int verify_collect(const struct tree_set *set, const char *path, struct verify_list *list);

void verify_list_fini(struct verify_list *list);

/* The contents of a bytecode file and of its source. */
struct verify_bytes {
	uint8_t *pyc;
	size_t pyc_len;
	uint8_t *source;
	size_t source_len;
};

/* Reads both files. Return: 0 or -errno; verify_bytes_fini() either way. */
int verify_read(const struct verify_file *file, struct verify_bytes *ret_bytes);
void verify_bytes_fini(struct verify_bytes *bytes);

/**
 * struct verify_run - one run of the command
 * @image:   the interpreters in --root; empty where there is none
 * @machine: those of this machine, and those that the user named
 * @known:   what is proved already; sealed; borrowed
 * @jobs:    threads
 * @timeout_ms: for one source
 * @quiet:   nothing is printed
 */
struct verify_run {
	struct interpreter_list image;
	struct interpreter_list machine;
	const struct proof_set *known;
	unsigned jobs;
	int timeout_ms;
	bool quiet;
};

/**
 * verify_find_readers() - fill in the .own of all files
 * @run:  gets the interpreters that only the files' places show
 * @root: the readers' root directory, of all files
 * Return: 0 or -errno.
 */
int verify_find_readers(struct verify_run *run, const char *root,
			struct verify_list *files);

/**
 * verify_choose() - the interpreter to ask next about a file
 * @turn: 0, 1, 2...; the file's own interpreter comes first
 * @ret_is_own: whether it is the one that imports the file where it lies, or the user said
 *              so: only such a one can disprove
 * Return: NULL after the last one.
 */
const struct interpreter *verify_choose(const struct verify_run *run,
					const struct verify_file *file, size_t turn,
					bool *ret_is_own);

/* Verifies all files: fills in their .why. Return: 0 or -errno. */
int verify_all(const struct verify_run *run, struct verify_list *list);

/**
 * struct verify_report - what to print
 * @selected: whose files to list, by result
 * @only:     nothing but those
 * @cache:    where the proofs went; NULL where they were not kept
 * @recorded: how many are new there
 */
struct verify_report {
	bool selected[VERIFY_RESULTS];
	bool only;
	bool json;
	const char *root;
	const char *cache;
	size_t recorded;
};

/* More --python are wrong usage. */
#define VERIFY_PYTHONS_MAX 64

/**
 * struct verify_request - a command line
 * @run:   its interpreters and proofs are found later
 * @root:  NULL without --root
 * @cache: NULL for the default one
 * @timeout_s: for one source
 */
struct verify_request {
	struct verify_run run;
	struct verify_report report;
	const char *pythons[VERIFY_PYTHONS_MAX];
	size_t python_count;
	const char *root;
	const char *cache;
	unsigned timeout_s;
	bool no_record;
	char **paths;
	size_t path_count;
};

/* All that canonfs verify does. Return: an exit status. */
int verify(struct verify_request *request);

void verify_print(const struct verify_report *report, const struct verify_list *list);

#endif
