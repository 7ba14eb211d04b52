/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request handlers of the data-only layer; see data.h.
 *
 * Node ids are numbers of the table, after those of the two directories. They are good for
 * as long as the mount, so nothing is counted and nothing forgotten.
 */
#include "config.h"

#include "fs/stack/data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "fs/front/ops.h"
#include "fs/front/served.h"
#include "fs/stack/ahead.h"

/* Node ids. */
#define DATA_DIRECTORY	(NODE_ROOT + 1)
#define DATA_FIRST_FILE (NODE_ROOT + 2)

/* What a number looks like; anything else is no name of ours, leading zeros included. */
static bool data_parse_number(const char *name, uint64_t *ret_number)
{
	char again[24];

	if (sscanf(name, "%" SCNu64, ret_number) != 1)
		return false;
	snprintf(again, sizeof(again), "%" PRIu64, *ret_number);
	return strcmp(again, name) == 0;
}

uint64_t data_lookup_name(const struct data_table *table, uint64_t parent, const char *name)
{
	struct data_file file;
	uint64_t number;

	if (parent == NODE_ROOT)
		return strcmp(name, DATA_DIR) == 0 ? DATA_DIRECTORY : 0;
	if (parent != DATA_DIRECTORY || !data_parse_number(name, &number) ||
	    data_table_find(table, number, &file) < 0)
		return 0;
	return DATA_FIRST_FILE + number;
}

/* Return: 0; -ENOENT where the node is a directory, or none. */
static int data_find(const struct data_table *table, uint64_t id,
		     struct data_file *ret_file)
{
	return id < DATA_FIRST_FILE
		       ? -ENOENT
		       : data_table_find(table, id - DATA_FIRST_FILE, ret_file);
}

const char *data_path(const struct data_table *table, uint64_t id)
{
	struct data_file file;

	if (data_find(table, id, &file) == 0)
		return file.path;
	if (id == NODE_ROOT)
		return ".";
	return id == DATA_DIRECTORY ? DATA_DIR : NULL;
}

static struct data_layer *data_layer_from(struct front *front)
{
	return (void *)((char *)front - offsetof(struct data_layer, front));
}

/* A name in the layer is a number: readers know the file that it leads to. */
static void data_describe(struct front *front, uint64_t id, struct trace_event *event)
{
	const struct data_table *table = data_layer_from(front)->table;
	uint64_t named = 0;
	const char *path;

	if (event->opcode == FUSE_LOOKUP && event->name)
		named = data_lookup_name(table, id, event->name);
	if (named) {
		free(event->name);
		event->name = NULL;
	}
	path = data_path(table, named ? named : id);
	event->path = path ? strdup(path) : NULL;
}

static struct node_stats data_node_stats(struct front *front)
{
	return data_table_stats(data_layer_from(front)->table);
}

static const struct fuse_lowlevel_ops data_ops;

static const struct front_kind data_kind = {
	.ops = &data_ops,
	.describe = data_describe,
	.node_stats = data_node_stats,
	.scanned = true,
};

int data_layer_init(struct data_layer *layer, const struct tree *tree, struct stats *stats)
{
	int r;

	*layer = (struct data_layer){.table = data_table_new(), .ahead = ahead_new()};
	r = front_init(&layer->front, &data_kind, tree, true, stats);
	if (r < 0)
		return r;
	return layer->table && layer->ahead ? 0 : -ENOMEM;
}

void data_layer_fini(struct data_layer *layer)
{
	front_fini(&layer->front);
	data_table_free(layer->table);
	ahead_free(layer->ahead);
}

/* ---- the handlers ---- */

static struct data_layer *data_layer_of(fuse_req_t req)
{
	return data_layer_from(front_of(req));
}

/* The rest of the attributes is the stub's. */
static void data_set_attr(const struct data_table *table, uint64_t id, struct stat *st)
{
	struct data_file file;

	st->st_ino = id;
	if (data_find(table, id, &file) == 0) {
		st->st_mode = S_IFREG | 0444;
		st->st_nlink = 1;
		st->st_size = (off_t)file.size;
		st->st_blocks = (blkcnt_t)file.blocks;
	} else {
		st->st_mode = S_IFDIR | 0555;
		st->st_nlink = 2;
	}
}

static int data_open_file(struct data_layer *layer, const struct data_file *file,
			  struct statx *ret_stx)
{
	return front_open_known(&layer->front, file->path, &file->key,
				O_RDONLY | O_NONBLOCK, ret_stx);
}

/* One READ is for all of the file, if that is not larger than the kernel's read-ahead. */
#define DATA_WHOLE_READ_MAX (128 << 10)

static void data_prepare_read(struct data_layer *layer, uint64_t id)
{
	struct served_bytes bytes = {.data = NULL};
	struct data_file file;
	struct statx stx;
	scope_fd int fd = -1;

	if (data_find(layer->table, id, &file) < 0 || file.size > DATA_WHOLE_READ_MAX ||
	    !ahead_begin(layer->ahead, id))
		return;
	fd = data_open_file(layer, &file, &stx);
	if (fd >= 0)
		served_read_pyc(&layer->front, file.path, fd, &stx, file.size, 0, &bytes);
	ahead_end(layer->ahead, id, &bytes);
}

static void data_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct data_layer *layer = data_layer_of(req);
	struct fuse_entry_param param = {
		.ino = data_lookup_name(layer->table, parent, name),
		.attr_timeout = front_timeout_s(&layer->front),
		.entry_timeout = front_timeout_s(&layer->front),
	};

	if (param.ino != 0)
		data_set_attr(layer->table, param.ino, &param.attr);
	fuse_reply_entry(req, &param);
	data_prepare_read(layer, param.ino);
}

static void data_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)ino, (void)count;
	fuse_reply_none(req);
}

static void data_forget_multi(fuse_req_t req, size_t count,
			      struct fuse_forget_data *forgets)
{
	(void)count, (void)forgets;
	fuse_reply_none(req);
}

static void data_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct data_layer *layer = data_layer_of(req);
	struct stat st = {0};

	(void)fi;
	data_set_attr(layer->table, ino, &st);
	fuse_reply_attr(req, &st, front_timeout_s(&layer->front));
}

static void data_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	struct data_layer *layer = data_layer_of(req);
	struct served_bytes bytes;
	struct data_file file;
	struct statx stx;
	scope_fd int fd = -1;
	int r = data_find(layer->table, ino, &file);

	(void)fi;
	if (r == 0 && offset == 0 && ahead_take(layer->ahead, ino, &bytes)) {
		bytes.len = bytes.len < size ? bytes.len : size;
		served_reply_bytes(req, file.path, &bytes);
		return;
	}
	fd = r < 0 ? r : data_open_file(layer, &file, &stx);
	if (fd < 0)
		op_fail(req, -fd);
	else
		served_reply(req, file.path, fd, &stx, size, offset);
}

/* "Never ask again": also of directories (op_open(), op_opendir()). */
static void data_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	fuse_reply_err(req, ENOSYS);
}

/* Nothing can be listed. */
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

static const struct fuse_lowlevel_ops data_ops = {
	.init = data_init,
	.lookup = data_lookup,
	.forget = data_forget,
	.forget_multi = data_forget_multi,
	.getattr = data_getattr,
	.statfs = op_statfs,
	.open = data_open,
	.opendir = data_open,
	.readdir = data_readdir,
	.read = data_read,
};
