/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an overlay is made of, as far as /proc/self/mountinfo says it
 * (Documentation/filesystems/overlayfs.rst).
 */
#ifndef CANONFS_FS_MOUNT_OVERLAY_LAYERS_H
#define CANONFS_FS_MOUNT_OVERLAY_LAYERS_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/mount/mountinfo.h"

/**
 * struct overlay_layers - the layers of an overlay
 * @lower:     names of the read-only layers, the upper one first; @count of them. The names
 *             are those that were given when the overlay was made: they may be relative to
 *             a directory that is not known, and lead elsewhere by now
 * @upper:     name of the layer that is written to; NULL where there is none
 * @has_data:  the last layers only have data (composefs)
 */
struct overlay_layers {
	char **lower;
	size_t count;
	char *upper;
	bool has_data;
};

/**
 * overlay_layers_of() - take an overlay's options apart
 * @entry: of the type "overlay"
 * Return: 0 or -ENOMEM; overlay_layers_fini() either way.
 */
int overlay_layers_of(const struct mount_entry *entry, struct overlay_layers *ret_layers);

void overlay_layers_fini(struct overlay_layers *layers);

/* Frees on leaving the scope. */
#define scope_overlay_layers __attribute__((cleanup(overlay_layers_fini)))

#endif
