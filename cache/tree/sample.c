/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded walk over a tree's sources; see sample.h.
 */
#include "cache/tree/sample.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "cache/tree/walk.h"
#include "pyc/names.h"

#define MAX_SOURCES	    1024
#define MAX_SOURCES_PER_DIR 16
/* Of each kind: Python's, and others. */
#define MAX_DIRS 8192

struct sample {
	int64_t time[MAX_SOURCES];
	size_t count;	/* of @time, whole seconds only */
	size_t sources; /* that were looked at */
	size_t dirs[2]; /* WALK_INTO: under a directory of Python's; WALK_LATER */
};

static bool is_python_dir(const char *path)
{
	return strstr(path, "python") || strstr(path, "pypy") || strstr(path, "-packages");
}

static enum walk_enter sample_enter(void *context, const struct walk_dir *dir,
				    const struct listing_entry *entry)
{
	struct sample *sample = context;
	bool python = is_python_dir(dir->path) || is_python_dir(entry->name);
	enum walk_enter enter = python ? WALK_INTO : WALK_LATER;

	if (entry->name[0] == '.' || strcmp(entry->name, PYC_CACHE_DIR) == 0 ||
	    sample->dirs[enter] == MAX_DIRS)
		return WALK_PRUNE;
	sample->dirs[enter]++;
	return enter;
}

static void sample_add(struct sample *sample, int dir, const char *name)
{
	struct statx stx;

	if (statx_at(dir, name, &stx) < 0 || !S_ISREG(stx.stx_mode) || stx.stx_size == 0)
		return; /* ostree leaves empty files their own time */
	sample->sources++;
	if (stx.stx_mtime.tv_nsec == 0)
		sample->time[sample->count++] = stx.stx_mtime.tv_sec;
}

/* Return: whether there are enough. */
static int sample_dir(void *context, unsigned worker, const struct walk_dir *dir,
		      const struct walk_dir *cache)
{
	struct sample *sample = context;
	size_t most = sample->sources < MAX_SOURCES - MAX_SOURCES_PER_DIR
			      ? sample->sources + MAX_SOURCES_PER_DIR
			      : MAX_SOURCES;

	(void)worker;
	(void)cache;
	for (size_t i = 0; i < dir->count && sample->sources < most; i++) {
		const char *name = dir->entries[i].name;

		if (name[0] != '.' && dir->entries[i].type == DT_REG &&
		    pyc_name_is_source(name))
			sample_add(sample, dir->fd, name);
	}
	return sample->sources == MAX_SOURCES;
}

static int sample_compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The longest run of equal times, in @ret_time; its length. */
static size_t sample_most_common(struct sample *sample, int64_t *ret_time)
{
	size_t best = 0;
	size_t run = 0;

	qsort(sample->time, sample->count, sizeof(sample->time[0]), sample_compare_times);
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
	struct sample sample = {.count = 0};
	const struct walk walk = {
		.tree = tree,
		.threads = 1,
		.order = WALK_BREADTH_FIRST,
		.visit = sample_dir,
		.enter = sample_enter,
		.context = &sample,
	};
	int64_t time = 0;
	size_t shared;

	walk_run(&walk, ".");
	shared = sample_most_common(&sample, &time);
	if (shared < SAMPLE_MIN_SOURCES || shared * 2 < sample.sources)
		return false;
	*ret_time = time;
	return true;
}
