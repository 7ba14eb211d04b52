/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of request handlers, and what is agreed with the kernel at INIT.
 */
#include "config.h"

#include "fs/front/ops.h"

#include "fs/front/alias_reply.h"

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
			FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE;

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
}

/* Nothing is asked any more. */
static void op_destroy(void *userdata)
{
	alias_reply_finish(passthrough_from(userdata));
}

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
