/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a mount is told with -o: canonfs's own options, those of mount(8) that apply to
 * it, and those that fstab carries for others.
 */
#ifndef CANONFS_FS_MOUNT_OPTIONS_H
#define CANONFS_FS_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "pyc/verdict.h"

enum mutability_option {
	MUTABILITY_AUTO,  /* as mutability_of() finds it */
	MUTABILITY_NEVER, /* -o immutable */
	MUTABILITY_ALWAYS /* -o mutable */
};

enum stack_mode {
	STACK_AUTO, /* if it works */
	STACK_ON,   /* or the mount fails */
	STACK_OFF
};

/**
 * struct mount_options - a mount
 * @policy:      which pycs are vouched for, and what both sides show
 * @mutability:  may the source change while it is mounted?
 * @stack:       show the source by overlayfs, not by the FUSE passthrough?
 * @remount:     change the flags of a mount that is there
 * @xdev:        hide file systems that are mounted below the source
 * @allow_other: let other users in; for root always
 * @set_flags, @cleared_flags: MS_ flags that were asked for (nosuid) and asked against
 *               (suid)
 * @root:        the readers' root directory, where symlinks that leave the source lead;
 *               owned, NULL for "/"
 * @cache:       the database of what earlier mounts learned; owned, NULL for the default
 * @no_cache:    do without
 * @cache_size:  bytes that the database may use
 * @given:       all of the -o arguments, as they were; owned, NULL for none
 * @context:     SELinux mount options, handed to the kernel as they are; owned, may be NULL
 */
struct mount_options {
	struct pyc_policy policy;
	enum mutability_option mutability;
	enum stack_mode stack;
	bool remount;
	bool xdev;
	bool allow_other;
	unsigned long set_flags;
	unsigned long cleared_flags;
	char *root;
	char *cache;
	bool no_cache;
	int64_t cache_size;
	char *given;
	char *context;
};

/* The smallest cache-size= */
#define CACHE_SIZE_MIN (INT64_C(256) << 10)

/* A number of bytes with K, M or G after it, as in cache-size=; also for commands. */
bool mount_options_size(const char *text, int64_t *ret_bytes);

void mount_options_init(struct mount_options *options);

void mount_options_fini(struct mount_options *options);

/**
 * mount_options_parse() - take one -o argument in
 * @list:      comma-separated; "\," stands for a comma in a value. May be called again:
 *             later words win, canonical= adds up.
 * @ret_why:   on failure, for the user
 * Return: 0, -EINVAL or -ENOMEM.
 */
int mount_options_parse(struct mount_options *options, const char *list,
			struct reason *ret_why);

#endif
