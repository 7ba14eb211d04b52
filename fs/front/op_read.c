/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * OPEN, READ, LSEEK: contents are the source's own, except that the header of a bytecode
 * file is the one that cache/resolve decided on.
 *
 * Cached pages. On an immutable source there is no OPEN, and pages stay. Elsewhere each
 * OPEN compares what the pages depend on (for a pyc: itself, its source, the header that
 * follows from both) with what they depended on before, and drops them if that changed. A
 * kept page with a constant served mtime would vouch for an edited source.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/watch/observe.h"

/* What the pages of a file depend on. */
struct page_basis {
	struct identity file;
	struct identity source;
	uint8_t header[PYC_HEADER_MAX];
};

/*
 * A digest of the basis; 0, which never compares equal, where a change may have left no
 * trace in it yet.
 */
static uint64_t stamp_of(const struct page_basis *basis, bool has_source)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!identity_is_settled(&basis->file, now) ||
	    (has_source && !identity_is_settled(&basis->source, now)))
		return 0;
	return XXH3_64bits(basis, sizeof(*basis)) | 1;
}

static uint64_t page_stamp(struct front *front, const char *path, int fd,
			   const struct statx *stx)
{
	const struct pyc_question question = {
		.path = path, .fd = fd, .stx = stx, .source_dir = -1};
	struct page_basis basis = {.file = identity_of(stx, 0)};
	struct resolution resolution;

	if (!pyc_name_is_bytecode(path) ||
	    resolve_pyc(front->resolver, &question, &resolution) < 0)
		return stamp_of(&basis, false);
	basis.source = resolution.source;
	memcpy(basis.header, resolution.decision.header.raw, sizeof(basis.header));
	return stamp_of(&basis, resolution.facts.source == PYC_SOURCE_REGULAR);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *front = front_of(req);
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct timespec now;
	struct statx stx;
	uint64_t stamp;

	if (front->immutable) {
		/* "Never ask again": pages are kept, there is no OPEN, no RELEASE. */
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, EROFS);
		return;
	}
	fd = front_open(front, ino, O_RDONLY | O_NONBLOCK, &path, &stx);
	if (fd < 0) {
		op_fail(req, -fd);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	stamp = page_stamp(front, path, fd, &stx);
	fi->keep_cache =
		node_stamp(front->nodes, ino, stamp, (uint32_t)now.tv_sec) && stamp != 0;
	/* The size may be another, too: a read must not end where the old file did. */
	if (!fi->keep_cache)
		fuse_lowlevel_notify_inval_inode(front->session, ino, -1, 0);
	fuse_reply_open(req, fi);
}

/* Puts the decided header over the part of it that was read. */
static void patch_header(const struct resolution *resolution, uint8_t *data, size_t len,
			 off_t offset)
{
	const struct pyc_header *disk = &resolution->facts.header;
	size_t end = (size_t)offset + len;

	if (!resolution->decision.changed)
		return;
	if (end > disk->magic->header_size)
		end = disk->magic->header_size;
	if ((size_t)offset >= end)
		return;
	len = end - (size_t)offset;
	/* Not the bytes that were judged: somebody wrote meanwhile. As they are, then. */
	if (memcmp(data, disk->raw + offset, len) == 0)
		memcpy(data, resolution->decision.header.raw + offset, len);
}

int op_read_pyc(struct front *front, const char *path, int fd, const struct statx *stx,
		size_t size, off_t offset, struct pyc_bytes *ret)
{
	const struct pyc_question question = {
		.path = path, .fd = fd, .stx = stx, .source_dir = -1};
	struct resolution resolution = {0};
	bool resolved = resolve_pyc(front->resolver, &question, &resolution) == 0;
	scope_free uint8_t *data = malloc(size);
	ssize_t n = data ? pread_full(fd, data, size, offset) : -ENOMEM;

	if (n < 0)
		return (int)n;
	if (resolved)
		patch_header(&resolution, data, (size_t)n, offset);
	*ret = (struct pyc_bytes){
		.data = take_ptr(data),
		.len = (size_t)n,
		.resolved = resolved,
		.decision = resolution.decision,
	};
	return 0;
}

void op_reply_pyc(fuse_req_t req, const char *path, struct pyc_bytes *bytes)
{
	observe_decision(front_of(req), path, fuse_req_ctx(req)->pid,
			 bytes->resolved ? &bytes->decision : NULL);
	fuse_reply_buf(req, (const char *)bytes->data, bytes->len);
	free(bytes->data);
}

static void read_pyc(fuse_req_t req, const char *path, int fd, const struct statx *stx,
		     size_t size, off_t offset)
{
	struct pyc_bytes bytes;
	int r = op_read_pyc(front_of(req), path, fd, stx, size, offset, &bytes);

	if (r < 0)
		op_fail(req, -r);
	else
		op_reply_pyc(req, path, &bytes);
}

static void read_plain(fuse_req_t req, int fd, size_t size, off_t offset)
{
	struct fuse_bufvec buffer = FUSE_BUFVEC_INIT(size);

	buffer.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
	buffer.buf[0].fd = fd;
	buffer.buf[0].pos = offset;
	fuse_reply_data(req, &buffer, FUSE_BUF_SPLICE_MOVE);
}

void op_read_file(fuse_req_t req, const char *path, int fd, const struct statx *stx,
		  size_t size, off_t offset)
{
	if (offset < PYC_HEADER_MAX && pyc_name_is_bytecode(path))
		read_pyc(req, path, fd, stx, size, offset);
	else
		read_plain(req, fd, size, offset);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi)
{
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;

	(void)fi;
	fd = front_open(front_of(req), ino, O_RDONLY | O_NONBLOCK, &path, &stx);
	if (fd < 0)
		op_fail(req, -fd);
	else
		op_read_file(req, path, fd, &stx, size, offset);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi)
{
	scope_fd int fd = -1;
	struct statx stx;
	off_t found;

	(void)fi;
	fd = front_open(front_of(req), ino, O_RDONLY | O_NONBLOCK, NULL, &stx);
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
