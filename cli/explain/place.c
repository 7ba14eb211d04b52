/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a file's name to where it is, for readers in the root directory; see explain.h.
 *
 * Directories are resolved, last components are not: Python looks for bytecode beside the
 * name that it was given, also where that is a link.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "pyc/names.h"

char *explain_resolve_dir(const struct explain_request *request, const char *dir)
{
	scope_free char *path = tree_set_locate(request->root, dir);
	const char *below = path ? path_below(path, request->root) : NULL;

	if (below)
		return strdup(below[0] ? below : "/");
	errno = path ? EXDEV : errno;
	return NULL;
}

/* A path from where we are, unless it is an image's. */
static char *explain_make_absolute(const struct explain_request *request, const char *file)
{
	scope_free char *here = NULL;

	if (file[0] == '/')
		return strdup(file);
	if (strcmp(request->root, "/") != 0)
		return path_join("/", file);
	here = getcwd(NULL, 0);
	return here ? path_join(here, file) : NULL;
}

void explain_place_fini(struct explain_place *place)
{
	free(place->folder);
	free(place->name);
	free(place->path);
}

/* A relative name within a __pycache__, or a link of another name that leads to one. */
static int explain_leave_cache(struct explain_place *place)
{
	char *above;

	if (place->in_cache || strcmp(path_last(place->folder), PYC_CACHE_DIR) != 0)
		return 0;
	above = path_parent(place->folder);
	if (!above)
		return -ENOMEM;
	free(place->folder);
	place->folder = above;
	place->in_cache = true;
	return 0;
}

int explain_place_find(const struct explain_request *request, const char *file,
		       struct explain_place *place)
{
	scope_free char *absolute = explain_make_absolute(request, file);
	scope_free char *dir = absolute ? path_parent(absolute) : NULL;
	scope_free char *above = dir ? path_parent(dir) : NULL;
	scope_free char *holder = NULL;

	*place = (struct explain_place){0};
	if (!above)
		return -ENOMEM;
	place->name = strdup(path_last(absolute));
	place->in_cache = strcmp(path_last(dir), PYC_CACHE_DIR) == 0;
	place->folder = explain_resolve_dir(request, place->in_cache ? above : dir);
	if (!place->folder)
		return -errno;
	if (explain_leave_cache(place) < 0)
		return -ENOMEM;
	holder = place->in_cache ? path_join(place->folder, PYC_CACHE_DIR)
				 : strdup(place->folder);
	place->path = holder && place->name ? path_join(holder, place->name) : NULL;
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
