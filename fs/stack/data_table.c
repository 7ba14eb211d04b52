/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An array of files that grows; see data_table.h.
 */
#include "fs/stack/data_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct data_table {
	pthread_mutex_t lock;	 /* of the rest, while files are added */
	struct data_file *files; /* with their paths owned */
	size_t count;
	size_t path_bytes;
};

struct data_table *data_table_new(void)
{
	struct data_table *table = calloc(1, sizeof(*table));

	if (table)
		pthread_mutex_init(&table->lock, NULL);
	return table;
}

void data_table_free(struct data_table *table)
{
	if (!table)
		return;
	pthread_mutex_destroy(&table->lock);
	for (size_t i = 0; i < table->count; i++)
		free((void *)(uintptr_t)table->files[i].path);
	free(table->files);
	free(table);
}

int data_table_add(struct data_table *table, const char *path, const struct statx *stx,
		   uint64_t *ret_number)
{
	char *copy = strdup(path);
	struct data_file file = {
		.path = copy,
		.key = node_key_of(stx),
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
	};
	int r;

	if (!copy)
		return -ENOMEM;
	pthread_mutex_lock(&table->lock);
	r = array_add(table->files, table->count, file);
	if (r == 0) {
		*ret_number = table->count - 1;
		table->path_bytes += strlen(path) + 1;
	}
	pthread_mutex_unlock(&table->lock);
	if (r < 0)
		free(copy);
	return r;
}

int data_table_find(const struct data_table *table, uint64_t number,
		    struct data_file *ret_file)
{
	if (number >= table->count)
		return -ENOENT;
	*ret_file = table->files[number];
	return 0;
}

struct node_stats data_table_stats(const struct data_table *table)
{
	return (struct node_stats){
		.nodes = (uint32_t)table->count,
		.bytes = table->count * sizeof(*table->files) + table->path_bytes,
	};
}
