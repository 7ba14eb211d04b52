/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From node ids to open files and attributes; see passthrough.h.
 */
#include "config.h"

#include "fs/front/passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/front/ops.h"
#include "fs/front/told.h"
#include "fs/watch/source_watch.h"

static void passthrough_describe(struct front *front, uint64_t id,
				 struct trace_event *event)
{
	if (node_path(passthrough_from(front)->nodes, id, &event->path, NULL) < 0)
		event->path = NULL;
}

static struct node_stats passthrough_node_stats(struct front *front)
{
	return node_table_stats(passthrough_from(front)->nodes);
}

static const struct front_kind passthrough_kind = {
	.ops = &passthrough_ops,
	.describe = passthrough_describe,
	.node_stats = passthrough_node_stats,
};

static bool passthrough_has_acl(const struct tree *tree)
{
	struct proc_path path = proc_path(tree->root_fd);

	return getxattr(path.text, "system.posix_acl_access", NULL, 0) >= 0 ||
	       errno != EOPNOTSUPP;
}

int passthrough_init(struct passthrough *passthrough, const struct tree *tree,
		     bool immutable, struct stats *stats)
{
	struct node_key root;
	struct statx stx;
	int front_r, r;

	*passthrough = (struct passthrough){
		.posix_acl = passthrough_has_acl(tree),
		.many_devices = tree_has_many_devices(tree),
	};
	front_r =
		front_init(&passthrough->front, &passthrough_kind, tree, immutable, stats);
	r = alias_reply_init(passthrough);
	if (front_r < 0)
		r = front_r;
	if (r == 0)
		r = statx_at(tree->root_fd, "", &stx);
	if (r < 0)
		return r;
	if (!immutable)
		passthrough->told = told_new(passthrough, &passthrough->front.why_asked);
	passthrough->front.told = passthrough->told != NULL;
	root = node_key_of(&stx);
	if (passthrough->told)
		r = source_watch_handle(tree->root_fd, "", &root.handle);
	if (r < 0)
		return r;
	passthrough->nodes = node_table_new(&root, PASSTHROUGH_MAX_NODES);
	if (!immutable)
		passthrough->handles = handle_table_new();
	return passthrough->nodes && (immutable || passthrough->handles) ? 0 : -ENOMEM;
}

void passthrough_fini(struct passthrough *passthrough)
{
	alias_reply_fini(passthrough);
	told_free(passthrough->told);
	front_fini(&passthrough->front);
	node_table_free(passthrough->nodes);
	handle_table_free(passthrough->handles);
}

int passthrough_open(struct passthrough *passthrough, uint64_t id, uint64_t flags,
		     char **ret_path, struct statx *ret_stx)
{
	scope_free char *path = NULL;
	struct node_key known;
	int r = node_path(passthrough->nodes, id, &path, &known);

	if (r < 0)
		return r;
	r = front_open_known(&passthrough->front, path, &known, flags, ret_stx);
	if (r >= 0 && ret_path)
		*ret_path = take_ptr(path);
	return r;
}

int passthrough_reach(struct passthrough *passthrough, uint64_t id, uint64_t flags,
		      char **ret_path, struct statx *ret_stx)
{
	scope_fd int fd = passthrough_open(passthrough, id, flags, ret_path, ret_stx);
	int r = 0;

	if (fd != -ESTALE)
		return take_fd(&fd);
	fd = handle_dup(passthrough->handles, id, NULL);
	if (fd >= 0)
		r = statx_at(fd, "", ret_stx);
	if (fd >= 0 && r == 0 && ret_path)
		r = node_path(passthrough->nodes, id, ret_path, NULL);
	return r < 0 ? r : take_fd(&fd);
}

double passthrough_attr(struct passthrough *passthrough, const char *path,
			const struct statx *stx, struct stat *ret_st)
{
	const struct front *front = &passthrough->front;

	statx_to_stat(stx, ret_st);
	ret_st->st_ino = node_ino(passthrough->nodes, ret_st->st_dev, ret_st->st_ino);
	ret_st->st_mtim = resolve_mtime(front->resolver, path, stx);
	if (front->told && resolve_mtime_is_voted(front->resolver, path, stx))
		return FRONT_ASKED_TIMEOUT_S;
	return front_timeout_s(front);
}

bool passthrough_hides(struct passthrough *passthrough, int dir_fd, const char *name)
{
	struct statx stx;

	return !passthrough->front.tree->is_clone && statx_at(dir_fd, name, &stx) == 0 &&
	       tree_is_submount(&stx);
}

/* What a name is now. @ret_fd: the file, where changes are told; else -1 */
static int passthrough_find(struct passthrough *passthrough, int dir_fd, const char *name,
			    int *ret_fd, struct statx *ret_stx, struct node_key *ret_key)
{
	scope_fd int fd = -1;
	uint32_t handle = 0;
	int r;

	if (passthrough->told) {
		/* The handle and the attributes have to be one file's. */
		fd = tree_open_in(dir_fd, name, O_PATH);
		if (fd < 0)
			return fd == -EXDEV ? -ENOENT : fd;
		r = source_watch_handle(fd, "", &handle);
		if (r < 0)
			return r;
	}
	r = fd < 0 ? statx_at(dir_fd, name, ret_stx) : statx_at(fd, "", ret_stx);
	if (r < 0)
		return r;
	if (tree_is_submount(ret_stx))
		return -ENOENT;
	*ret_key = node_key_of(ret_stx);
	ret_key->handle = handle;
	*ret_fd = take_fd(&fd);
	return 0;
}

/*
 * Finds or makes the node of a name. Where changes are told, those from now on find it. An
 * earlier one may have come after the look at the file: then there is another look.
 */
static int passthrough_know(struct passthrough *passthrough, uint64_t parent, int dir_fd,
			    const char *name, struct fuse_entry_param *entry,
			    struct statx *ret_stx)
{
	const struct told *told = passthrough->told;
	uint64_t count = told ? told_count(told) : 0;
	struct node_key key;
	scope_fd int fd = -1;
	int r = passthrough_find(passthrough, dir_fd, name, &fd, ret_stx, &key);

	if (r < 0)
		return r;
	r = node_lookup(passthrough->nodes, parent, name, &key, &entry->ino,
			&entry->generation);
	if (r < 0 || !told || told_count(told) == count)
		return r;
	r = statx_at(fd, "", ret_stx);
	if (r < 0)
		node_forget(passthrough->nodes, entry->ino, 1);
	return r;
}

static bool passthrough_is_rechecked(struct passthrough *passthrough, const char *name,
				     const struct stat *st)
{
	return passthrough->front.told && S_ISLNK(st->st_mode) && alias_is_link_name(name);
}

int passthrough_lookup(struct passthrough *passthrough, uint64_t parent, int dir_fd,
		       const char *dir_path, const char *name,
		       struct fuse_entry_param *ret_entry, char **ret_path)
{
	scope_free char *path = path_join(dir_path, name);
	struct fuse_entry_param entry = {.ino = 0};
	struct statx stx;
	int r;

	if (!path)
		return -ENOMEM;
	r = passthrough_know(passthrough, parent, dir_fd, name, &entry, &stx);
	if (r < 0)
		return r;
	entry.attr_timeout = passthrough_attr(passthrough, path, &stx, &entry.attr);
	entry.entry_timeout = passthrough_is_rechecked(passthrough, name, &entry.attr)
				      ? FRONT_ASKED_TIMEOUT_S
				      : front_timeout_s(&passthrough->front);
	*ret_entry = entry;
	if (ret_path)
		*ret_path = take_ptr(path);
	return 0;
}
