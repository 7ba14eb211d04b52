/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs verify PATH...: proof by recompiling; see verify.h.
 */
#include "cli/cmd.h"
#include "cli/print/output.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/store/db.h"
#include "cache/tree/pairing.h"
#include "cli/trees/proofs.h"
#include "cli/verify/verify.h"

static const char usage[] =
	"usage: canonfs verify PATH... [--python PROGRAM]... [--root DIR] [--cache FILE]\n"
	"                      [--no-record] [--list RESULT]... [--json] [--jobs N]\n"
	"\n"
	"Compiles the source of each bytecode file anew, with the interpreter that it is "
	"for,\n"
	"and compares the code. What is proved, or disproved, is recorded in the cache: a\n"
	"mount with -o trust=verified vouches for what is proved, and none for what is\n"
	"disproved.\n"
	"\n"
	"PATH is a directory, or a bytecode file. A difference is a disproof only if the\n"
	"interpreter is the file's own: in the image that the file is in, or the file "
	"lies\n"
	"among its libraries. Any other may be another release, which compiles otherwise.\n"
	"\n"
	"  --python PROGRAM   one more interpreter of this machine; may be repeated\n"
	"  --root DIR         PATH is in the image DIR; as root, the image's interpreters "
	"are\n"
	"                     run, in a chroot and as nobody\n"
	"  --cache FILE       not the default one; as the mount option cache=\n"
	"  --no-record        use no cache: neither to look up nor to record\n"
	"  --list RESULT      print the files that are proved, disproved, unknown or "
	"not-tried,\n"
	"                     and nothing else; may be repeated\n"
	"  --json             print JSON; with the files that are listed (default: "
	"disproved\n"
	"                     and unknown)\n"
	"  --jobs N           so many at a time (default: as there are processors)\n"
	"  --timeout SECONDS  for one source (default: 60)\n"
	"  --quiet            print nothing\n"
	"\n"
	"Examples:\n"
	"  canonfs verify /usr/lib/python3.11\n"
	"  canonfs verify /usr --root image && canonfs image/usr /mnt -o trust=verified\n"
	"\n"
	"Exit status: 0 all that was tried is proved, 1 something is unknown or had no\n"
	"interpreter, 2 something is disproved, 64 wrong usage, 66 cannot look or "
	"record.\n";

#define MAX_PYTHONS 64

/**
 * struct request - a command line
 * @run: its interpreters are found later
 */
struct request {
	struct verify_run run;
	struct verify_report report;
	const char *pythons[MAX_PYTHONS];
	size_t python_count;
	const char *root;
	const char *cache;
	bool no_record;
	char **paths;
	size_t path_count;
};

/* What is open while the command runs. */
struct work {
	struct store_place place;
	struct store_db *db;
	struct tree_set *inspections;
	size_t inspection_count;
	struct verify_list list;
};

static int wrong_usage(void)
{
	fputs("usage: canonfs verify PATH... [OPTIONS]; see canonfs verify --help\n",
	      stderr);
	return EX_USAGE;
}

/* ---- the cache ---- */

/* Before anything is compiled: it must not turn out at the end that it was for nothing. */
static int open_cache(struct request *request, struct work *work)
{
	char why[STORE_WHY_MAX] = "";
	const char *path;
	int r = store_place_open(&work->place, request->cache, why);

	path = work->place.path ? work->place.path : request->cache;
	if (r == 0)
		r = store_db_open(&work->place, STORE_DB_MAKE, &work->db, why);
	if (r == 0 && why[0])
		log_warning("set the cache %s aside: %s", quoted(path), why);
	if (r == 0)
		r = proofs_load(work->db, &request->run.known);
	if (r == 0)
		return 0;
	log_error("cannot record in the cache %s: %s; %suse --no-record, or --cache with a "
		  "file of its own and then canonfs cache export and import",
		  quoted(path ? path : "in the default place"), why[0] ? why : strerror(-r),
		  r == -EBUSY ? "unmount first, or " : "");
	return r;
}

/* How the one who said it is remembered. */
static void name_interpreter(const struct interpreter *interpreter,
			     char name[PROOF_INTERPRETER_MAX])
{
	bool is_cpython = interpreter->magic->implementation == PYC_CPYTHON;

	snprintf(name, PROOF_INTERPRETER_MAX, "%s%s", is_cpython ? "CPython " : "",
		 interpreter->release);
}

/* The new proofs and disproofs. */
static int gather_proofs(const struct verify_list *list, struct proof_set *set)
{
	int64_t now = time(NULL);
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++) {
		const struct verify_file *file = &list->files[i];
		struct proof proof = {
			.source = file->source,
			.body = file->body,
			.result = file->why == VERIFY_SAME ? PYC_CHECK_OK : PYC_CHECK_BAD,
			.when_s = now,
		};

		if (file->why != VERIFY_SAME && file->why != VERIFY_DIFFERS)
			continue;
		proof.magic = file->magic->number;
		proof.level = (uint8_t)file->level;
		name_interpreter(file->by, proof.interpreter);
		r = proof_set_add(set, &proof);
	}
	proof_set_seal(set);
	return r;
}

static int record(struct request *request, struct work *work)
{
	struct proof_set set = {.count = 0};
	int r = gather_proofs(&work->list, &set);

	if (r == 0 && set.count > 0)
		r = store_db_put_proofs(work->db, &set);
	if (r == 0)
		request->report.recorded = set.count;
	else if (r == -E2BIG)
		log_error("the cache %s takes %d proofs, and would have more; nothing was "
			  "recorded",
			  quoted(work->place.path), PROOF_MAX);
	else
		log_error("cannot write the cache %s: %s; nothing was recorded",
			  quoted(work->place.path), strerror(-r));
	proof_set_fini(&set);
	return r;
}

/* ---- what to look at ---- */

/* The directory of a path, without a slash at its end; the caller's. */
static char *dir_of(const char *path)
{
	size_t len = (size_t)(path_last(path) - path);

	if (len == 0)
		return strdup(".");
	return strndup(path, len > 1 ? len - 1 : len);
}

/* Without "." and symlinks, but for a bytecode file that is one itself; NULL if there is no
 * such place. */
static char *absolute(const char *path)
{
	scope_free char *dir = NULL;
	scope_free char *real = NULL;
	char *joined;

	if (!pyc_name_is_bytecode(path))
		return realpath(path, NULL);
	dir = dir_of(path);
	real = dir ? realpath(dir, NULL) : NULL;
	if (!real || asprintf(&joined, "%s/%s", real, path_last(path)) < 0)
		return NULL;
	return joined;
}

/*
 * Takes a path apart into a tree and what is in it. A bytecode file's tree is where its
 * source is, too. Return: the tree, the caller's; NULL when out of memory.
 */
static char *tree_of(const char *path, const char **ret_inside)
{
	scope_free char *dir = NULL;

	*ret_inside = ".";
	if (!pyc_name_is_bytecode(path))
		return strdup(path);
	dir = dir_of(path);
	*ret_inside = path_last(path);
	if (!dir || strcmp(path_last(dir), PYC_CACHE_DIR) != 0)
		return take_ptr(dir);
	*ret_inside = path + (path_last(dir) - dir);
	return dir_of(dir);
}

static int collect(struct request *request, struct work *work, const char *path)
{
	struct tree_set *set = &work->inspections[work->inspection_count];
	/* An image's paths are as its readers name them. */
	scope_free char *real = request->root ? NULL : absolute(path);
	struct mount_options options;
	const char *inside;
	scope_free char *tree = tree_of(real ? real : path, &inside);
	int r;

	if (!tree)
		return -ENOMEM;
	mount_options_init(&options);
	options.no_cache = true; /* verdicts do not matter here */
	r = tree_set_open(set, tree, request->root, &options);
	mount_options_fini(&options);
	work->inspection_count++;
	if (r < 0)
		return r;
	r = verify_collect(set, inside, &work->list);
	if (r < 0)
		log_error("cannot look at %s: %s", quoted(path), strerror(-r));
	return r;
}

static int collect_all(struct request *request, struct work *work)
{
	int r = 0;

	work->inspections = calloc(request->path_count, sizeof(*work->inspections));
	if (!work->inspections)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < request->path_count; i++)
		r = collect(request, work, request->paths[i]);
	return r;
}

/* ---- who compiles ---- */

static int find_interpreters(struct request *request)
{
	int r = 0;

	if (request->root)
		r = interpreters_find(request->root, &request->run.image);
	if (r == 0)
		r = interpreters_find("/", &request->run.machine);
	if (r < 0)
		log_error("cannot look for interpreters: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < request->python_count; i++)
		r = interpreters_add("/", request->pythons[i], &request->run.machine);
	interpreters_resolve_libraries(&request->run.machine);
	return r;
}

/* ---- all of it ---- */

static int status_of(const struct verify_list *list)
{
	bool unknown = false;

	for (size_t i = 0; i < list->count; i++) {
		enum verify_why why = list->files[i].why;

		if (verify_why_result(why) == VERIFY_DISPROVED)
			return 2;
		unknown |= verify_why_result(why) == VERIFY_UNKNOWN ||
			   why == VERIFY_NO_INTERPRETER || why == VERIFY_CANNOT_RUN ||
			   why == VERIFY_UNREADABLE;
	}
	return unknown;
}

static int verify_open(struct request *request, struct work *work)
{
	int r = find_interpreters(request);
	int status;

	if (r == 0)
		r = collect_all(request, work);
	if (r < 0)
		return EX_NOINPUT;
	/* An interpreter that ends early is no reason for us to end. */
	signal(SIGPIPE, SIG_IGN);
	r = verify_all(&request->run, &work->list);
	signal(SIGPIPE, SIG_DFL);
	if (r < 0) {
		log_error("cannot verify: %s", strerror(-r));
		return EX_NOINPUT;
	}
	status = status_of(&work->list);
	if (work->db && record(request, work) < 0)
		status = EX_NOINPUT;
	request->report.cache = work->db ? work->place.path : NULL;
	if (!request->run.quiet)
		verify_print(&request->report, &work->list);
	return status;
}

static int verify(struct request *request)
{
	struct work work = {.place = {.dir_fd = -1}};
	int status = EX_NOINPUT;

	if (request->no_record || open_cache(request, &work) == 0)
		status = verify_open(request, &work);
	verify_list_fini(&work.list);
	for (size_t i = 0; i < work.inspection_count; i++)
		tree_set_close(&work.inspections[i]);
	free(work.inspections);
	store_db_close(work.db);
	store_place_close(&work.place);
	return status;
}

/* ---- the command line ---- */

static bool parse_number(const char *text, long max, long *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtol(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *ret_number > 0 &&
	       *ret_number <= max;
}

static bool select_result(const char *text, struct verify_report *report)
{
	for (int i = 0; i < VERIFY_RESULTS; i++) {
		if (strcmp(text, verify_result_name((enum verify_result)i)) == 0) {
			report->selected[i] = report->only = true;
			return true;
		}
	}
	return false;
}

static bool add_python(struct request *request, const char *program)
{
	if (request->python_count == MAX_PYTHONS)
		return false;
	request->pythons[request->python_count++] = program;
	return true;
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

enum { OPTION_NO_RECORD = 256 };

/* Return: whether the value, if there is one, is right. */
static bool take_option(struct request *request, int option, const char *value)
{
	long number = 0;
	bool good = true;

	switch (option) {
	case 'p':
		return add_python(request, value);
	case 'r':
		request->root = value;
		return true;
	case 'c':
		request->cache = value;
		return true;
	case 'l':
		return select_result(value, &request->report);
	case 't':
		good = parse_number(value, 86400, &number);
		request->run.timeout_ms = (int)number * 1000;
		return good;
	case 'j':
		good = parse_number(value, 1024, &number);
		request->run.jobs = (unsigned)number;
		return good;
	case 'J':
		request->report.json = true;
		return true;
	case 'q':
		request->run.quiet = true;
		return true;
	default: /* OPTION_NO_RECORD */
		request->no_record = true;
		return true;
	}
}

/* Return: 0, 1 to go no further, or an exit status. */
static int take_options(struct request *request, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"python", required_argument, NULL, 'p'},
		{"root", required_argument, NULL, 'r'},
		{"cache", required_argument, NULL, 'c'},
		{"no-record", no_argument, NULL, OPTION_NO_RECORD},
		{"list", required_argument, NULL, 'l'},
		{"json", no_argument, NULL, 'J'},
		{"jobs", required_argument, NULL, 'j'},
		{"timeout", required_argument, NULL, 't'},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "hj:q", long_options, NULL)) != -1) {
		if (option == '?')
			return wrong_usage();
		if (option == 'h') {
			fputs(usage, stdout);
			return 1;
		}
		if (!take_option(request, option, optarg)) {
			log_error("wrong value %s", quoted(optarg));
			return wrong_usage();
		}
	}
	return 0;
}

static int run_arguments(int argc, char **argv)
{
	struct request request = {
		.run = {.jobs = processors(), .timeout_ms = 60000},
	};
	struct verify_report *report = &request.report;
	int status = take_options(&request, argc, argv);

	if (status != 0)
		return status == 1 ? 0 : status;
	request.paths = argv + optind;
	request.path_count = (size_t)(argc - optind);
	if (request.path_count == 0) {
		log_error("a PATH is needed");
		return wrong_usage();
	}
	if (!report->only)
		report->selected[VERIFY_DISPROVED] = report->selected[VERIFY_UNKNOWN] =
			true;
	report->root = request.root ? request.root : "/";
	status = verify(&request);
	proof_set_fini(&request.run.known);
	interpreters_free(&request.run.image);
	interpreters_free(&request.run.machine);
	return status;
}

static int run(int argc, char **argv)
{
	return output_finish(run_arguments(argc, argv));
}

const struct command command_verify = {
	.name = "verify",
	.summary = "prove by recompiling which bytecode is its source's",
	.usage = usage,
	.run = run,
};
