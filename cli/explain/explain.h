/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain: what is known of one source file and its bytecode, and what follows.
 *
 *	find	finds the source; place finds its directory and tree, bytecode its files
 *	judge	collects facts, and says what verdicts and outcomes follow
 *	changes	tries what would change them
 *	ask	asks real interpreters
 *	text, table, json	print
 *	words	has the words that all of them use
 */
#ifndef CANONFS_CLI_EXPLAIN_EXPLAIN_H
#define CANONFS_CLI_EXPLAIN_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/resolve.h"
#include "cache/tree/source.h"
#include "cli/python/ask.h"
#include "cli/python/interpreters.h"
#include "cli/trees/tree_set.h"
#include "fs/mount/options.h"
#include "pyc/outcome.h"
#include "pyc/verdict.h"

#define EXIT_EXPLAIN_USAGE   64 /* EX_USAGE of sysexits.h */
#define EXIT_EXPLAIN_NOINPUT 66 /* EX_NOINPUT */
#define EXIT_EXPLAIN_FAILURE 74 /* EX_IOERR */

#define TRUSTS		 (PYC_TRUST_VERIFIED + 1)
#define EXPLAIN_LEVELS	 3
#define EXPLAIN_CHANGES	 4
#define EXPLAIN_HEAD_MAX PYC_HEADER_MAX

/**
 * struct explain_tree - the tree of a source
 * @set:      borrowed from the request
 * @policy:   that of the options
 * @mount:    where a canonfs is mounted, if the tree is one; owned, else NULL
 * @mount_source: what is mounted there; owned
 */
struct explain_tree {
	struct tree_set *set;
	struct pyc_policy policy;
	char *mount;
	char *mount_source;
};

/**
 * struct explain_asked - what a real interpreter did with a bytecode file
 * @interpreter: borrowed
 * @expected: what we said it would do
 * @observed: what it did; PYC_OUTCOME_UNKNOWN where it did not answer
 */
struct explain_asked {
	const struct interpreter *interpreter;
	enum pyc_outcome expected;
	enum pyc_outcome observed;
	char *error;
	char *lines;
};

/**
 * struct explain_pyc - one bytecode file; the strings are owned
 * @path:     as readers see it, absolute
 * @relative: the part of @path below the tree; facts point into it
 * @title:    short name among the files of its source; safe for a terminal
 * @real:     where symlinks lead, absolute, in the readers' root; NULL where there are none
 * @problem:  a sentence that says why it cannot be read; static storage. NULL for none;
 *            else what follows after @head is not set
 * @head, @head_len: its first bytes
 * @seen:     what is known of it as readers see it
 * @disk:     what is known of the file on disk; a mount may serve another header
 * @decided:  whether a mount would decide: the file is bytecode of the tree
 * @given:    what it would decide under the options that were given
 * @trust:    the same under each value of trust=
 * @bare:     what its interpreter does without canonfs
 * @served:   what its interpreter does with what a mount serves
 * @reader:   the installed interpreter that decided @bare; NULL if the file decides it
 * @changes:  commands that would make Python use it; @change_count of them
 * @mount_verdict, @mount_reason: what the mount says that holds it; else NULL
 * @asked:    @asked_count of them
 */
struct explain_pyc {
	char *path;
	const char *relative;
	char *title;
	char *real;
	const char *problem;
	uint8_t head[EXPLAIN_HEAD_MAX];
	size_t head_len;
	struct pyc_facts seen;
	struct pyc_facts disk;
	bool decided;
	struct pyc_decision given;
	struct pyc_decision trust[TRUSTS];
	enum pyc_outcome bare;
	enum pyc_outcome served;
	const struct interpreter *reader;
	char *changes[EXPLAIN_CHANGES];
	size_t change_count;
	char *mount_verdict;
	char *mount_reason;
	struct explain_asked *asked;
	size_t asked_count;
};

/**
 * struct explanation - a source and all of its bytecode; the strings are owned
 * @path:     of the source, absolute, as readers see it. Where no source can pair with the
 *            bytecode, it is the bytecode's path, and @stem is NULL.
 * @folder:   the directory that holds the source
 * @stem:     the source's name without .py
 * @relative: the part of @path below the tree
 * @link:     where @path leads, if it is a symlink
 * @source:   what is at @path
 */
struct explanation {
	struct explain_tree tree;
	char *path;
	char *folder;
	char *stem;
	const char *relative;
	char *link;
	struct source source;
	struct explain_pyc *pycs;
	size_t pyc_count;
};

/**
 * struct explain_request - what the command line says, and what was opened for it
 * @given_root, @given_tree: borrowed; NULL where they are not given
 * @ask:     @ask_count borrowed words, interpreters; the array is owned
 * @root_fd: O_PATH, the readers' root directory
 * @root:    its absolute path, without symlinks
 * @asked:   the interpreters of @ask
 */
struct explain_request {
	struct mount_options options;
	const char *given_root;
	const char *given_tree;
	const char **ask;
	size_t ask_count;
	bool json;
	int root_fd;
	char *root;
	struct tree_set *trees;
	struct interpreter_list asked;
	struct interpreter_list installed;
	bool looked_for_installed;
	struct explanation *explanations;
	size_t count;
};

/**
 * explain() - all that canonfs explain does
 * @files: as of argv: NULL is the last
 * Return: an exit status; explain_fini() either way.
 */
int explain(struct explain_request *request, char **files);

void explain_fini(struct explain_request *request);

/**
 * explain_find() - find a file's source and its bytecode, and put it into the request
 *
 * A source that the request already has is not added again.
 * Return: 0, or an exit status with one line logged.
 */
int explain_find(struct explain_request *request, const char *file);

/**
 * struct explain_place - where a file is
 * @folder:   directory of the source, without symlinks; of a file in a __pycache__ the one
 *            above. If that __pycache__ is a link, Python pairs what it holds with this
 * folder.
 * @in_cache: whether the file is in the folder's __pycache__
 * @path:     of the file
 */
struct explain_place {
	char *folder;
	bool in_cache;
	char *path;
};

/* Return: 0 or -errno; explain_place_fini() either way. */
int explain_place_find(const struct explain_request *request, const char *file,
		       struct explain_place *place);
void explain_place_fini(struct explain_place *place);

/* Return: 0 for a file and for a dangling link; -EISDIR or another -errno. */
int explain_look_at(const struct explain_request *request, const char *path);

/* Finds the tree of a folder. Return: 0, or an exit status with one line logged. */
int explain_find_tree(struct explain_request *request, const char *folder,
		      struct explain_tree *tree);

/* The part of @path below the tree, without a slash before it; NULL for NULL. */
const char *explain_relative(const struct explain_tree *tree, const char *path);

/* Adds one bytecode file, or all of the source. Return: 0 or -ENOMEM. */
int explain_add_pyc(const struct explain_request *request, struct explanation *explanation,
		    const char *path);
int explain_add_all(const struct explain_request *request, struct explanation *explanation);

/* Judges the files without running an interpreter on them. */
void explain_judge(struct explain_request *request, struct explanation *explanation);

/* What an interpreter does with the header and time that a mount serves after @decision. */
enum pyc_outcome explain_outcome_after(const struct pyc_facts *facts,
				       const struct pyc_decision *decision,
				       const struct pyc_magic *reader);

/* Tries what would make Python use a judged file, and adds it to @pyc->changes. */
void explain_find_changes(const struct explain_request *request,
			  const struct explanation *explanation, struct explain_pyc *pyc);

void explain_asked_fini(struct explain_asked *asked);

/* Runs the interpreters of request->asked on all that was found. */
int explain_ask(struct explain_request *request);

void explain_print(const struct explain_request *request);
void explain_print_json(const struct explain_request *request);

/* The facts and verdicts of all bytecode files of a source, for people. */
void explain_print_table(const struct explanation *explanation);

/* Columns of the terminal that text may take. */
size_t explain_width(void);

/* asprintf(3); the caller's, NULL when out of memory. */
char *explain_format(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* "timestamp", "checked-hash"...; static storage. */
const char *explain_kind(enum pyc_header_kind kind);

/* Does the header have the source's time, its size? Unknown where Python does not compare.
 */
enum pyc_check explain_time_matches(const struct pyc_facts *facts);
enum pyc_check explain_size_matches(const struct pyc_facts *facts);

#endif
