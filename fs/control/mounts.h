/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The canonfs mounts of this machine, asked over their control sockets. A mount itself is
 * never touched: its server may hang.
 */
#ifndef CANONFS_FS_CONTROL_MOUNTS_H
#define CANONFS_FS_CONTROL_MOUNTS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long a server may take to answer. */
#define MOUNTS_ANSWER_MS 1000

enum mount_state {
	MOUNT_UNASKED,
	MOUNT_ANSWERS,
	MOUNT_SILENT,	  /* does not answer */
	MOUNT_DENIED,	  /* somebody else's */
	MOUNT_NO_SOCKET,  /* mounted without one */
	MOUNT_SERVERLESS, /* stacked, and nothing to serve */
	MOUNT_GONE,	  /* the server was killed */
};

/**
 * struct known_mount - one mount
 * @device:  st_dev of its files
 * @point:   where it is; the first of several places; owned
 * @source:  owned
 * @owner:   whose it is
 * @visible: it is in this mount namespace
 * @serverless: it needs no server
 * @fd:      connection to its server; -1: none
 * @answer:  owned; NULL where there is none. From another process: of any form, and its
 *           strings are any bytes (json_retext())
 */
struct known_mount {
	uint64_t device;
	char *point;
	char *source;
	uid_t owner;
	bool visible;
	bool serverless;
	enum mount_state state;
	int fd;
	struct json_object *answer;
};

struct known_mounts {
	struct known_mount *mounts;
	size_t count;
};

/**
 * mounts_find() - all canonfs mounts that mountinfo or our sockets tell of
 * Return: 0 or -errno; mounts_free() either way.
 */
int mounts_find(struct known_mounts *ret_mounts);

void mounts_free(struct known_mounts *mounts);

/**
 * mounts_ask() - ask all of them for their status, at the same time
 *
 * Sets .state and .answer. What is known only by a socket gets its point from the answer.
 * Sockets of servers that were killed are removed.
 */
void mounts_ask(struct known_mounts *mounts);

/**
 * mounts_at() - the mount at a path
 * @path: as the user gave it
 *
 * A path below a canonfs mount is not looked at: that could hang.
 * Return: NULL where there is none.
 */
struct known_mount *mounts_at(struct known_mounts *mounts, const char *path);

/* Connects, without waiting; sets .fd or .state. Return: whether it is connected. */
bool mount_connect(struct known_mount *mount);

/**
 * mount_receive() - read a packet
 * @ret_text: zero-terminated; the caller's to free
 * Return: its length; 0: the connection has ended; -errno (-EAGAIN).
 */
ssize_t mount_receive(int fd, char **ret_text);

/* "answers", and a sentence; static storage. */
const char *mount_state_name(enum mount_state state);
const char *mount_state_text(enum mount_state state);

/* The exit status (sysexits.h) for a state that is not MOUNT_ANSWERS. */
int mount_state_exit(enum mount_state state);

#endif
