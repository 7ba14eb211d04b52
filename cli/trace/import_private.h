/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the tracker share; see import_tracker.h.
 */
#ifndef CANONFS_CLI_TRACE_IMPORT_PRIVATE_H
#define CANONFS_CLI_TRACE_IMPORT_PRIVATE_H

#include "cli/trace/import_tracker.h"
#include "pyc/names.h"

/* An interpreter. Its magic is that of the first bytecode that it opens, or runs. */
struct import_program {
	char *path;
	size_t processes;
	const struct pyc_magic *magic;
	struct import_program *next;
};

/* @index: the same records as in @records, in a tree of tsearch(3) */
struct import_tracker {
	struct import_program *programs;
	void *index;
	struct import_record **records;
	size_t count;
	bool incomplete;
};

/* Return: NULL when out of memory. */
struct import_program *import_get_program(struct import_tracker *tracker, const char *path);

/*
 * Counts a process for a record. Takes ownership; NULL means that memory ran out.
 * Return: the tracker's record, which may be an older equal one; NULL when out of memory.
 */
struct import_record *import_count_record(struct import_tracker *tracker,
					  struct import_record *record);

/* Frees the members of a file and makes it empty. */
void import_forget(struct import_opened_file *file);

#endif
