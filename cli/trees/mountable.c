/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guessing trees from paths and mounts; see mountable.h.
 */
#include "cli/trees/mountable.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/mountinfo.h"

static bool mountable_is_read_only(const char *point)
{
	struct statvfs st;

	return statvfs(point, &st) == 0 && (st.f_flag & ST_RDONLY);
}

/* Is @name there, and not a directory? A link counts, wherever it leads. */
static bool mountable_has_file(const char *root, const char *folder, const char *name)
{
	scope_free char *host = path_join(root, folder + 1);
	scope_free char *path = host ? path_join(host, name) : NULL;
	struct statx stx;

	return path && statx_at(AT_FDCWD, path, &stx) == 0 && !S_ISDIR(stx.stx_mode);
}

/*
 * The length of the path of the mount that holds a folder; 0 for the mount of the root.
 * @ret_point: that path for us, the caller's; written unless it is 0
 */
static size_t mountable_mount(const char *root, const char *folder, char **ret_point)
{
	scope_free char *path = strdup(folder);

	while (path && path[0] && strcmp(path, "/") != 0) {
		scope_free char *host = path_join(root, path + 1);
		struct statx stx;

		if (host && statx_at(AT_FDCWD, host, &stx) == 0 &&
		    (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT)) {
			*ret_point = take_ptr(host);
			return strlen(path);
		}
		*strrchr(path, '/') = '\0';
	}
	return 0;
}

/* The length of @path up to its first component "usr"; 0 for none. */
static size_t mountable_usr(const char *path)
{
	for (const char *at = strstr(path, "/usr"); at; at = strstr(at + 1, "/usr"))
		if (at[4] == '/' || at[4] == '\0')
			return (size_t)(at + 4 - path);
	return 0;
}

/* The length of PREFIX in PREFIX/lib/python3.11, PREFIX/lib64/pypy3.9; 0 for none. */
static size_t mountable_prefix(const char *path)
{
	static const char *const libraries[] = {"/lib/python", "/lib64/python", "/lib/pypy",
						"/lib64/pypy"};
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++) {
		const char *found = strstr(path, libraries[i]);

		if (found && (!first || found < first))
			first = found;
	}
	return first ? (size_t)(first - path) : 0;
}

/* The length of the folder above the packages that @folder is in; all of it in none. */
static size_t mountable_packages(const char *root, const char *folder)
{
	scope_free char *path = strdup(folder);

	while (path && path[0] && mountable_has_file(root, path, "__init__.py"))
		*strrchr(path, '/') = '\0';
	return path ? strlen(path) : 0;
}

char *mountable_tree(const char *root, const char *folder)
{
	scope_free char *point = NULL;
	size_t mount = mountable_mount(root, folder, &point);
	size_t len;

	if (mount > 0 && mount_is_ours(point, NULL))
		return strndup(folder, mount);
	len = mountable_usr(folder);
	if (len == 0 || len < mount)
		len = mountable_prefix(folder);
	if (len > 0 && len >= mount)
		return strndup(folder, len);
	if (mount > 0 && mountable_is_read_only(point))
		return strndup(folder, mount);
	len = mountable_packages(root, folder);
	if (len < mount)
		len = mount;
	return strndup(folder, len ? len : 1);
}
