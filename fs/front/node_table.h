/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel's node ids mean: for each name that the kernel remembers, its parent,
 * the name, and which file it was.
 *
 * Inode ids. A node is one *name* in one directory: hard links are several nodes, since
 * the header that a pyc is served with, and the mtime that a source shows, belong to the
 * name. st_ino is the file's own, so tools still see the links.
 *
 * Lifetime. The kernel holds references (lookup_count, given by LOOKUP and READDIRPLUS,
 * returned by FORGET); a child holds its parent. A node without either is gone and its id
 * is used again with another generation. A name that turns out to be another file gets a
 * new node: the old one is unlinked from the names but lives while it is referenced.
 *
 * A node has no descriptor: its file is opened by its path and compared with the node.
 *
 * All state is in one memfd, in indices rather than pointers, so that another process can
 * take it over.
 */
#ifndef CANONFS_FS_FRONT_NODE_TABLE_H
#define CANONFS_FS_FRONT_NODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/front/node.h"

struct node_table;

/**
 * node_table_new() - an empty table that knows the root only
 * @root:      the root's key
 * @max_nodes: bound, at most 2^24; memory and address space are taken as nodes are made
 * Return: NULL when out of memory.
 */
struct node_table *node_table_new(const struct node_key *root, uint32_t max_nodes);

void node_table_free(struct node_table *table);

/**
 * node_lookup() - find or make the node of a name, and count one kernel reference
 * @parent:         id of the directory's node
 * @name:           one component
 * @key:            the file that the name is now
 * @ret_id, @ret_generation: the node's
 *
 * Return: 0; -ENFILE when the table is full; -ENOMEM where there is no memory for a new
 * node now; -ESTALE where @parent is not a live node; -ENAMETOOLONG for a name over
 * NAME_MAX.
 */
int node_lookup(struct node_table *table, uint64_t parent, const char *name,
		const struct node_key *key, uint64_t *ret_id, uint64_t *ret_generation);

/* Gives @count kernel references back. Unknown ids are ignored. */
void node_forget(struct node_table *table, uint64_t id, uint64_t count);

/**
 * node_path() - where a node is
 * @ret_path: relative to the root, "." for the root itself; the caller's to free
 * @ret_key:  may be NULL
 * Return: 0; -ESTALE where @id is not a live node; -ENOMEM.
 */
int node_path(struct node_table *table, uint64_t id, char **ret_path,
	      struct node_key *ret_key);

/**
 * node_stamp() - compare and set what the kernel's cached pages of a node show
 * @stamp: a digest of everything that the content served now depends on; 0 where that is
 *         not certain: nothing is kept then
 * @now_s: CLOCK_MONOTONIC, seconds
 *
 * A reply that drops the pages takes effect only when the kernel has read it. Until a
 * second (or two) after a change, therefore, nobody else is told to keep them.
 *
 * Return: whether the pages that were cached since the last call are still good.
 */
bool node_stamp(struct node_table *table, uint64_t id, uint64_t stamp, uint32_t now_s);

/* A file, as the names that it has may be looked for. */
struct node_file {
	uint64_t device;
	uint64_t inode;
};

/* Puts files into the order that node_find() wants. */
void node_file_sort(struct node_file *files, size_t count);

/* How many nodes node_find() looks at while others wait for the lock. */
#define NODE_FIND_STEP 1024

/**
 * node_find() - the nodes of some files
 * @files:   node_file_sort()ed; NULL: all files
 * @from:    the id to go on from: NODE_ROOT at first; 0 when there are no more
 * @ret_ids: room for NODE_FIND_STEP
 *
 * To be called until *@from is 0. Found are the nodes that live all that time.
 * Return: how many ids there are in @ret_ids, live ones.
 */
size_t node_find(struct node_table *table, const struct node_file *files, size_t count,
		 uint64_t *from, uint64_t *ret_ids);

/**
 * node_place() - the directory that a node is in, and its name there
 * @ret_name: room for NAME_MAX + 1 bytes
 * Return: 0; -ESTALE where @id is not a live node, or is the root.
 */
int node_place(struct node_table *table, uint64_t id, uint64_t *ret_parent, char *ret_name);

/**
 * node_child() - the node that a name leads to, if the kernel knows it
 * @ret_key: may be NULL
 * Return: its id; 0 where there is none.
 */
uint64_t node_child(struct node_table *table, uint64_t parent, const char *name,
		    struct node_key *ret_key);

/* Is there a node of one of two files, by their node_key.handle? 0 is no file's. */
bool node_has_handle(struct node_table *table, uint32_t handle, uint32_t or_handle);

/**
 * node_with_handle() - the nodes of a file
 * @handle:  its node_key.handle, not 0; perhaps another file has the same
 * @ret_ids: the caller's to free
 * Return: how many; -ENOMEM.
 */
int node_with_handle(struct node_table *table, uint32_t handle, uint64_t **ret_ids);

/**
 * node_ino() - a st_ino that is unique in the whole tree
 *
 * One mount can hold several devices (btrfs subvolumes, overlayfs layers) whose inode
 * numbers collide. Files of the root's device keep their numbers; on others the upper 16
 * bits tell the device.
 */
uint64_t node_ino(struct node_table *table, uint64_t device, uint64_t inode);

struct node_stats node_table_stats(struct node_table *table);

#endif
