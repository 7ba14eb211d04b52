/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the tracker share; see import_tracker.h.
 */
#ifndef CANONFS_CLI_TRACE_IMPORT_PRIVATE_H
#define CANONFS_CLI_TRACE_IMPORT_PRIVATE_H

#include "cli/trace/import_tracker.h"
#include "pyc/names.h"

/* An interpreter; what its magic is, the first bytecode tells that it opens or takes. */
struct import_program {
	char *path;
	size_t processes;
	const struct pyc_magic *magic;
	struct import_program *next;
};

/* @index: tsearch(3) of struct import_record; they are in @records, too */
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
 * Counts a process for a record, which becomes the tracker's, also where it is NULL for
 * want of memory. Return: the record that counts from now on; NULL when out of memory.
 */
struct import_record *import_count_record(struct import_tracker *tracker,
					  struct import_record *record);

/* Frees what is known of a file, which is then none. */
void import_forget(struct import_opened_file *file);

#endif
