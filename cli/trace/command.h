/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs trace -- COMMAND: runs it, and says which of its imports used bytecode and which
 * did not, and why.
 *
 * The kernel tells which files are opened: nothing is loaded into the interpreters, their
 * options do not matter, and caches hide nothing.
 */
#ifndef CANONFS_CLI_TRACE_COMMAND_H
#define CANONFS_CLI_TRACE_COMMAND_H

#include <stdbool.h>

/**
 * struct trace_command_options - how the summary is to be
 * @json:    JSON (cli/schema/trace-command.json)
 * @verbose: name every module that did not use its bytecode
 * @output:  the file that it goes to, made anew; NULL for standard error
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
 * Standard input and output are the command's; nothing of ours is written to them.
 * Return: the command's exit status, 128 and the number of the signal that ended it; 127
 * and 126 for a command that is not there or cannot be executed, 125 where it cannot be
 * watched or the summary not be written; then a line was logged.
 */
int trace_command(char *const argv[], const struct trace_command_options *options);

#endif
