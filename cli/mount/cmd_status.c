/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs status [MOUNT]: its arguments.
 */
#include <getopt.h>
#include <stdbool.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/cmd.h"
#include "cli/mount/mount.h"

static const char usage[] =
	"usage: canonfs status [MOUNT] [--json]\n"
	"\n"
	"Shows the canonfs mounts of this machine, or one: its options, memory, requests,\n"
	"what became of the bytecode, errors. A mount whose server does not answer within\n"
	"a second is shown as such. Others' mounts are shown in full to root only.\n"
	"\n"
	"  --json  print JSON\n"
	"\n"
	"Examples:\n"
	"  canonfs status\n"
	"  canonfs status /usr --json | jq '.mounts[0].status.bytecode.verdicts'\n"
	"\n"
	"Exit status: 0, also where there is no mount; 64 wrong usage, 66 MOUNT is not a\n"
	"canonfs mount, 69 a mount does not answer, 77 MOUNT is somebody else's.\n";

static int cmd_status(int argc, char **argv)
{
	bool json = false;
	const struct command_option options[] = {{"json", .flag = &json}};
	int status = command_options(options, ARRAY_SIZE(options), NULL, argc, argv);

	if (status != 0)
		return status;
	if (argc - optind > 1) {
		log_error("more than one MOUNT");
		return COMMAND_WRONG_USAGE;
	}
	return status_show(argv[optind], json);
}

const struct command command_status = {
	.name = "status",
	.summary = "show the mounts of this machine and what they do",
	.usage = usage,
	.run = cmd_status,
	.wrong_usage = EX_USAGE,
	.unwritten = EX_IOERR,
};
