/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a file's name to its directory and tree, as readers in the root directory see them;
 * see explain.h.
 *
 * Links in the directory are followed. A file that is a link is not followed: Python looks
 * for bytecode beside the link.
 */
#include "cli/explain/explain.h"

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
#include "cli/trees/mountable.h"
#include "fs/mount/mountinfo.h"

/* A relative path starts at the working directory, or at the root of an image. */
static char *explain_make_absolute(const struct explain_request *request, const char *path)
{
	scope_free char *here = NULL;

	if (path[0] == '/')
		return strdup(path);
	if (strcmp(request->root, "/") != 0)
		return path_join("/", path);
	here = getcwd(NULL, 0);
	return here ? path_join(here, path) : NULL;
}

/* Where readers see a directory, without symlinks; the caller's; NULL with errno set. */
static char *explain_resolve_dir(const struct explain_request *request, const char *dir)
{
	scope_free char *absolute = explain_make_absolute(request, dir);
	scope_free char *path = absolute ? tree_set_locate(request->root, absolute) : NULL;

	if (path && path_below(path, request->root))
		return strdup(tree_set_view(request->root, path));
	errno = path ? EXDEV : errno;
	return NULL;
}

void explain_place_fini(struct explain_place *place)
{
	free(place->folder);
	free(place->path);
}

int explain_place_find(const struct explain_request *request, const char *file,
		       struct explain_place *place)
{
	scope_free char *absolute = explain_make_absolute(request, file);
	scope_free char *dir = absolute ? path_parent(absolute) : NULL;
	scope_free char *above = dir ? path_parent(dir) : NULL;
	scope_free char *real = NULL;

	*place = (struct explain_place){0};
	if (!above)
		return -ENOMEM;
	place->in_cache = strcmp(path_last(dir), PYC_CACHE_DIR) == 0;
	real = explain_resolve_dir(request, place->in_cache ? above : dir);
	if (!real)
		return -errno;
	/* The working directory is a __pycache__, or a link of another name leads to one.
	 */
	if (!place->in_cache && strcmp(path_last(real), PYC_CACHE_DIR) == 0) {
		place->in_cache = true;
		place->folder = path_parent(real);
	} else {
		place->folder = take_ptr(real);
	}
	if (place->folder)
		place->path = explain_format(
			"%s%s/%s", place->folder[1] ? place->folder : "",
			place->in_cache ? "/" PYC_CACHE_DIR : "", path_last(absolute));
	return place->path ? 0 : -ENOMEM;
}

int explain_look_at(const struct explain_request *request, const char *path)
{
	scope_fd int fd = openat2_fd(request->root_fd, path, O_PATH, RESOLVE_IN_ROOT);
	scope_fd int link = -1;
	struct stat st;

	if (fd == -ENOENT || fd == -ELOOP) {
		/* A dangling link is something that can be explained. */
		link = openat2_fd(request->root_fd, path, O_PATH | O_NOFOLLOW,
				  RESOLVE_IN_ROOT);
		return link < 0 ? link : 0;
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? -EISDIR : 0;
}

/* ---- trees ---- */

/* Where a canonfs is mounted and of what, if the tree is one. */
static void explain_find_canonfs(struct explain_tree *tree)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *top = NULL;

	if (mountinfo_read(&list) == 0)
		top = mountinfo_top(&list, tree->set->path);
	if (!top || !top->ours)
		return;
	tree->mount = strdup(top->point);
	tree->mount_source = strdup(top->source);
}

int explain_find_tree(struct explain_request *request, const char *folder,
		      struct explain_tree *tree)
{
	const char *root = strcmp(request->root, "/") != 0 ? request->root : NULL;
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
	tree->set = tree_set_get(&request->trees, path, root, &request->options);
	if (!tree->set)
		return EXIT_EXPLAIN_NOINPUT;
	explain_find_canonfs(tree);
	tree->policy = *resolver_policy(tree->set->resolver);
	return 0;
}

const char *explain_relative(const struct explain_tree *tree, const char *path)
{
	const char *below = path ? path_below(path, tree->set->tree.view_path) : NULL;

	return below && below[0] ? below + 1 : NULL;
}
