/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What canonfs trace -- COMMAND ends with: a summary for people, or JSON
 * (cli/schema/trace-command.json).
 */
#ifndef CANONFS_CLI_TRACE_SUMMARY_H
#define CANONFS_CLI_TRACE_SUMMARY_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/trace/import_reason.h"
#include "cli/trace/import_tracker.h"

/**
 * struct trace_report - what a command's interpreters imported
 * @command: argv, NULL-terminated
 * @status:  its exit status
 * @tracker: has the records
 * @records: import_tracker_records(), judged
 * @reasons: one for each record
 * @count:   of both
 */
struct trace_report {
	char *const *command;
	int status;
	const struct import_tracker *tracker;
	struct import_record **records;
	struct import_reason *reasons;
	size_t count;
};

/**
 * trace_summary_print() - the summary for people
 * @all: name every module that did not use its bytecode, not only examples
 */
void trace_summary_print(FILE *file, const struct trace_report *report, bool all);

/* The same, and every module: the caller's; NULL when out of memory. */
struct json_object *trace_summary_json(const struct trace_report *report);

#endif
