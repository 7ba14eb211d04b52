/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that answers the kernel's requests.
 */
#ifndef CANONFS_FS_PROCESS_WORKER_H
#define CANONFS_FS_PROCESS_WORKER_H

#include "fs/control/socket.h"
#include "fs/mount/mount_ends.h"
#include "fs/mount/options.h"
#include "fs/stack/stack.h"

/**
 * struct worker_report - what a worker says to the supervisor when it has written the stubs
 * @error: 0 or -errno
 * @serverless: nothing needs to be served, and the worker ends
 * @why:   the reason, if @error is not 0
 */
struct worker_report {
	int error;
	bool serverless;
	struct reason why;
};

/**
 * struct worker_task - what a worker has to do
 * @ends:     opened before the mount was made
 * @control:    the mount's control socket and counters; borrowed
 * @stack:      its layers if the mount is stacked: the worker writes the stubs, reports,
 *              and serves the data layer; borrowed
 * @report_fd:  where the report goes; taken; -1 if the mount is not stacked
 * @fuse_fd:    the open /dev/fuse; taken; -1 where there is none, and nothing can be served
 * @background: let go of the standard streams once the first steps have succeeded
 */
struct worker_task {
	const struct mount_options *options;
	const struct mount_ends *ends;
	const struct control *control;
	const struct stack *stack;
	int report_fd;
	int fuse_fd;
	bool background;
};

/**
 * worker_run() - serve a FUSE connection until it ends
 *
 * To be called in a process of its own: it leaves the mount namespace.
 * Return: an exit status: 0 when the mount ended, 1 on an error (logged, or reported).
 */
int worker_run(const struct worker_task *task);

#endif
