/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that would change the source: EROFS.
 *
 * The mount is read-only, so the kernel refuses first; but it can be remounted read-write.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	(void)ino, (void)attr, (void)to_set, (void)fi;
	fuse_reply_err(req, EROFS);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	fuse_reply_err(req, EROFS);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	fuse_reply_err(req, EROFS);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	fuse_reply_err(req, EROFS);
}

void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link, (void)parent, (void)name;
	fuse_reply_err(req, EROFS);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned int flags)
{
	(void)parent, (void)name, (void)new_parent, (void)new_name, (void)flags;
	fuse_reply_err(req, EROFS);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	(void)ino, (void)new_parent, (void)new_name;
	fuse_reply_err(req, EROFS);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buffer, size_t size, off_t offset,
	      struct fuse_file_info *fi)
{
	(void)ino, (void)buffer, (void)size, (void)offset, (void)fi;
	fuse_reply_err(req, EROFS);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	fuse_reply_err(req, EROFS);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		 size_t size, int flags)
{
	(void)ino, (void)name, (void)value, (void)size, (void)flags;
	fuse_reply_err(req, EROFS);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	fuse_reply_err(req, EROFS);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	(void)ino, (void)mode, (void)offset, (void)length, (void)fi;
	fuse_reply_err(req, EROFS);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset,
			struct fuse_file_info *in_fi, fuse_ino_t out, off_t out_offset,
			struct fuse_file_info *out_fi, size_t size, int flags)
{
	(void)in, (void)in_offset, (void)in_fi, (void)out, (void)out_offset, (void)out_fi,
		(void)size, (void)flags;
	fuse_reply_err(req, EROFS);
}

/* isatty() asks with TCGETS for every file that Python before 3.14 opens. */
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
	      struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
	      size_t out_size)
{
	(void)ino, (void)command, (void)argument, (void)fi, (void)flags, (void)in,
		(void)in_size, (void)out_size;
	fuse_reply_err(req, ENOTTY);
}
