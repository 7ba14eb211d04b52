/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that answers the kernel's requests.
 */
#ifndef CANONFS_FS_WORKER_H
#define CANONFS_FS_WORKER_H

#include "fs/control.h"
#include "fs/options.h"
#include "fs/places.h"

/**
 * worker_run() - serve a FUSE connection until it ends
 * @places:  opened before the mount was made
 * @control: the mount's control socket and counters
 * @fuse_fd: the open /dev/fuse; taken
 * @background: let go of the standard streams once the first steps have succeeded
 *
 * To be called in a process of its own: it leaves the mount namespace.
 * Return: an exit status: 0 when the mount ended, 1 on an error (logged).
 */
int worker_run(const struct mount_options *options, const struct places *places,
	       const struct control *control, int fuse_fd, bool background);

#endif
