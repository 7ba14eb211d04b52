/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of request handlers, and what is agreed with the kernel at INIT.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>

#include "fs/front/alias_reply.h"
#include "fs/front/told.h"

/*
 * What the mount wants of the kernel; what an old kernel lacks is done without, but costs
 * requests.
 */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct passthrough *passthrough = passthrough_from(userdata);
	unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
			FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_AUTO_INVAL_DATA |
			FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_READDIRPLUS |
			FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_IOCTL_DIR;

	/*
	 * Without it the kernel would grant what the mode's group bits say, which on a
	 * file with an ACL are its mask.
	 */
	if (passthrough->posix_acl)
		want |= FUSE_CAP_POSIX_ACL;
	/* Without this one every listing comes with attributes, so d_ino is st_ino. */
	if (!passthrough->many_devices)
		want |= FUSE_CAP_READDIRPLUS_AUTO;
	conn->want = conn->capable & want;
	if (passthrough->told)
		told_start(passthrough->told);
}

/* Nothing is asked any more. */
static void op_destroy(void *userdata)
{
	struct passthrough *passthrough = passthrough_from(userdata);

	alias_reply_finish(passthrough);
	told_finish(passthrough->told);
}

/*
 * A handler of a request that would change the source. The mount is read-only, so the
 * kernel refuses such requests first; but somebody can remount it read-write.
 */
#define OP_REFUSE(handler, ...)                          \
	static void handler(fuse_req_t req, __VA_ARGS__) \
	{                                                \
		fuse_reply_err(req, EROFS);              \
	}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

OP_REFUSE(op_setattr, fuse_ino_t ino, struct stat *attr, int to_set,
	  struct fuse_file_info *fi)
OP_REFUSE(op_mknod, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
OP_REFUSE(op_mkdir, fuse_ino_t parent, const char *name, mode_t mode)
OP_REFUSE(op_unlink, fuse_ino_t parent, const char *name)
OP_REFUSE(op_symlink, const char *link, fuse_ino_t parent, const char *name)
OP_REFUSE(op_rename, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	  const char *new_name, unsigned int flags)
OP_REFUSE(op_link, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
OP_REFUSE(op_write, fuse_ino_t ino, const char *buffer, size_t size, off_t offset,
	  struct fuse_file_info *fi)
OP_REFUSE(op_create, fuse_ino_t parent, const char *name, mode_t mode,
	  struct fuse_file_info *fi)
OP_REFUSE(op_setxattr, fuse_ino_t ino, const char *name, const char *value, size_t size,
	  int flags)
OP_REFUSE(op_removexattr, fuse_ino_t ino, const char *name)
OP_REFUSE(op_fallocate, fuse_ino_t ino, int mode, off_t offset, off_t length,
	  struct fuse_file_info *fi)
OP_REFUSE(op_copy_file_range, fuse_ino_t in, off_t in_offset, struct fuse_file_info *in_fi,
	  fuse_ino_t out, off_t out_offset, struct fuse_file_info *out_fi, size_t size,
	  int flags)

#pragma GCC diagnostic pop

const struct fuse_lowlevel_ops passthrough_ops = {
	.init = op_init,
	.destroy = op_destroy,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
#ifdef HAVE_STRUCT_FUSE_LOWLEVEL_OPS_STATX
	.statx = op_statx,
#endif
	.readlink = op_readlink,
	.statfs = op_statfs,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.lseek = op_lseek,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.write = op_write,
	.create = op_create,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.fallocate = op_fallocate,
	.copy_file_range = op_copy_file_range,
	.ioctl = op_ioctl,
};
