/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data-only layer of a stacked mount: /.canonfs/NUMBER is a bytecode file of the
 * source, with the header that it is served with. Nothing else of the source is in it:
 * what got no number (fs/stack/data_table.h) does not exist here.
 *
 * overlayfs alone sees it, and asks for nothing but names and contents. One directory,
 * since each directory on the way to a file is a LOOKUP of its own.
 */
#ifndef CANONFS_FS_STACK_DATA_H
#define CANONFS_FS_STACK_DATA_H

#include "fs/front/front.h"
#include "fs/stack/data_table.h"

struct ahead;

/**
 * struct data_layer - the layer of one stacked mount
 * @table: its files
 * @ahead: what will be asked next
 */
struct data_layer {
	struct front front;
	struct data_table *table;
	struct ahead *ahead;
};

/**
 * data_layer_init() - an empty layer; front_load() has to follow, and the files to be added
 * @tree, @stats: borrowed; the tree is one that cannot change
 * Return: 0 or -errno; data_layer_fini() either way.
 */
int data_layer_init(struct data_layer *layer, const struct tree *tree, struct stats *stats);

/* After the session has ended. */
void data_layer_fini(struct data_layer *layer);

/**
 * data_lookup_name() - the node of a name
 * @parent: a node id
 * Return: the id; 0 where there is no such file.
 */
uint64_t data_lookup_name(const struct data_table *table, uint64_t parent,
			  const char *name);

/* The file in the source that a node stands for, else what is there in the layer; NULL for
 * no node. */
const char *data_path(const struct data_table *table, uint64_t id);

#endif
