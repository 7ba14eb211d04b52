/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs trace -- COMMAND
 */
#include "cli/cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "cli/trace_command.h"

static const char usage[] =
	"usage: canonfs trace [--json] [-v] [-o FILE] -- COMMAND [ARGUMENT...]\n"
	"\n"
	"Runs COMMAND and says at its end which of its imports used bytecode, which did "
	"not,\n"
	"and why: in every Python that it starts, with or without a canonfs mount.\n"
	"\n"
	"  --json             print JSON\n"
	"  -o, --output FILE  write to FILE, not to standard error\n"
	"  -v, --verbose      name every module that did not use its bytecode\n"
	"\n"
	"Example:\n"
	"  canonfs trace -- python3 -c 'import asyncio'\n"
	"\n"
	"Exit status: the command's; 128 and the signal's number if one ended it, 127 if "
	"it was\n"
	"not found, 126 if it cannot be executed, 125 if it cannot be traced, 64 wrong "
	"usage.\n"
	"More in canonfs-trace(1).\n";

static int wrong_usage(void)
{
	fputs("usage: canonfs trace [--json] [-v] [-o FILE] -- COMMAND [ARGUMENT...]; see "
	      "canonfs trace --help\n",
	      stderr);
	return EX_USAGE;
}

static int run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{0},
	};
	struct trace_command_options options = {.json = false};
	int option;

	while ((option = getopt_long(argc, argv, "+ho:v", long_options, NULL)) != -1) {
		switch (option) {
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'j':
			options.json = true;
			break;
		case 'o':
			options.output = optarg;
			break;
		case 'v':
			options.verbose = true;
			break;
		default:
			return wrong_usage();
		}
	}
	if (strcmp(argv[optind - 1], "--") != 0 || optind == argc) {
		log_error("trace needs -- and a command");
		return wrong_usage();
	}
	return trace_command(argv + optind, &options);
}

const struct command command_trace = {
	.name = "trace",
	.summary = "run a command, and say which imports used bytecode",
	.usage = usage,
	.run = run,
	.keeps_descriptors = true,
};
