/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is mounted where: /proc/self/mountinfo (proc(5)).
 */
#ifndef CANONFS_FS_MOUNT_MOUNTINFO_H
#define CANONFS_FS_MOUNT_MOUNTINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Of a passthrough mount; a stacked one has the type overlay, and a layer of our name. */
#define MOUNT_TYPE "fuse.canonfs"

/**
 * struct mount_entry - one mount
 * @id, @parent: the mount's, and the one's that it is mounted on
 * @device: st_dev of its files
 * @point:  absolute path, without escapes
 * @type:   file system type with its subtype
 * @ours:   whether it is a canonfs, of either kind
 * @serverless: and one of those that need no server
 * @source: as it was given to mount(2)
 * @user_id: of a FUSE mount: whose it is; else 0
 *
 * The strings live until the next mountinfo_next() on the same list.
 */
struct mount_entry {
	unsigned id;
	unsigned parent;
	uint64_t device;
	const char *point;
	const char *type;
	const char *source;
	bool ours;
	bool serverless;
	unsigned user_id;
};

struct mountinfo {
	FILE *file;
	char *line;
	size_t size;
};

/* Return: 0 or -errno. */
int mountinfo_open(struct mountinfo *list);

void mountinfo_close(struct mountinfo *list);

/* Mounts in the order in which they were made; false at the end. */
bool mountinfo_next(struct mountinfo *list, struct mount_entry *ret_entry);

/**
 * mountinfo_top() - the mount that is visible at a path
 * @point:      absolute, without symlinks
 * @ret_device: of the mount whose root is there; one that another mount hides does not
 *              count
 * @ret_ours:   whether it is a canonfs
 * Return: 1 if there is one, 0 if not, -errno.
 */
int mountinfo_top(const char *point, uint64_t *ret_device, bool *ret_ours);

/* Is there any mount of a device? 1, 0, or -errno. */
int mountinfo_has(uint64_t device);

/**
 * mountinfo_below() - a mount strictly below a directory
 * @path:      absolute, without symlinks
 * @ret_point: where it is; the caller's to free
 * Return: 1 if there is one, 0 if not, -errno.
 */
int mountinfo_below(const char *path, char **ret_point);

#endif
