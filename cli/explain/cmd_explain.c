/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain FILE...: why a module is compiled again, and what would change that.
 */
#include "cli/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/scope.h"
#include "cli/explain/explain.h"
#include "cli/print/output.h"

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

static int wrong_usage(const char *problem)
{
	if (problem)
		log_error("%s", problem);
	fputs("usage: canonfs explain [OPTION]... FILE...; see canonfs explain --help\n",
	      stderr);
	return EXIT_EXPLAIN_USAGE;
}

/**
 * struct arguments - what the command line says
 * @ask:         @ask_count words of the command line; the array is owned
 */
struct arguments {
	struct mount_options options;
	const char *root;
	const char *tree;
	const char **ask;
	size_t ask_count;
	bool json;
	bool help;
};

static void arguments_fini(struct arguments *arguments)
{
	mount_options_fini(&arguments->options);
	free(arguments->ask);
}

static int add_options(struct arguments *arguments, const char *list)
{
	struct reason why;

	if (mount_options_parse(&arguments->options, list, &why) < 0)
		return wrong_usage(why.text);
	return 0;
}

static int parse(int argc, char **argv, struct arguments *arguments)
{
	static const struct option long_options[] = {
		{"root", required_argument, NULL, 'r'},
		{"tree", required_argument, NULL, 't'},
		{"ask", required_argument, NULL, 'a'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;
	int r = 0;

	while (r == 0 &&
	       (option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
		switch (option) {
		case 'r':
			arguments->root = optarg;
			break;
		case 't':
			arguments->tree = optarg;
			break;
		case 'a':
			arguments->ask[arguments->ask_count++] = optarg;
			break;
		case 'o':
			r = add_options(arguments, optarg);
			break;
		case 'j':
			arguments->json = true;
			break;
		case 'h':
			arguments->help = true;
			break;
		default:
			r = wrong_usage(NULL);
		}
	}
	return r;
}

/* The readers' root directory; -o root= says the same as --root. */
static int open_root(const struct arguments *arguments, struct explain_request *request)
{
	const char *root = arguments->root	     ? arguments->root
			   : arguments->options.root ? arguments->options.root
						     : "/";

	request->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	request->root = request->root_fd < 0 ? NULL : path_of_fd(request->root_fd);
	if (request->root)
		return 0;
	log_error("cannot open the root directory %s: %s", quoted(root), strerror(errno));
	return EXIT_EXPLAIN_NOINPUT;
}

static int find_interpreters(const struct arguments *arguments,
			     struct explain_request *request)
{
	for (size_t i = 0; i < arguments->ask_count; i++)
		if (interpreters_add(request->root, arguments->ask[i], &request->asked) < 0)
			return EXIT_EXPLAIN_NOINPUT;
	return 0;
}

/* What can be explained is, also where something else cannot. */
static int explain_files(const struct arguments *arguments, struct explain_request *request,
			 char **files)
{
	int status = 0;

	for (; *files; files++) {
		int r = explain_find(request, *files);

		if (r != 0)
			status = r;
	}
	for (size_t i = 0; i < request->count; i++)
		explain_judge(request, &request->explanations[i]);
	if (request->asked.count > 0 && explain_ask(request) < 0)
		status = EXIT_EXPLAIN_FAILURE;
	if (arguments->json)
		explain_print_json(request);
	else
		explain_print(request);
	return status;
}

static int run_arguments(const struct arguments *arguments, char **files)
{
	struct explain_request request = {
		.options = &arguments->options,
		.given_tree = arguments->tree,
		.root_fd = -1,
	};
	int status;

	if (!*files)
		return wrong_usage("a FILE is needed");
	status = open_root(arguments, &request);
	if (status == 0)
		status = find_interpreters(arguments, &request);
	if (status == 0)
		status = explain_files(arguments, &request, files);
	explain_fini(&request);
	close_fd(&request.root_fd);
	free(request.root);
	return status;
}

static int run(int argc, char **argv)
{
	struct arguments arguments = {.ask = calloc((size_t)argc, sizeof(*arguments.ask))};
	int status = EXIT_EXPLAIN_FAILURE;

	mount_options_init(&arguments.options);
	if (arguments.ask)
		status = parse(argc, argv, &arguments);
	if (status == 0 && arguments.help)
		fputs(usage, stdout);
	else if (status == 0)
		status = run_arguments(&arguments, argv + optind);
	arguments_fini(&arguments);
	return output_finish(status);
}

const struct command command_explain = {
	.name = "explain",
	.summary = "say why a module is compiled again, and what would change it",
	.usage = usage,
	.run = run,
};
