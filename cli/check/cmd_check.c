/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check PATH...: its arguments.
 */
#include <getopt.h>
#include <string.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/check/check.h"
#include "cli/cmd.h"

#define DEFAULT_TOP 5

static const char usage[] =
	"usage: canonfs check [OPTION...] PATH...\n"
	"\n"
	"Looks at all bytecode below each PATH and says what Python does with it today,\n"
	"and what canonfs would do. Nothing is mounted or written; root is not needed.\n"
	"\n"
	"  --root DIR       PATH is in this image (default: all of it); symlinks resolve\n"
	"                   there, and the interpreters are the image's (none is run)\n"
	"  -o OPTIONS       as of canonfs mount: trust=, canonical=, cache=, ...\n"
	"  --by WHAT        add up by directory, distribution (what pip installs,\n"
	"                   default) or package (what dpkg installs)\n"
	"  --top N          show the N worst of them (default: 5; 0: all)\n"
	"  --list WHAT      print files instead, one a line, with the reason. WHAT is a\n"
	"                   verdict (fresh, restamped, stale, hash-checked,\n"
	"                   hash-unchecked, orphan, sourceless, foreign, corrupt), or\n"
	"                   all, or compiles (whatever is compiled again), damaged (fails\n"
	"                   to load), uncached (sources without bytecode)\n"
	"  --json           print JSON; with --list, an object a line\n"
	"  --quiet          print nothing\n"
	"  --jobs N         so many at a time (default: as there are processors)\n"
	"\n"
	"Exit status: 0 nothing is stale, 1 what is stale canonfs would vouch for, 2 some\n"
	"is really stale or damaged, 64 wrong usage, 66 something could not be looked at,\n"
	"74 the output cannot be written.\n"
	"\n"
	"Example:\n"
	"  canonfs check /usr\n"
	"  canonfs check --root /srv/image --list stale\n";

static bool check_take_list(void *context, const char *text)
{
	struct check_request *request = context;
	static const struct {
		const char *name;
		enum check_list list;
	} words[] = {
		{"all", LIST_ALL},
		{"compiles", LIST_COMPILES},
		{"damaged", LIST_DAMAGED},
		{"uncached", LIST_UNCACHED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i].name) == 0) {
			request->list = words[i].list;
			return true;
		}
	}
	for (int i = 0; i < PYC_VERDICTS; i++) {
		if (strcmp(text, pyc_verdict_name((enum pyc_verdict)i)) == 0) {
			request->list = LIST_VERDICT;
			request->verdict = (enum pyc_verdict)i;
			return true;
		}
	}
	log_error("cannot list %s: it is no verdict", quoted(text));
	return false;
}

static bool check_take_by(void *context, const char *text)
{
	struct check_request *request = context;

	for (int i = 0; i < CHECK_BYS; i++) {
		if (strcmp(text, check_by_name((enum check_by)i)) == 0) {
			request->by = (enum check_by)i;
			return true;
		}
	}
	log_error("cannot add up by %s: directory, distribution or package", quoted(text));
	return false;
}

static int check_operands(struct check_request *request, int argc, char **argv)
{
	char root[] = "/";
	char *whole[] = {root};

	if (!request->root)
		request->root = request->options.root;
	if (argc > 0)
		return check_paths(request, argv, (size_t)argc);
	if (request->root)
		return check_paths(request, whole, 1);
	log_error("a PATH is needed");
	return COMMAND_WRONG_USAGE;
}

static int cmd_check(int argc, char **argv)
{
	struct check_request request = {.by = CHECK_BY_DISTRIBUTION, .top = DEFAULT_TOP};
	const struct command_option options[] = {
		{"root", .text = &request.root},
		{"by", .take = check_take_by},
		{"top", .number = &request.top, .most = 1000000},
		{"list", .take = check_take_list},
		{"json", .flag = &request.json},
		{"quiet", .flag = &request.quiet},
		{"jobs", .number = &request.threads, .least = 1, .most = 1000000},
		{NULL, 'o', .mount = &request.options},
	};
	int status;

	mount_options_init(&request.options);
	status = command_options(options, ARRAY_SIZE(options), &request, argc, argv);
	if (status == 0)
		status = check_operands(&request, argc - optind, argv + optind);
	mount_options_fini(&request.options);
	return status;
}

const struct command command_check = {
	.name = "check",
	.summary = "say how much of the bytecode in a tree is stale, and why",
	.usage = usage,
	.run = cmd_check,
	.wrong_usage = CHECK_USAGE,
	.unwritten = CHECK_FAILURE,
};
