/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache COMMAND: its arguments.
 */
#include <getopt.h>
#include <string.h>

#include "base/log.h"
#include "cli/cache/commands.h"
#include "cli/cmd.h"
#include "fs/mount/options.h"

static const char usage[] =
	"usage: canonfs cache COMMAND [--cache FILE] [--json]\n"
	"\n"
	"Looks at what mounts have learned and keep for the next one. While a mount uses\n"
	"the cache, only the command path works.\n"
	"\n"
	"  list             the images that are known, the last used first\n"
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

/* Return: 0, or what the command returns in place of an exit status. */
static int cache_take_option(struct cache_request *request, int option)
{
	bool good = true;
	long days;

	switch (option) {
	case 'c':
		request->cache = optarg;
		break;
	case 'j':
		request->json = true;
		break;
	case 's':
		good = mount_options_size(optarg, &request->size);
		break;
	case 'd':
		good = command_number(optarg, 0, 100000, &days);
		if (good)
			request->days = days;
		break;
	case 'h':
		return COMMAND_HELP;
	default:
		return COMMAND_WRONG_USAGE;
	}
	if (good)
		return 0;
	log_error("wrong number %s", quoted(optarg));
	return COMMAND_WRONG_USAGE;
}

static int cmd_cache(int argc, char **argv)
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
	int status = 0;
	int option;

	while (status == 0 &&
	       (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		status = cache_take_option(&request, option);
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
