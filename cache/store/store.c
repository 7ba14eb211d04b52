/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store of a mount: loading, the queue, the writer thread; see store.h.
 */
#include "cache/store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/scope.h"
#include "cache/store/db.h"
#include "cache/store/row.h"
#include "cache/table.h"

/* Rows in one transaction, and how long the first of them may wait for others. */
#define BATCH_ROWS    256
#define BATCH_WAIT_MS 300

/*
 * The database belongs to the thread that opened the store until store_load() starts the
 * writer, and to the writer from then on: there is no lock around it.
 */
struct store {
	const struct store_place *place;
	struct store_db *db;
	struct image image;
	int64_t limit;
	struct proof_set proofs; /* constant after store_load() */
	struct table *table;	 /* of store_start(), until it is taken */

	pthread_t writer;
	bool has_writer;
	pthread_mutex_t lock; /* of the five fields below */
	pthread_cond_t wake;  /* for the writer; both clocks are CLOCK_MONOTONIC */
	pthread_cond_t ended; /* for store_close() */
	struct store_row *queue;
	size_t first;
	size_t count;
	bool stop;
	bool has_ended;
	/* Counters and a switch; nothing else is read because of them: relaxed. */
	_Atomic bool broken;
	_Atomic uint64_t loaded, bad, written, dropped;
};

/* ---- errors ---- */

/* One line, and nothing more is written in the life of this store. */
static void give_up(struct store *store, const char *what, int error)
{
	if (atomic_exchange(&store->broken, true))
		return;
	log_warning("%s the cache %s: %s; going on without", what,
		    quoted(store->place->path),
		    error == -EBADMSG ? "it is damaged" : strerror(-error));
	/* Its place is free at the next mount; the open files live on until the end. */
	if (error == -EBADMSG)
		store_place_set_aside(store->place);
}

static struct timespec deadline(int64_t ms)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_nsec += ms % 1000 * 1000000;
	time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}

/* A condition that deadline() fits. */
static void init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

/* ---- open ---- */

static struct store *make_store(const struct store_place *place, int64_t limit)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->place = place;
	store->limit = limit;
	pthread_mutex_init(&store->lock, NULL);
	init_condition(&store->wake);
	init_condition(&store->ended);
	store->queue = calloc(STORE_QUEUE_ROWS, sizeof(*store->queue));
	return store;
}

static void free_store(struct store *store)
{
	store_db_close(store->db);
	proof_set_fini(&store->proofs);
	table_free(store->table);
	pthread_cond_destroy(&store->wake);
	pthread_cond_destroy(&store->ended);
	pthread_mutex_destroy(&store->lock);
	free(store->queue);
	free(store);
}

static int open_db(struct store *store, int root_fd)
{
	char why[STORE_WHY_MAX];
	int r = store_db_open(store->place, STORE_DB_MAKE, &store->db, why);

	if (r < 0) {
		log_message(r == -EBUSY && store->place->is_default ? LOG_LEVEL_INFO
								    : LOG_LEVEL_WARNING,
			    "cannot use the cache %s: %s; going on without",
			    quoted(store->place->path), why);
		return r;
	}
	if (why[0])
		log_warning("set the cache %s aside: %s; starting an empty one",
			    quoted(store->place->path), why);
	return image_of(root_fd, &store->image);
}

struct store *store_open(const struct store_place *place, int root_fd, int64_t limit)
{
	struct store *store = make_store(place, limit);

	if (!store)
		return NULL;
	if (!store->queue || open_db(store, root_fd) < 0) {
		free_store(store);
		return NULL;
	}
	return store;
}

/* ---- load ---- */

struct loading {
	struct store *store;
	struct table *table;
};

/* A row's identity on this mount; of an earlier state unless the file system vouches. */
static struct identity revive(const struct store *store, const struct identity *stored)
{
	struct identity identity = *stored;

	identity.mount_id = store->image.mount_id;
	identity.device = store->image.device;
	if (!image_vouches(&store->image, stored))
		identity.generation = IDENTITY_NEVER_CURRENT;
	return identity;
}

static bool load_row(const struct store_row *row, void *closure)
{
	const struct loading *loading = closure;
	struct store *store = loading->store;
	struct identity identity;
	struct content content;

	if (!row) {
		store->bad++;
		return store->bad < STORE_LOAD_ROWS;
	}
	identity = revive(store, &row->pyc);
	content = row->content;
	/*
	 * A store through a mapping leaves no trace in a source's ctime, and what was said
	 * of it decides which code runs: it is read again, once in each mount.
	 */
	content.has_source = false;
	content.hash = PYC_CHECK_UNKNOWN;
	table_put(loading->table, &identity, &content);
	return ++store->loaded < STORE_LOAD_ROWS;
}

static int load_proofs(struct store *store)
{
	size_t bad;
	int r = store_db_proofs(store->db, &store->proofs, &bad);

	store->bad += bad;
	return r;
}

static void *write_rows(void *closure);

/* Signals are the supervisor's, and whoever calls us has blocked what has to be blocked. */
static void start_writer(struct store *store)
{
	int r = pthread_create(&store->writer, NULL, write_rows, store);

	store->has_writer = r == 0;
	if (r)
		give_up(store, "cannot write", -r);
}

void store_load(struct store *store, struct table *table)
{
	struct loading loading = {.store = store, .table = table};
	/* Proofs come first: a damaged row must not hide that something was disproved. */
	int proofs_r = load_proofs(store);
	int r = store_db_rows(store->db, store->image.id, load_row, &loading);

	if (r == 0)
		r = proofs_r;
	if (r < 0) {
		give_up(store, "cannot read", r);
		return;
	}
	if (store->bad > 0)
		log_warning("the cache %s has %llu damaged rows, ignoring them",
			    quoted(store->place->path), (unsigned long long)store->bad);
	r = store_db_use_image(store->db, &store->image);
	if (r == 0)
		r = store_db_shrink(store->db, store->limit);
	if (r < 0)
		give_up(store, "cannot write", r);
	else
		start_writer(store);
}

/* ---- start ---- */

/* A start that somebody waits for, or that nobody waits for any more. */
struct store_start {
	pthread_mutex_t lock; /* of the fields down to store */
	pthread_cond_t ready; /* CLOCK_MONOTONIC */
	bool is_ready;
	bool is_abandoned;
	struct store *store;
	struct timespec until; /* when it is abandoned */
	const struct store_place *place;
	int root_fd;
	int64_t limit;
};

static void start_free(struct store_start *start)
{
	pthread_cond_destroy(&start->ready);
	pthread_mutex_destroy(&start->lock);
	free(start);
}

static struct store *open_and_load(const struct store_start *start)
{
	struct store *store = store_open(start->place, start->root_fd, start->limit);

	if (!store)
		return NULL;
	store->table = table_new(TABLE_CAPACITY);
	if (!store->table) {
		store_close(store);
		return NULL;
	}
	store_load(store, store->table);
	return store;
}

static void *run_start(void *closure)
{
	struct store_start *start = closure;
	struct store *store = open_and_load(start);
	bool is_abandoned;

	pthread_mutex_lock(&start->lock);
	start->store = store;
	start->is_ready = true;
	is_abandoned = start->is_abandoned;
	pthread_cond_signal(&start->ready);
	pthread_mutex_unlock(&start->lock);
	if (is_abandoned) {
		store_close(store);
		start_free(start);
	}
	return NULL;
}

static struct store_start *start_new(const struct store_place *place, int root_fd,
				     int64_t limit)
{
	struct store_start *start = calloc(1, sizeof(*start));

	if (!start)
		return NULL;
	start->place = place;
	start->root_fd = root_fd;
	start->limit = limit;
	start->until = deadline(STORE_START_MS);
	pthread_mutex_init(&start->lock, NULL);
	init_condition(&start->ready);
	return start;
}

/* Return: whether the store, or that there is none, was known in time. */
static bool wait_for_start(struct store_start *start)
{
	bool is_ready;

	pthread_mutex_lock(&start->lock);
	while (!start->is_ready &&
	       pthread_cond_timedwait(&start->ready, &start->lock, &start->until) == 0)
		;
	is_ready = start->is_ready;
	start->is_abandoned = !is_ready;
	pthread_mutex_unlock(&start->lock);
	return is_ready;
}

struct store_start *store_start(const struct store_place *place, int root_fd, int64_t limit)
{
	struct store_start *start = start_new(place, root_fd, limit);
	pthread_t thread;

	if (!start)
		return NULL;
	if (pthread_create(&thread, NULL, run_start, start) != 0) {
		start_free(start);
		return NULL;
	}
	pthread_detach(thread);
	return start;
}

struct store *store_await(struct store_start *start)
{
	const struct store_place *place = start ? start->place : NULL;
	struct store *store;

	if (!start)
		return NULL;
	/* An abandoned one is its thread's. */
	if (!wait_for_start(start)) {
		log_warning("the cache %s does not answer; going on without",
			    quoted(place->path));
		return NULL;
	}
	/* The thread lets go of the lock last, and touches nothing after it. */
	pthread_mutex_lock(&start->lock);
	store = start->store;
	pthread_mutex_unlock(&start->lock);
	start_free(start);
	return store;
}

struct table *store_take_table(struct store *store)
{
	return take_ptr(store->table);
}

const struct proof_set *store_proofs(const struct store *store)
{
	return &store->proofs;
}

struct store_counts store_counts(struct store *store)
{
	return (struct store_counts){
		.loaded = store->loaded,
		.bad = store->bad,
		.written = store->written,
		.dropped = store->dropped,
	};
}

/* ---- the queue ---- */

static bool fill_row(const struct store *store, const struct content_file *file,
		     const struct pyc_decision *decision, struct store_row *ret_row)
{
	/* Another file system in the tree (a btrfs subvolume) counts inodes of its own. */
	if (file->identity.device != store->image.device ||
	    file->kept.header_status != PYC_HEADER_OK)
		return false;
	/* What digests confirmed is in the store; writing it anew gives nothing. */
	if (file->confirmed && !image_vouches(&store->image, &file->identity))
		return false;
	*ret_row = (struct store_row){
		.image = store->image.id,
		.pyc = file->identity,
		.content = file->kept,
		.verdict = decision->verdict,
		.reason = decision->reason,
		.stored_s = time(NULL),
	};
	memcpy(ret_row->served, decision->header.raw, sizeof(ret_row->served));
	if (ret_row->content.has_source &&
	    ret_row->content.source.device != store->image.device) {
		ret_row->content.has_source = false;
		ret_row->content.hash = PYC_CHECK_UNKNOWN;
	}
	return true;
}

void store_put(struct store *store, const struct content_file *file,
	       const struct pyc_decision *decision)
{
	struct store_row row;
	bool queued = false;

	if (!fill_row(store, file, decision, &row))
		return;
	pthread_mutex_lock(&store->lock);
	if (!store->broken && store->has_writer && store->count < STORE_QUEUE_ROWS) {
		store->queue[(store->first + store->count) % STORE_QUEUE_ROWS] = row;
		store->count++;
		queued = true;
		/* What take_batch() waits for; a switch of threads a row would cost more.
		 */
		if (store->count == 1 || store->count == BATCH_ROWS)
			pthread_cond_signal(&store->wake);
	}
	pthread_mutex_unlock(&store->lock);
	if (!queued)
		store->dropped++;
}

/* Waits for rows, and a little for more; takes up to a batch. 0: the end. */
static size_t take_batch(struct store *store, struct store_row *ret_rows)
{
	struct timespec until;
	size_t taken = 0;

	pthread_mutex_lock(&store->lock);
	while (store->count == 0 && !store->stop)
		pthread_cond_wait(&store->wake, &store->lock);
	until = deadline(BATCH_WAIT_MS);
	while (store->count < BATCH_ROWS && !store->stop &&
	       pthread_cond_timedwait(&store->wake, &store->lock, &until) == 0)
		;
	while (taken < BATCH_ROWS && store->count > 0) {
		ret_rows[taken++] = store->queue[store->first];
		store->first = (store->first + 1) % STORE_QUEUE_ROWS;
		store->count--;
	}
	pthread_mutex_unlock(&store->lock);
	return taken;
}

/* ---- the writer ---- */

static int write_batch(struct store *store, const struct store_row *rows, size_t count)
{
	int r = store_db_begin(store->db);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = store_db_put(store->db, &rows[i]);
	if (r == 0)
		r = store_db_commit(store->db);
	if (r == 0)
		r = store_db_shrink(store->db, store->limit);
	else
		store_db_rollback(store->db);
	return r;
}

static void write_batches(struct store *store)
{
	scope_free struct store_row *rows = calloc(BATCH_ROWS, sizeof(*rows));
	size_t count;

	if (!rows) {
		give_up(store, "cannot write", -ENOMEM);
		return;
	}
	while ((count = take_batch(store, rows)) > 0) {
		int r = store->broken ? -ECANCELED : write_batch(store, rows, count);

		if (r == 0) {
			store->written += count;
			continue;
		}
		store->dropped += count;
		give_up(store, "cannot write", r);
	}
}

static void *write_rows(void *closure)
{
	struct store *store = closure;

	write_batches(store);
	/* A checkpoint and its fsync: for this thread, which nobody waits for too long. */
	store_db_close(take_ptr(store->db));
	pthread_mutex_lock(&store->lock);
	store->has_ended = true;
	pthread_cond_signal(&store->ended);
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

/* Tells the writer to end. Return: whether it did, in time. */
static bool end_writer(struct store *store)
{
	struct timespec until = deadline(STORE_CLOSE_S * 1000);
	bool ended;

	pthread_mutex_lock(&store->lock);
	store->stop = true;
	pthread_cond_signal(&store->wake);
	while (!store->has_ended &&
	       pthread_cond_timedwait(&store->ended, &store->lock, &until) == 0)
		;
	ended = store->has_ended;
	pthread_mutex_unlock(&store->lock);
	return ended;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->has_writer && !end_writer(store)) {
		pthread_detach(store->writer);
		return;
	}
	if (store->has_writer)
		pthread_join(store->writer, NULL);
	free_store(store);
}
