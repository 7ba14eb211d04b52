/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs trace MOUNT, and canonfs trace -- COMMAND: their arguments.
 */
#include "cli/cmd.h"

#include <getopt.h>
#include <stdbool.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/trace/trace.h"

static const char usage[] =
	"usage: canonfs trace [--all] [--json] MOUNT\n"
	"       canonfs trace [--json] [-v] [-o FILE] -- COMMAND [ARGUMENT...]\n"
	"\n"
	"MOUNT: prints a line whenever the mount's server decides about a bytecode file:\n"
	"when, which process reads it, the verdict, the file, and why. What the kernel "
	"has\n"
	"cached is not decided anew. Ends with the mount, with Ctrl-C, or when nobody\n"
	"reads. Who reads slower than the mount decides loses lines and is told how many;\n"
	"the mount does not wait.\n"
	"\n"
	"  --all              a line for every request of the kernel, too\n"
	"  --json             print JSON lines\n"
	"\n"
	"COMMAND: runs it and says at its end which of its imports used bytecode, which\n"
	"did not, and why: in every Python that it starts, with or without a canonfs "
	"mount.\n"
	"\n"
	"  --json             print JSON\n"
	"  -o, --output FILE  write to FILE, not to standard error\n"
	"  -v, --verbose      name every module that did not use its bytecode\n"
	"\n"
	"Examples:\n"
	"  canonfs trace /usr\n"
	"  canonfs trace /usr --json | jq -r 'select(.verdict == \"stale\") | .path'\n"
	"  canonfs trace -- python3 -c 'import asyncio'\n"
	"\n"
	"Exit status: of MOUNT, 0 it ended, 66 it is not a canonfs mount, 69 it does not\n"
	"answer, 77 it is somebody else's; of COMMAND, the command's; 128 and the\n"
	"signal's number if one ended it, 127 if it was not found, 126 if it cannot be\n"
	"executed, 125 if it cannot be traced; 64 wrong usage. More in canonfs-trace(1).\n";

/**
 * struct trace_request - a command line
 * @command: what follows "--"; NULL without one
 */
struct trace_request {
	struct trace_command_options options;
	bool all;
	char **command;
};

/* MOUNT and COMMAND take different options. */
static int trace_run_request(const struct trace_request *request, int argc, char **argv)
{
	const struct trace_command_options *options = &request->options;

	if (request->command && *request->command && argc == 0 && !request->all)
		return trace_command(request->command, options);
	if (!request->command && argc == 1 && !options->verbose && !options->output)
		return trace_mount(argv[0], request->all, options->json);
	if (!request->command && argc == 0)
		log_error("trace needs a MOUNT, or -- and a command");
	else if (!request->command && argc > 1)
		log_error("more than one MOUNT; a command needs -- before it");
	else if (request->command && argc > 0)
		log_error("trace takes a MOUNT or a command, not both");
	else if (request->command && !*request->command)
		log_error("trace needs a command after --");
	else if (request->command)
		log_error("--all is for a MOUNT");
	else
		log_error("-v and -o are for a command");
	return COMMAND_WRONG_USAGE;
}

static int cmd_trace(int argc, char **argv)
{
	struct trace_request request = {.all = false};
	const struct command_option options[] = {
		{"all", .flag = &request.all},
		{"json", .flag = &request.options.json},
		{"output", 'o', .text = &request.options.output},
		{"verbose", 'v', .flag = &request.options.verbose},
	};
	int words = 1;
	int status;

	/* The words after "--" are the command's: getopt must not see or move them. */
	while (words < argc && strcmp(argv[words], "--") != 0)
		words++;
	if (words < argc)
		request.command = argv + words + 1;
	status = command_options(options, ARRAY_SIZE(options), NULL, words, argv);
	return status ? status : trace_run_request(&request, words - optind, argv + optind);
}

const struct command command_trace = {
	.name = "trace",
	.summary = "watch a mount, or which imports of a command use bytecode",
	.usage = usage,
	.run = cmd_trace,
	.wrong_usage = EX_USAGE,
	.keeps_descriptors = true,
};
