/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ending a mount.
 */
#ifndef CANONFS_CLI_MOUNT_UMOUNT_H
#define CANONFS_CLI_MOUNT_UMOUNT_H

#include <stdbool.h>

/**
 * umount_run() - unmount, and wait for the end of the server
 * @lazy: also while files are in use; then nothing is waited for
 * Return: an exit status, with a line logged where it is not 0.
 */
int umount_run(const char *path, bool lazy);

#endif
