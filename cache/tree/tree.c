/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access to the source tree; see tree.h.
 */
#include "cache/tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"

#define RESOLVE_IN_TREE \
	(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

int tree_open(struct tree *tree, const char *path, const char *host, const char *view_path)
{
	scope_fd int host_fd = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t mount_id;
	char *view;
	int clone;

	if (fd < 0 || host_fd < 0)
		return -errno;
	view = strdup(view_path);
	if (!view)
		return -ENOMEM;
	/* Of the mount itself: its copy is in no list. */
	mount_id = statx_mount_id(fd);
	/* What is mounted over the source, now or later, does not hide it from the copy. */
	clone = open_tree_clone(fd);
	*tree = (struct tree){
		.root_fd = clone >= 0 ? clone : take_fd(&fd),
		.host_fd = take_fd(&host_fd),
		.view_path = view,
		.mount_id = mount_id,
		.is_clone = clone >= 0,
	};
	return 0;
}

void tree_close(struct tree *tree)
{
	close_fd(&tree->root_fd);
	close_fd(&tree->host_fd);
	layers_fini(&tree->layers);
	free(tree->view_path);
	tree->view_path = NULL;
}

int tree_openat(const struct tree *tree, const char *path, uint64_t flags)
{
	scope_fd int step = -1;
	int dir = tree->root_fd;

	while (strlen(path) >= PATH_MAX) {
		/* The longest part that the kernel takes in one call. */
		const char *slash = memrchr(path, '/', PATH_MAX);
		size_t len = slash ? (size_t)(slash - path) : 0;
		char prefix[PATH_MAX];
		int next;

		if (len == 0)
			return -ENAMETOOLONG;
		memcpy(prefix, path, len);
		prefix[len] = '\0';
		next = openat2_fd(dir, prefix, O_PATH | O_DIRECTORY, RESOLVE_IN_TREE);
		if (next < 0)
			return next;
		close_fd(&step);
		dir = step = next;
		path += len + 1;
	}
	return openat2_fd(dir, path, flags | O_NOFOLLOW, RESOLVE_IN_TREE);
}

int tree_open_in(int dir, const char *name, uint64_t flags)
{
	return openat2_fd(dir, name, flags | O_NOFOLLOW, RESOLVE_IN_TREE);
}

int tree_stat(const struct tree *tree, const char *path, struct statx *ret_stx)
{
	scope_fd int fd = tree_openat(tree, path, O_PATH);

	return fd < 0 ? fd : statx_at(fd, "", ret_stx);
}

bool tree_has_many_devices(const struct tree *tree)
{
	struct statfs statistics;

	return fstatfs(tree->root_fd, &statistics) < 0 ||
	       statistics.f_type == OVERLAYFS_SUPER_MAGIC ||
	       statistics.f_type == BTRFS_SUPER_MAGIC;
}
