/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a mount leads from and to: checked, and opened, before anything is mounted, so
 * that bad input leaves nothing half done.
 */
#ifndef CANONFS_FS_MOUNT_MOUNT_ENDS_H
#define CANONFS_FS_MOUNT_MOUNT_ENDS_H

#include <limits.h>

#include "cache/store/place.h"
#include "cache/store/proof_file.h"
#include "cache/tree/tree.h"
#include "fs/mount/mutability.h"
#include "fs/mount/options.h"

/**
 * struct mount_ends - the two ends of a mount
 * @source, @point: absolute, without symlinks
 * @tree:           the source, open: a mount over it does not hide it any more
 * @mutability:     can the source change while it is mounted?
 * @cache:          where the cache lies; .path is NULL where there is none
 * @proofs:         without a cache: whether there are proofs all the same
 */
struct mount_ends {
	char source[PATH_MAX];
	char point[PATH_MAX];
	struct tree tree;
	struct mutability mutability;
	struct store_place cache;
	struct proof_book proofs;
};

/**
 * mount_ends_open() - check and open
 * @source, @point: as the user gave them
 * Return: 0, or -errno with one line logged; mount_ends_close() either way.
 */
int mount_ends_open(struct mount_ends *ends, const struct mount_options *options,
		    const char *source, const char *point);

/* MS_NOSUID, MS_NODEV and MS_NOEXEC, as the source is mounted. */
unsigned long mount_ends_flags(const struct mount_ends *ends);

void mount_ends_close(struct mount_ends *ends);

#endif
