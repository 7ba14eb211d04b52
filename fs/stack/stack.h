/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stacked mount: the kernel's overlayfs shows the source itself, with a layer of stubs
 * (fs/stack/stubs.h) above it and the bytecode that differs in a data-only FUSE layer below
 *it (fs/stack/data.h):
 *
 *	lowerdir=canonfs-stubs:canonfs-source::canonfs-data
 *
 * In a user namespace, where that is refused, canonfs-stubs is an overlay itself, of the
 * stubs and what has their data (HACKING says why).
 *
 * What has no stub is the source's own: page cache, labels, mappings. If the server dies,
 * bytecode that was not read yet cannot be opened, and Python compiles instead; nothing
 * else notices.
 *
 * The layers are mounts that nobody sees: they exist detached, and for the moment in which
 * overlayfs is told of them in the mount namespace of a process made for that. overlayfs
 * keeps copies of its own, which end with it, and with them the FUSE connection.
 */
#ifndef CANONFS_FS_STACK_STACK_H
#define CANONFS_FS_STACK_STACK_H

#include <stdbool.h>

#include "base/reason.h"
#include "fs/mount/mount_ends.h"
#include "fs/mount/options.h"

/**
 * struct mount_mode - how a mount shows its source
 * @stacked: by overlayfs; else by the FUSE passthrough
 * @why_not: the reason why it is not stacked; "" if it is
 */
struct mount_mode {
	bool stacked;
	struct reason why_not;
};

/**
 * struct stack - a stacked mount that is being made
 * @stubs_fd:   root of the stub layer; owned
 * @fuse_mount: root of the FUSE layer, mounted nowhere; owned; -1 where there is none
 * @fuse_fd:    its connection; owned; -1 as soon as the worker has it, so that requests end
 *              with that
 * @in_userns:  without the initial user namespace's rights
 */
struct stack {
	int stubs_fd;
	int fuse_mount;
	int fuse_fd;
	bool in_userns;
};

/**
 * stack_open() - try whether stacking works here, and make the layers
 * @stop_fd: readable when the mount is to be given up: -ECANCELED
 * @ret_why: on failure the reason
 * Return: 0 or -errno; stack_close() either way.
 */
int stack_open(struct stack *stack, const struct mount_options *options,
	       const struct mount_ends *ends, int stop_fd, struct reason *ret_why);

/**
 * stack_attach() - mount the overlay
 *
 * The stubs are written, and the FUSE connection is served by another process.
 * @stop_fd: as of stack_open()
 * Return: 0, or -errno with the reason in @ret_why: nothing is mounted then.
 */
int stack_attach(struct stack *stack, const struct mount_options *options,
		 const struct mount_ends *ends, int stop_fd, struct reason *ret_why);

/* Do without the FUSE layer: there is nothing to serve. */
void stack_drop_data(struct stack *stack);

void stack_close(struct stack *stack);

#endif
