/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two arrays that grow: the files, and the text of their paths; see data_table.h.
 */
#include "fs/stack/data_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A file; its path is in the text, whose place in memory changes. */
struct data_row {
	size_t path;
	struct node_key key;
	uint64_t size;
	uint64_t blocks;
};

struct data_table {
	pthread_mutex_t lock; /* of the rest, while files are added */
	struct data_row *rows;
	size_t count;
	size_t capacity;
	char *text;
	size_t text_size;
	size_t text_capacity;
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
	free(table->rows);
	free(table->text);
	free(table);
}

static bool data_table_make_room_locked(struct data_table *table, size_t bytes)
{
	if (table->count == table->capacity) {
		size_t capacity = 2 * table->capacity + 256;
		struct data_row *rows = reallocarray(table->rows, capacity, sizeof(*rows));

		if (!rows)
			return false;
		table->rows = rows;
		table->capacity = capacity;
	}
	if (table->text_size + bytes > table->text_capacity) {
		size_t capacity = 2 * table->text_capacity + bytes + 16384;
		char *text = realloc(table->text, capacity);

		if (!text)
			return false;
		table->text = text;
		table->text_capacity = capacity;
	}
	return true;
}

int data_table_add(struct data_table *table, const char *path, const struct statx *stx,
		   uint64_t *ret_number)
{
	size_t bytes = strlen(path) + 1;
	bool room;

	pthread_mutex_lock(&table->lock);
	room = data_table_make_room_locked(table, bytes);
	if (room) {
		memcpy(table->text + table->text_size, path, bytes);
		table->rows[table->count] = (struct data_row){
			.path = table->text_size,
			.key = node_key_of(stx),
			.size = stx->stx_size,
			.blocks = stx->stx_blocks,
		};
		table->text_size += bytes;
		*ret_number = table->count++;
	}
	pthread_mutex_unlock(&table->lock);
	return room ? 0 : -ENOMEM;
}

int data_table_find(const struct data_table *table, uint64_t number,
		    struct data_file *ret_file)
{
	const struct data_row *row;

	if (number >= table->count)
		return -ENOENT;
	row = &table->rows[number];
	*ret_file = (struct data_file){
		.path = table->text + row->path,
		.key = row->key,
		.size = row->size,
		.blocks = row->blocks,
	};
	return 0;
}

struct node_stats data_table_stats(const struct data_table *table)
{
	return (struct node_stats){
		.nodes = (uint32_t)table->count,
		.bytes = table->capacity * sizeof(*table->rows) + table->text_capacity,
	};
}
