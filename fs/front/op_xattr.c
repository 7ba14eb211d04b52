/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GETXATTR, LISTXATTR.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/front/virtual_xattr.h"

/*
 * The kernel lists trusted.* to administrators only (fs/xattr.c, xattr_list_one()); here it
 * sees an administrator, the server, ask for everybody.
 */
static size_t xattr_drop_trusted(char *names, size_t len)
{
	static const char trusted[] = "trusted.";
	char *out = names;

	for (char *name = names; name < names + len;) {
		size_t bytes = strlen(name) + 1;

		if (strncmp(name, trusted, strlen(trusted)) != 0) {
			memmove(out, name, bytes);
			out += bytes;
		}
		name += bytes;
	}
	return (size_t)(out - names);
}

/* A size of 0 asks how large the value is; more is a buffer to fill. */
static void xattr_reply(fuse_req_t req, size_t size, const char *value, ssize_t len)
{
	if (len < 0)
		op_fail(req, errno);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)len);
	else if ((size_t)len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, (size_t)len);
}

/* Whether the request is answered: bytecode files have some attributes of our making. */
static bool xattr_reply_virtual(fuse_req_t req, fuse_ino_t ino, const char *name,
				size_t size)
{
	char value[VIRTUAL_XATTR_MAX];
	ssize_t len = virtual_xattr_get(passthrough_of(req), ino, name, value);

	if (len == -ENODATA)
		return false;
	errno = len < 0 ? (int)-len : 0;
	xattr_reply(req, size, value, len);
	return true;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	scope_free char *value = size ? malloc(size) : NULL;
	struct proc_path path;
	scope_fd int fd = -1;
	struct statx stx;

	if (size && !value) {
		op_fail(req, ENOMEM);
		return;
	}
	if (virtual_xattr_is(name) && xattr_reply_virtual(req, ino, name, size))
		return;
	fd = passthrough_reach(passthrough_of(req), ino, O_PATH, NULL, &stx);
	if (fd < 0) {
		op_fail(req, -fd);
		return;
	}
	path = proc_path(fd);
	xattr_reply(req, size, value, getxattr(path.text, name, value, size));
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	scope_free char *names = malloc(XATTR_LIST_MAX);
	struct proc_path path;
	scope_fd int fd = -1;
	struct statx stx;
	ssize_t len;

	if (!names) {
		op_fail(req, ENOMEM);
		return;
	}
	fd = passthrough_reach(passthrough_of(req), ino, O_PATH, NULL, &stx);
	if (fd < 0) {
		op_fail(req, -fd);
		return;
	}
	path = proc_path(fd);
	len = listxattr(path.text, names, XATTR_LIST_MAX);
	if (len > 0 && fuse_req_ctx(req)->uid != 0)
		len = (ssize_t)xattr_drop_trusted(names, (size_t)len);
	xattr_reply(req, size, names, len);
}
