/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache COMMAND: its arguments.
 */
#include <getopt.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/cache/commands.h"
#include "cli/cmd.h"
#include "fs/mount/options.h"

static const char usage[] =
	"usage: canonfs cache COMMAND [--cache FILE] [--json]\n"
	"\n"
	"Looks at what mounts have learned and keep for the next one. While a mount uses\n"
	"the cache, only path, export and import work.\n"
	"\n"
	"  list             the images that are known, the last used first\n"
	"  verify           check every row, and the proofs\n"
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
	"Exit status: 0 done, 1 wrong usage, 2 failure or damage.\n";

static int cache_operands(struct cache_request *request, int argc, char **argv)
{
	const struct cache_word *word = argc < 1 ? NULL : cache_word(argv[0]);

	if (argc < 1)
		return COMMAND_WRONG_USAGE;
	if (!word) {
		log_error("unknown cache command %s", quoted(argv[0]));
		return COMMAND_WRONG_USAGE;
	}
	if (argc != 1 + word->has_operand) {
		log_error("cache %s needs %s", argv[0],
			  word->has_operand ? "one file" : "no arguments");
		return COMMAND_WRONG_USAGE;
	}
	request->operand = argv[1];
	return cache_run(word, request);
}

static bool cache_take_size(void *request, const char *size)
{
	if (mount_options_size(size, &((struct cache_request *)request)->size))
		return true;
	log_error("wrong number %s", quoted(size));
	return false;
}

static int cmd_cache(int argc, char **argv)
{
	struct cache_request request = {.size = STORE_DEFAULT_SIZE, .days = CACHE_ALL_DAYS};
	const struct command_option options[] = {
		{"cache", .text = &request.cache},
		{"json", .flag = &request.json},
		{"size", .take = cache_take_size},
		{"days", .number = &request.days, .most = 100000},
	};
	int status = command_options(options, ARRAY_SIZE(options), &request, argc, argv);

	if (status == 0)
		status = cache_operands(&request, argc - optind, argv + optind);
	proof_set_fini(&request.proofs);
	return status;
}

const struct command command_cache = {
	.name = "cache",
	.summary = "look at and tend what mounts have learned",
	.usage = usage,
	.run = cmd_cache,
	.wrong_usage = EXIT_CACHE_USAGE,
	.unwritten = EXIT_CACHE_FAILURE,
};
