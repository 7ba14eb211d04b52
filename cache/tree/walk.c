/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk; see walk.h.
 */
#include "cache/tree/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/path.h"
#include "base/scope.h"
#include "pyc/names.h"

struct walk_queue {
	pthread_mutex_t lock;	/* guards the rest; no i/o under it */
	pthread_cond_t changed; /* for workers */
	pthread_cond_t ended;	/* for the thread that waits for them */
	char **path;		/* directories that are to be visited: @count of them */
	size_t count;
	unsigned busy; /* workers that are visiting, and may find more */
	int result;    /* not 0: the walk ends */
};

struct walk_worker {
	const struct walk *walk;
	struct walk_queue *queue;
	unsigned index;
	pthread_t thread;
	struct listing dir;
	struct listing cache;
};

/* ---- the queue ---- */

static bool walk_is_over_locked(const struct walk_queue *queue)
{
	return queue->busy == 0 && (queue->result != 0 || queue->count == 0);
}

/* The first result stays. */
static void walk_stop_locked(struct walk_queue *queue, int result)
{
	if (queue->result == 0)
		queue->result = result;
	pthread_cond_broadcast(&queue->changed);
}

/* Takes ownership of @path, NULL when out of memory. */
static void walk_put(struct walk_queue *queue, char *path)
{
	pthread_mutex_lock(&queue->lock);
	if (!path || array_add(queue->path, queue->count, path) < 0) {
		free(path);
		walk_stop_locked(queue, -ENOMEM);
	}
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* The next directory, or NULL where none is left and nobody will find another. */
static char *walk_take(struct walk_queue *queue)
{
	char *path = NULL;

	pthread_mutex_lock(&queue->lock);
	while (queue->result == 0 && !path) {
		if (queue->count > 0) {
			path = queue->path[--queue->count];
			queue->busy++;
		} else if (queue->busy > 0) {
			pthread_cond_wait(&queue->changed, &queue->lock);
		} else {
			break;
		}
	}
	pthread_mutex_unlock(&queue->lock);
	return path;
}

/* A directory was visited. @result: of the visit */
static void walk_done(struct walk_queue *queue, int result)
{
	pthread_mutex_lock(&queue->lock);
	if (result != 0)
		walk_stop_locked(queue, result);
	queue->busy--;
	if (walk_is_over_locked(queue)) {
		pthread_cond_broadcast(&queue->changed);
		pthread_cond_signal(&queue->ended);
	}
	pthread_mutex_unlock(&queue->lock);
}

/* ---- a directory ---- */

static int walk_compare_names(const void *a, const void *b)
{
	const struct listing_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Opens and lists a directory. Return: its descriptor, the caller's; -1 after an error. */
static int walk_open(const struct walk *walk, const char *path, struct listing *listing,
		     struct walk_dir *ret_dir)
{
	scope_fd int fd = tree_openat(walk->tree, path, O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? fd : listing_read(listing, fd);

	if (r < 0) {
		if (walk->error)
			walk->error(walk->context, path, r);
		return -1;
	}
	if (walk->order == WALK_SORTED && listing->count > 0)
		qsort(listing->entries, listing->count, sizeof(listing->entries[0]),
		      walk_compare_names);
	*ret_dir = (struct walk_dir){path, fd, listing->entries, listing->count};
	return take_fd(&fd);
}

static bool walk_is_cache(const struct walk *walk, const struct listing_entry *entry)
{
	return walk->with_cache && entry->type == DT_DIR &&
	       strcmp(entry->name, PYC_CACHE_DIR) == 0;
}

static bool walk_has_cache(const struct walk *walk, const struct walk_dir *dir)
{
	for (size_t i = 0; walk->with_cache && i < dir->count; i++)
		if (walk_is_cache(walk, &dir->entries[i]))
			return true;
	return false;
}

/* The directories in one, but for the @cache that was visited with it. */
static void walk_put_dirs(struct walk_worker *worker, const struct walk_dir *dir,
			  const struct walk_dir *cache)
{
	const struct walk *walk = worker->walk;

	for (size_t i = 0; i < dir->count; i++) {
		/* Of sorted ones, the first is put last, since the last is taken first. */
		size_t at = walk->order == WALK_SORTED ? dir->count - 1 - i : i;
		const struct listing_entry *entry = &dir->entries[at];

		if (entry->type == DT_DIR && !(cache && walk_is_cache(walk, entry)))
			walk_put(worker->queue, path_join(dir->path, entry->name));
	}
}

static int walk_visit(struct walk_worker *worker, const char *path)
{
	const struct walk *walk = worker->walk;
	struct walk_dir dir;
	struct walk_dir cache = {.fd = -1};
	scope_free char *cache_path = NULL;
	scope_fd int fd = walk_open(walk, path, &worker->dir, &dir);
	scope_fd int cache_fd = -1;
	int r;

	if (fd < 0)
		return 0;
	if (walk_has_cache(walk, &dir)) {
		cache_path = path_join(path, PYC_CACHE_DIR);
		if (!cache_path)
			return -ENOMEM;
		cache_fd = walk_open(walk, cache_path, &worker->cache, &cache);
	}
	r = walk->visit(walk->context, worker->index, &dir, &cache);
	if (r != 0)
		return r;
	walk_put_dirs(worker, &dir, &cache);
	walk_put_dirs(worker, &cache, NULL);
	return 0;
}

/* ---- workers ---- */

static void *walk_work(void *context)
{
	struct walk_worker *worker = context;
	char *path;

	while ((path = walk_take(worker->queue))) {
		int result = walk_visit(worker, path);

		free(path);
		walk_done(worker->queue, result);
	}
	listing_fini(&worker->dir);
	listing_fini(&worker->cache);
	return NULL;
}

unsigned walk_threads(unsigned wanted)
{
	cpu_set_t set;

	if (wanted == 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		wanted = (unsigned)CPU_COUNT(&set);
	if (wanted == 0)
		wanted = 1;
	return wanted < WALK_THREADS_MAX ? wanted : WALK_THREADS_MAX;
}

static void walk_tick(const struct walk *walk, struct walk_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	while (!walk_is_over_locked(queue)) {
		struct timespec next = clock_deadline(WALK_TICK_MS);

		if (pthread_cond_timedwait(&queue->ended, &queue->lock, &next) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&queue->lock);
		walk->tick(walk->context);
		pthread_mutex_lock(&queue->lock);
	}
	pthread_mutex_unlock(&queue->lock);
}

/* Our thread does the work of one that nobody watches, and where none can be started. */
static void walk_run_workers(const struct walk *walk, struct walk_queue *queue,
			     struct walk_worker *workers, unsigned threads)
{
	unsigned wanted = threads == 1 && !walk->tick ? 0 : threads;
	unsigned started = 0;

	for (unsigned i = 0; i < threads; i++)
		workers[i] = (struct walk_worker){.walk = walk, .queue = queue, .index = i};
	while (started < wanted && pthread_create(&workers[started].thread, NULL, walk_work,
						  &workers[started]) == 0)
		started++;
	if (started == 0)
		walk_work(&workers[0]);
	else if (walk->tick)
		walk_tick(walk, queue);
	for (unsigned i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
}

int walk_run(const struct walk *walk, const char *start)
{
	unsigned threads = walk_threads(walk->threads);
	scope_free struct walk_worker *workers = calloc(threads, sizeof(*workers));
	struct walk_queue queue = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};

	if (!workers)
		return -ENOMEM;
	clock_condition_init(&queue.ended);
	walk_put(&queue, strdup(start));
	walk_run_workers(walk, &queue, workers, threads);
	for (size_t i = 0; i < queue.count; i++)
		free(queue.path[i]);
	free(queue.path);
	pthread_mutex_destroy(&queue.lock);
	pthread_cond_destroy(&queue.changed);
	pthread_cond_destroy(&queue.ended);
	return queue.result;
}
