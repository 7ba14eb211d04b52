/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain FILE...: its arguments.
 */
#include <getopt.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/cmd.h"
#include "cli/explain/explain.h"

static const char usage[] =
	"usage: canonfs explain [--root DIR] [--tree DIR] [-o OPTIONS] [--ask PYTHON]...\n"
	"                       [--json] FILE...\n"
	"\n"
	"Says what Python does with the bytecode of a source file, why, what canonfs\n"
	"would do, and what would change it. FILE is a .py or a .pyc file, on disk or in\n"
	"a mount.\n"
	"\n"
	"  --root DIR       the root directory of those who read the files; FILE is in it\n"
	"  --tree DIR       what is mounted or would be (default: a guess, shown)\n"
	"  -o OPTIONS       as of the mount: trust=, mtime=, hash=, canonical=, cache=\n"
	"  --ask PYTHON     also ask this interpreter (a path or a name); may be repeated\n"
	"  --json           print JSON\n"
	"\n"
	"Example:\n"
	"  canonfs explain --ask python3 /usr/lib/python3.11/json/__init__.py\n"
	"\n"
	"Exit status: 0 explained, 64 wrong usage, 66 a file is missing or not Python's.\n";

static bool explain_take_python(void *context, const char *program)
{
	struct explain_request *request = context;

	request->ask[request->ask_count++] = program;
	return true;
}

static int cmd_explain(int argc, char **argv)
{
	struct explain_request request = {
		.ask = calloc((size_t)argc, sizeof(*request.ask)),
		.root_fd = -1,
	};
	const struct command_option options[] = {
		{"root", .text = &request.given_root},
		{"tree", .text = &request.given_tree},
		{"ask", .take = explain_take_python},
		{"json", .flag = &request.json},
		{NULL, 'o', .mount = &request.options},
	};
	int status = EXIT_EXPLAIN_FAILURE;

	mount_options_init(&request.options);
	if (request.ask)
		status =
			command_options(options, ARRAY_SIZE(options), &request, argc, argv);
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
