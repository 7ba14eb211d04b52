/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From node ids to open files and attributes; see front.h.
 */
#include "fs/front/front.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "pyc/names.h"

/* The name is gone, or is another kind of file: not the node's file any more. */
static int stale_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -EXDEV:
	case -ENXIO:
		return -ESTALE;
	default:
		return error;
	}
}

int front_open_known(struct front *front, const char *path, const struct node_key *known,
		     uint64_t flags, struct statx *ret_stx)
{
	scope_fd int fd = tree_openat(front->tree, path, flags);
	struct node_key found;
	int r;

	if (fd < 0)
		return stale_error(fd);
	r = statx_at(fd, "", ret_stx);
	if (r < 0)
		return r;
	found = node_key_of(ret_stx);
	return node_key_equal(known, &found) ? take_fd(&fd) : -ESTALE;
}

int front_open(struct front *front, uint64_t id, uint64_t flags, char **ret_path,
	       struct statx *ret_stx)
{
	scope_free char *path = NULL;
	struct node_key known;
	int r = node_path(front->nodes, id, &path, &known);

	if (r < 0)
		return r;
	r = front_open_known(front, path, &known, flags, ret_stx);
	if (r >= 0 && ret_path)
		*ret_path = take_ptr(path);
	return r;
}

void front_attr(struct front *front, const char *path, const struct statx *stx,
		struct stat *ret_st)
{
	statx_to_stat(stx, ret_st);
	ret_st->st_ino = node_ino(front->nodes, ret_st->st_dev, ret_st->st_ino);
	ret_st->st_mtim = resolve_mtime(front->resolver, path, stx);
}

bool front_hides(struct front *front, int dir_fd, const char *name)
{
	struct statx stx;

	return !front->tree->is_clone && statx_at(dir_fd, name, &stx) == 0 &&
	       tree_is_submount(&stx);
}

int front_lookup(struct front *front, uint64_t parent, int dir_fd, const char *dir_path,
		 const char *name, struct front_entry *ret_entry)
{
	scope_free char *path = NULL;
	struct front_entry entry;
	struct node_key key;
	struct statx stx;
	int r = statx_at(dir_fd, name, &stx);

	if (r < 0)
		return r;
	if (tree_is_submount(&stx))
		return -ENOENT;
	path = path_join(dir_path, name);
	if (!path)
		return -ENOMEM;
	front_attr(front, path, &stx, &entry.st);
	key = node_key_of(&stx);
	r = node_lookup(front->nodes, parent, name, &key, &entry.id, &entry.generation);
	if (r < 0)
		return r;
	entry.path = take_ptr(path);
	*ret_entry = entry;
	return 0;
}
