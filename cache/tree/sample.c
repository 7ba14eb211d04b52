/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded walk over a tree's sources; see sample.h.
 */
#include "cache/tree/sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "pyc/names.h"

#define MAX_SOURCES	    1024
#define MAX_SOURCES_PER_DIR 16
#define MAX_DIRS	    8192

/* Directories still to be read, oldest first. */
struct queue {
	char *path[MAX_DIRS];
	size_t head;
	size_t count; /* ever put in; so that the walk is bounded, too */
};

struct sample {
	const struct tree *tree;
	struct queue python; /* under a directory of Python's: read first */
	struct queue other;
	int64_t time[MAX_SOURCES];
	size_t count;	/* of @time, whole seconds only */
	size_t sources; /* that were looked at */
};

static void queue_put(struct queue *queue, const char *dir, const char *name)
{
	char *path;

	if (queue->count == MAX_DIRS)
		return;
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return;
	queue->path[queue->count++] = path;
}

static char *queue_take(struct queue *queue)
{
	return queue->head < queue->count ? queue->path[queue->head++] : NULL;
}

static void queue_fini(struct queue *queue)
{
	while (queue->head < queue->count)
		free(queue->path[queue->head++]);
}

static bool is_python_dir(const char *path)
{
	return strstr(path, "python") || strstr(path, "pypy") || strstr(path, "-packages");
}

static void add_source(struct sample *sample, int dir, const char *name)
{
	struct statx stx;

	if (statx_at(dir, name, &stx) < 0 || !S_ISREG(stx.stx_mode) || stx.stx_size == 0)
		return; /* ostree leaves empty files their own time */
	sample->sources++;
	if (stx.stx_mtime.tv_nsec == 0)
		sample->time[sample->count++] = stx.stx_mtime.tv_sec;
}

static void read_dir(struct sample *sample, const char *path)
{
	int fd = tree_openat(sample->tree, strncmp(path, "./", 2) ? path : path + 2,
			     O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t before = sample->sources;
	struct dirent *entry;

	if (!dir) {
		close_fd(&fd);
		return;
	}
	while ((entry = readdir(dir)) && sample->sources < MAX_SOURCES) {
		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, PYC_CACHE_DIR) != 0)
			queue_put(is_python_dir(path) || is_python_dir(entry->d_name)
					  ? &sample->python
					  : &sample->other,
				  path, entry->d_name);
		else if (pyc_name_is_source(entry->d_name) &&
			 sample->sources - before < MAX_SOURCES_PER_DIR)
			add_source(sample, fd, entry->d_name);
	}
	closedir(dir);
}

static int compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The longest run of equal times, in @ret_time; its length. */
static size_t most_common(struct sample *sample, int64_t *ret_time)
{
	size_t best = 0;
	size_t run = 0;

	qsort(sample->time, sample->count, sizeof(sample->time[0]), compare_times);
	for (size_t i = 0; i < sample->count; i++) {
		run = i && sample->time[i] == sample->time[i - 1] ? run + 1 : 1;
		if (run > best) {
			best = run;
			*ret_time = sample->time[i];
		}
	}
	return best;
}

bool sample_canonical_time(const struct tree *tree, int64_t *ret_time)
{
	scope_free struct sample *sample = calloc(1, sizeof(*sample));
	int64_t time = 0;
	size_t shared;

	if (!sample)
		return false;
	sample->tree = tree;
	read_dir(sample, ".");
	while (sample->sources < MAX_SOURCES) {
		scope_free char *path = queue_take(&sample->python);

		if (!path)
			path = queue_take(&sample->other);
		if (!path)
			break;
		read_dir(sample, path);
	}
	queue_fini(&sample->python);
	queue_fini(&sample->other);
	shared = most_common(sample, &time);
	if (shared < SAMPLE_MIN_SOURCES || shared * 2 < sample->sources)
		return false;
	*ret_time = time;
	return true;
}
