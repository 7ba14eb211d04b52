/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends a mount, and waits for its server; see mount.h.
 */
#include "cli/mount/mount.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/attach.h"
#include "fs/mount/mountinfo.h"
#include "fs/process/supervisor.h"

/* The server writes its last rows in much less time. */
#define SERVER_END_MS 5000

/*
 * The absolute path of the mount point, the caller's. Where the server is gone, a look at
 * the last component fails: then only its parent is resolved.
 */
static int umount_resolve_point(const char *path, char **ret_point)
{
	scope_free char *trimmed = NULL;
	scope_free char *parent = NULL;
	scope_free char *real = NULL;
	size_t len;

	*ret_point = realpath(path, NULL);
	if (*ret_point)
		return 0;
	if (errno != ENOTCONN && errno != EACCES)
		return -errno;
	trimmed = strdup(path);
	len = trimmed ? strlen(trimmed) : 0;
	while (len > 1 && trimmed[len - 1] == '/')
		trimmed[--len] = '\0';
	parent = trimmed ? path_parent(trimmed) : NULL;
	real = parent ? realpath(parent, NULL) : NULL;
	if (parent && !real)
		return -errno;
	*ret_point = real ? path_join(real, path_last(trimmed)) : NULL;
	return *ret_point ? 0 : -ENOMEM;
}

/*
 * A pidfd of the mount's server, the peer of the control socket; -1 where it is not known.
 * This has to come before the unmount, which ends the socket.
 */
static int umount_find_server(uint64_t device)
{
	struct known_mounts mounts;
	struct ucred server;
	socklen_t size = sizeof(server);
	int pidfd = -1;

	if (mounts_find(&mounts) == 0) {
		for (size_t i = 0; i < mounts.count && pidfd < 0; i++)
			if (mounts.mounts[i].device == device &&
			    mount_connect(&mounts.mounts[i]) &&
			    getsockopt(mounts.mounts[i].fd, SOL_SOCKET, SO_PEERCRED,
				       &server, &size) == 0 &&
			    server.pid > 0)
				pidfd = (int)syscall(SYS_pidfd_open, server.pid, 0);
	}
	mounts_free(&mounts);
	return pidfd;
}

/*
 * The server holds the cache to its end. Without this wait, a mount or a command right
 * after the unmount would get none.
 */
static void umount_wait_for_end(int server)
{
	struct pollfd end = {.fd = server, .events = POLLIN};

	if (server >= 0)
		(void)poll(&end, 1, SERVER_END_MS);
}

int umount_run(const char *path, bool lazy)
{
	scope_free char *point = NULL;
	scope_fd int server = -1;
	uint64_t device;
	int r = umount_resolve_point(path, &point);

	if (r < 0) {
		log_error("cannot find MOUNTPOINT %s: %s", quoted(path), strerror(-r));
		return EXIT_MOUNT_FAILURE;
	}
	if (!mount_is_ours(point, &device)) {
		log_error("%s is not a canonfs mount", quoted(path));
		return EXIT_MOUNT_FAILURE;
	}
	server = lazy ? -1 : umount_find_server(device);
	r = detach(point, lazy);
	if (r == 0)
		umount_wait_for_end(server);
	if (r == -EBUSY)
		log_error("%s is in use: end its users (fuser -vm), or unmount with -l",
			  quoted(path));
	else if (r < 0)
		log_error("cannot unmount %s: %s", quoted(path), strerror(-r));
	return r < 0 ? EXIT_MOUNT_FAILURE : 0;
}
