/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of the canonfs program. Each has a cmd_*.c in its folder, with its usage and
 * its arguments; main.c has the table.
 */
#ifndef CANONFS_CLI_CMD_H
#define CANONFS_CLI_CMD_H

#include <stdbool.h>
#include <stddef.h>
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
 * struct command_option - an option that a command takes; one of the pointers is set
 * @word:   "json" for --json; NULL where it has a letter only
 * @letter: 0 for none
 * @flag:   becomes true
 * @text:   becomes the value, borrowed from argv
 * @number: becomes the value, from @least to @most
 * @mount:  the value is one of mount's -o
 * @take:   takes the value. Return: whether it is right; else one line was logged.
 */
struct command_option {
	const char *word;
	char letter;
	bool *flag;
	const char **text;
	unsigned *number;
	unsigned least;
	unsigned most;
	struct mount_options *mount;
	bool (*take)(void *request, const char *value);
};

#define COMMAND_OPTIONS_MAX 16

/**
 * command_options() - take the options of a command line
 * @options: @count of them, COMMAND_OPTIONS_MAX at most; all commands take --help and -h
 * @request: for .take
 *
 * Return: 0, and optind is the first operand; else what the command returns in place of an
 * exit status.
 */
int command_options(const struct command_option *options, size_t count, void *request,
		    int argc, char **argv);

#endif
