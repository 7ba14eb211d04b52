/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: how much of the bytecode below some directories is stale, without a mount.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/check/check.h"
#include "cli/cmd.h"
#include "cli/print/output.h"

#define DEFAULT_TOP 5

static const char usage[] =
	"usage: canonfs check [OPTION...] PATH...\n"
	"\n"
	"Looks at all bytecode below each PATH and says what Python does with it today, "
	"and\n"
	"what canonfs would do. Nothing is mounted or written; root is not needed.\n"
	"\n"
	"  --root DIR       PATH is in this image (default: all of it); symlinks resolve\n"
	"                   there, and the interpreters are the image's\n"
	"  -o OPTIONS       as of canonfs mount: trust=, canonical=, cache=, ...\n"
	"  --by WHAT        add up by directory, distribution (what pip installs, "
	"default)\n"
	"                   or package (what dpkg installs)\n"
	"  --top N          show the N worst of them (default: 5; 0: all)\n"
	"  --list WHAT      print files instead, one a line, with the reason. WHAT is a "
	"verdict\n"
	"                   (fresh, restamped, stale, hash-checked, hash-unchecked, "
	"orphan,\n"
	"                   sourceless, foreign, corrupt), or all, or compiles (whatever "
	"is\n"
	"                   compiled again), damaged (fails to load), uncached (sources "
	"without\n"
	"                   bytecode)\n"
	"  --json           print JSON; with --list, an object a line\n"
	"  --quiet          print nothing\n"
	"  --jobs N         so many at a time (default: as there are processors)\n"
	"\n"
	"Exit status: 0 nothing is stale, 1 what is stale canonfs would vouch for, 2 some "
	"is\n"
	"really stale or damaged, 64 wrong usage, 66 something could not be looked at, 74 "
	"the\n"
	"output cannot be written.\n"
	"\n"
	"Example:\n"
	"  canonfs check /usr\n"
	"  canonfs check --root /srv/image --list stale\n";

static int wrong_usage(void)
{
	fputs("usage: canonfs check [OPTION...] PATH...; see canonfs check --help\n",
	      stderr);
	return CHECK_USAGE;
}

static const char *const by_names[] = {
	[CHECK_BY_DIRECTORY] = "directory",
	[CHECK_BY_DISTRIBUTION] = "distribution",
	[CHECK_BY_PACKAGE] = "package",
};

const char *check_by_name(enum check_by by)
{
	return by_names[by];
}

enum check_status check_status(const struct check *check)
{
	if (check->unreadable)
		return CHECK_UNREADABLE;
	if (check->tally[0].hopeless)
		return CHECK_HOPELESS;
	return check->tally[0].stale ? CHECK_STALE : CHECK_CLEAN;
}

/* ---- a run ---- */

static int put_magic(struct check *check, const struct pyc_magic *magic)
{
	for (size_t i = 0; i < check->magic_count; i++)
		if (check->magic[i] == magic)
			return 0;
	check->magic[check->magic_count++] = magic;
	return 0;
}

/* Who reads the bytecode; not asked where nobody wants to know. */
static int find_interpreters(struct check *check, const char *root)
{
	int r = interpreters_find(root, &check->interpreters);

	if (r < 0) {
		log_error("cannot look for interpreters: %s", strerror(-r));
		return r;
	}
	if (!root || strcmp(root, "/") == 0)
		interpreters_resolve_libraries(&check->interpreters);
	check->magic = calloc(check->interpreters.count + 1, sizeof(*check->magic));
	if (!check->magic)
		return -ENOMEM;
	for (size_t i = 0; i < check->interpreters.count; i++)
		put_magic(check, check->interpreters.interpreters[i].magic);
	return 0;
}

static int prepare_groups(struct check *check)
{
	int r = 0;

	check->groups = groups_new();
	check->owners = owners_new(check->request->by);
	if (!check->groups || !check->owners)
		return -ENOMEM;
	if (check->request->by == CHECK_BY_PACKAGE)
		r = owners_load_packages(check->owners, check->tree[0].set.tree.host_fd);
	if (r < 0)
		log_warning("cannot read what dpkg installed: %s; going on without",
			    strerror(-r));
	return 0;
}

static int prepare(struct check *check)
{
	const struct check_request *request = check->request;
	int r = 0;

	check->threads = walk_threads(request->threads);
	check->tally = calloc(check->threads, sizeof(*check->tally));
	for (unsigned i = 0; check->tally && i < check->threads; i++) {
		check->tally[i].reader =
			calloc(pyc_magic_count + 1, sizeof(*check->tally[i].reader));
		if (!check->tally[i].reader)
			return -ENOMEM;
	}
	if (!check->tally)
		return -ENOMEM;
	if (request->quiet || request->list || check->tree_count == 0)
		return 0;
	r = prepare_groups(check);
	return r < 0 ? r : find_interpreters(check, check->tree[0].set.root);
}

static void check_fini(struct check *check)
{
	for (unsigned i = 0; check->tally && i < check->threads; i++) {
		free(check->tally[i].reader);
		free(check->tally[i].example);
	}
	free(check->tally);
	free(check->magic);
	groups_free(check->groups);
	owners_free(check->owners);
	interpreters_free(&check->interpreters);
	for (size_t i = 0; i < check->tree_count; i++)
		tree_set_close(&check->tree[i].set);
	free(check->tree);
	pthread_mutex_destroy(&check->message_lock);
}

/* Who names a __pycache__ means that part of the directory that it is in. */
static int open_tree(const struct check_request *request, const char *path,
		     struct check_tree *tree)
{
	scope_free char *parent = NULL;
	const char *slash;
	int r = tree_set_open(&tree->set, path, request->root, &request->options);

	tree->start = ".";
	slash = r == 0 ? strrchr(tree->set.path, '/') : NULL;
	if (!slash || strcmp(slash + 1, PYC_CACHE_DIR) != 0)
		return r;
	if (asprintf(&parent, "%s/..", path) < 0) {
		parent = NULL;
		return -ENOMEM;
	}
	tree_set_close(&tree->set);
	tree->start = PYC_CACHE_DIR;
	return tree_set_open(&tree->set, parent, request->root, &request->options);
}

static bool is_same(const struct check_tree *a, const struct check_tree *b)
{
	return strcmp(a->set.path, b->set.path) == 0 && strcmp(a->start, b->start) == 0;
}

static bool holds(const struct check_tree *tree, const struct check_tree *other)
{
	return strcmp(tree->start, ".") == 0 && path_below(other->set.path, tree->set.path);
}

/* Does another PATH hold all of this one? Of two equal ones, the first does. */
static bool is_covered(const struct check *check, size_t index)
{
	const struct check_tree *tree = &check->tree[index];

	for (size_t i = 0; i < check->tree_count; i++) {
		const struct check_tree *other = &check->tree[i];

		if (is_same(other, tree) ? i < index : holds(other, tree))
			return true;
	}
	return false;
}

/* Each file counts once, whatever the PATHs. */
static void drop_covered(struct check *check)
{
	for (size_t i = check->tree_count; i-- > 0;) {
		if (!is_covered(check, i))
			continue;
		tree_set_close(&check->tree[i].set);
		memmove(&check->tree[i], &check->tree[i + 1],
			(--check->tree_count - i) * sizeof(*check->tree));
	}
}

static int open_trees(struct check *check, char **paths, size_t count)
{
	check->tree = calloc(count, sizeof(*check->tree));
	if (!check->tree)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (open_tree(check->request, paths[i], &check->tree[check->tree_count]) <
		    0) {
			tree_set_close(&check->tree[check->tree_count].set);
			check->unreadable++;
		} else {
			check->tree_count++;
		}
	}
	drop_covered(check);
	return 0;
}

static void print(const struct check *check)
{
	const struct check_request *request = check->request;

	if (request->quiet || request->list || check->tree_count == 0)
		return;
	if (request->json)
		check_print_json(check);
	else
		check_print_text(check);
}

static int check_paths(const struct check_request *request, char **paths, size_t count)
{
	struct check check = {.request = request,
			      .message_lock = PTHREAD_MUTEX_INITIALIZER};
	int status = CHECK_FAILURE;
	int r = open_trees(&check, paths, count);

	if (r == 0)
		r = prepare(&check);
	if (r == 0)
		r = check_walk(&check);
	if (r == 0) {
		print(&check);
		status = check_status(&check);
	} else {
		log_error("cannot check: %s", strerror(-r));
	}
	check_fini(&check);
	return status;
}

/* ---- the command line ---- */

static bool parse_list(const char *text, struct check_request *request)
{
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

static bool parse_by(const char *text, struct check_request *request)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_names); i++) {
		if (strcmp(text, by_names[i]) == 0) {
			request->by = (enum check_by)i;
			return true;
		}
	}
	log_error("cannot add up by %s: directory, distribution or package", quoted(text));
	return false;
}

static bool parse_number(const char *text, unsigned least, unsigned *ret_number)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || number < least ||
	    number > 1000000) {
		log_error("wrong number %s", quoted(text));
		return false;
	}
	*ret_number = (unsigned)number;
	return true;
}

static bool take_options(struct check_request *request, const char *list)
{
	struct reason why;
	int r = mount_options_parse(&request->options, list, &why);

	if (r < 0)
		log_error("%s", why.text);
	return r == 0;
}

enum { OPT_ROOT = 256, OPT_BY, OPT_TOP, OPT_LIST, OPT_JSON, OPT_QUIET, OPT_JOBS };

static bool take_option(struct check_request *request, int option)
{
	switch (option) {
	case OPT_ROOT:
		request->root = optarg;
		return true;
	case OPT_BY:
		return parse_by(optarg, request);
	case OPT_TOP:
		return parse_number(optarg, 0, &request->top);
	case OPT_LIST:
		return parse_list(optarg, request);
	case OPT_JSON:
		return request->json = true;
	case OPT_QUIET:
		return request->quiet = true;
	case OPT_JOBS:
		return parse_number(optarg, 1, &request->threads);
	case 'o':
		return take_options(request, optarg);
	default:
		return false;
	}
}

static int run_operands(struct check_request *request, int argc, char **argv)
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
	return wrong_usage();
}

static int run_arguments(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"root", required_argument, NULL, OPT_ROOT},
		{"by", required_argument, NULL, OPT_BY},
		{"top", required_argument, NULL, OPT_TOP},
		{"list", required_argument, NULL, OPT_LIST},
		{"json", no_argument, NULL, OPT_JSON},
		{"quiet", no_argument, NULL, OPT_QUIET},
		{"jobs", required_argument, NULL, OPT_JOBS},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct check_request request = {.by = CHECK_BY_DISTRIBUTION, .top = DEFAULT_TOP};
	int status = -1;
	int option;

	mount_options_init(&request.options);
	while (status < 0 &&
	       (option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			status = CHECK_CLEAN;
		} else if (!take_option(&request, option)) {
			status = wrong_usage();
		}
	}
	if (status < 0)
		status = run_operands(&request, argc - optind, argv + optind);
	mount_options_fini(&request.options);
	return status;
}

static int run(int argc, char **argv)
{
	return output_finish(run_arguments(argc, argv));
}

const struct command command_check = {
	.name = "check",
	.summary = "say how much of the bytecode in a tree is stale, and why",
	.usage = usage,
	.run = run,
};
