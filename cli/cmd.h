/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of the canonfs program: a cmd_*.c in each one's folder, which has its usage
 * and takes its arguments, and a table in main.c.
 */
#ifndef CANONFS_CLI_CMD_H
#define CANONFS_CLI_CMD_H

#include <stdbool.h>
#include <stdint.h>

struct mount_options;

/* What a command returns in place of an exit status, so that main prints its usage. */
enum { COMMAND_HELP = -1, COMMAND_WRONG_USAGE = -2 };

/**
 * struct command - one command
 * @name:    as typed
 * @summary: one line for canonfs --help
 * @usage:   all of its --help; what comes before the first empty line is also shown where
 *           the arguments are wrong
 * @run:     argv[0] is "canonfs", the arguments follow. Return: an exit status, or one of
 *           those above.
 * @wrong_usage: exit status of COMMAND_WRONG_USAGE
 * @unwritten: exit status where standard output did not take all of what was printed; 0
 *           for a command that prints nothing there, or looks itself
 * @keeps_descriptors: those that this process inherited stay open, for a command of the
 *           user's
 */
struct command {
	const char *name;
	const char *summary;
	const char *usage;
	int (*run)(int argc, char **argv);
	int wrong_usage;
	int unwritten;
	bool keeps_descriptors;
};

extern const struct command command_cache;
extern const struct command command_check;
extern const struct command command_explain;
extern const struct command command_mount;
extern const struct command command_status;
extern const struct command command_trace;
extern const struct command command_umount;
extern const struct command command_verify;

/**
 * cmd_mount_helper() - what mount(8) runs as mount.canonfs
 *
 * SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]; there, -f means to do
 * everything but the mount. Return: as struct command.run.
 */
int cmd_mount_helper(int argc, char **argv);

/* Takes an argument of -o in. Return: whether it is right; else one line was logged. */
bool command_mount_options(struct mount_options *options, const char *list);

/**
 * command_number() - a decimal number of the command line
 * @ret_number: written if it is one, and from @least to @most
 */
bool command_number(const char *text, long least, long most, long *ret_number);

#endif
