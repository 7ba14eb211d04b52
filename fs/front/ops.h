/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request handlers of the FUSE front. Each replies exactly once on every path.
 */
#ifndef CANONFS_FS_FRONT_OPS_H
#define CANONFS_FS_FRONT_OPS_H

#define FUSE_USE_VERSION 310
#include <fuse_lowlevel.h>

#include "fs/front/passthrough.h"
#include "fs/watch/stats.h"

/* The table for a passthrough; the user data of each session is its struct front. */
extern const struct fuse_lowlevel_ops passthrough_ops;

static inline struct front *front_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct passthrough *passthrough_of(fuse_req_t req)
{
	return passthrough_from(front_of(req));
}

/* fuse_reply_err() for an error that may be worth counting. @error: a positive errno */
static inline void op_fail(fuse_req_t req, int error)
{
	stats_error(front_of(req)->stats, error);
	fuse_reply_err(req, error);
}

/* op_attr.c: names and attributes; op_statfs() is for any front */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
	      struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
	      size_t out_size);
#ifdef HAVE_STRUCT_FUSE_LOWLEVEL_OPS_STATX
void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask,
	      struct fuse_file_info *fi);
#endif

/* op_dir.c: listings */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi);

/* op_read.c: contents (fs/front/served.h) */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi);

/* op_xattr.c: extended attributes */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
