/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status of a mount for people.
 */
#ifndef CANONFS_CLI_MOUNT_STATUS_PRINT_H
#define CANONFS_CLI_MOUNT_STATUS_PRINT_H

#include "fs/control/mounts.h"

/* Prints one mount to standard output. */
void status_print(const struct known_mount *mount);

#endif
