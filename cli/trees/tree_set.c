/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening trees; see tree_set.h.
 */
#include "cli/trees/tree_set.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/tree_layers.h"

char *tree_set_locate(const char *root, const char *path)
{
	scope_fd int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int fd = -1;

	if (root_fd < 0)
		return NULL;
	fd = openat2_fd(root_fd, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	return path_of_fd(fd);
}

const char *tree_set_view(const char *root, const char *path)
{
	const char *below = path_below(path, root);

	return below && below[0] ? below : "/";
}

/* Whoever asks for proofs must hear that there are none. */
static void tree_set_read_proofs(const struct mount_options *options,
				 struct proof_book *ret_proofs)
{
	struct reason why = {"there are none yet"};
	struct store_place place;
	int r;

	*ret_proofs = (struct proof_book){.state = PROOFS_NONE};
	if (options->no_cache)
		return;
	r = store_place_open(&place, options->cache, &why);
	if (r < 0)
		proof_book_refuse(ret_proofs, &place, r, &why);
	else
		proof_book_read(ret_proofs, &place);
	proof_book_warn(ret_proofs, place.proofs);
	if (ret_proofs->state == PROOFS_NONE &&
	    (options->policy.trust == PYC_TRUST_VERIFIED || (options->cache && r < 0)))
		log_warning("there are no proofs%s%s: %s; going on without",
			    place.path ? " beside the cache " : "",
			    place.path ? quoted(place.path) : "", why.text);
	store_place_close(&place);
}

static int tree_set_open_at(struct tree_set *set, const char *path, const char *root)
{
	set->root = realpath(root ? root : "/", NULL);
	if (!set->root)
		return -errno;
	/* Without a root, a relative path starts at the working directory. */
	set->path = root ? tree_set_locate(set->root, path) : realpath(path, NULL);
	if (!set->path)
		return -errno;
	/* It was moved away meanwhile, or a magic link led out of the root. */
	if (!path_below(set->path, set->root))
		return -EXDEV;
	return tree_open(&set->tree, set->path, set->root,
			 tree_set_view(set->root, set->path));
}

int tree_set_open(struct tree_set *set, const char *path, const char *root,
		  const struct mount_options *options)
{
	struct pyc_policy policy = options->policy;
	int r;

	*set = (struct tree_set){.tree = {.root_fd = -1, .host_fd = -1}};
	r = tree_set_open_at(set, path, root);
	if (r < 0) {
		log_error("cannot open %s%s%s: %s", quoted(path), root ? " in " : "",
			  root ? quoted(root) : "", strerror(-r));
		return r;
	}
	set->mutability = mutability_of(&set->tree, set->path, options->mutability);
	tree_layers_find(&set->tree, set->path);
	tree_set_read_proofs(options, &set->proofs);
	policy.immutable = set->mutability.immutable;
	set->resolver = resolver_new_for_walk(&set->tree, &policy, &set->proofs);
	if (!set->resolver) {
		log_error("cannot look at %s: out of memory", quoted(path));
		return -ENOMEM;
	}
	return 0;
}

void tree_set_close(struct tree_set *set)
{
	resolver_free(set->resolver);
	proof_book_fini(&set->proofs);
	tree_close(&set->tree);
	free(set->path);
	free(set->root);
}

struct tree_set *tree_set_get(struct tree_set **list, const char *path, const char *root,
			      const struct mount_options *options)
{
	struct tree_set *set = *list;

	root = root ? root : "/";
	while (set && (strcmp(set->resolver ? set->tree.view_path : set->path, path) != 0 ||
		       strcmp(set->root, root) != 0))
		set = set->next;
	if (set)
		return set->resolver ? set : NULL;
	set = malloc(sizeof(*set));
	if (set && tree_set_open(set, path, root, options) < 0) {
		tree_set_close(set);
		*set = (struct tree_set){
			.path = strdup(path),
			.root = strdup(root),
			.tree = {.root_fd = -1, .host_fd = -1},
		};
	}
	if (!set || !set->path || !set->root) {
		tree_set_free_list(&set);
		return NULL;
	}
	set->next = *list;
	*list = set;
	return set->resolver ? set : NULL;
}

void tree_set_free_list(struct tree_set **list)
{
	while (*list) {
		struct tree_set *set = *list;

		*list = set->next;
		tree_set_close(set);
		free(set);
	}
}
