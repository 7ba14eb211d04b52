/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * OPEN, READ, LSEEK.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "fs/front/page_stamp.h"
#include "fs/front/served.h"

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct passthrough *passthrough = passthrough_of(req);
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;
	uint64_t stamp;
	uint32_t now_s;

	if (passthrough->front.immutable) {
		/* "Never ask again": pages are kept, there is no OPEN, no RELEASE. */
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, EROFS);
		return;
	}
	fd = passthrough_open(passthrough, ino, O_RDONLY | O_NONBLOCK, &path, &stx);
	if (fd < 0) {
		op_fail(req, -fd);
		return;
	}
	now_s = (uint32_t)(clock_ms() / 1000);
	stamp = page_stamp(&passthrough->front, path, fd, &stx);
	fi->keep_cache = node_stamp(passthrough->nodes, ino, stamp, now_s) && stamp != 0;
	/* The size may be another, too: a read must not end where the old file did. */
	if (!fi->keep_cache)
		fuse_lowlevel_notify_inval_inode(passthrough->front.session, ino, -1, 0);
	fuse_reply_open(req, fi);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi)
{
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;

	(void)fi;
	fd = passthrough_open(passthrough_of(req), ino, O_RDONLY | O_NONBLOCK, &path, &stx);
	if (fd < 0)
		op_fail(req, -fd);
	else
		served_reply(req, path, fd, &stx, size, offset);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi)
{
	scope_fd int fd = -1;
	struct statx stx;
	off_t found;

	(void)fi;
	fd = passthrough_open(passthrough_of(req), ino, O_RDONLY | O_NONBLOCK, NULL, &stx);
	if (fd < 0) {
		op_fail(req, -fd);
		return;
	}
	found = lseek(fd, offset, whence);
	if (found < 0)
		op_fail(req, errno);
	else
		fuse_reply_lseek(req, found);
}
