/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recognising ostree deployments; see ostree.h.
 *
 * A deployment is SYSROOT/ostree/deploy/OSNAME/deploy/CHECKSUM.SERIAL, and beside it lies
 * CHECKSUM.SERIAL.origin. Only its usr is never written to: etc is the machine's own. On a
 * running system /usr is a bind mount, so its path says nothing. The mount's root does.
 */
#include "fs/mount/ostree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"

#define OSTREE_CHECKSUM_DIGITS 64

/* The end of "CHECKSUM.SERIAL" at the beginning of @text; NULL where that is another text.
 */
static const char *ostree_skip_name(const char *text)
{
	size_t digits;

	if (strspn(text, "0123456789abcdef") != OSTREE_CHECKSUM_DIGITS)
		return NULL;
	text += OSTREE_CHECKSUM_DIGITS;
	digits = *text == '.' ? strspn(text + 1, "0123456789") : 0;
	return digits > 0 ? text + 1 + digits : NULL;
}

/*
 * The end of the deployment's directory in @path, whose next component is usr; NULL for
 * another path.
 */
static const char *ostree_deployment_end(const char *path)
{
	static const char deploy[] = "/ostree/deploy/";
	const char *start = strstr(path, deploy);
	const char *name = start ? strchr(start + strlen(deploy), '/') : NULL;
	const char *end = NULL;

	if (name && strncmp(name, "/deploy/", strlen("/deploy/")) == 0)
		end = ostree_skip_name(name + strlen("/deploy/"));
	return end && path_below(end, "/usr") ? end : NULL;
}

/* @rest begins with a slash, or is "". */
static char *ostree_join(const char *dir, const char *rest)
{
	char *path;

	return asprintf(&path, "%s%s", strcmp(dir, "/") ? dir : "", rest) < 0 ? NULL : path;
}

/* Nobody but root writes to it. */
static bool ostree_is_roots(const struct statx *stx)
{
	return stx->stx_uid == 0 && !(stx->stx_mode & (S_IWGRP | S_IWOTH));
}

/* @path, of a deployment as this process sees it, is on the mount @id, with its origin. */
static bool ostree_is_deployment(const char *path, uint64_t id)
{
	scope_fd int dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scope_free char *origin = ostree_join(path, ".origin");
	struct statx stx;

	if (dir < 0 || !origin || statx_mount_id(dir) != id ||
	    statx_at(dir, "", &stx) < 0 || !ostree_is_roots(&stx))
		return false;
	return statx_at(AT_FDCWD, origin, &stx) == 0 && S_ISREG(stx.stx_mode) &&
	       ostree_is_roots(&stx);
}

/* Looks for @path, of a deployment in its file system, through a mount of that. */
static bool ostree_is_there(const struct mount_entry *mount, const char *path)
{
	const char *rest = path_below(path, mount->root);
	/* The mount has to show what lies beside the deployment, too. */
	scope_free char *seen = rest && *rest ? ostree_join(mount->point, rest) : NULL;

	return seen && ostree_is_deployment(seen, mount->id);
}

bool ostree_is_deployed_usr(const struct mountinfo *list, const struct mount_entry *entry,
			    const char *path)
{
	const char *rest = path_below(path, entry->point);
	scope_free char *inside = rest ? ostree_join(entry->root, rest) : NULL;
	const char *end = inside ? ostree_deployment_end(inside) : NULL;

	if (!end)
		return false;
	inside[end - inside] = '\0';
	for (size_t i = 0; i < list->count; i++)
		if (list->entry[i].device == entry->device &&
		    ostree_is_there(&list->entry[i], inside))
			return true;
	return false;
}
