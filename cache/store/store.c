/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store of a mount: opening, loading, and the writer thread; see store.h.
 */
#include "cache/store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "cache/store/db.h"
#include "cache/store/queue.h"

/*
 * The database belongs to the thread that opened the store until store_load() starts the
 * writer, and to the writer from then on: there is no lock around it.
 */
struct store {
	const struct store_place *place;
	struct store_db *db;
	struct image image;
	int64_t limit;
	struct store_queue queue;

	pthread_t writer;
	bool has_writer; /* constant after store_load() */
	pthread_mutex_t end_lock;
	pthread_cond_t ended; /* for store_close(); CLOCK_MONOTONIC */
	bool has_ended;	      /* guarded by end_lock */
	/* Counters and a switch; nothing else is read because of them: relaxed. */
	_Atomic bool broken;
	_Atomic uint64_t loaded, bad, written, dropped;
};

/* One line, and nothing more is written in the life of this store. */
static void store_give_up(struct store *store, const char *what, int error)
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

/* ---- open ---- */

static void store_free(struct store *store)
{
	store_db_close(store->db);
	store_queue_fini(&store->queue);
	pthread_cond_destroy(&store->ended);
	pthread_mutex_destroy(&store->end_lock);
	free(store);
}

static struct store *store_new(const struct store_place *place, int64_t limit)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->place = place;
	store->limit = limit;
	pthread_mutex_init(&store->end_lock, NULL);
	clock_condition_init(&store->ended);
	if (store_queue_init(&store->queue) < 0) {
		store_free(store);
		return NULL;
	}
	return store;
}

static int store_attach(struct store *store, int root_fd)
{
	struct reason why;
	int r = store_db_open(store->place, STORE_DB_MAKE, &store->db, &why);

	if (r < 0) {
		log_message(r == -EBUSY && store->place->is_default ? LOG_LEVEL_INFO
								    : LOG_LEVEL_WARNING,
			    "cannot use the cache %s: %s; going on without",
			    quoted(store->place->path), why.text);
		return r;
	}
	if (why.text[0])
		log_warning("set the cache %s aside: %s; starting an empty one",
			    quoted(store->place->path), why.text);
	return image_of(root_fd, &store->image);
}

struct store *store_open(const struct store_place *place, int root_fd, int64_t limit)
{
	struct store *store = store_new(place, limit);

	if (!store)
		return NULL;
	if (store_attach(store, root_fd) < 0) {
		store_free(store);
		return NULL;
	}
	return store;
}

/* ---- load ---- */

struct store_loading {
	struct store *store;
	store_take_fn *take;
	void *closure;
};

/* A row's identity on this mount; of an earlier state unless the file system vouches. */
static struct identity store_revive(const struct store *store,
				    const struct identity *stored)
{
	struct identity identity = *stored;

	identity.mount_id = store->image.mount_id;
	identity.device = store->image.device;
	if (!image_vouches(&store->image, stored))
		identity.generation = IDENTITY_NEVER_CURRENT;
	return identity;
}

static bool store_load_row(const struct store_row *stored, void *closure)
{
	const struct store_loading *loading = closure;
	struct store *store = loading->store;
	struct store_row row;

	if (!stored) {
		store->bad++;
		return store->bad < STORE_LOAD_ROWS;
	}
	row = *stored;
	row.pyc = store_revive(store, &stored->pyc);
	loading->take(&row, loading->closure);
	return ++store->loaded < STORE_LOAD_ROWS;
}

static void *store_write(void *closure);

/* The caller has blocked the signals, which are the supervisor's. */
static void store_start_writer(struct store *store)
{
	int r = pthread_create(&store->writer, NULL, store_write, store);

	store->has_writer = r == 0;
	if (r)
		store_give_up(store, "cannot write", -r);
}

void store_load(struct store *store, store_take_fn *take, void *closure)
{
	struct store_loading loading = {.store = store, .take = take, .closure = closure};
	int r = store_db_rows(store->db, store->image.id, store_load_row, &loading);

	if (r < 0) {
		store_give_up(store, "cannot read", r);
		return;
	}
	if (store->bad > 0)
		log_warning("the cache %s has %llu damaged rows, ignoring them",
			    quoted(store->place->path), (unsigned long long)store->bad);
	r = store_db_use_image(store->db, &store->image);
	if (r == 0)
		r = store_db_shrink(store->db, store->limit);
	if (r < 0)
		store_give_up(store, "cannot write", r);
	else
		store_start_writer(store);
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

/* ---- put ---- */

void store_put(struct store *store, const struct store_row *row, bool is_confirmed)
{
	struct store_row put = *row;

	/* Another file system in the tree (a btrfs subvolume) counts inodes of its own. */
	if (row->pyc.device != store->image.device)
		return;
	/* What digests confirmed is in the store; writing it anew gives nothing. */
	if (is_confirmed && !image_vouches(&store->image, &row->pyc))
		return;
	put.image = store->image.id;
	put.stored_s = time(NULL);
	if (store->broken || !store->has_writer || !store_queue_put(&store->queue, &put))
		store->dropped++;
}

/* ---- the writer ---- */

static int store_write_batch(struct store *store, const struct store_row *rows,
			     size_t count)
{
	int r = store_db_begin(store->db);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = store_db_put(store->db, &rows[i]);
	r = store_db_end(store->db, r);
	return r < 0 ? r : store_db_shrink(store->db, store->limit);
}

static void store_write_batches(struct store *store)
{
	scope_free struct store_row *rows = calloc(STORE_BATCH_ROWS, sizeof(*rows));
	size_t count;

	if (!rows) {
		store_give_up(store, "cannot write", -ENOMEM);
		return;
	}
	while ((count = store_queue_take(&store->queue, rows)) > 0) {
		int r = store->broken ? -ECANCELED : store_write_batch(store, rows, count);

		if (r == 0) {
			store->written += count;
			continue;
		}
		store->dropped += count;
		store_give_up(store, "cannot write", r);
	}
}

static void *store_write(void *closure)
{
	struct store *store = closure;

	store_write_batches(store);
	/* Closing makes a checkpoint, with an fsync; nobody waits for this thread too long.
	 */
	store_db_close(take_ptr(store->db));
	pthread_mutex_lock(&store->end_lock);
	store->has_ended = true;
	pthread_cond_signal(&store->ended);
	pthread_mutex_unlock(&store->end_lock);
	return NULL;
}

/* Tells the writer to end. Return: whether it did, in time. */
static bool store_end_writer(struct store *store)
{
	struct timespec until = clock_deadline(STORE_CLOSE_S * INT64_C(1000));
	bool has_ended;

	store_queue_end(&store->queue);
	pthread_mutex_lock(&store->end_lock);
	while (!store->has_ended &&
	       pthread_cond_timedwait(&store->ended, &store->end_lock, &until) == 0)
		;
	has_ended = store->has_ended;
	pthread_mutex_unlock(&store->end_lock);
	return has_ended;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->has_writer && !store_end_writer(store)) {
		pthread_detach(store->writer);
		return;
	}
	if (store->has_writer)
		pthread_join(store->writer, NULL);
	store_free(store);
}
