/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups in a tree of tsearch(3); see groups.h.
 */
#include "cli/check/groups.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"

struct groups {
	pthread_mutex_t lock; /* guards the rest */
	void *root;
	size_t count;
};

static int group_compare(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	if (order != 0 || x->name == y->name)
		return order;
	if (!x->name || !y->name)
		return x->name ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void group_free(void *context)
{
	struct group *group = context;

	if (!group)
		return;
	free(group->name);
	free(group->path);
	free(group);
}

struct groups *groups_new(void)
{
	struct groups *groups = calloc(1, sizeof(*groups));

	if (groups)
		pthread_mutex_init(&groups->lock, NULL);
	return groups;
}

void groups_free(struct groups *groups)
{
	if (!groups)
		return;
	tdestroy(groups->root, group_free);
	pthread_mutex_destroy(&groups->lock);
	free(groups);
}

void groups_clear(struct groups *groups)
{
	tdestroy(groups->root, group_free);
	groups->root = NULL;
	groups->count = 0;
}

static struct group *group_new(const char *name, const char *path)
{
	struct group *group = calloc(1, sizeof(*group));

	if (!group)
		return NULL;
	group->path = strdup(path);
	group->name = name ? strdup(name) : NULL;
	if (!group->path || (name && !group->name)) {
		group_free(group);
		return NULL;
	}
	return group;
}

static struct group *group_find_locked(struct groups *groups, const struct group *key)
{
	struct group *const *node = tfind(key, &groups->root, group_compare);

	return node ? *node : NULL;
}

static struct group *group_make_locked(struct groups *groups, const char *name,
				       const char *path)
{
	struct group *group = group_new(name, path);

	if (!group || !tsearch(group, &groups->root, group_compare)) {
		group_free(group);
		return NULL;
	}
	groups->count++;
	return group;
}

/* The search takes no const, and changes nothing. */
static struct group *group_get_locked(struct groups *groups, const char *name,
				      const char *path)
{
	const struct group key = {.name = (char *)(uintptr_t)name,
				  .path = (char *)(uintptr_t)path};
	struct group *group = group_find_locked(groups, &key);

	return group ? group : group_make_locked(groups, name, path);
}

void groups_add(struct groups *groups, const char *name, const char *path,
		const struct group_counts *counts)
{
	struct group *group;

	pthread_mutex_lock(&groups->lock);
	if (groups->count >= GROUPS_MAX) {
		const struct group key = {.name = (char *)(uintptr_t)name,
					  .path = (char *)(uintptr_t)path};

		group = group_find_locked(groups, &key);
		if (!group)
			group = group_get_locked(groups, "elsewhere", "/");
	} else {
		group = group_get_locked(groups, name, path);
	}
	if (group) {
		group->counts.files += counts->files;
		group->counts.stale += counts->stale;
		group->counts.hopeless += counts->hopeless;
		group->counts.bytes += counts->bytes;
	}
	pthread_mutex_unlock(&groups->lock);
}

struct groups_collection {
	const struct group **group;
	size_t count;
};

static void groups_collect(const void *node, VISIT visit, void *context)
{
	struct groups_collection *all = context;

	if (visit == postorder || visit == leaf)
		all->group[all->count++] = *(const struct group *const *)node;
}

/* More bytes to compile, more stale files, more hopeless ones; then by name. */
static int group_compare_badness(const void *a, const void *b)
{
	const struct group *x = *(const struct group *const *)a;
	const struct group *y = *(const struct group *const *)b;

	if (x->counts.bytes != y->counts.bytes)
		return x->counts.bytes < y->counts.bytes ? 1 : -1;
	if (x->counts.stale != y->counts.stale)
		return x->counts.stale < y->counts.stale ? 1 : -1;
	if (x->counts.hopeless != y->counts.hopeless)
		return x->counts.hopeless < y->counts.hopeless ? 1 : -1;
	return group_compare(x, y);
}

const struct group **groups_sorted(const struct groups *groups, size_t *ret_count)
{
	struct groups_collection all = {.count = 0};

	*ret_count = 0;
	all.group = calloc(groups->count + 1, sizeof(*all.group));
	if (!all.group)
		return NULL;
	twalk_r(groups->root, groups_collect, &all);
	qsort(all.group, all.count, sizeof(*all.group), group_compare_badness);
	*ret_count = all.count;
	return all.group;
}
