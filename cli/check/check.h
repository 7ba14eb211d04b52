/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: what its parts share. check.c has the run, walk.c walks, judge.c counts,
 * groups.c by directory, distribution or package, owners.c knows those; text.c and json.c
 * print.
 */
#ifndef CANONFS_CLI_CHECK_CHECK_H
#define CANONFS_CLI_CHECK_CHECK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sysexits.h>

#include "cache/tree/walk.h"
#include "cli/print/progress.h"
#include "cli/python/interpreters.h"
#include "cli/trees/times.h"
#include "cli/trees/tree_set.h"
#include "pyc/outcome.h"

/* ---- owners: to which distribution of Python or package of the system a file belongs ----
 */

enum check_by {
	CHECK_BY_DIRECTORY,
	CHECK_BY_DISTRIBUTION, /* what pip installs */
	CHECK_BY_PACKAGE,      /* what dpkg installs */
	CHECK_BYS
};

/**
 * struct owner - whose a file is
 * @name:     borrowed from the owners; NULL where nobody is known
 * @path_len: length of the part of the directory that stands for all of the owner's files
 */
struct owner {
	const char *name;
	size_t path_len;
};

/* Safe from any thread. */
struct owners;

/* Return: NULL when out of memory. */
struct owners *owners_new(enum check_by by);

void owners_free(struct owners *owners);

/**
 * owners_load_packages() - CHECK_BY_PACKAGE: read the lists of dpkg
 * @root_fd: of the readers' root directory
 * Return: 0 or -errno (ENOENT: dpkg installed nothing there).
 */
int owners_load_packages(struct owners *owners, int root_fd);

/**
 * owners_learn() - CHECK_BY_DISTRIBUTION: learn which distributions are installed in a
 * directory
 * @tree, @dir: where it is. Call this before owner_of() for what is below it.
 * @path:       absolute path of @dir
 */
void owners_learn(struct owners *owners, const struct tree *tree,
		  const struct walk_dir *dir, const char *path);

/**
 * owner_of() - who owns a source file, and its bytecode
 * @path: the source's directory, absolute; for packages, as a reader in the root sees it
 * @name: of the source; "" for what is not in @path itself
 */
struct owner owner_of(struct owners *owners, const char *path, const char *name);

/* ---- groups: counts by owner ---- */

/**
 * struct group_counts - of some bytecode files
 * @files:    all
 * @stale:    compiled again today
 * @hopeless: those that canonfs does not help either, and damaged ones
 * @bytes:    of source that is compiled again at a start, without -O
 */
struct group_counts {
	uint64_t files;
	uint64_t stale;
	uint64_t hopeless;
	uint64_t bytes;
};

/**
 * struct group - files that belong together
 * @name: of the distribution or package; NULL for none; owned
 * @path: a directory; owned
 */
struct group {
	char *name;
	char *path;
	struct group_counts counts;
};

/* Not safe from several threads: the caller locks. */
struct groups;

/* Files of further groups are counted as "elsewhere", so that memory is bounded. */
#define GROUPS_MAX 8192

/* Return: NULL when out of memory. */
struct groups *groups_new(void);

void groups_free(struct groups *groups);

/* Adds to the group of that name and path; makes it if there is none. */
void groups_add(struct groups *groups, const char *name, const char *path,
		const struct group_counts *counts);

/* All of them, the worst first; borrowed. */
const struct group **groups_sorted(struct groups *groups, size_t *ret_count);

/* ---- the run ---- */

enum check_status {
	CHECK_CLEAN = 0,
	CHECK_STALE = 1,    /* canonfs helps with all of it */
	CHECK_HOPELESS = 2, /* some is really stale, or damaged */
	CHECK_USAGE = EX_USAGE,
	CHECK_UNREADABLE = EX_NOINPUT,
	CHECK_FAILURE = EX_IOERR, /* out of memory; as where the output cannot be written */
};

/* What --list lists. */
enum check_list {
	LIST_NOTHING,
	LIST_VERDICT,
	LIST_ALL,
	LIST_COMPILES, /* everything that is compiled again */
	LIST_DAMAGED,  /* what fails to load */
	LIST_UNCACHED, /* sources without bytecode */
};

/**
 * struct check_request - the command line
 * @options: as of a mount
 * @root:    the readers' root directory; NULL for "/"
 * @verdict: of LIST_VERDICT
 * @top:     groups in the text; 0: all
 */
struct check_request {
	struct mount_options options;
	const char *root;
	enum check_list list;
	enum pyc_verdict verdict;
	enum check_by by;
	unsigned top;
	unsigned threads;
	bool json;
	bool quiet;
};

/**
 * struct check_reader - what one version does with the bytecode that is meant for it
 * @installed: there is an interpreter of that version
 * @files:   how many there are
 * @outcome: how many of them, by enum pyc_outcome
 * @bytes:   of source that it compiles at a start, without -O
 */
struct check_reader {
	bool installed;
	uint64_t files;
	uint64_t outcome[PYC_OUTCOMES];
	uint64_t bytes;
};

/**
 * struct check_tally - what was counted
 * @files, @file_bytes: bytecode
 * @reason, @verdict, @evidence: by enum pyc_reason, pyc_verdict, pyc_evidence
 * @stale:        compiled again today
 * @helped:       of those, what canonfs vouches for
 * @stale_bytes:  of source that is compiled at a start, without -O
 * @damaged:      an import fails
 * @hopeless:     really stale, or damaged
 * @sources, @uncached, @uncached_bytes: sources; those that have no bytecode at all
 * @links:        symbolic links that are named like bytecode
 * @directories:  that were read
 * @vanished:     files that were gone when they were looked at
 * @example:      the file that the advice names: the first hopeless one by name, else the
 *                first stale one; owned
 * @example_tree, @example_hopeless: the PATH that it is in; whether it is hopeless
 * @reader:       by index in pyc_magic_table; the last one counts all other files
 */
struct check_tally {
	uint64_t files;
	uint64_t file_bytes;
	uint64_t reason[PYC_REASONS];
	uint64_t verdict[PYC_VERDICTS];
	uint64_t evidence[PYC_EVIDENCES];
	uint64_t stale;
	uint64_t helped;
	uint64_t stale_bytes;
	uint64_t damaged;
	uint64_t hopeless;
	uint64_t sources;
	uint64_t uncached;
	uint64_t uncached_bytes;
	uint64_t links;
	uint64_t directories;
	uint64_t vanished;
	char *example;
	const struct tree_set *example_tree;
	bool example_hopeless;
	struct check_reader *reader;
};

/**
 * struct check_tree - one PATH
 * @start: where the walk begins, in the tree
 */
struct check_tree {
	struct tree_set set;
	const char *start;
};

/**
 * struct check_edited - a source that is not what its package installed
 * @path:   as readers know it; owned
 * @record: which record says so; borrowed from the tree's resolver
 */
struct check_edited {
	char *path;
	const char *record;
};

/* More are not noted. */
#define CHECK_EDITED_MAX 100000

/**
 * struct check - a run
 * @tree:     the PATHs
 * @expected: bytecode files, as the survey counted them
 * @done:     files that were judged
 * @submounts: number of file systems that are mounted below the PATHs
 * @times:    those that are not forgiven
 * @lock:     guards @tally, @groups, @times and @unreadable
 * @terminal: guards @progress and standard error. A terminal can be stopped (Ctrl-S), and
 *            who prints waits then. Nobody takes one of the locks while holding the other.
 */
struct check {
	const struct check_request *request;
	struct check_tree *tree;
	size_t tree_count;
	struct interpreter_list interpreters;
	struct groups *groups;
	struct owners *owners;
	struct times *times;
	struct check_tally tally;
	struct check_edited *edited; /* lock; sorted in the end */
	size_t edited_count;	     /* lock */
	unsigned threads;
	_Atomic uint64_t expected; /* relaxed: only shown */
	_Atomic uint64_t done;
	uint64_t submounts;
	pthread_mutex_t lock;
	pthread_mutex_t terminal;
	struct progress progress;
	uint64_t unreadable;
};

/* Walks all trees. Return: 0, or -errno with a line logged. */
int check_walk(struct check *check);

/* The walk over one tree, as its callbacks see it: a survey of links, or the judgement. */
struct check_pass {
	struct check *check;
	const struct tree_set *tree;
	bool is_survey;
};

/* Counts what could not be looked at, and logs it unless there were too many. */
void check_unreadable(const struct check_pass *pass, const char *path, int error);

/* Judges the bytecode of one directory and its __pycache__, and looks for sources without.
 */
void check_judge(const struct check_pass *pass, const struct walk_dir *dir,
		 const struct walk_dir *cache);

/* One line of --list: of a bytecode file, or with NULL, of a source without bytecode. */
void check_list_line(const struct check_pass *pass, const char *path,
		     const struct resolution *resolution, enum pyc_outcome outcome);

struct json_object;

/* Notes the source of a bytecode file if it is the reason for the verdict. */
void check_note_edited(const struct check_pass *pass, const char *path,
		       const struct resolution *resolution);

/* Names each source once. */
void check_sort_edited(struct check *check);

void check_free_edited(struct check *check);
void check_print_edited(const struct check *check);
void check_json_edited(struct json_object *json, const struct check *check);

/**
 * check_paths() - all that canonfs check does
 * @paths: @count of them
 * Return: an exit status.
 */
int check_paths(const struct check_request *request, char **paths, size_t count);

enum check_status check_status(const struct check *check);

/* "directory", "distribution", "package" */
const char *check_by_name(enum check_by by);

void check_print_text(const struct check *check);
void check_print_json(const struct check *check);

/* Where a file of a tree is for this process; the caller's, NULL when out of memory. */
char *check_path(const struct tree_set *tree, const char *path);

/* The same for a reader in the root directory. */
char *check_view_path(const struct tree_set *tree, const char *path);

#endif
