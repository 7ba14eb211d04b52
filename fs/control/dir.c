/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directories of control sockets; see dir.h.
 */
#include "fs/control/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/listing.h"
#include "base/scope.h"

/* Connections that wait to be accepted. */
#define BACKLOG 128

static const char *control_environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

/* The next path to be written. */
static char *control_dirs_next(struct control_dirs *dirs)
{
	return dirs->path[dirs->count++];
}

struct control_dirs control_dirs_of(uid_t owner)
{
	const char *runtime = control_environment("RUNTIME_DIRECTORY");
	const char *user_runtime = control_environment("XDG_RUNTIME_DIR");
	struct control_dirs dirs = {.count = 0};

	if (runtime && owner == geteuid()) {
		snprintf(control_dirs_next(&dirs), PATH_MAX, "%.*s",
			 (int)strcspn(runtime, ":"), runtime);
	} else if (owner == 0) {
		snprintf(control_dirs_next(&dirs), PATH_MAX, "/run/canonfs");
	} else {
		if (user_runtime && owner == geteuid())
			snprintf(control_dirs_next(&dirs), PATH_MAX, "%s/canonfs",
				 user_runtime);
		snprintf(control_dirs_next(&dirs), PATH_MAX, "/run/user/%u/canonfs", owner);
		snprintf(control_dirs_next(&dirs), PATH_MAX, "/tmp/canonfs-%u", owner);
	}
	return dirs;
}

int control_dir_open(const char *path, uid_t owner, bool make)
{
	scope_fd int fd = -1;
	struct stat st;

	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != owner || st.st_mode & (S_IRWXG | S_IRWXO))
		return -EPERM;
	return take_fd(&fd);
}

void control_name(uint64_t device, char *ret_name)
{
	snprintf(ret_name, CONTROL_NAME_MAX, "%u:%u", major(device), minor(device));
}

bool control_name_parse(const char *name, uint64_t *ret_device)
{
	char again[CONTROL_NAME_MAX];
	unsigned major, minor;

	if (sscanf(name, "%u:%u", &major, &minor) != 2)
		return false;
	*ret_device = makedev(major, minor);
	control_name(*ret_device, again);
	return strcmp(name, again) == 0;
}

/* The address of a name in an open directory, which may lie deeper than an address holds.
 */
static struct sockaddr_un control_address(int dir_fd, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd,
		 name);
	return address;
}

static int control_new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/*
 * Who cleans up looks twice under this lock. Nobody waits for it, as a holder may be
 * stopped; to unlock what is not locked does nothing.
 */
static bool control_dir_lock(int dir_fd)
{
	return flock(dir_fd, LOCK_EX | LOCK_NB) == 0;
}

int control_dir_listen(int dir_fd, const char *name, uint64_t *ret_inode)
{
	char temporary[CONTROL_NAME_MAX + 16];
	scope_fd int fd = control_new_socket();
	struct sockaddr_un address;
	struct stat st = {0};
	int r = 0;

	if (fd < 0)
		return fd;
	snprintf(temporary, sizeof(temporary), ".%s.%d", name, (int)getpid());
	address = control_address(dir_fd, temporary);
	unlinkat(dir_fd, temporary, 0);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	(void)control_dir_lock(dir_fd);
	if (fchmodat(dir_fd, temporary, 0600, 0) < 0 || listen(fd, BACKLOG) < 0 ||
	    fstatat(dir_fd, temporary, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat(dir_fd, temporary, dir_fd, name) < 0) {
		r = -errno;
		unlinkat(dir_fd, temporary, 0);
	}
	flock(dir_fd, LOCK_UN);
	if (r < 0)
		return r;
	*ret_inode = st.st_ino;
	return take_fd(&fd);
}

void control_dir_remove(int dir_fd, const char *name, uint64_t inode)
{
	struct stat st;

	(void)control_dir_lock(dir_fd);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == inode)
		unlinkat(dir_fd, name, 0);
	flock(dir_fd, LOCK_UN);
}

int control_dir_connect(int dir_fd, const char *name)
{
	struct sockaddr_un address = control_address(dir_fd, name);
	scope_fd int fd = control_new_socket();

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}

static bool control_dir_is_dead(int dir_fd, const char *name)
{
	scope_fd int fd = control_dir_connect(dir_fd, name);

	return fd == -ECONNREFUSED;
}

static bool control_name_is_new(const char *name)
{
	return strncmp(name, CONTROL_NEW_PREFIX, strlen(CONTROL_NEW_PREFIX)) == 0;
}

void control_dir_clean(int dir_fd)
{
	scope_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct listing listing = {.count = 0};
	uint64_t device;

	if (fd >= 0)
		(void)listing_read(&listing, fd);
	for (size_t i = 0; i < listing.count; i++) {
		const char *name = listing.entries[i].name;

		if (!(control_name_parse(name, &device) || control_name_is_new(name)) ||
		    !control_dir_is_dead(dir_fd, name) || !control_dir_lock(dir_fd))
			continue;
		if (control_dir_is_dead(dir_fd, name))
			unlinkat(dir_fd, name, 0);
		flock(dir_fd, LOCK_UN);
	}
	listing_fini(&listing);
}
