/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching a FUSE connection to a directory, and detaching it: mount(2) with
 * CAP_SYS_ADMIN, fusermount3 without.
 */
#ifndef CANONFS_FS_MOUNT_ATTACH_H
#define CANONFS_FS_MOUNT_ATTACH_H

#include <stdbool.h>

#include "base/reason.h"
#include "fs/mount/options.h"

/**
 * fuse_device_open() - open /dev/fuse
 * Return: a descriptor, the caller's; -errno with the reason.
 */
int fuse_device_open(struct reason *ret_why);

/**
 * attach() - mount
 * @source:        shown as the mount's device
 * @point:         absolute, without symlinks; a directory
 * @ret_fd:        the open /dev/fuse, the caller's
 * Return: 0, or -errno with a line logged.
 */
int attach(const struct mount_options *options, const char *source, const char *point,
	   int *ret_fd);

/**
 * reattach() - change the flags of a mount (remount); it stays read-only
 * @point: as the user gave it
 * Return: 0, or -errno with a line logged.
 */
int reattach(const struct mount_options *options, const char *point);

/**
 * detach() - unmount
 * @point: absolute, without symlinks
 * @lazy:  also if files are in use (umount2(2), MNT_DETACH)
 * Return: 0; -EBUSY; -EPERM for somebody else's mount; another -errno. Nothing is logged,
 * but fusermount3 may speak.
 */
int detach(const char *point, bool lazy);

#endif
