/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs trace MOUNT: prints what a mount decides while it decides (mount, print).
 *
 * canonfs trace -- COMMAND: runs it, and says which of its imports used bytecode and which
 * did not, and why. The kernel tells which files are opened (syscall_watch), so nothing is
 * loaded into the interpreters, their options do not matter, and caches hide nothing. The
 * order of the files tells what became of the imports (import_tracker, python_process);
 * after the command's end import_reason finds out why, and summary prints.
 */
#ifndef CANONFS_CLI_TRACE_TRACE_H
#define CANONFS_CLI_TRACE_TRACE_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/trace/import_tracker.h"
#include "pyc/verdict.h"

/**
 * trace_mount() - print a line for each decision until the mount, the reader or a signal
 * ends it
 * @path: the mount, as the user gave it
 * @all:  also for each request of the kernel
 * @json: JSON lines (cli/schema/trace.json)
 *
 * While the reader does not read, nothing is read from the server. The server then drops
 * lines and counts them.
 * Return: an exit status (sysexits.h); 0 for each of these ends.
 */
int trace_mount(const char *path, bool all, bool json);

/**
 * trace_print() - print what a packet from a server says
 * @packet: lines of JSON, zero-terminated; changed. It comes from another process: what is
 *          not understood is left out.
 * @json:   as JSON lines, else for people
 * Return: whether there was an event in it, known or not.
 */
bool trace_print(FILE *file, char *packet, bool json);

/**
 * struct trace_command_options - the form of the summary
 * @json:    JSON (cli/schema/trace-command.json)
 * @verbose: name every module that did not use its bytecode
 * @output:  the file that it is written to, created or emptied; NULL for standard error
 */
struct trace_command_options {
	bool json;
	bool verbose;
	const char *output;
};

/**
 * trace_command() - run a command, and end with the summary
 * @argv: NULL-terminated, at least one word
 *
 * Standard input and output are the command's; canonfs writes nothing there.
 * Return: the command's exit status, 128 and the number of the signal that ended it; 127
 * and 126 for a command that is not there or cannot be executed, 125 where it cannot be
 * watched or the summary cannot be written; then a line was logged.
 */
int trace_command(char *const argv[], const struct trace_command_options *options);

enum import_advice {
	ADVICE_NONE,
	ADVICE_MOUNT,	/* a canonfs mount over the tree would make it match */
	ADVICE_COMPILE, /* python -m compileall */
	ADVICE_EXPLAIN, /* canonfs explain tells more */
	ADVICE_NOTHING, /* the interpreter wrote new bytecode: the next run uses it */
	ADVICES
};

/**
 * struct import_reason - why an import did not use its bytecode, and what to do
 * @text:    a sentence about the bytecode; static storage
 * @judged:  the resolver looked at it: @verdict and @reason are meaningful
 * @mounted: it lies in a canonfs mount
 * @tree:    what would have to be mounted, or compiled: the installation, or the folder of
 *           the top package; owned; NULL where it is not known
 */
struct import_reason {
	const char *text;
	bool judged;
	enum pyc_verdict verdict;
	enum pyc_reason reason;
	bool mounted;
	enum import_advice advice;
	char *tree;
};

/**
 * import_judge_all() - find out why, once the command has ended
 * @records: .how is made precise: checked bytecode whose hash is another was compiled;
 *           bytecode whose code is damaged did not load
 *
 * The resolver answers as it would for a mount. If it cannot, because the file was replaced
 * or is in another mount namespace, then the header and the attributes answer that the
 * files had when they were opened.
 * Return: a reason for each record, the caller's to import_reasons_free(); NULL when out of
 * memory.
 */
struct import_reason *import_judge_all(struct import_record *const *records, size_t count);

void import_reasons_free(struct import_reason *reasons, size_t count);

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
	struct import_tracker *tracker;
	struct import_record *const *records;
	struct import_reason *reasons;
	size_t count;
};

/**
 * trace_summary_print() - the summary for people
 * @all: name every module that did not use its bytecode, not only examples
 */
void trace_summary_print(FILE *file, const struct trace_report *report, bool all);

/* The same with every module, as JSON. */
void trace_summary_print_json(FILE *file, const struct trace_report *report);

#endif
