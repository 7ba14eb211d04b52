/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the control sockets of mounts lie: a directory that only their owner can enter, in
 * it one socket for each mount, named after its device ("0:57").
 *
 * A device number is one mount's on the whole machine, in whatever namespace it is, and
 * mountinfo shows it: so a socket is found from a mount without asking the mount, which
 * may hang.
 */
#ifndef CANONFS_FS_CONTROL_DIR_H
#define CANONFS_FS_CONTROL_DIR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_NAME_MAX 32
#define CONTROL_DIRS_MAX 3

/**
 * struct control_dirs - the directories in which an owner's sockets may be, the preferred
 * one first
 */
struct control_dirs {
	char path[CONTROL_DIRS_MAX][PATH_MAX];
	size_t count;
};

/**
 * control_dirs_of() - where an owner's sockets may be
 *
 * For ourselves $RUNTIME_DIRECTORY and nowhere else, if that is set (systemd.exec(5)). For
 * root /run/canonfs. For others $XDG_RUNTIME_DIR/canonfs (if we are them),
 * /run/user/UID/canonfs, and /tmp/canonfs-UID: that is for sessions without a run-time
 * directory; the home directory may be another machine's, too.
 */
struct control_dirs control_dirs_of(uid_t owner);

/**
 * control_dir_open() - open and check one of them
 * @owner: whose it must be; nobody else may enter it
 * @make:  make it if it is missing; its parent must be there
 * Return: a descriptor; -EPERM where it is not the owner's alone; another -errno.
 */
int control_dir_open(const char *path, uid_t owner, bool make);

/* With a pid: the name of a socket whose mount is being made. */
#define CONTROL_NEW_PREFIX ".new."

/* The name of a mount's socket. @ret_name: CONTROL_NAME_MAX bytes */
void control_name(uint64_t device, char *ret_name);

/* Is it such a name? What is being made has another one. */
bool control_name_parse(const char *name, uint64_t *ret_device);

/**
 * control_dir_listen() - make a socket and listen on it
 *
 * It appears under its name when it listens; one of the same name that is there gives way,
 * since a mount with our device number has ended.
 * @ret_inode: for control_dir_remove()
 * Return: a non-blocking descriptor or -errno.
 */
int control_dir_listen(int dir_fd, const char *name, uint64_t *ret_inode);

/* Removes a socket, unless it is a later one: device numbers are used again. */
void control_dir_remove(int dir_fd, const char *name, uint64_t inode);

/**
 * control_dir_connect() - connect to a mount's socket, without waiting
 * Return: a non-blocking descriptor; -ECONNREFUSED where the server is gone; -EAGAIN where
 * it does not answer; another -errno.
 */
int control_dir_connect(int dir_fd, const char *name);

/* Removes the sockets whose servers were killed. */
void control_dir_clean(int dir_fd);

#endif
