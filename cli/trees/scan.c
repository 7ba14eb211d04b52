/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk; see scan.h.
 */
#include "cli/trees/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "pyc/names.h"

#define READ_BYTES (64u << 10)

/* Directories that are to be visited, and whether anybody may still find more. */
struct queue {
	pthread_mutex_t lock;	/* guards the rest */
	pthread_cond_t changed; /* for workers */
	pthread_cond_t ended;	/* for the thread that waits for them */
	char **path;		/* the last is the next */
	size_t count;
	size_t capacity;
	unsigned busy; /* workers that are visiting */
	unsigned left; /* workers that have not ended */
	int failed;    /* the first -errno; ends the walk */
};

/* A listing with its memory, which is used again for the next one. */
struct reader {
	struct scan_listing listing;
	char *bytes; /* getdents64's records; the names point into it */
	size_t bytes_capacity;
	size_t bytes_len;
	struct scan_entry *entries;
	size_t entries_capacity;
};

struct worker {
	const struct scan *scan;
	struct queue *queue;
	unsigned index;
	pthread_t thread;
	struct reader dir;
	struct reader cache;
};

/* ---- the queue ---- */

static int put_locked(struct queue *queue, char *path)
{
	if (queue->count == queue->capacity) {
		size_t capacity = queue->capacity ? 2 * queue->capacity : 64;
		char **grown = reallocarray(queue->path, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		queue->path = grown;
		queue->capacity = capacity;
	}
	queue->path[queue->count++] = path;
	return 0;
}

static void fail(struct queue *queue, int error)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->failed == 0)
		queue->failed = error;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* Takes ownership of @path, NULL when out of memory. */
static void queue_put(struct queue *queue, char *path)
{
	int r = -ENOMEM;

	pthread_mutex_lock(&queue->lock);
	if (path)
		r = put_locked(queue, path);
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	if (r < 0) {
		free(path);
		fail(queue, r);
	}
}

/* The next directory, or NULL where none is left and nobody will find another. */
static char *queue_take(struct queue *queue)
{
	char *path = NULL;

	pthread_mutex_lock(&queue->lock);
	while (queue->count == 0 && queue->busy > 0 && queue->failed == 0)
		pthread_cond_wait(&queue->changed, &queue->lock);
	if (queue->count > 0 && queue->failed == 0) {
		path = queue->path[--queue->count];
		queue->busy++;
	}
	pthread_mutex_unlock(&queue->lock);
	return path;
}

static void queue_done(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	if (--queue->busy == 0)
		pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

static void queue_fini(struct queue *queue)
{
	while (queue->count > 0)
		free(queue->path[--queue->count]);
	free(queue->path);
	pthread_mutex_destroy(&queue->lock);
	pthread_cond_destroy(&queue->changed);
	pthread_cond_destroy(&queue->ended);
}

/* ---- reading directories ---- */

/* All records of the directory; 0 or -errno. */
static int read_records(struct reader *reader)
{
	ssize_t n;

	reader->bytes_len = 0;
	do {
		size_t room = reader->bytes_capacity - reader->bytes_len;

		if (room < READ_BYTES / 2) {
			size_t capacity = reader->bytes_capacity + READ_BYTES;
			char *grown = realloc(reader->bytes, capacity);

			if (!grown)
				return -ENOMEM;
			reader->bytes = grown;
			reader->bytes_capacity = capacity;
			room = capacity - reader->bytes_len;
		}
		n = getdents64(reader->listing.fd, reader->bytes + reader->bytes_len, room);
		if (n < 0)
			return -errno;
		reader->bytes_len += (size_t)n;
	} while (n > 0);
	return 0;
}

/* Some file systems do not say what a name is. */
static unsigned char type_of(int dir, const struct dirent64 *record)
{
	struct statx stx;

	if (record->d_type != DT_UNKNOWN)
		return record->d_type;
	if (statx_at(dir, record->d_name, &stx) < 0)
		return DT_UNKNOWN;
	return IFTODT(stx.stx_mode);
}

static int add_entry(struct reader *reader, const struct dirent64 *record)
{
	const char *name = record->d_name;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (reader->listing.count == reader->entries_capacity) {
		size_t capacity = 2 * reader->entries_capacity + 64;
		struct scan_entry *grown =
			reallocarray(reader->entries, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		reader->entries = grown;
		reader->entries_capacity = capacity;
	}
	reader->entries[reader->listing.count++] = (struct scan_entry){
		.name = name,
		.type = type_of(reader->listing.fd, record),
	};
	return 0;
}

/* Lists an open directory, or an empty one for -1; 0 or -errno. */
static int list(struct reader *reader, const char *path, int fd)
{
	int r;

	reader->listing = (struct scan_listing){.path = path, .fd = fd};
	if (fd < 0)
		return 0;
	r = read_records(reader);
	for (size_t at = 0; r == 0 && at < reader->bytes_len;) {
		const struct dirent64 *record = (const void *)(reader->bytes + at);

		r = add_entry(reader, record);
		at += record->d_reclen;
	}
	reader->listing.entries = reader->entries;
	return r;
}

static void reader_fini(struct reader *reader)
{
	free(reader->bytes);
	free(reader->entries);
}

/* ---- workers ---- */

/* An opened directory of the tree; -1 where it is none, or cannot be read, which is said.
 */
static int open_dir(const struct worker *worker, const char *path)
{
	int fd = tree_openat(worker->scan->tree, path, O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		return fd;
	/* Gone since it was listed, or something else by now. */
	if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
		worker->scan->error(worker->scan->context, path, fd);
	return -1;
}

static bool is_cache_dir(const struct scan_entry *entry)
{
	return entry->type == DT_DIR && strcmp(entry->name, PYC_CACHE_DIR) == 0;
}

/* The directories in a listing, but for the cache, which was visited with it. */
static void put_dirs(struct worker *worker, const struct scan_listing *dir, bool with_cache)
{
	for (size_t i = 0; i < dir->count; i++) {
		const struct scan_entry *entry = &dir->entries[i];

		if (entry->type == DT_DIR && (with_cache || !is_cache_dir(entry)))
			queue_put(worker->queue, path_join(dir->path, entry->name));
	}
}

static char *cache_path(const struct scan_listing *dir)
{
	for (size_t i = 0; i < dir->count; i++)
		if (is_cache_dir(&dir->entries[i]))
			return path_join(dir->path, dir->entries[i].name);
	return NULL;
}

static void list_or_say(struct worker *worker, struct reader *reader, const char *path,
			int fd)
{
	int r = list(reader, path, fd);

	/* ENOENT: it was removed while it was open. */
	if (r < 0 && r != -ENOENT)
		worker->scan->error(worker->scan->context, path, r);
}

static void visit(struct worker *worker, const char *path)
{
	scope_fd int fd = open_dir(worker, path);
	scope_fd int cache_fd = -1;
	scope_free char *cache = NULL;

	if (fd < 0)
		return;
	list_or_say(worker, &worker->dir, path, fd);
	cache = cache_path(&worker->dir.listing);
	if (cache)
		cache_fd = open_dir(worker, cache);
	list_or_say(worker, &worker->cache, cache, cache_fd);
	worker->scan->visit(worker->scan->context, worker->index, &worker->dir.listing,
			    &worker->cache.listing);
	put_dirs(worker, &worker->dir.listing, false);
	put_dirs(worker, &worker->cache.listing, true);
}

static void *work(void *context)
{
	struct worker *worker = context;
	char *path;

	while ((path = queue_take(worker->queue))) {
		visit(worker, path);
		free(path);
		queue_done(worker->queue);
	}
	pthread_mutex_lock(&worker->queue->lock);
	if (--worker->queue->left == 0)
		pthread_cond_signal(&worker->queue->ended);
	pthread_mutex_unlock(&worker->queue->lock);
	reader_fini(&worker->dir);
	reader_fini(&worker->cache);
	return NULL;
}

unsigned scan_threads(const struct scan *scan)
{
	cpu_set_t set;
	unsigned threads = scan->threads;

	if (threads == 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		threads = (unsigned)CPU_COUNT(&set);
	if (threads == 0)
		threads = 1;
	return threads < SCAN_THREADS_MAX ? threads : SCAN_THREADS_MAX;
}

/* Until every worker has ended. */
static void wait_ticking(const struct scan *scan, struct queue *queue)
{
	struct timespec next;
	bool ended;

	clock_gettime(CLOCK_MONOTONIC, &next);
	do {
		next.tv_nsec += SCAN_TICK_MS * 1000000L;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		pthread_mutex_lock(&queue->lock);
		while (queue->left > 0 &&
		       pthread_cond_clockwait(&queue->ended, &queue->lock, CLOCK_MONOTONIC,
					      &next) == 0)
			;
		ended = queue->left == 0;
		pthread_mutex_unlock(&queue->lock);
		if (!ended && scan->tick)
			scan->tick(scan->context);
	} while (!ended);
}

int scan_run(const struct scan *scan, const char *start)
{
	unsigned threads = scan_threads(scan);
	scope_free struct worker *workers = calloc(threads, sizeof(*workers));
	struct queue queue = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER,
	};
	unsigned started = 0;

	if (!workers)
		return -ENOMEM;
	queue_put(&queue, strdup(start));
	queue.left = threads;
	for (; started < threads; started++) {
		workers[started] =
			(struct worker){.scan = scan, .queue = &queue, .index = started};
		if (pthread_create(&workers[started].thread, NULL, work,
				   &workers[started]) != 0)
			break;
	}
	pthread_mutex_lock(&queue.lock);
	queue.left -= threads - started;
	if (started == 0)
		queue.failed = -EAGAIN;
	pthread_mutex_unlock(&queue.lock);
	wait_ticking(scan, &queue);
	for (unsigned i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	queue_fini(&queue);
	return queue.failed;
}
