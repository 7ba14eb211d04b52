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
#include "cache/store/db.h"
#include "cli/trees/proofs.h"

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

/* What a reader in @root calls @path, which lies below it. */
static const char *tree_set_view(const char *root, const char *path)
{
	if (strcmp(root, "/") == 0)
		return path;
	return path[strlen(root)] ? path + strlen(root) : "/";
}

/* Somebody who asks for proofs must hear that there are none to be had. */
static void report_store(const struct mount_options *options, int error, const char *why)
{
	if (error == -ENOENT && options->policy.trust != PYC_TRUST_VERIFIED)
		return;
	if (options->cache || options->policy.trust == PYC_TRUST_VERIFIED ||
	    error == -EBADMSG)
		log_warning("cannot use the cache: %s; going on without its proofs", why);
}

static void open_proofs(const struct mount_options *options, struct proof_set *set)
{
	struct reason why = {"out of memory"};
	struct store_place place;
	struct store_db *db = NULL;
	int r;

	if (options->no_cache)
		return;
	r = store_place_open(&place, options->cache, &why);
	if (r == 0)
		r = store_db_open(&place, STORE_DB_EXISTING, &db, &why);
	if (r == 0) {
		r = proofs_load(db, set);
		store_db_close(db);
	}
	store_place_close(&place);
	if (r < 0)
		report_store(options, r, why.text);
}

static int tree_set_open_at(struct tree_set *set, const char *path, const char *root)
{
	set->root = realpath(root ? root : "/", NULL);
	if (!set->root)
		return -errno;
	/* Without a root, a relative path is one from the working directory. */
	set->path = root ? tree_set_locate(set->root, path) : realpath(path, NULL);
	if (!set->path)
		return -errno;
	/* Moved away while we looked, or a magic link. */
	if (!path_below(set->path, set->root))
		return -EXDEV;
	return tree_open(&set->tree, set->path, set->root,
			 tree_set_view(set->root, set->path));
}

int tree_set_open(struct tree_set *set, const char *path, const char *root,
		  const struct mount_options *options)
{
	int r;

	*set = (struct tree_set){.tree = {.root_fd = -1, .host_fd = -1}};
	r = tree_set_open_at(set, path, root);
	if (r < 0) {
		log_error("cannot open %s%s%s: %s", quoted(path), root ? " in " : "",
			  root ? quoted(root) : "", strerror(-r));
		return r;
	}
	open_proofs(options, &set->proofs);
	set->resolver = resolver_new_for_walk(&set->tree, &options->policy, &set->proofs);
	if (!set->resolver) {
		log_error("cannot look at %s: out of memory", quoted(path));
		return -ENOMEM;
	}
	return 0;
}

void tree_set_close(struct tree_set *set)
{
	resolver_free(set->resolver);
	proof_set_fini(&set->proofs);
	tree_close(&set->tree);
	free(set->path);
	free(set->root);
}
