/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache COMMAND: look at and tend the database that mounts share.
 */
#include "cli/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/scope.h"
#include "cache/store/place.h"
#include "cli/cache/commands.h"
#include "cli/print/json.h"
#include "fs/mount/options.h"

static const char usage[] =
	"usage: canonfs cache COMMAND [--cache FILE] [--json]\n"
	"\n"
	"Looks at what mounts have learned and keep for the next one. While a mount uses\n"
	"the cache, only the command path works.\n"
	"\n"
	"  list             the images that are known, the last used first\n"
	"  show PATH        what is known of one bytecode file (not through a mount)\n"
	"  verify           check every row\n"
	"  prune            delete the least recently used images, to make it smaller\n"
	"    --size SIZE      down to this size (default: 64M)\n"
	"    --days DAYS      and what was not used for so long\n"
	"  clear            delete everything, proofs too\n"
	"  path             print where it is\n"
	"  export FILE      write the proofs (which bytecode is whose source's) to FILE\n"
	"  import FILE      take the proofs of FILE in: all of them, or none\n"
	"\n"
	"  --cache FILE     not the default one; as the mount option cache=\n"
	"  --json           print JSON\n"
	"\n"
	"FILE may be - for standard output or input.\n"
	"Exit status: 0 done, 1 wrong usage, 2 failure, damage, or nothing known.\n";

struct word {
	const char *name;
	int (*run)(struct store_db *db, const struct cache_request *request);
	bool has_operand;
	enum store_db_mode mode;
};

static const struct word words[] = {
	{"list", cache_list, false, STORE_DB_EXISTING},
	{"show", cache_show, true, STORE_DB_EXISTING},
	{"verify", cache_verify, false, STORE_DB_EXISTING},
	{"prune", cache_prune, false, STORE_DB_EXISTING},
	{"clear", cache_clear, false, STORE_DB_RENEW},
	{"export", cache_export, true, STORE_DB_EXISTING},
	{"import", cache_import, true, STORE_DB_MAKE},
};

static int wrong_usage(void)
{
	fputs("usage: canonfs cache COMMAND [--cache FILE] [--json]; see canonfs cache "
	      "--help\n",
	      stderr);
	return EXIT_CACHE_USAGE;
}

int cache_fail(const struct cache_request *request, const char *what, int error)
{
	log_error("cannot %s the cache %s: %s", what, quoted(request->path),
		  error == -EBADMSG ? "it is damaged" : strerror(-error));
	return EXIT_CACHE_FAILURE;
}

static int print_path(const char *given, bool json)
{
	scope_free char *path = given ? strdup(given) : store_place_default();
	struct json_object *object;

	if (!path) {
		log_error("there is no place for a cache: HOME is not set");
		return EXIT_CACHE_FAILURE;
	}
	if (!json) {
		puts(path);
		return 0;
	}
	object = json_object_new_object();
	json_add_text(object, "path", path);
	json_print(object);
	return 0;
}

static int run_word(const struct word *word, struct cache_request *request,
		    const char *given)
{
	struct store_place place;
	struct store_db *db = NULL;
	char why[STORE_WHY_MAX];
	int status = EXIT_CACHE_FAILURE;
	int r = store_place_open(&place, given, why);

	request->path = place.path ? place.path : given ? given : "in the default place";
	if (r == 0)
		r = store_db_open(&place, word->mode, &db, why);
	if (r < 0) {
		log_error("cannot use the cache %s: %s", quoted(request->path), why);
	} else {
		if (why[0])
			log_warning("set the cache %s aside: %s", quoted(request->path),
				    why);
		status = word->run(db, request);
	}
	store_db_close(db);
	store_place_close(&place);
	return status;
}

/* ---- the command line ---- */

static int run_operands(struct cache_request *request, const char *given, int argc,
			char **argv)
{
	if (argc < 1)
		return wrong_usage();
	if (strcmp(argv[0], "path") == 0)
		return argc == 1 ? print_path(given, request->json) : wrong_usage();
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].name, argv[0]) != 0)
			continue;
		if (argc != 1 + words[i].has_operand) {
			log_error("cache %s needs %s", argv[0],
				  words[i].has_operand ? "one file" : "no arguments");
			return wrong_usage();
		}
		request->operand = argv[1];
		if (words[i].run == cache_import && cache_import_read(request) < 0)
			return EXIT_CACHE_FAILURE;
		return run_word(&words[i], request, given);
	}
	log_error("unknown cache command %s", quoted(argv[0]));
	return wrong_usage();
}

static bool parse_days(const char *text, int64_t *ret_days)
{
	char *end;
	long days;

	errno = 0;
	days = strtol(text, &end, 10);
	if (errno || end == text || *end || days < 0 || days > 100000)
		return false;
	*ret_days = days;
	return true;
}

static int run_arguments(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"cache", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"size", required_argument, NULL, 's'},
		{"days", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct cache_request request = {.size = STORE_DEFAULT_SIZE, .days = -1};
	const char *given = NULL;
	int option;
	int status;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		bool good = true;

		switch (option) {
		case 'c':
			given = optarg;
			break;
		case 'j':
			request.json = true;
			break;
		case 's':
			good = parse_size(optarg, &request.size);
			break;
		case 'd':
			good = parse_days(optarg, &request.days);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return wrong_usage();
		}
		if (!good) {
			log_error("wrong number %s", quoted(optarg));
			return wrong_usage();
		}
	}
	status = run_operands(&request, given, argc - optind, argv + optind);
	proof_set_fini(&request.proofs);
	return status;
}

/* What was printed has to arrive; /dev/full and full disks fail only when it is flushed. */
static int run(int argc, char **argv)
{
	int status = run_arguments(argc, argv);

	errno = 0;
	if (status != 0 || (fflush(stdout) == 0 && !ferror(stdout)))
		return status;
	log_error("cannot write to standard output: %s", strerror(errno ? errno : EIO));
	return EXIT_CACHE_FAILURE;
}

const struct command command_cache = {
	.name = "cache",
	.summary = "look at and tend what mounts have learned",
	.usage = usage,
	.run = run,
};
