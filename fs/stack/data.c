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
#include <stdio.h>
#include <string.h>

#include "base/scope.h"

/* Node ids. */
#define DIRECTORY  (NODE_ROOT + 1)
#define FIRST_FILE (NODE_ROOT + 2)

/* What a number looks like; anything else is no name of ours, leading zeros included. */
static bool parse_number(const char *name, uint64_t *ret_number)
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
		return strcmp(name, DATA_DIR) == 0 ? DIRECTORY : 0;
	if (parent != DIRECTORY || !parse_number(name, &number) ||
	    data_table_find(table, number, &file) < 0)
		return 0;
	return FIRST_FILE + number;
}

/* Return: 0; -ENOENT where the node is a directory, or none. */
static int find_file(const struct data_table *table, uint64_t id,
		     struct data_file *ret_file)
{
	return id < FIRST_FILE ? -ENOENT
			       : data_table_find(table, id - FIRST_FILE, ret_file);
}

const char *data_path(const struct data_table *table, uint64_t id)
{
	struct data_file file;

	if (find_file(table, id, &file) == 0)
		return file.path;
	if (id == NODE_ROOT)
		return ".";
	return id == DIRECTORY ? DATA_DIR : NULL;
}

/* The rest of the attributes is the stub's. */
static void set_attr(struct front *front, uint64_t id, struct stat *st)
{
	struct data_file file;

	st->st_ino = id;
	if (find_file(front->data, id, &file) == 0) {
		st->st_mode = S_IFREG | 0444;
		st->st_nlink = 1;
		st->st_size = (off_t)file.size;
		st->st_blocks = (blkcnt_t)file.blocks;
	} else {
		st->st_mode = S_IFDIR | 0555;
		st->st_nlink = 2;
	}
}

static int open_file(struct front *front, const struct data_file *file,
		     struct statx *ret_stx)
{
	return front_open_known(front, file->path, &file->key, O_RDONLY | O_NONBLOCK,
				ret_stx);
}

/* One READ is for all of the file, if that is not larger than the kernel's read-ahead. */
#define WHOLE_READ_MAX (128 * 1024)

static void prepare_read(struct front *front, uint64_t id)
{
	struct pyc_bytes bytes = {.data = NULL};
	struct data_file file;
	struct statx stx;
	scope_fd int fd = -1;

	if (find_file(front->data, id, &file) < 0 || file.size > WHOLE_READ_MAX ||
	    !ahead_begin(front->ahead, id))
		return;
	fd = open_file(front, &file, &stx);
	if (fd >= 0)
		op_read_pyc(front, file.path, fd, &stx, file.size, 0, &bytes);
	ahead_end(front->ahead, id, &bytes);
}

static void data_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct front *front = front_of(req);
	struct fuse_entry_param param = {
		.ino = data_lookup_name(front->data, parent, name),
		.attr_timeout = front->timeout_s,
		.entry_timeout = front->timeout_s,
	};

	if (param.ino != 0)
		set_attr(front, param.ino, &param.attr);
	fuse_reply_entry(req, &param);
	prepare_read(front, param.ino);
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
	struct front *front = front_of(req);
	struct stat st = {0};

	(void)fi;
	set_attr(front, ino, &st);
	fuse_reply_attr(req, &st, front->timeout_s);
}

static void data_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	struct front *front = front_of(req);
	struct pyc_bytes bytes;
	struct data_file file;
	struct statx stx;
	scope_fd int fd = -1;
	int r = find_file(front->data, ino, &file);

	(void)fi;
	if (r == 0 && offset == 0 && ahead_take(front->ahead, ino, &bytes)) {
		bytes.len = bytes.len < size ? bytes.len : size;
		op_reply_pyc(req, file.path, &bytes);
		return;
	}
	fd = r < 0 ? r : open_file(front, &file, &stx);
	if (fd < 0)
		op_fail(req, -fd);
	else
		op_read_file(req, file.path, fd, &stx, size, offset);
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

const struct fuse_lowlevel_ops data_ops = {
	.init = data_init,
	.lookup = data_lookup,
	.forget = data_forget,
	.forget_multi = data_forget_multi,
	.getattr = data_getattr,
	.statfs = op_statfs,
	.open = op_open,
	.opendir = op_opendir,
	.readdir = data_readdir,
	.read = data_read,
};
