/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of the canonfs program. Each has a cmd_*.c in its folder, with its usage and
 * its arguments; main.c has the table.
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
 * @usage:   the text of --help; main prints its first paragraph where arguments are wrong
 * @run:     argv[0] is "canonfs", the arguments follow. Return: an exit status, or one of
 *           those above.
 * @wrong_usage: exit status of COMMAND_WRONG_USAGE
 * @unwritten: exit status where standard output could not be written; 0: the command prints
 *           nothing there, or checks it itself
 * @keeps_descriptors: inherited descriptors stay open, for a program that the user runs
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

/* Parses an argument of -o. Return: whether it is right; else one line was logged. */
bool command_mount_options(struct mount_options *options, const char *list);

/**
 * command_number() - parse a decimal number of the command line
 * Return: whether it is one, and from @least to @most.
 */
bool command_number(const char *text, long least, long most, long *ret_number);

#endif
