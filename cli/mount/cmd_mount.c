/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs [mount] SOURCE MOUNTPOINT, and mount(8)'s helper mount.canonfs: their arguments.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "cli/cmd.h"
#include "fs/mount/attach.h"
#include "fs/mount/options.h"
#include "fs/process/supervisor.h"

static const char usage[] =
	"usage: canonfs [mount] SOURCE MOUNTPOINT [-o OPTION[,OPTION]...] [-f] [-v]\n"
	"\n"
	"Shows SOURCE at MOUNTPOINT, read-only, with bytecode that Python accepts.\n"
	"MOUNTPOINT may be SOURCE itself. Returns when the mount is usable.\n"
	"\n"
	"  -f, --foreground  stay until the mount ends (SIGTERM and SIGINT end it)\n"
	"  -v, --verbose     say more\n"
	"  -o OPTIONS        comma-separated:\n"
	"    trust=canonical   forgive a mismatching time if the source's was "
	"canonicalised\n"
	"                      (the default)\n"
	"    trust=size        the same, also if the canonical time is the later one\n"
	"    trust=verified    forgive only what a recompile has proved\n"
	"    mtime=source      sources keep their times (the default)\n"
	"    mtime=SECONDS     every source shows this time\n"
	"    mtime=embedded    sources show the time that their bytecode embeds\n"
	"    hash=unchecked    serve checked-hash bytecode as unchecked once it was "
	"verified;\n"
	"                      for sources that never change (default: hash=keep)\n"
	"    canonical=SECONDS one more time that counts as canonical; may be repeated\n"
	"    immutable         SOURCE never changes while mounted (the default on a\n"
	"                      read-only file system, not for a read-only bind mount)\n"
	"    mutable           SOURCE may change although its file system is read-only\n"
	"    stack=auto        the kernel's overlayfs shows SOURCE itself, at its speed, "
	"where\n"
	"                      that works and SOURCE does not change (the default)\n"
	"    stack=on          ... or the mount fails\n"
	"    stack=off         FUSE shows all of SOURCE\n"
	"    cache=FILE|off    where what was learned is kept for the next mount (default: "
	"see\n"
	"                      canonfs cache path)\n"
	"    cache-size=SIZE   its size, with K, M or G (default: 64M)\n"
	"    xdev              hide file systems that are mounted below SOURCE\n"
	"    root=DIR          SOURCE's readers are chrooted to DIR: follow its symlinks "
	"there\n"
	"    allow_other       let other users in (as root always)\n"
	"    nosuid, nodev, noexec, context=...   as in mount(8); words for fstab are "
	"ignored\n"
	"\n"
	"Examples:\n"
	"  canonfs /usr /usr\n"
	"  canonfs image/usr /mnt -o mtime=1\n"
	"  mount -t fuse.canonfs image/usr /mnt\n"
	"\n"
	"Exit status: 0 mounted, 1 wrong usage, 32 mount failure.\n";

struct mount_arguments {
	struct mount_options options;
	bool foreground;
	bool fake;
	bool wrong;
};

/* SOURCE and MOUNTPOINT are what getopt left over. */
static int mount_operands(struct mount_arguments *arguments, int argc, char **argv)
{
	if (arguments->wrong)
		return EXIT_MOUNT_USAGE;
	if (argc != 2) {
		log_error("%s", argc < 2 ? "SOURCE and MOUNTPOINT are needed"
					 : "too many arguments");
		return COMMAND_WRONG_USAGE;
	}
	if (arguments->fake)
		return 0;
	if (arguments->options.remount)
		return reattach(&arguments->options, argv[1]) < 0 ? EXIT_MOUNT_FAILURE : 0;
	return supervisor_run(&arguments->options, argv[0], argv[1], arguments->foreground);
}

/* mount(8) says -f where nothing is to be mounted, and has short options only. */
static int mount_next_option(int argc, char **argv, bool is_helper)
{
	static const struct option long_options[] = {
		{"foreground", no_argument, NULL, 'f'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};

	return is_helper ? getopt(argc, argv, "sfnvN:o:t:")
			 : getopt_long(argc, argv, "fvho:", long_options, NULL);
}

static int mount_take_option(struct mount_arguments *arguments, int option, bool is_helper)
{
	switch (option) {
	case 'f':
		arguments->fake = is_helper;
		arguments->foreground = !is_helper;
		return 0;
	case 'v':
		log_set_level(LOG_LEVEL_INFO);
		return 0;
	case 'o':
		arguments->wrong |= !command_mount_options(&arguments->options, optarg);
		return 0;
	case 'N':
		log_error("mount.canonfs: option -N is not supported: enter the namespace "
			  "with nsenter(1) first");
		return EXIT_MOUNT_USAGE;
	case 'h':
		return COMMAND_HELP;
	case '?':
		return COMMAND_WRONG_USAGE;
	default: /* -s, -n and -t change nothing here */
		return 0;
	}
}

static int mount_run(int argc, char **argv, bool is_helper)
{
	struct mount_arguments arguments = {.foreground = false};
	int status = 0;
	int option;

	mount_options_init(&arguments.options);
	while (status == 0 && (option = mount_next_option(argc, argv, is_helper)) != -1)
		status = mount_take_option(&arguments, option, is_helper);
	if (status == 0)
		status = mount_operands(&arguments, argc - optind, argv + optind);
	mount_options_fini(&arguments.options);
	return status;
}

static int cmd_mount(int argc, char **argv)
{
	return mount_run(argc, argv, false);
}

int cmd_mount_helper(int argc, char **argv)
{
	return mount_run(argc, argv, true);
}

const struct command command_mount = {
	.name = "mount",
	.summary = "show SOURCE at MOUNTPOINT with bytecode that Python accepts",
	.usage = usage,
	.run = cmd_mount,
	.wrong_usage = EXIT_MOUNT_USAGE,
};
