/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs umount MOUNTPOINT: its arguments.
 */
#include <getopt.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/cmd.h"
#include "cli/mount/mount.h"
#include "fs/process/supervisor.h"

static const char usage[] =
	"usage: canonfs umount [-l] MOUNTPOINT\n"
	"\n"
	"Ends a canonfs mount, and waits for the end of its server.\n"
	"\n"
	"  -l, --lazy  also while files are in use; they are served until they are closed\n"
	"\n"
	"Exit status: 0 unmounted, 1 wrong usage, 32 not unmounted.\n";

static int cmd_umount(int argc, char **argv)
{
	bool lazy = false;
	const struct command_option options[] = {{"lazy", 'l', .flag = &lazy}};
	int status = command_options(options, ARRAY_SIZE(options), NULL, argc, argv);

	if (status != 0)
		return status;
	if (argc - optind != 1) {
		log_error("one MOUNTPOINT is needed");
		return COMMAND_WRONG_USAGE;
	}
	return umount_run(argv[optind], lazy);
}

const struct command command_umount = {
	.name = "umount",
	.summary = "end a canonfs mount",
	.usage = usage,
	.run = cmd_umount,
	.wrong_usage = EXIT_MOUNT_USAGE,
};
