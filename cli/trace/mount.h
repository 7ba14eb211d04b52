/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs trace MOUNT: what a mount decides, as it decides it.
 */
#ifndef CANONFS_CLI_TRACE_MOUNT_H
#define CANONFS_CLI_TRACE_MOUNT_H

#include <stdbool.h>

/**
 * trace_mount() - print a line for each decision until the mount, the reader or a signal
 * ends it
 * @path: the mount, as the user gave it
 * @all:  for every request of the kernel, too
 * @json: JSON lines (cli/schema/trace.json)
 *
 * While the reader does not read, nothing is read from the server, which then drops lines,
 * counts them and goes on.
 * Return: an exit status (sysexits.h); 0 for each of these ends.
 */
int trace_mount(const char *path, bool all, bool json);

#endif
