/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain FILE...: its arguments.
 */
#include <getopt.h>
#include <stdlib.h>

#include "base/log.h"
#include "cli/cmd.h"
#include "cli/explain/explain.h"

static const char usage[] =
	"usage: canonfs explain [--root DIR] [--tree DIR] [-o OPTIONS] [--ask PYTHON]...\n"
	"                       [--json] FILE...\n"
	"\n"
	"Says what Python does with the bytecode of a source file, why, what canonfs would "
	"do,\n"
	"and what would change it. FILE is a .py or a .pyc file, on disk or in a mount.\n"
	"\n"
	"  --root DIR       the root directory of those who read the files; FILE is a path "
	"in it\n"
	"  --tree DIR       the directory that is mounted or would be (default: a guess, "
	"shown)\n"
	"  -o OPTIONS       as of the mount: trust=, mtime=, hash=, canonical=, cache=\n"
	"  --ask PYTHON     also ask this interpreter (a path or a name); may be repeated\n"
	"  --json           print JSON\n"
	"\n"
	"Example:\n"
	"  canonfs explain --ask python3 /usr/lib/python3.11/json/__init__.py\n"
	"\n"
	"Exit status: 0 explained, 64 wrong usage, 66 a file is missing or not Python's.\n";

/* Return: 0, or what the command returns in place of an exit status. */
static int explain_take_option(struct explain_request *request, int option)
{
	switch (option) {
	case 'r':
		request->given_root = optarg;
		return 0;
	case 't':
		request->given_tree = optarg;
		return 0;
	case 'a':
		request->ask[request->ask_count++] = optarg;
		return 0;
	case 'o':
		return command_mount_options(&request->options, optarg)
			       ? 0
			       : COMMAND_WRONG_USAGE;
	case 'j':
		request->json = true;
		return 0;
	case 'h':
		return COMMAND_HELP;
	default:
		return COMMAND_WRONG_USAGE;
	}
}

static int cmd_explain(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"root", required_argument, NULL, 'r'},
		{"tree", required_argument, NULL, 't'},
		{"ask", required_argument, NULL, 'a'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct explain_request request = {
		.ask = calloc((size_t)argc, sizeof(*request.ask)),
		.root_fd = -1,
	};
	int status = request.ask ? 0 : EXIT_EXPLAIN_FAILURE;
	int option;

	mount_options_init(&request.options);
	while (status == 0 &&
	       (option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1)
		status = explain_take_option(&request, option);
	if (status == 0 && optind == argc) {
		log_error("a FILE is needed");
		status = COMMAND_WRONG_USAGE;
	}
	if (status == 0)
		status = explain(&request, argv + optind);
	explain_fini(&request);
	return status;
}

const struct command command_explain = {
	.name = "explain",
	.summary = "say why a module is compiled again, and what would change it",
	.usage = usage,
	.run = cmd_explain,
	.wrong_usage = EXIT_EXPLAIN_USAGE,
	.unwritten = EXIT_EXPLAIN_FAILURE,
};
