/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can a source change while it is mounted, and why is that believed? The mount and the
 * commands ask here, so they cannot disagree. Whatever is believed for ever about a source
 * (cached names and pages, a time that was sampled from it) rests on the answer.
 */
#ifndef CANONFS_FS_MOUNT_MUTABILITY_H
#define CANONFS_FS_MOUNT_MUTABILITY_H

#include <stdbool.h>

#include "cache/tree/tree.h"
#include "fs/mount/options.h"

enum mutability_reason {
	MUTABILITY_SAID_IMMUTABLE, /* -o immutable */
	MUTABILITY_SAID_MUTABLE,   /* -o mutable */
	MUTABILITY_READ_ONLY,
	MUTABILITY_READ_WRITE,
	MUTABILITY_REASONS
};

/**
 * struct mutability - what is believed about a source
 * @immutable: it never changes while it is mounted
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
 * Return: "can change" in doubt.
 */
struct mutability mutability_of(const struct tree *tree, const char *path,
				enum mutability_option said);

/* A word for programs ("read-only") and a text for people, which goes after "the source".
 */
const char *mutability_name(enum mutability_reason reason);
const char *mutability_text(enum mutability_reason reason);

#endif
