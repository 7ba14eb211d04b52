/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mounts do.
 */
#ifndef CANONFS_CLI_MOUNT_STATUS_H
#define CANONFS_CLI_MOUNT_STATUS_H

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

#endif
