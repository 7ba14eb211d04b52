/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount from its beginning to its end.
 *
 * Two processes. The supervisor mounts, waits for signals and for the worker, and
 * unmounts; it does no i/o on the tree. The worker answers the kernel's requests; as far
 * as it may, it runs in a mount namespace in which its own mount does not exist, so that
 * nothing it opens can lead back to itself.
 */
#ifndef CANONFS_FS_PROCESS_SUPERVISOR_H
#define CANONFS_FS_PROCESS_SUPERVISOR_H

#include <stdbool.h>

#include "fs/mount/options.h"

/**
 * supervisor_run() - mount, serve, unmount
 * @source, @point: as the user gave them
 * @foreground:     stay until the mount ends; else return when it is usable
 *
 * Return: an exit status of mount(8): 0, or 32 with one line logged. In the background
 * case the calling process returns and another one lives on.
 */
int supervisor_run(const struct mount_options *options, const char *source,
		   const char *point, bool foreground);

/* mount(8)'s exit statuses. */
#define EXIT_MOUNT_USAGE   1
#define EXIT_MOUNT_FAILURE 32

#endif
