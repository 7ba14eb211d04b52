/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue before the writer; see queue.h.
 */
#include "cache/store/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

int store_queue_init(struct store_queue *queue)
{
	*queue = (struct store_queue){.rows = NULL};
	pthread_mutex_init(&queue->lock, NULL);
	clock_condition_init(&queue->wake);
	queue->rows = calloc(STORE_QUEUE_ROWS, sizeof(*queue->rows));
	return queue->rows ? 0 : -ENOMEM;
}

void store_queue_fini(struct store_queue *queue)
{
	pthread_cond_destroy(&queue->wake);
	pthread_mutex_destroy(&queue->lock);
	free(queue->rows);
}

bool store_queue_put(struct store_queue *queue, const struct store_row *row)
{
	bool has_room;

	pthread_mutex_lock(&queue->lock);
	has_room = queue->count < STORE_QUEUE_ROWS;
	if (has_room) {
		queue->rows[(queue->first + queue->count) % STORE_QUEUE_ROWS] = *row;
		queue->count++;
		/* What store_queue_take() waits for; to wake it for each row would cost
		 * more. */
		if (queue->count == 1 || queue->count == STORE_BATCH_ROWS)
			pthread_cond_signal(&queue->wake);
	}
	pthread_mutex_unlock(&queue->lock);
	return has_room;
}

size_t store_queue_take(struct store_queue *queue, struct store_row *ret_rows)
{
	struct timespec until;
	size_t taken = 0;

	pthread_mutex_lock(&queue->lock);
	while (queue->count == 0 && !queue->is_ended)
		pthread_cond_wait(&queue->wake, &queue->lock);
	until = clock_deadline(STORE_BATCH_WAIT_MS);
	while (queue->count < STORE_BATCH_ROWS && !queue->is_ended &&
	       pthread_cond_timedwait(&queue->wake, &queue->lock, &until) == 0)
		;
	while (taken < STORE_BATCH_ROWS && queue->count > 0) {
		ret_rows[taken++] = queue->rows[queue->first];
		queue->first = (queue->first + 1) % STORE_QUEUE_ROWS;
		queue->count--;
	}
	pthread_mutex_unlock(&queue->lock);
	return taken;
}

void store_queue_end(struct store_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->is_ended = true;
	pthread_cond_signal(&queue->wake);
	pthread_mutex_unlock(&queue->lock);
}
