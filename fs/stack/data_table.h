/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of the data layer: a number for each file whose bytes are served.
 *
 * The stubs are written first (fs/stack/scan.h), and each that has its data in the layer
 * gets the next number; the layer serves afterwards. So nothing has to be asked of the
 * source to answer a LOOKUP.
 */
#ifndef CANONFS_FS_STACK_DATA_TABLE_H
#define CANONFS_FS_STACK_DATA_TABLE_H

#include <stdint.h>
#include <sys/stat.h>

#include "fs/front/node.h"

/* The only directory of the layer; no file of the source may have its name. */
#define DATA_DIR ".canonfs"

struct data_table;

/* Return: an empty table; NULL when out of memory. */
struct data_table *data_table_new(void);

void data_table_free(struct data_table *table);

/**
 * data_table_add() - give a file a number
 * @path:       relative to the tree
 * @stx:        of the file
 * @ret_number: counts from 0
 *
 * Return: 0 or -ENOMEM. Locking: safe from several threads.
 */
int data_table_add(struct data_table *table, const char *path, const struct statx *stx,
		   uint64_t *ret_number);

/**
 * struct data_file - one file of the layer
 * @path:   relative to the tree; the table's
 * @key:    which file it was when it got its number
 * @size:   in bytes
 * @blocks: of 512 bytes that it takes on disk
 */
struct data_file {
	const char *path;
	struct node_key key;
	uint64_t size;
	uint64_t blocks;
};

/**
 * data_table_find() - the file of a number
 * Return: 0; -ENOENT where it was not given to any.
 * Locking: none; not while files are added.
 */
int data_table_find(const struct data_table *table, uint64_t number,
		    struct data_file *ret_file);

/* What the table holds. Locking: as data_table_find(). */
struct node_stats data_table_stats(const struct data_table *table);

#endif
