/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows on their way to the writer: a bounded queue that drops rather than waits.
 */
#ifndef CANONFS_CACHE_STORE_QUEUE_H
#define CANONFS_CACHE_STORE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "cache/store/row.h"

/* Rows that wait, at most; some 800 KiB. */
#define STORE_QUEUE_ROWS 4096

/* Rows that are taken at once, and how long the first of them may wait for others. */
#define STORE_BATCH_ROWS    256
#define STORE_BATCH_WAIT_MS 300

/**
 * struct store_queue - a ring of rows
 * @lock: of the fields below; held for copies of rows only
 * @wake: for the thread that takes rows; CLOCK_MONOTONIC
 */
struct store_queue {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct store_row *rows; /* owned */
	size_t first;
	size_t count;
	bool is_ended;
};

/* Return: 0; -ENOMEM. store_queue_fini() either way. */
int store_queue_init(struct store_queue *queue);

void store_queue_fini(struct store_queue *queue);

/* Return: whether there was room. */
bool store_queue_put(struct store_queue *queue, const struct store_row *row);

/**
 * store_queue_take() - wait for rows, and a little for more
 * @ret_rows: room for STORE_BATCH_ROWS
 * Return: how many were taken; 0 when the queue has ended and is empty.
 */
size_t store_queue_take(struct store_queue *queue, struct store_row *ret_rows);

/* No more rows come: store_queue_take() gives what is left, without waiting. */
void store_queue_end(struct store_queue *queue);

#endif
