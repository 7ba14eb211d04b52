/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layers that an overlay is made of, and in which of them a file is.
 *
 * An image is built layer by layer, each one upon what is there already. So a source from a
 * layer above its bytecode's came after the bytecode: it replaced the source that was
 * compiled. No time tells that where all layers were set to one.
 */
#ifndef CANONFS_CACHE_TREE_LAYERS_H
#define CANONFS_CACHE_TREE_LAYERS_H

#include <stddef.h>
#include <sys/stat.h>

#include "pyc/verdict.h"

/* Engines make images of up to 128 layers; each one costs a descriptor. */
#define LAYERS_MAX 128

/**
 * struct layers - the layers of a tree
 * @dir:   O_PATH descriptors of the directories that the tree's root is made of, the upper
 *         one first; @count of them, owned. 0: no layers are known
 */
struct layers {
	int *dir;
	size_t count;
};

/**
 * layers_add() - one more, below those that are there
 * @dir: taken over, in any case
 * Return: 0, -ENOMEM or -E2BIG.
 */
int layers_add(struct layers *layers, int dir);

/* No layers are known any more. */
void layers_fini(struct layers *layers);

/**
 * struct layers_file - a file of the tree
 * @path: relative to the tree's root, without symlinks
 * @stx:  of the file, as the overlay shows it
 */
struct layers_file {
	const char *path;
	const struct statx *stx;
};

/**
 * layers_compare() - is a source from the layer of its bytecode, or from one below?
 *
 * Return: PYC_CHECK_BAD where it is from a layer above. PYC_CHECK_UNKNOWN where no layers
 * are known, or a layer has another file there than the overlay shows: its name leads
 * elsewhere by now, or the overlay renamed a directory (redirect_dir).
 */
enum pyc_check layers_compare(const struct layers *layers, const struct layers_file *pyc,
			      const struct layers_file *source);

#endif
