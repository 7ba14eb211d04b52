/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can a source change while it is mounted, and why is that believed? The mount and the
 * commands ask here, so they cannot disagree. Whatever is believed for ever about a source
 * (cached names and pages, a time that was sampled from it) rests on the answer.
 *
 * A read-only mount says only that nobody writes through *it*: a bind mount of a tree that
 * others write to is one. These never change:
 * - a local file system whose super block is read-only: there is no way to write to it;
 * - the /usr of an ostree deployment, if it is mounted read-only;
 * - a composefs, whose objects are named by their content;
 * - an overlay without an upper layer, if its layers are a container engine's, or lie on
 *   file systems of the first kind. overlayfs calls changes below it undefined, but it
 *   shows them, so that rule alone proves nothing.
 */
#ifndef CANONFS_FS_MOUNT_MUTABILITY_H
#define CANONFS_FS_MOUNT_MUTABILITY_H

#include <stdbool.h>

#include "cache/tree/tree.h"
#include "fs/mount/options.h"

enum mutability_reason {
	MUTABILITY_SAID_IMMUTABLE, /* -o immutable */
	MUTABILITY_READ_ONLY_FS,   /* a read-only super block */
	MUTABILITY_OSTREE,	   /* the /usr of a deployment */
	MUTABILITY_COMPOSEFS,
	MUTABILITY_CONTAINER_LAYERS, /* an overlay of a container engine's layers */
	MUTABILITY_READ_ONLY_LAYERS, /* an overlay of read-only file systems */

	MUTABILITY_SAID_MUTABLE,    /* -o mutable */
	MUTABILITY_READ_WRITE,	    /* mounted so */
	MUTABILITY_READ_ONLY_MOUNT, /* a read-only mount of a file system that is not */
	MUTABILITY_OTHER_FS,	    /* a file system that others may have: network, FUSE */
	MUTABILITY_UPPER_LAYER,	    /* an overlay that is written to */
	MUTABILITY_OTHER_LAYERS,    /* an overlay whose layers may be written to */
	MUTABILITY_UNKNOWN,	    /* its mount is not in the list */
	MUTABILITY_REASONS
};

/**
 * struct mutability - what is believed about a source
 * @immutable: it never changes while it is mounted
 * @reason:    why it is believed to, or not to
 */
struct mutability {
	bool immutable;
	enum mutability_reason reason;
};

/**
 * mutability_of() - judge a source
 * @tree: the source, open
 * @path: where it is: absolute, without symlinks
 * @said: what the options say; they win
 * Return: "can change" in doubt. It is as the source is now: if its file system is mounted
 * read-write later, the answer is another.
 */
struct mutability mutability_of(const struct tree *tree, const char *path,
				enum mutability_option said);

/* A word for programs ("read-only-fs") and a text for people, to go after "the source". */
const char *mutability_name(enum mutability_reason reason);
const char *mutability_text(enum mutability_reason reason);

/*
 * Is it mounted read-only, and yet may change? Then -o immutable is worth a word: whoever
 * mounted it may know that nobody writes to it.
 */
bool mutability_is_surprising(const struct mutability *mutability);

#endif
