/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layers of a source; see tree_layers.h.
 */
#include "fs/mount/tree_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/mountinfo.h"
#include "fs/mount/overlay_layers.h"

/*
 * Opens what is at @place in a layer. A copy of its mount: the layer's own can be unmounted
 * as before. A layer without that directory has nothing of the tree.
 */
static int tree_layers_add(struct layers *layers, const char *name, const char *place)
{
	scope_fd int top = -1;
	scope_fd int fd = -1;
	int clone;

	/* A relative name begins where the overlay was made, and nobody knows where. */
	if (name[0] != '/')
		return -ENOENT;
	top = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return -errno;
	fd = openat2_fd(top, place, O_PATH | O_DIRECTORY,
			RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	clone = open_tree_clone(fd);
	return layers_add(layers, clone >= 0 ? clone : take_fd(&fd));
}

static int tree_layers_add_all(struct layers *layers, const struct overlay_layers *of,
			       const char *place)
{
	int r = of->upper ? tree_layers_add(layers, of->upper, place) : 0;

	for (size_t i = 0; i < of->count && r == 0; i++)
		r = tree_layers_add(layers, of->lower[i], place);
	return r;
}

/* Where the overlay's @path is in each layer. A mount may show a part of the overlay. */
static char *tree_layers_place(const struct mount_entry *entry, const char *path)
{
	const char *rest = path_below(path, entry->point);
	const char *root = strcmp(entry->root, "/") == 0 ? "" : entry->root;
	char *place = NULL;

	if (!rest || asprintf(&place, ".%s%s", root, rest) < 0)
		return NULL;
	return place;
}

void tree_layers_find(struct tree *tree, const char *path)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	scope_overlay_layers struct overlay_layers of = {.count = 0};
	scope_free char *place = NULL;
	const struct mount_entry *entry =
		mountinfo_read(&list) < 0 ? NULL : mountinfo_find(&list, tree->mount_id);

	if (!entry || strcmp(entry->type, "overlay") != 0)
		return;
	place = tree_layers_place(entry, path);
	/* Layers of data have no paths that the overlay shows. */
	if (!place || overlay_layers_of(entry, &of) < 0 || of.has_data ||
	    tree_layers_add_all(&tree->layers, &of, place) < 0 || tree->layers.count < 2)
		layers_fini(&tree->layers);
}
