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

#include "fs/front/ops.h"
#include "fs/stack/data_table.h"

/* The table for fuse_session_new() of a data layer. */
extern const struct fuse_lowlevel_ops data_ops;

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
