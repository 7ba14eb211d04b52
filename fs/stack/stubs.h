/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The uppermost layer of a stacked mount: for each file that the view changes, a stub that
 * has the attributes and no data ("metacopy", Documentation/filesystems/overlayfs.rst),
 * and the directories that lead there.
 *
 * overlayfs shows a stub's attributes and reads the data elsewhere: of bytecode, in the
 * FUSE layer; of a source that only shows another time, in the source itself.
 */
#ifndef CANONFS_FS_STACK_STUBS_H
#define CANONFS_FS_STACK_STUBS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#include "cache/tree/tree.h"

struct data_table;

/*
 * Stubs and their directories at most, some 2 KiB of kernel memory each; a tree with more
 * is not stacked.
 */
#define STUBS_MAX 262144

/**
 * struct stubs - a stub layer that is being written
 * @root_fd:   of the private tmpfs; borrowed
 * @tree:      what it stands for; borrowed
 * @in_userns: attributes of overlayfs are user.*, not trusted.*, and overlayfs is told in
 *             each stub where its data is
 * @overflow_uid, @overflow_gid: there, of owners that the user namespace does not have
 * @data:      gets the files that have their data in the FUSE layer; borrowed
 * @lock:      of the rest
 * @dirs:      the directories made so far, whose times are still those of the last stub
 *             made in them
 *
 * Safe from several threads until stubs_finish().
 */
struct stubs {
	int root_fd;
	const struct tree *tree;
	bool in_userns;
	unsigned overflow_uid;
	unsigned overflow_gid;
	struct data_table *data;
	pthread_mutex_t lock;
	char **dirs;
	size_t dir_count;
};

void stubs_init(struct stubs *stubs, int root_fd, const struct tree *tree,
		struct data_table *data, bool in_userns);

void stubs_fini(struct stubs *stubs);

/* The tmpfs for a stub layer. Return: a descriptor of its root, or -errno. */
int stubs_mount(void);

/**
 * struct stub_file - the file that a stub stands for
 * @path:    relative to the tree
 * @fd:      the file, open; O_PATH is enough
 * @stx:     of @fd
 * @mtime:   what the stub shows
 * @is_data: its data is in the FUSE layer; else in the source
 */
struct stub_file {
	const char *path;
	int fd;
	const struct statx *stx;
	struct timespec mtime;
	bool is_data;
};

/**
 * stubs_add() - write a stub, and the directories above it
 * Return: 0; -ENAMETOOLONG where @is_data and overlayfs could not find the data; -ENOSPC
 * where there are too many; -EOPNOTSUPP where an attribute cannot be shown; -EOVERFLOW
 * where the owner is none of the user namespace's; another -errno.
 */
int stubs_add(struct stubs *stubs, const struct stub_file *file);

/**
 * stubs_link() - let a file show as another name of one that has a stub
 * @path, @twin: relative to the tree; @twin has the stub
 * Return: 0 or -errno, as stubs_add().
 */
int stubs_link(struct stubs *stubs, const char *path, const char *twin);

/* Gives the directories their times: to be called once, at the end. 0 or -errno. */
int stubs_finish(struct stubs *stubs);

/* The root always has a stub: stubs_add() without a file. */
int stubs_add_root(struct stubs *stubs);

/* The attribute by which overlayfs knows a file whose data is elsewhere. */
const char *stubs_metacopy(const struct stubs *stubs);

/**
 * stubs_has_overlay_xattr() - is a directory part of a layer of an overlay?
 *
 * Of another one than ours, which understands what was written there otherwise: files
 * without data, and deleted ones.
 * Return: 1 if so, 0 if not, -errno.
 */
int stubs_has_overlay_xattr(int fd);

#endif
