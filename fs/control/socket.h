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
 * @device:      st_dev of the mount; a worker's may be 0, see stats.device
 * @supervisor:  pid
 * @started:     CLOCK_BOOTTIME; @started_s: the same in seconds since 1970
 * @mode:        how the view is shown: "passthrough"; @mode_reason: and why so
 * @stats:       shared with the worker
 */
struct control {
	int listen_fd;
	int dir_fd;
	char name[CONTROL_NAME_MAX];
	uint64_t inode;
	uint64_t device;
	pid_t supervisor;
	struct timespec started;
	int64_t started_s;
	const char *mode;
	const char *mode_reason;
	struct stats *stats;
};

/* Return: 0 or -ENOMEM; control_fini() either way. */
int control_init(struct control *control);

/* How the mount shows the source, and why so. Static storage, or that of the mount. */
void control_set_mode(struct control *control, const char *mode, const char *reason);

/**
 * control_open() - make the socket
 * @device: st_dev of the mount
 *
 * Where that is not possible the mount goes on without, with a line for -v.
 */
void control_open(struct control *control, uint64_t device);

/**
 * control_prepare() - make the socket of a mount that has no device yet
 *
 * Nobody finds it until control_publish(), which may come after workers have begun.
 */
void control_prepare(struct control *control);
void control_publish(struct control *control, uint64_t device);

/* Removes the socket; there may be another one. */
void control_close(struct control *control);

/* Removes the socket. For the supervisor; a worker just ends. */
void control_fini(struct control *control);

#endif
