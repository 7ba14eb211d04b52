/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens to the files of a source that can change, as the kernel tells it: fanotify.
 *
 * The mark is on the whole file system. Marks on directories would not tell of a file that
 * is changed through another link of it, elsewhere, nor of one whose directory is reached
 * through another mount. So events of files that have nothing to do with the source come,
 * too. To drop one costs a look into a table. Whoever caused it has paid more for it: a
 * program that does nothing but create and remove files, 50,000 a second, becomes slower by
 * a third.
 *
 * Files are told apart by a hash of their file handles: that of an event is the one that
 * name_to_handle_at() gives (fanotify(7)). Two files may have the same hash. So an event
 * says that something may have changed, and never that nothing has.
 *
 * Not told are: what is stored through a mapping, until that ends; access times; on older
 * kernels, what an overlay writes into files of its upper layer, if that is the source
 * (6.18 tells it).
 */
#ifndef CANONFS_FS_WATCH_SOURCE_WATCH_H
#define CANONFS_FS_WATCH_SOURCE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "cache/tree/tree.h"

/**
 * struct source_event - one thing that happened, or several to one file
 * @lost:     nobody knows what happened: the kernel's queue was full. The rest is empty
 * @dir:      handle of the directory
 * @name:     in it; "." for the directory itself; NULL where only the file is told
 * @file:     handle of the file; 0 where only its name is told
 * @names:    the name leads to another file now, or to none
 * @contents: bytes of the file changed, and with them its size and times
 *
 * Without @names and @contents it was an attribute.
 */
struct source_event {
	bool lost;
	uint32_t dir;
	const char *name;
	uint32_t file;
	bool names;
	bool contents;
};

/**
 * source_watch_open() - have changes of a source told from now on
 * @ret_why: the reason, on an error
 *
 * Return: a descriptor that can be polled, the caller's; -errno where changes cannot be
 * told: that needs root, and a local file system that has file handles.
 */
int source_watch_open(const struct tree *tree, struct reason *ret_why);

/**
 * source_watch_handle() - the hash of a file's handle
 * @dir, @name: as of name_to_handle_at(); symlinks are not followed
 * @ret_handle: not 0
 * Return: 0 or -errno.
 */
int source_watch_handle(int dir, const char *name, uint32_t *ret_handle);

typedef void source_event_fn(void *context, const struct source_event *event);

/* Bytes that source_watch_read() reads at once. */
#define SOURCE_WATCH_BUFFER 65536

/* Tells @tell of each event in a buffer that was read. */
void source_watch_parse(const void *buffer, size_t len, source_event_fn *tell,
			void *context);

#endif
