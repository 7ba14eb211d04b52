/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GETXATTR, LISTXATTR.
 *
 * Bytecode files have attributes in the mount only, which say what canonfs decided:
 *
 *	user.canonfs.verdict		"restamped"
 *	user.canonfs.reason		"canonical"
 *	user.canonfs.original-header	the header as it is on disk, in hexadecimal
 *
 * They are not listed, so that copies (cp -a, rsync -X, tar --xattrs) stay clean. An
 * attribute of such a name that the source itself has is hidden by them, on bytecode only.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/fdio.h"
#include "base/hex.h"
#include "base/scope.h"
#include "fs/front/served.h"

#define XATTR_PREFIX "user.canonfs."

/* Bytes of a value. */
#define XATTR_VALUE_MAX 64

static const char *const xattr_names[] = {"verdict", "reason", "original-header"};
enum { XATTR_VERDICT, XATTR_REASON, XATTR_ORIGINAL_HEADER };

_Static_assert(XATTR_VALUE_MAX >= HEX_SIZE(PYC_HEADER_MAX), "a header in hexadecimal fits");

/* Index in xattr_names[]; -1 for another name. */
static int xattr_virtual_index(const char *name)
{
	if (strncmp(name, XATTR_PREFIX, strlen(XATTR_PREFIX)) != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(xattr_names); i++)
		if (strcmp(name + strlen(XATTR_PREFIX), xattr_names[i]) == 0)
			return (int)i;
	return -1;
}

/* As many bytes as its layout has; of an unknown one, as many as the longest has. */
static ssize_t xattr_original_header(int fd, const struct resolution *resolution,
				     char *ret_value)
{
	const struct pyc_facts *facts = &resolution->facts;
	size_t size = facts->header_status == PYC_HEADER_OK
			      ? facts->header.magic->header_size
			      : PYC_HEADER_MAX;
	uint8_t raw[PYC_HEADER_MAX];
	ssize_t n = pread_full(fd, raw, size, 0);

	if (n < 0)
		return n;
	hex_encode(raw, (size_t)n, ret_value);
	return 2 * n;
}

/*
 * The value of one of these attributes; no terminator is part of it. Return: its length;
 * -ENODATA where the node is no bytecode file, or the attribute another one; -errno.
 */
static ssize_t xattr_virtual_get(struct passthrough *passthrough, uint64_t id,
				 const char *name, char ret_value[XATTR_VALUE_MAX])
{
	int index = xattr_virtual_index(name);
	struct resolution resolution;
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;
	const char *text;
	int r;

	if (index < 0)
		return -ENODATA;
	fd = passthrough_open(passthrough, id, O_PATH, &path, &stx);
	if (fd < 0)
		return fd;
	if (!S_ISREG(stx.stx_mode) || !pyc_name_is_bytecode(path))
		return -ENODATA;
	close_fd(&fd);
	free(take_ptr(path));
	/* The file may be another by now: everything is asked of this descriptor. */
	fd = passthrough_open(passthrough, id, O_RDONLY | O_NONBLOCK, &path, &stx);
	if (fd < 0)
		return fd;
	r = resolve_pyc(passthrough->front.resolver,
			&(struct pyc_question){
				.path = path, .fd = fd, .stx = &stx, .source_dir = -1},
			&resolution);
	if (r < 0)
		return r == -EINVAL ? -ENODATA : r;
	if (index == XATTR_ORIGINAL_HEADER)
		return xattr_original_header(fd, &resolution, ret_value);
	text = index == XATTR_VERDICT ? pyc_verdict_name(resolution.decision.verdict)
				      : pyc_reason_name(resolution.decision.reason);
	return snprintf(ret_value, XATTR_VALUE_MAX, "%s", text);
}

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
	char value[XATTR_VALUE_MAX];
	ssize_t len = xattr_virtual_get(passthrough_of(req), ino, name, value);

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
	if (xattr_reply_virtual(req, ino, name, size))
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
