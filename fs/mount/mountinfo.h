/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is mounted where: /proc/self/mountinfo (proc(5)), read once into a list.
 */
#ifndef CANONFS_FS_MOUNT_MOUNTINFO_H
#define CANONFS_FS_MOUNT_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The type of a passthrough mount. A stacked one has the type overlay, and this layer. */
#define MOUNT_TYPE  "fuse.canonfs"
#define MOUNT_STUBS "canonfs-stubs"

/**
 * struct mount_entry - one mount
 * @id, @parent: the mount's, and the one's that it is mounted on
 * @device: st_dev of its files
 * @root:   the directory of its file system that the mount shows, without escapes
 * @point:  absolute path, without escapes
 * @type:   file system type with its subtype
 * @source: as it was given to mount(2)
 * @options: those of its file system, as the kernel wrote them, escapes and all
 * @read_only: nothing is written through this mount
 * @fs_read_only: nor through any other of its file system: the super block is read-only
 * @ours:   whether it is a canonfs, of either kind
 * @serverless: and one of those that need no server
 * @user_id: of a FUSE mount: whose it is; else 0
 *
 * The strings are the list's.
 */
struct mount_entry {
	unsigned id;
	unsigned parent;
	uint64_t device;
	const char *root;
	const char *point;
	const char *type;
	const char *source;
	const char *options;
	bool read_only;
	bool fs_read_only;
	bool ours;
	bool serverless;
	unsigned user_id;
};

/**
 * struct mountinfo - the mounts of this namespace, in the order in which they were made
 * @entry: @count of them; owned, as is @text
 */
struct mountinfo {
	struct mount_entry *entry;
	size_t count;
	char *text;
};

/**
 * mountinfo_read() - read the list
 * Return: 0 or -errno; the list is empty then. mountinfo_free() either way.
 */
int mountinfo_read(struct mountinfo *ret_list);

/* The same from another file of that form. */
int mountinfo_read_file(struct mountinfo *ret_list, FILE *file);

void mountinfo_free(struct mountinfo *list);

/* Frees on leaving the scope. */
#define scope_mountinfo __attribute__((cleanup(mountinfo_free)))

/* Takes "\\040" and its kin out of a text, in place (fs/proc_namespace.c: mangle()). */
void mountinfo_unescape(char *text);

/* The mount of that number, NULL if there is none. */
const struct mount_entry *mountinfo_find(const struct mountinfo *list, uint64_t id);

/**
 * mountinfo_top() - the mount that is visible at a path
 * @point: absolute, without symlinks
 * Return: the mount whose root is there, NULL if there is none. One that another mount
 * hides does not count.
 */
const struct mount_entry *mountinfo_top(const struct mountinfo *list, const char *point);

/* A mount strictly below a directory, NULL if there is none; @path as for top. */
const struct mount_entry *mountinfo_below(const struct mountinfo *list, const char *path);

/* Is there a canonfs at a path or above it, be it hidden or not? @path as for top. */
bool mountinfo_leads_through_ours(const struct mountinfo *list, const char *path);

/**
 * mount_is_ours() - is the mount that is visible at a path a canonfs?
 * @point:      absolute, without symlinks
 * @ret_device: its st_dev; may be NULL
 * Return: false also where the list cannot be read.
 */
bool mount_is_ours(const char *point, uint64_t *ret_device);

#endif
