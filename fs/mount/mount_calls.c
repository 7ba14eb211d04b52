/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thin wrappers; see mount_calls.h.
 */
#include "fs/mount/mount_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/scope.h"

/* <linux/mount.h> and <sys/mount.h> cannot both be included with glibc before 2.36. */
enum {
	CALL_FSOPEN_CLOEXEC = 1,
	CALL_FSMOUNT_CLOEXEC = 1,
	CALL_SET_FLAG = 0,
	CALL_SET_STRING = 1,
	CALL_CREATE = 6,
	CALL_MOVE_FROM_DESCRIPTOR = 4,
	CALL_OPEN_TREE_CLONE = 1,
	CALL_READ_ONLY = 1,
	CALL_NO_SUID = 2,
	CALL_NO_DEVICES = 4,
};

/* struct mount_attr */
struct call_mount_attributes {
	uint64_t set;
	uint64_t clear;
	uint64_t propagation;
	uint64_t user_namespace;
};

static int mount_configure(int context, unsigned command, const char *key,
			   const char *value)
{
	return syscall(SYS_fsconfig, context, command, key, value, 0) < 0 ? -errno : 0;
}

/* "key=value" or "flag" */
static int mount_set_option(int context, const char *option)
{
	scope_free char *key = strdup(option);
	char *value = key ? strchr(key, '=') : NULL;

	if (!key)
		return -ENOMEM;
	if (!value)
		return mount_configure(context, CALL_SET_FLAG, key, NULL);
	*value++ = '\0';
	return mount_configure(context, CALL_SET_STRING, key, value);
}

int mount_detached(const char *type, const char *const *options)
{
	scope_fd int context = (int)syscall(SYS_fsopen, type, CALL_FSOPEN_CLOEXEC);
	int r = context < 0 ? -errno : 0;
	int mount;

	for (; r == 0 && *options; options++)
		r = mount_set_option(context, *options);
	if (r == 0)
		r = mount_configure(context, CALL_CREATE, NULL, NULL);
	if (r < 0)
		return r;
	mount = (int)syscall(SYS_fsmount, context, CALL_FSMOUNT_CLOEXEC, 0);
	return mount < 0 ? -errno : mount;
}

int mount_move(int mount, const char *point)
{
	return syscall(SYS_move_mount, mount, "", AT_FDCWD, point,
		       CALL_MOVE_FROM_DESCRIPTOR) < 0
		       ? -errno
		       : 0;
}

int mount_clone_read_only(const char *path)
{
	static const struct call_mount_attributes attributes = {
		.set = CALL_READ_ONLY | CALL_NO_SUID | CALL_NO_DEVICES,
		.propagation = MS_PRIVATE,
	};
	scope_fd int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
				       CALL_OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);

	if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE,
			      &attributes, sizeof(attributes)) < 0)
		return -errno;
	return take_fd(&fd);
}

static int mount_make_private(void)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

/*
 * From the namespace's own root, where setns(2) leads, and back: only mounts can be made
 * private, and in a chroot "/" need not be one.
 */
static int mount_make_private_from_above(void)
{
	scope_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int r;

	if (root < 0 || here < 0 || namespace < 0 || setns(namespace, CLONE_NEWNS) < 0)
		return -errno;
	r = mount_make_private();
	if (fchdir(root) < 0 || chroot(".") < 0 || fchdir(here) < 0)
		return -errno;
	return r;
}

int mount_unshare(void)
{
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	r = mount_make_private();
	return r == -EINVAL ? mount_make_private_from_above() : r;
}
