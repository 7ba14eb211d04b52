/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a mount leads from and to: checked, and opened, before anything is mounted, so
 * that bad input leaves nothing half done.
 */
#ifndef CANONFS_FS_PLACES_H
#define CANONFS_FS_PLACES_H

#include <limits.h>

#include "cache/store/place.h"
#include "cache/tree/tree.h"
#include "fs/options.h"

/**
 * struct places - the two ends of a mount
 * @source, @point: absolute, without symlinks
 * @tree:           the source, open: a mount over it does not hide it any more
 * @cache:          where the cache lies; .path is NULL where there is none
 */
struct places {
	char source[PATH_MAX];
	char point[PATH_MAX];
	struct tree tree;
	struct store_place cache;
};

/**
 * places_open() - check and open
 * @source, @point: as the user gave them
 * Return: 0, or -errno with one line logged; places_close() either way.
 */
int places_open(struct places *places, const struct mount_options *options,
		const char *source, const char *point);

/* Can the source not change while it is mounted? As was said, or as it is mounted. */
bool places_immutable(const struct places *places, const struct mount_options *options);

/* MS_NOSUID, MS_NODEV and MS_NOEXEC, as the source is mounted. */
unsigned long places_flags(const struct places *places);

void places_close(struct places *places);

#endif
