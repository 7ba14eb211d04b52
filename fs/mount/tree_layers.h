/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding the layers of a source that is an overlay (cache/tree/layers.h). The mount and
 * the commands find them here, so they cannot disagree.
 */
#ifndef CANONFS_FS_MOUNT_TREE_LAYERS_H
#define CANONFS_FS_MOUNT_TREE_LAYERS_H

#include "cache/tree/tree.h"

/**
 * tree_layers_find() - fill in a tree's layers
 * @tree: the source, just opened
 * @path: where it is: absolute, without symlinks
 *
 * It stays without where it is no overlay, or one of a single layer; and where a layer
 * cannot be opened: its name is relative, or leads nowhere in this mount namespace.
 */
void tree_layers_find(struct tree *tree, const char *path);

#endif
