/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of the canonfs program: one cmd_*.c each, and a table in main.c.
 */
#ifndef CANONFS_CLI_CMD_H
#define CANONFS_CLI_CMD_H

#include <stdbool.h>

/**
 * struct command - one command
 * @name:    as typed
 * @summary: one line for canonfs --help
 * @usage:   all of its --help
 * @run:     argv[0] is "canonfs", the arguments follow. Return: an exit status.
 * @keeps_descriptors: those that this process inherited stay open, for a command of the
 * user's
 */
struct command {
	const char *name;
	const char *summary;
	const char *usage;
	int (*run)(int argc, char **argv);
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
 * everything but the mount.
 */
int cmd_mount_helper(int argc, char **argv);

#endif
