/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and loading the store in a thread; see recall.h.
 */
#include "cache/recall.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "cache/store/store.h"
#include "cache/table.h"

/* A start that somebody waits for, or that nobody waits for any more. */
struct recall {
	pthread_mutex_t lock; /* of the fields down to table */
	pthread_cond_t ready; /* CLOCK_MONOTONIC */
	bool has_proofs;
	bool is_ready;
	bool is_abandoned;
	struct proof_book proofs;
	struct store *store;
	struct table *table;	      /* NULL without a store */
	struct timespec until;	      /* when it is abandoned */
	struct timespec proofs_until; /* the same where there are no proofs yet */
	const struct store_place *place;
	int root_fd; /* its own: an abandoned start may need it after its caller has gone on
		      */
	int64_t limit;
	bool proofs_only;
};

static void recall_free(struct recall *recall)
{
	pthread_cond_destroy(&recall->ready);
	pthread_mutex_destroy(&recall->lock);
	proof_book_fini(&recall->proofs);
	table_free(recall->table);
	close_fd(&recall->root_fd);
	free(recall);
}

static void recall_row(const struct store_row *row, void *closure)
{
	const struct content content = {
		.header_status = PYC_HEADER_OK,
		.header = row->header,
		.body = row->body,
		.digest = row->digest,
	};

	table_put(closure, &row->pyc, &content);
}

/* Return: NULL where there is no store; *@ret_table is written otherwise. */
static struct store *recall_open(const struct recall *recall, struct table **ret_table)
{
	struct store *store = store_open(recall->place, recall->root_fd, recall->limit);
	struct table *table = store ? table_new(TABLE_CAPACITY) : NULL;

	if (!table) {
		store_close(store);
		return NULL;
	}
	store_load(store, recall_row, table);
	*ret_table = table;
	return store;
}

static void recall_read_proofs(struct recall *recall)
{
	struct proof_book proofs;

	proof_book_read(&proofs, recall->place);
	pthread_mutex_lock(&recall->lock);
	recall->proofs = proofs;
	recall->has_proofs = true;
	pthread_cond_signal(&recall->ready);
	pthread_mutex_unlock(&recall->lock);
}

static void *recall_run(void *closure)
{
	struct recall *recall = closure;
	struct table *table = NULL;
	struct store *store;
	bool is_abandoned;

	recall_read_proofs(recall);
	store = recall->proofs_only ? NULL : recall_open(recall, &table);
	pthread_mutex_lock(&recall->lock);
	recall->store = store;
	recall->table = table;
	recall->is_ready = true;
	is_abandoned = recall->is_abandoned;
	pthread_cond_signal(&recall->ready);
	pthread_mutex_unlock(&recall->lock);
	if (is_abandoned) {
		store_close(store);
		recall_free(recall);
	}
	return NULL;
}

static struct recall *recall_new(const struct store_place *place, int root_fd,
				 int64_t limit, bool proofs_only)
{
	struct recall *recall = calloc(1, sizeof(*recall));

	if (!recall)
		return NULL;
	recall->root_fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	if (recall->root_fd < 0) {
		free(recall);
		return NULL;
	}
	recall->place = place;
	recall->limit = limit;
	recall->proofs_only = proofs_only;
	recall->until = clock_deadline(RECALL_MS);
	recall->proofs_until = clock_deadline(RECALL_PROOFS_MS);
	pthread_mutex_init(&recall->lock, NULL);
	clock_condition_init(&recall->ready);
	return recall;
}

/*
 * Takes the proofs. Return: whether the store, or that there is none, was known in time. If
 * the proofs were not, nothing was.
 */
static bool recall_wait(struct recall *recall, struct proof_book *ret_proofs)
{
	bool is_ready;

	pthread_mutex_lock(&recall->lock);
	while (!recall->is_ready &&
	       pthread_cond_timedwait(&recall->ready, &recall->lock, &recall->until) == 0)
		;
	while (!recall->has_proofs && pthread_cond_timedwait(&recall->ready, &recall->lock,
							     &recall->proofs_until) == 0)
		;
	*ret_proofs = recall->proofs;
	recall->proofs = (struct proof_book){.state = PROOFS_NONE};
	if (!recall->has_proofs) {
		ret_proofs->state = PROOFS_UNREAD;
		reason_set(&ret_proofs->why, 0, "the file does not answer");
	}
	is_ready = recall->is_ready;
	recall->is_abandoned = !is_ready;
	pthread_mutex_unlock(&recall->lock);
	return is_ready;
}

struct recall *recall_start(const struct store_place *place, int root_fd, int64_t limit,
			    bool proofs_only)
{
	struct recall *recall = recall_new(place, root_fd, limit, proofs_only);
	pthread_t thread;

	if (!recall)
		return NULL;
	if (pthread_create(&thread, NULL, recall_run, recall) != 0) {
		recall_free(recall);
		return NULL;
	}
	pthread_detach(thread);
	return recall;
}

struct store *recall_await(struct recall *recall, struct table **ret_table,
			   struct proof_book *ret_proofs)
{
	const struct store_place *place = recall ? recall->place : NULL;
	struct store *store;
	bool is_ready;

	*ret_table = NULL;
	*ret_proofs = (struct proof_book){.state = PROOFS_NONE};
	if (!recall)
		return NULL;
	is_ready = recall_wait(recall, ret_proofs);
	proof_book_warn(ret_proofs, place->proofs);
	/* The thread frees an abandoned one. */
	if (!is_ready) {
		log_warning("the cache %s does not answer; going on without",
			    quoted(place->path));
		return NULL;
	}
	/* The thread lets go of the lock last, and touches nothing after it. */
	pthread_mutex_lock(&recall->lock);
	store = recall->store;
	*ret_table = take_ptr(recall->table);
	pthread_mutex_unlock(&recall->lock);
	recall_free(recall);
	return store;
}
