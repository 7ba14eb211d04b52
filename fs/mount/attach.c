/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount(2), umount2(2) and fusermount3; see attach.h.
 */
#include "fs/mount/attach.h"

#define FUSE_USE_VERSION 310
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "fs/mount/mountinfo.h"

extern char **environ;

/* Of the kernel's devices.txt. */
#define FUSE_DEVICE makedev(10, 229)

int fuse_device_open(struct reason *ret_why)
{
	scope_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int error = errno;
	struct stat st;

	if (fd < 0 && (error == ENOENT || error == ENODEV || error == ENXIO))
		return reason_set(
			ret_why, -error,
			"'/dev/fuse' is not there: load the kernel's fuse module (modprobe "
			"fuse), or give the container the device (--device /dev/fuse)");
	if (fd < 0)
		return reason_set_errno(ret_why, -error, "cannot open '/dev/fuse'");
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != FUSE_DEVICE)
		return reason_set(ret_why, -ENODEV, "'/dev/fuse' is not a FUSE device");
	return take_fd(&fd);
}

/* The kernel's own mount. -EPERM, unlogged, is for the caller to try another way. */
static int attach_by_mount(const struct mount_options *options, const char *source,
			   const char *point, int fuse_fd)
{
	unsigned long flags = (MS_RDONLY | options->set_flags) & ~options->cleared_flags;
	scope_free char *data = NULL;

	if (asprintf(&data,
		     "fd=%d,rootmode=40000,user_id=%u,group_id=%u,allow_other,"
		     "default_permissions%s",
		     fuse_fd, getuid(), getgid(),
		     options->context ? options->context : "") < 0) {
		data = NULL;
		return -ENOMEM;
	}
	return mount(source, point, MOUNT_TYPE, flags | MS_RDONLY, data) < 0 ? -errno : 0;
}

/* A value in a list of mount options: commas and backslashes are escaped. */
static char *attach_escape(const char *text)
{
	char *escaped = malloc(2 * strlen(text) + 1);
	char *out = escaped;

	if (!escaped)
		return NULL;
	for (; *text; text++) {
		if (*text == ',' || *text == '\\')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
	return escaped;
}

/* libfuse talks to the setuid fusermount3, which reports its own errors. */
static int attach_by_fusermount(const struct mount_options *options, const char *source,
				const char *point, int *ret_fd)
{
	scope_free char *name = attach_escape(source);
	scope_free char *list = NULL;
	int fd;

	if (!name)
		return -ENOMEM;
	if (asprintf(&list,
		     "ro,nosuid,nodev,%sdefault_permissions,subtype=canonfs,fsname=%s%s",
		     options->set_flags & MS_NOEXEC ? "noexec," : "", name,
		     options->allow_other ? ",allow_other" : "") < 0) {
		list = NULL;
		return -ENOMEM;
	}
	fd = fuse_open_channel(point, list);
	if (fd < 0) {
		log_error(
			"cannot mount on %s: fusermount3 refused (as an ordinary user, the "
			"directory must be yours and the package fuse3 installed)",
			quoted(point));
		return -EPERM;
	}
	*ret_fd = fd;
	return 0;
}

int attach(const struct mount_options *options, const char *source, const char *point,
	   int *ret_fd)
{
	struct reason why;
	scope_fd int fd = fuse_device_open(&why);
	int r;

	if (fd < 0) {
		log_error("%s", why.text);
		return fd;
	}
	r = attach_by_mount(options, source, point, fd);
	if (r == 0) {
		*ret_fd = take_fd(&fd);
		return 0;
	}
	if (r == -EPERM)
		return attach_by_fusermount(options, source, point, ret_fd);
	log_error("cannot mount on %s: %s", quoted(point), strerror(-r));
	return r;
}

/*
 * By way of the mount, not the super block (MS_BIND): that one must stay read-only, or
 * pages that nobody could write back could be changed in the page cache.
 */
int reattach(const struct mount_options *options, const char *point)
{
	scope_free char *path = realpath(point, NULL);
	struct statvfs now;
	unsigned long flags;
	int r;

	if (!path || !mount_is_ours(path, NULL)) {
		log_error("%s is not a canonfs mount", quoted(point));
		return -EINVAL;
	}
	if (statvfs(path, &now) < 0) {
		r = -errno;
		log_error("cannot look at %s: %s", quoted(point), strerror(-r));
		return r;
	}
	/* The ST_ flags that are kept have the values of their MS_ flags. */
	flags = now.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC);
	flags = (flags | options->set_flags) & ~options->cleared_flags;
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) == 0)
		return 0;
	r = -errno;
	log_error("cannot remount %s: %s", quoted(point), strerror(-r));
	return r;
}

/* Whose mount is at @point? False where nobody can tell. */
static bool detach_is_own(const char *point)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *top =
		mountinfo_read(&list) < 0 ? NULL : mountinfo_top(&list, point);

	return top && top->user_id == getuid();
}

static int detach_by_fusermount(const char *point, bool lazy)
{
	const char *argv[] = {"fusermount3",	   "-u",
			      lazy ? "-z" : "--",  lazy ? "--" : point,
			      lazy ? point : NULL, NULL};
	char *const *arguments = (char *const *)(uintptr_t)argv;
	int status;
	pid_t pid;
	int r = posix_spawnp(&pid, argv[0], NULL, NULL, arguments, environ);

	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int detach(const char *point, bool lazy)
{
	if (umount2(point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	return detach_is_own(point) ? detach_by_fusermount(point, lazy) : -EPERM;
}
