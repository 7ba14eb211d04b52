/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trees of a request: what is mounted or would be; see explain.h.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/trees/mountable.h"
#include "fs/mount/mountinfo.h"

/* Of a tree that is a canonfs: where, and of what. */
static void explain_find_canonfs(struct explain_tree *tree)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *top = NULL;

	if (mountinfo_read(&list) == 0)
		top = mountinfo_top(&list, tree->set.path);
	if (!top || !top->ours)
		return;
	tree->mount = strdup(top->point);
	tree->mount_source = strdup(top->source);
}

/* The policy with the time that the sources share, if that is not in it anyway. */
static void explain_find_policy(const struct explain_request *request,
				struct explain_tree *tree)
{
	size_t before = request->options->policy.canonical_count;

	tree->policy = resolver_policy(tree->set.resolver);
	tree->has_time = tree->policy.canonical_count > before;
	if (tree->has_time)
		tree->time = tree->policy.canonical[before];
}

static int explain_open_tree(struct explain_request *request, const char *path,
			     struct explain_tree **ret_tree)
{
	const char *root = strcmp(request->root, "/") != 0 ? request->root : NULL;
	struct explain_tree *tree;

	for (tree = request->trees; tree; tree = tree->next)
		if (strcmp(tree->set.tree.view_path, path) == 0) {
			*ret_tree = tree;
			return 0;
		}
	tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	tree->next = request->trees;
	request->trees = tree;
	if (tree_set_open(&tree->set, path, root, request->options) < 0)
		return -EIO; /* said already */
	explain_find_canonfs(tree);
	explain_find_policy(request, tree);
	*ret_tree = tree;
	return 0;
}

int explain_find_tree(struct explain_request *request, const char *folder,
		      struct explain_tree **ret_tree)
{
	scope_free char *path = request->given_tree
					? explain_resolve_dir(request, request->given_tree)
					: mountable_tree(request->root, folder);

	if (!path) {
		log_error("cannot open the tree %s: %s",
			  quoted(request->given_tree ? request->given_tree : folder),
			  strerror(errno));
		return EXIT_EXPLAIN_NOINPUT;
	}
	if (!path_below(folder, path)) {
		log_error("cannot explain what is in %s: it is not in the tree %s",
			  quoted(folder), quoted(path));
		return EXIT_EXPLAIN_USAGE;
	}
	return explain_open_tree(request, path, ret_tree) < 0 ? EXIT_EXPLAIN_NOINPUT : 0;
}

char *explain_relative(const struct explain_tree *tree, const char *path)
{
	const char *below = path_below(path, tree->set.tree.view_path);

	return below && below[0] ? strdup(below + 1) : NULL;
}
