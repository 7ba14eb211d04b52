/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls of mounts that are not attached anywhere (fsopen(2), open_tree(2),
 * move_mount(2)), which glibc wraps since 2.36 only; and mount namespaces.
 */
#ifndef CANONFS_FS_MOUNT_MOUNT_CALLS_H
#define CANONFS_FS_MOUNT_MOUNT_CALLS_H

/**
 * mount_detached() - a new file system, mounted nowhere
 * @type:    file system type
 * @options: NULL-terminated list of "key=value" and "flag"; each value under 256 bytes
 *
 * Return: a descriptor of the mount's root, the caller's; the mount ends with the last
 * descriptor. -errno.
 */
int mount_detached(const char *type, const char *const *options);

/**
 * mount_move() - attach a detached mount
 * @mount: its root
 * @point: relative to the working directory, or absolute
 * Return: 0 or -errno.
 */
int mount_move(int mount, const char *point);

/**
 * mount_clone_read_only() - a detached copy of all that is mounted at and below a directory
 * In the copy nothing can be written, devices do not open, set-user-ID programs are
 * ordinary ones, and later mounts and unmounts do not show. Needs Linux 5.12. Return: a
 * descriptor, the caller's; -errno.
 */
int mount_clone_read_only(const char *path);

/**
 * mount_unshare() - go to a mount namespace of our own, where what is mounted and unmounted
 * shows in no other
 * The process must have one thread. Where it fails the namespace may be a new one, but is
 * not private.
 * Return: 0 or -errno.
 */
int mount_unshare(void);

#endif
