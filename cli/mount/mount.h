/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs status and umount: what their parts share.
 */
#ifndef CANONFS_CLI_MOUNT_MOUNT_H
#define CANONFS_CLI_MOUNT_MOUNT_H

#include <stdbool.h>

#include "fs/control/mounts.h"

/**
 * status_show() - all that canonfs status does
 * @path: of the mount; NULL for all
 * Return: an exit status.
 */
int status_show(const char *path, bool json);

/* Prints one mount for people. */
void status_print_mount(const struct known_mount *mount);

/**
 * umount_run() - unmount, and wait for the end of the server
 * @lazy: also while files are in use; then nothing is waited for
 * Return: an exit status, with a line logged where it is not 0.
 */
int umount_run(const char *path, bool lazy);

/**
 * umount_all() - the same for all canonfs mounts of this mount namespace that the caller
 * may unmount
 *
 * Prints each one that has ended. Those of others stay, and are no failure.
 */
int umount_all(bool lazy);

#endif
