/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: counts by directory, distribution or package.
 */
#ifndef CANONFS_CLI_CHECK_GROUPS_H
#define CANONFS_CLI_CHECK_GROUPS_H

#include <stddef.h>
#include <stdint.h>

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

/* Removes all groups. */
void groups_clear(struct groups *groups);

/* Adds to the group of that name and path; makes it if there is none. */
void groups_add(struct groups *groups, const char *name, const char *path,
		const struct group_counts *counts);

/* All of them, the worst first; borrowed. */
const struct group **groups_sorted(struct groups *groups, size_t *ret_count);

#endif
