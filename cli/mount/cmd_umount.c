/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs umount MOUNTPOINT|--all: its arguments.
 */
#include <getopt.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/cmd.h"
#include "cli/mount/mount.h"
#include "fs/process/supervisor.h"

static const char usage[] =
	"usage: canonfs umount [-l] MOUNTPOINT|--all\n"
	"\n"
	"Ends a canonfs mount, and waits for the end of its server.\n"
	"\n"
	"  -a, --all   all canonfs mounts of this mount namespace, the newest first, but "
	"for\n"
	"              those of other users; prints each one (umount -a -t fuse.canonfs "
	"leaves\n"
	"              out the stacked ones, which have the type overlay)\n"
	"  -l, --lazy  also while files are in use; they are served until they are closed\n"
	"\n"
	"Exit status: 0 unmounted, 1 wrong usage, 32 not unmounted; with --all also 0 "
	"where\n"
	"there is none, and 32 if one of them stays.\n";

static int cmd_umount(int argc, char **argv)
{
	bool all = false;
	bool lazy = false;
	const struct command_option options[] = {
		{"all", 'a', .flag = &all},
		{"lazy", 'l', .flag = &lazy},
	};
	int status = command_options(options, ARRAY_SIZE(options), NULL, argc, argv);

	if (status != 0)
		return status;
	if (argc - optind != !all) {
		log_error(all ? "--all takes no MOUNTPOINT"
			      : "one MOUNTPOINT, or --all, is needed");
		return COMMAND_WRONG_USAGE;
	}
	return all ? umount_all(lazy) : umount_run(argv[optind], lazy);
}

const struct command command_umount = {
	.name = "umount",
	.summary = "end a canonfs mount",
	.usage = usage,
	.run = cmd_umount,
	.wrong_usage = EXIT_MOUNT_USAGE,
	.unwritten = EXIT_MOUNT_FAILURE,
};
