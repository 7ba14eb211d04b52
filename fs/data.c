/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LOOKUP in the data-only layer; see data.h.
 */
#include "config.h"

#include "fs/data.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cache/pairing.h"
#include "fs/stubs.h"

static const char prefix[] = STUBS_DATA_DIR "/";

const char *data_source(const char *path)
{
	size_t len = sizeof(prefix) - 1;

	return strncmp(path, prefix, len) == 0 ? path + len : ".";
}

bool data_shows(int stubs_fd, const char *path)
{
	const char *source = data_source(path);
	struct pyc_name name;

	if (strcmp(source, ".") == 0)
		return strcmp(path, STUBS_DATA_DIR) == 0;
	switch (stubs_type(stubs_fd, source)) {
	case S_IFDIR:
		return true;
	case S_IFREG:
		/* Sources have stubs as well, and their data elsewhere. */
		return pairing_name(source, &name) != PYC_PLACE_NONE;
	default:
		return false;
	}
}

/* The path of a name in the directory of a node. */
static int path_in(struct front *front, uint64_t parent, const char *name, char **ret_path)
{
	scope_free char *dir = NULL;
	int r = node_path(front->nodes, parent, &dir, NULL);

	if (r < 0)
		return r;
	if (parent == NODE_ROOT)
		*ret_path = strdup(name);
	else if (asprintf(ret_path, "%s/%s", dir, name) < 0)
		*ret_path = NULL;
	return *ret_path ? 0 : -ENOMEM;
}

static int lookup(struct front *front, uint64_t parent, const char *name,
		  struct fuse_entry_param *param)
{
	scope_free char *path = NULL;
	struct node_key key;
	struct statx stx;
	int r = path_in(front, parent, name, &path);

	if (r < 0)
		return r;
	if (!data_shows(front->stubs_fd, path))
		return -ENOENT;
	r = tree_stat(front->tree, data_source(path), &stx);
	if (r < 0)
		return r;
	key = node_key_of(&stx);
	statx_to_stat(&stx, &param->attr);
	return node_lookup(front->nodes, parent, name, &key, &param->ino,
			   &param->generation);
}

static void data_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct front *front = front_of(req);
	struct fuse_entry_param param = {
		.attr_timeout = front->timeout_s,
		.entry_timeout = front->timeout_s,
	};
	int r = lookup(front, parent, name, &param);

	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_entry(req, &param) == -ENOENT)
		node_forget(front->nodes, param.ino, 1);
}

/* Where a name leads was settled in the lookup, and nothing can be listed. */
static void data_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			 struct fuse_file_info *fi)
{
	(void)ino, (void)size, (void)offset, (void)fi;
	fuse_reply_err(req, EACCES);
}

/* Contents for whoever asks; asking costs nothing but the first time. */
static void data_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want = conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
				      FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

const struct fuse_lowlevel_ops data_ops = {
	.init = data_init,
	.lookup = data_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.statfs = op_statfs,
	.open = op_open,
	.opendir = op_opendir,
	.readdir = data_readdir,
	.read = op_read,
};
