/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups in a tree of tsearch(3); see check.h.
 */
#include "cli/check/check.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"

struct groups {
	void *root;
	const struct group *group[GROUPS_MAX + 1]; /* those in the tree */
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
	return calloc(1, sizeof(struct groups));
}

void groups_free(struct groups *groups)
{
	if (groups)
		tdestroy(groups->root, group_free);
	free(groups);
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

/* Finds a group or makes it; "elsewhere" stands for all that are too many. */
static struct group *groups_get(struct groups *groups, const char *name, const char *path)
{
	static const char elsewhere[] = "elsewhere";
	/* The search takes no const, and changes nothing. */
	const struct group key = {.name = (char *)(uintptr_t)name,
				  .path = (char *)(uintptr_t)path};
	struct group *const *node = tfind(&key, &groups->root, group_compare);
	struct group *group;

	if (node)
		return *node;
	if (groups->count >= GROUPS_MAX && name != elsewhere)
		return groups_get(groups, elsewhere, "/");
	group = group_new(name, path);
	if (!group || !tsearch(group, &groups->root, group_compare)) {
		group_free(group);
		return NULL;
	}
	groups->group[groups->count++] = group;
	return group;
}

void groups_add(struct groups *groups, const char *name, const char *path,
		const struct group_counts *counts)
{
	struct group *group = groups_get(groups, name, path);

	if (!group)
		return;
	group->counts.files += counts->files;
	group->counts.stale += counts->stale;
	group->counts.hopeless += counts->hopeless;
	group->counts.bytes += counts->bytes;
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

const struct group **groups_sorted(struct groups *groups, size_t *ret_count)
{
	qsort(groups->group, groups->count, sizeof(*groups->group), group_compare_badness);
	*ret_count = groups->count;
	return groups->group;
}
