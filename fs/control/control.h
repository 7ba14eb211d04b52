/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket of a mount, over which canonfs status and canonfs trace ask.
 *
 * The supervisor makes it and removes it; workers inherit it, listening, and answer in a
 * thread of their own, which takes no lock that requests hold long, and for which no
 * request ever waits.
 *
 * The protocol. SOCK_SEQPACKET; a packet from a client is one request, a JSON object of at
 * most CONTROL_REQUEST_MAX bytes; a packet from the server is one or more JSON objects,
 *each ended by a newline.
 *
 *	{"command": "status"}	one object: cli/schema/status.json, "mount"
 *	{"command": "trace"}	objects as they happen: cli/schema/trace.json; "all": true
 *				for every request. The connection ends with the mount.
 *
 * File names stand in it as they are, be they UTF-8 or not: who prints JSON for others
 * has json_text() write them.
 *
 * What is not understood is answered with {"error": TEXT}, and the connection is closed.
 * Only the mount's owner and root are answered (SO_PEERCRED). Connections are bounded; one
 * that asks nothing for CONTROL_IDLE_S seconds is closed, or sooner if there are others.
 */
#ifndef CANONFS_FS_CONTROL_CONTROL_H
#define CANONFS_FS_CONTROL_CONTROL_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "fs/control/control_dir.h"

struct control_view;
struct stats;

#define CONTROL_REQUEST_MAX  4096
#define CONTROL_CLIENTS_MAX  16
#define CONTROL_WATCHERS_MAX 8 /* of these */
#define CONTROL_IDLE_S	     5

/* Bytes of a packet from the server after which another one is begun. */
#define CONTROL_PACKET_BYTES 32768

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

struct control_server;

/**
 * control_start() - answer, in a thread
 * @view: borrowed until control_stop()
 * Return: NULL where there is no socket or no thread.
 */
struct control_server *control_start(const struct control_view *view);

/* Hands on what was traced, closes all connections. NULL is ignored. */
void control_stop(struct control_server *server);

#endif
