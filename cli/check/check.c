/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: a run, from the PATHs to what is printed; see check.h.
 */
#include "cli/check/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"

static const char *const by_names[] = {
	[CHECK_BY_DIRECTORY] = "directory",
	[CHECK_BY_DISTRIBUTION] = "distribution",
	[CHECK_BY_PACKAGE] = "package",
};

const char *check_by_name(enum check_by by)
{
	return by_names[by];
}

enum check_status check_status(const struct check *check)
{
	if (check->unreadable)
		return CHECK_UNREADABLE;
	if (check->tally.hopeless)
		return CHECK_HOPELESS;
	return check->tally.stale ? CHECK_STALE : CHECK_CLEAN;
}

/* Finds the interpreters that read the bytecode. */
static int check_find_interpreters(struct check *check, const char *root)
{
	int r = interpreters_find(root, INTERPRETERS_NAMED, &check->interpreters);

	if (r < 0) {
		log_error("cannot look for interpreters: %s", strerror(-r));
		return r;
	}
	if (!root || strcmp(root, "/") == 0)
		interpreters_resolve_libraries(&check->interpreters);
	for (size_t i = 0; i < check->interpreters.count; i++) {
		const struct pyc_magic *magic = check->interpreters.interpreters[i].magic;

		check->tally.reader[magic - pyc_magic_table].installed = true;
	}
	return 0;
}

static int check_prepare_groups(struct check *check)
{
	int r = 0;

	check->groups = groups_new();
	check->owners = owners_new(check->request->by);
	check->times = times_new();
	if (!check->groups || !check->owners || !check->times)
		return -ENOMEM;
	if (check->request->by == CHECK_BY_PACKAGE)
		r = owners_load_packages(check->owners, check->tree[0].set.tree.host_fd);
	if (r < 0)
		log_warning("cannot read what dpkg installed: %s; going on without",
			    strerror(-r));
	return 0;
}

static int check_prepare(struct check *check)
{
	const struct check_request *request = check->request;
	int r;

	check->threads = walk_threads(request->threads);
	check->tally.reader = calloc(pyc_magic_count + 1, sizeof(*check->tally.reader));
	if (!check->tally.reader)
		return -ENOMEM;
	if (request->quiet || request->list || check->tree_count == 0)
		return 0;
	r = check_prepare_groups(check);
	return r < 0 ? r : check_find_interpreters(check, check->tree[0].set.root);
}

static void check_fini(struct check *check)
{
	free(check->tally.reader);
	free(check->tally.example);
	check_free_edited(check);
	groups_free(check->groups);
	owners_free(check->owners);
	times_free(check->times);
	interpreters_free(&check->interpreters);
	for (size_t i = 0; i < check->tree_count; i++)
		tree_set_close(&check->tree[i].set);
	free(check->tree);
	pthread_mutex_destroy(&check->lock);
	pthread_mutex_destroy(&check->terminal);
}

/* The tree of a __pycache__ is its parent, where the sources are; the walk begins in it. */
static int check_open_tree(const struct check_request *request, const char *path,
			   struct check_tree *tree)
{
	scope_free char *parent = NULL;
	int r = tree_set_open(&tree->set, path, request->root, &request->options);

	tree->start = ".";
	if (r < 0 || strcmp(path_last(tree->set.path), PYC_CACHE_DIR) != 0)
		return r;
	parent = path_join(path, "..");
	if (!parent)
		return -ENOMEM;
	tree_set_close(&tree->set);
	tree->start = PYC_CACHE_DIR;
	return tree_set_open(&tree->set, parent, request->root, &request->options);
}

static bool check_is_same_tree(const struct check_tree *a, const struct check_tree *b)
{
	return strcmp(a->set.path, b->set.path) == 0 && strcmp(a->start, b->start) == 0;
}

static bool check_tree_holds(const struct check_tree *tree, const struct check_tree *other)
{
	return strcmp(tree->start, ".") == 0 && path_below(other->set.path, tree->set.path);
}

/* Does another PATH hold all of this one? Of two equal ones the first holds the second. */
static bool check_is_covered(const struct check *check, size_t index)
{
	const struct check_tree *tree = &check->tree[index];

	for (size_t i = 0; i < check->tree_count; i++) {
		const struct check_tree *other = &check->tree[i];

		if (check_is_same_tree(other, tree) ? i < index
						    : check_tree_holds(other, tree))
			return true;
	}
	return false;
}

/* Each file counts once, whatever the PATHs. */
static void check_drop_covered(struct check *check)
{
	for (size_t i = check->tree_count; i-- > 0;) {
		if (!check_is_covered(check, i))
			continue;
		tree_set_close(&check->tree[i].set);
		memmove(&check->tree[i], &check->tree[i + 1],
			(--check->tree_count - i) * sizeof(*check->tree));
	}
}

static int check_open_trees(struct check *check, char **paths, size_t count)
{
	check->tree = calloc(count, sizeof(*check->tree));
	if (!check->tree)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (check_open_tree(check->request, paths[i],
				    &check->tree[check->tree_count]) < 0) {
			tree_set_close(&check->tree[check->tree_count].set);
			check->unreadable++;
		} else {
			check->tree_count++;
		}
	}
	check_drop_covered(check);
	return 0;
}

static void check_print(const struct check *check)
{
	const struct check_request *request = check->request;

	if (request->quiet || request->list || check->tree_count == 0)
		return;
	if (request->json)
		check_print_json(check);
	else
		check_print_text(check);
}

int check_paths(const struct check_request *request, char **paths, size_t count)
{
	struct check check = {
		.request = request,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.terminal = PTHREAD_MUTEX_INITIALIZER,
	};
	int status = CHECK_FAILURE;
	int r = check_open_trees(&check, paths, count);

	if (r == 0)
		r = check_prepare(&check);
	if (r == 0)
		r = check_walk(&check);
	if (r == 0) {
		check_sort_edited(&check);
		check_print(&check);
		status = check_status(&check);
	} else {
		log_error("cannot check: %s", strerror(-r));
	}
	check_fini(&check);
	return status;
}
