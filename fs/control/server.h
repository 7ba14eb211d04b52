/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's end of the control socket: a thread that answers, and hands traced events
 * on. It takes no lock that requests hold long, and no request ever waits for it.
 *
 * The protocol. SOCK_SEQPACKET; a packet from a client is one request, a JSON object of at
 * most CONTROL_REQUEST_MAX bytes; a packet from the server is one or more JSON objects,
 * each ended by a newline.
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
#ifndef CANONFS_FS_CONTROL_SERVER_H
#define CANONFS_FS_CONTROL_SERVER_H

#include "fs/control/status.h"

#define CONTROL_REQUEST_MAX  4096
#define CONTROL_CLIENTS_MAX  16
#define CONTROL_WATCHERS_MAX 8 /* of these */
#define CONTROL_IDLE_S	     5

/* Bytes of a packet from the server after which another one is begun. */
#define CONTROL_PACKET_BYTES 32768

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
