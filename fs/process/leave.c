/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount namespace with little in it; see leave.h.
 */
#include "fs/process/leave.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/mount_calls.h"
#include "fs/mount/mountinfo.h"

/* The mounts on the way to the cache, but not through one of our kind. */
static bool leave_leads_to(const struct mount_entry *entry, const char *path)
{
	return path && path_below(path, entry->point) && !entry->ours;
}

/* Those at the places that the worker has a use for. */
static bool leave_is_kept(const struct mount_entry *entry, const char *cache)
{
	static const char *const kept[] = {"/", "/proc", "/dev", "/run"};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (strcmp(entry->point, kept[i]) == 0)
			return true;
	return leave_leads_to(entry, cache);
}

/* Of a mount that comes before those that are not looked at yet. */
static bool leave_is_left(const struct mountinfo *list, const bool *left, unsigned id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->entry[i].id == id)
			return left[i];
	return false;
}

void leave_mounts(const char *cache)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	scope_free bool *left = NULL;

	if (mount_unshare() < 0 || mountinfo_read(&list) < 0)
		return;
	left = calloc(list.count, sizeof(*left));
	if (!left)
		return;
	/*
	 * Whatever is upon a mount to be left goes with it. The list is of a new mount
	 * namespace, where a mount stands behind the one that it is upon (the kernel's
	 * copy_tree()).
	 */
	for (size_t i = 0; i < list.count; i++)
		left[i] = !leave_is_kept(&list.entry[i], cache) ||
			  leave_is_left(&list, left, list.entry[i].parent);
	/*
	 * From the end, so that a path leads to the mount that is meant. One that cannot be
	 * left (locked by a user namespace) stays, and what it hides may stay with it.
	 */
	for (size_t i = list.count; i-- > 0;)
		if (left[i])
			umount2(list.entry[i].point, MNT_DETACH | UMOUNT_NOFOLLOW);
}
