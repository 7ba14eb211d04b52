/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends mounts, and waits for their servers; see mount.h.
 */
#include "cli/mount/mount.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/print/shown.h"
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

/* The server goes on as long as its mount shows anywhere, as where it was bound to. */
static bool umount_is_shown(uint64_t device)
{
	scope_mountinfo struct mountinfo list = {.count = 0};

	(void)mountinfo_read(&list);
	for (size_t i = 0; i < list.count; i++)
		if (list.entry[i].device == device)
			return true;
	return false;
}

/* As detach(), and waits for the end of the server. */
static int umount_point(const char *point, uint64_t device, bool lazy)
{
	scope_fd int server = lazy ? -1 : umount_find_server(device);
	int r = detach(point, lazy);

	if (r == 0 && !umount_is_shown(device))
		umount_wait_for_end(server);
	return r;
}

static int umount_fail(const char *path, int error)
{
	if (error == -EBUSY)
		log_error("%s is in use: end its users (fuser -vm), or unmount with -l",
			  quoted(path));
	else
		log_error("cannot unmount %s: %s", quoted(path), strerror(-error));
	return EXIT_MOUNT_FAILURE;
}

int umount_run(const char *path, bool lazy)
{
	scope_free char *point = NULL;
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
	r = umount_point(point, device, lazy);
	return r < 0 ? umount_fail(path, r) : 0;
}

/* ---- all of them ---- */

/* The path of a hidden mount leads to what hides it, and that must not be unmounted. */
#define UMOUNT_HIDDEN 1

/*
 * Tries each mount, the newest first, so that those on others go before them.
 * @ret_results: of each entry that is ours: as detach(), or UMOUNT_HIDDEN
 * Return: how many have ended.
 */
static size_t umount_each(const struct mountinfo *list, bool lazy, int *ret_results)
{
	size_t ended = 0;

	for (size_t i = list->count; i-- > 0;) {
		const struct mount_entry *entry = &list->entry[i];

		ret_results[i] = UMOUNT_HIDDEN;
		if (!entry->ours || mountinfo_top(list, entry->point) != entry)
			continue;
		ret_results[i] = umount_point(entry->point, entry->device, lazy);
		if (ret_results[i] == 0) {
			printf("%s: unmounted\n", shown(entry->point));
			ended++;
		}
	}
	return ended;
}

/*
 * Says why the rest stays. No line and no failure is: a mount of another user (EPERM), and
 * one that came with this mount namespace, which only its giver can take away (EINVAL).
 */
static int umount_report_rest(const struct mountinfo *list, const int *results)
{
	int status = 0;

	for (size_t i = list->count; i-- > 0;) {
		const char *point = list->entry[i].point;

		if (!list->entry[i].ours || results[i] == -EPERM || results[i] == -EINVAL)
			continue;
		if (results[i] == UMOUNT_HIDDEN) {
			log_error("%s is hidden by another mount: end that one first",
				  quoted(point));
			status = EXIT_MOUNT_FAILURE;
		} else {
			status = umount_fail(point, results[i]);
		}
	}
	return status;
}

int umount_all(bool lazy)
{
	for (;;) {
		scope_mountinfo struct mountinfo list = {.count = 0};
		scope_free int *results = NULL;
		int r = mountinfo_read(&list);

		results = calloc(list.count + 1, sizeof(*results));
		if (r < 0 || !results) {
			log_error("cannot list the mounts: %s",
				  strerror(r < 0 ? -r : ENOMEM));
			return EXIT_MOUNT_FAILURE;
		}
		/* The end of one mount may show another, or leave it without users. */
		if (umount_each(&list, lazy, results) == 0)
			return umount_report_rest(&list, results);
	}
}
