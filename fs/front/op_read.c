/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * OPEN, RELEASE, READ, LSEEK.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/scope.h"
#include "fs/front/served.h"
#include "pyc/names.h"

/*
 * When the kernel's cached pages of a file are still right. On an immutable source there is
 * no OPEN, and pages stay. Elsewhere each OPEN compares what the pages depend on with what
 * they depended on before, and drops them if that changed. A kept page with a constant
 * served mtime would vouch for an edited source.
 */
struct op_page_basis {
	struct identity file;
	struct identity source; /* of bytecode, as is the header */
	uint8_t header[PYC_HEADER_MAX];
};

/*
 * A digest of the basis, for node_stamp(); 0, which never compares equal, where a change
 * may have left no trace in it yet. @pyc: NULL where the file is not bytecode
 */
static uint64_t op_page_stamp(const struct statx *stx, const struct resolution *pyc)
{
	struct op_page_basis basis = {.file = identity_of(stx, 0)};
	struct timespec now = clock_real();

	if (pyc) {
		basis.source = pyc->source;
		memcpy(basis.header, pyc->decision.header.raw, sizeof(basis.header));
	}
	if (!identity_is_settled(&basis.file, now) ||
	    (pyc && pyc->facts.source == PYC_SOURCE_REGULAR &&
	     !identity_is_settled(&basis.source, now)))
		return 0;
	return XXH3_64bits(&basis, sizeof(basis)) | 1;
}

/* Fills in @fi for the file @fd, which is taken if it can be kept. */
static void op_keep_open(struct passthrough *passthrough, fuse_ino_t ino, const char *path,
			 int *fd, const struct statx *stx, struct fuse_file_info *fi)
{
	const struct pyc_question question = {
		.path = path, .fd = *fd, .stx = stx, .source_dir = -1};
	bool is_bytecode = pyc_name_is_bytecode(path);
	struct served_header header = {.resolved = false};
	struct resolution resolution;

	if (is_bytecode &&
	    resolve_pyc(passthrough->front.resolver, &question, &resolution) == 0)
		header = served_header(&resolution);
	fi->keep_cache =
		node_stamp(passthrough->nodes, ino,
			   op_page_stamp(stx, header.resolved ? &resolution : NULL),
			   (uint32_t)(clock_ms() / 1000));
	fi->fh = handle_keep(passthrough->handles, ino, *fd, is_bytecode ? &header : NULL);
	if (fi->fh)
		take_fd(fd);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct passthrough *passthrough = passthrough_of(req);
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;

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
	op_keep_open(passthrough, ino, path, &fd, &stx, fi);
	/* The size may be another, too: a read must not end where the old file did. */
	if (!fi->keep_cache)
		fuse_lowlevel_notify_inval_inode(passthrough->front.session, ino, -1, 0);
	/* An interrupted open never reached the kernel: it will not release it either. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_release(passthrough->handles, ino, fi->fh);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_release(passthrough_of(req)->handles, ino, fi->fh);
	fuse_reply_err(req, 0);
}

/* The name is another file by now: as the file was when it was last opened. */
static void op_read_replaced(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset)
{
	struct passthrough *passthrough = passthrough_of(req);
	scope_free char *path = NULL;
	struct served_header header;
	scope_fd int fd = handle_dup(passthrough->handles, ino, &header);
	int r = fd < 0 ? fd : node_path(passthrough->nodes, ino, &path, NULL);

	if (r < 0)
		op_fail(req, -r);
	else
		served_reply_as(req, path, fd, &header, size, offset);
}

/*
 * A header is decided on at each READ, as its pages are shared by all readers, and the
 * source may have changed since one of them opened the file.
 */
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi)
{
	struct passthrough *passthrough = passthrough_of(req);
	int kept = handle_fd(passthrough->handles, fi->fh);
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;

	if (kept >= 0 && (offset >= PYC_HEADER_MAX || !handle_is_bytecode(fi->fh))) {
		served_reply_plain(req, kept, size, offset);
		return;
	}
	fd = passthrough_open(passthrough, ino, O_RDONLY | O_NONBLOCK, &path, &stx);
	if (fd == -ESTALE)
		op_read_replaced(req, ino, size, offset);
	else if (fd < 0)
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
	fd = passthrough_reach(passthrough_of(req), ino, O_RDONLY | O_NONBLOCK, NULL, &stx);
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
