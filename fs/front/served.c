/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents, with the headers that were decided on; see served.h.
 */
#include "config.h"

#include "fs/front/served.h"

#include <errno.h>
#include <string.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/front/observe.h"
#include "pyc/names.h"

struct served_header served_header(const struct resolution *resolution)
{
	return (struct served_header){
		.resolved = true,
		.disk = resolution->facts.header,
		.decision = resolution->decision,
	};
}

/* Puts the decided header over the part of it that was read. */
static void served_patch_header(const struct served_header *header, uint8_t *data,
				size_t len, off_t offset)
{
	const struct pyc_header *disk = &header->disk;
	size_t end = (size_t)offset + len;

	if (!header->decision.changed)
		return;
	if (end > disk->magic->header_size)
		end = disk->magic->header_size;
	if ((size_t)offset >= end)
		return;
	len = end - (size_t)offset;
	/* Not the bytes that were judged: somebody wrote meanwhile. As they are, then. */
	if (memcmp(data, disk->raw + offset, len) == 0)
		memcpy(data, header->decision.header.raw + offset, len);
}

static int served_read_under(const struct served_header *header, int fd, size_t size,
			     off_t offset, struct served_bytes *ret)
{
	scope_free uint8_t *data = malloc(size);
	ssize_t n = data ? pread_full(fd, data, size, offset) : -ENOMEM;

	if (n < 0)
		return (int)n;
	served_patch_header(header, data, (size_t)n, offset);
	*ret = (struct served_bytes){
		.data = take_ptr(data),
		.len = (size_t)n,
		.resolved = header->resolved,
		.decision = header->decision,
	};
	return 0;
}

static struct served_header served_decide(struct front *front, const char *path, int fd,
					  const struct statx *stx)
{
	const struct pyc_question question = {
		.path = path, .fd = fd, .stx = stx, .source_dir = -1};
	struct resolution resolution;

	return resolve_pyc(front->resolver, &question, &resolution) == 0
		       ? served_header(&resolution)
		       : (struct served_header){.resolved = false};
}

int served_read_pyc(struct front *front, const char *path, int fd, const struct statx *stx,
		    size_t size, off_t offset, struct served_bytes *ret)
{
	struct served_header header = served_decide(front, path, fd, stx);

	return served_read_under(&header, fd, size, offset, ret);
}

void served_reply_bytes(fuse_req_t req, const char *path, struct served_bytes *bytes)
{
	observe_decision(front_of(req), path, fuse_req_ctx(req)->pid,
			 bytes->resolved ? &bytes->decision : NULL);
	fuse_reply_buf(req, (const char *)bytes->data, bytes->len);
	free(bytes->data);
}

/* Is there a part of a bytecode file's header from @offset on? */
static bool served_has_header(const char *path, off_t offset)
{
	return offset < PYC_HEADER_MAX && pyc_name_is_bytecode(path);
}

void served_reply_plain(fuse_req_t req, int fd, size_t size, off_t offset)
{
	struct fuse_bufvec buffer = FUSE_BUFVEC_INIT(size);

	buffer.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
	buffer.buf[0].fd = fd;
	buffer.buf[0].pos = offset;
	fuse_reply_data(req, &buffer, FUSE_BUF_SPLICE_MOVE);
}

void served_reply_as(fuse_req_t req, const char *path, int fd,
		     const struct served_header *header, size_t size, off_t offset)
{
	struct served_bytes bytes;
	int r;

	if (!served_has_header(path, offset)) {
		served_reply_plain(req, fd, size, offset);
		return;
	}
	r = served_read_under(header, fd, size, offset, &bytes);
	if (r < 0)
		op_fail(req, -r);
	else
		served_reply_bytes(req, path, &bytes);
}

void served_reply(fuse_req_t req, const char *path, int fd, const struct statx *stx,
		  size_t size, off_t offset)
{
	struct served_header header = {.resolved = false};

	if (served_has_header(path, offset))
		header = served_decide(front_of(req), path, fd, stx);
	served_reply_as(req, path, fd, &header, size, offset);
}
