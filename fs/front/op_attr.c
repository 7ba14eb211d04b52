/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LOOKUP, FORGET, GETATTR, STATX, READLINK, STATFS, IOCTL.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/front/alias_reply.h"

static int op_lookup_in(struct passthrough *passthrough, fuse_ino_t parent,
			const char *name, struct fuse_entry_param *ret_entry,
			char **ret_path)
{
	scope_free char *path = NULL;
	scope_fd int dir = -1;
	struct statx stx;

	dir = passthrough_open(passthrough, parent, O_PATH | O_DIRECTORY, &path, &stx);
	if (dir < 0)
		return dir;
	return passthrough_lookup(passthrough, parent, dir, path, name, ret_entry,
				  ret_path);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct passthrough *passthrough = passthrough_of(req);
	struct fuse_entry_param param = {
		.entry_timeout = front_timeout_s(&passthrough->front),
	};
	scope_free char *path = NULL;
	int r = op_lookup_in(passthrough, parent, name, &param, &path);

	if (r == -ENOENT) {
		/* A negative entry: node id 0, believed as long as a positive one. */
		fuse_reply_entry(req, &param);
		return;
	}
	if (r < 0) {
		op_fail(req, -r);
		return;
	}
	if (S_ISLNK(param.attr.st_mode) && alias_is_link_name(name)) {
		alias_reply_entry(req, passthrough, path, &param);
		return;
	}
	/* An interrupted lookup never reached the kernel: it will not forget it either. */
	if (fuse_reply_entry(req, &param) == -ENOENT)
		node_forget(passthrough->nodes, param.ino, 1);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	node_forget(passthrough_of(req)->nodes, ino, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(passthrough_of(req)->nodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/*
 * Looks at the file of a node. @ret_st: as the mount shows it. @ret_timeout_s: as of
 * passthrough_attr(). Return: 0 or -errno.
 */
static int op_look(struct passthrough *passthrough, fuse_ino_t ino, struct statx *ret_stx,
		   struct stat *ret_st, double *ret_timeout_s)
{
	scope_free char *path = NULL;
	scope_fd int fd = passthrough_reach(passthrough, ino, O_PATH, &path, ret_stx);

	if (fd < 0)
		return fd;
	*ret_timeout_s = passthrough_attr(passthrough, path, ret_stx, ret_st);
	return 0;
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct passthrough *passthrough = passthrough_of(req);
	struct statx stx;
	struct stat st;
	double timeout_s;
	int r = op_look(passthrough, ino, &stx, &st, &timeout_s);

	(void)fi;
	if (r < 0)
		op_fail(req, -r);
	else
		fuse_reply_attr(req, &st, timeout_s);
}

#ifdef HAVE_STRUCT_FUSE_LOWLEVEL_OPS_STATX
void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask,
	      struct fuse_file_info *fi)
{
	struct passthrough *passthrough = passthrough_of(req);
	struct statx stx;
	struct stat st;
	double timeout_s;
	int r = op_look(passthrough, ino, &stx, &st, &timeout_s);

	(void)flags, (void)mask, (void)fi;
	if (r < 0) {
		op_fail(req, -r);
		return;
	}
	stx.stx_ino = st.st_ino;
	stx.stx_mtime.tv_sec = st.st_mtim.tv_sec;
	stx.stx_mtime.tv_nsec = (uint32_t)st.st_mtim.tv_nsec;
	fuse_reply_statx(req, 0, &stx, timeout_s);
}
#endif

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	scope_fd int fd = -1;
	struct statx stx;
	ssize_t len;

	fd = passthrough_open(passthrough_of(req), ino, O_PATH, NULL, &stx);
	if (fd < 0) {
		op_fail(req, -fd);
		return;
	}
	len = readlinkat(fd, "", target, sizeof(target) - 1);
	if (len < 0) {
		op_fail(req, errno);
		return;
	}
	target[len] = '\0';
	fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs statistics;

	(void)ino;
	if (fstatvfs(front_of(req)->tree->root_fd, &statistics) < 0)
		op_fail(req, errno);
	else
		fuse_reply_statfs(req, &statistics);
}

/*
 * The flags that lsattr(1) shows, and xfs_io(8). The kernel asks for them itself, as an int
 * (fs/fuse/ioctl.c, fuse_fileattr_get()). No other ioctl is known, above all not isatty()'s
 * TCGETS, which Python before 3.14 sends for every file that it opens.
 */
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
	      struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
	      size_t out_size)
{
	union {
		int flags;
		struct fsxattr attributes;
	} value = {.attributes = {0}};
	scope_fd int fd = -1;
	struct statx stx;

	(void)argument, (void)fi, (void)flags, (void)in, (void)in_size;
	if ((command != FS_IOC_GETFLAGS || out_size != sizeof(value.flags)) &&
	    (command != FS_IOC_FSGETXATTR || out_size != sizeof(value.attributes))) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	fd = passthrough_reach(passthrough_of(req), ino, O_RDONLY | O_NONBLOCK, NULL, &stx);
	if (fd < 0)
		op_fail(req, -fd);
	else if (ioctl(fd, command, &value) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_ioctl(req, 0, &value, out_size);
}
