/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket of a mount, over which canonfs status and canonfs trace ask: its life
 * in the supervisor, which makes and removes it. Workers inherit it, listening, and answer
 * (fs/control/server.h).
 */
#ifndef CANONFS_FS_CONTROL_SOCKET_H
#define CANONFS_FS_CONTROL_SOCKET_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "fs/control/dir.h"

struct stats;

/**
 * struct control - a mount, as the control socket knows it; made by the supervisor
 * @listen_fd:   the socket; -1 where there is none
 * @dir_fd:      its directory; -1 where there is none
 * @name:        its name; @inode: and which of that name is ours
 * @supervisor:  pid
 * @started:     CLOCK_BOOTTIME; @started_s: the same in seconds since 1970
 * @mode:        how the worker's mount shows the source; @mode_reason: and why so; static
 *               storage, or that of the mount. The supervisor has none
 * @stats:       shared with the worker; it has st_dev of the mount, too
 */
struct control {
	int listen_fd;
	int dir_fd;
	char name[CONTROL_NAME_MAX];
	uint64_t inode;
	pid_t supervisor;
	struct timespec started;
	int64_t started_s;
	const char *mode;
	const char *mode_reason;
	struct stats *stats;
};

/* Return: 0 or -ENOMEM; control_fini() either way. */
int control_init(struct control *control);

/**
 * control_open() - make the socket of a mount that may have no device yet
 *
 * Nobody finds the socket until control_publish() names it, which may be after a worker has
 * begun. If it cannot be made, the mount goes on without it, with a line for -v.
 */
void control_open(struct control *control);

/* @device: st_dev of the mount */
void control_publish(struct control *control, uint64_t device);

/* Removes the socket; there may be another one. */
void control_close(struct control *control);

/* Removes the socket. For the supervisor; a worker just ends. */
void control_fini(struct control *control);

#endif
