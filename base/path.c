/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking paths apart and putting them together; see path.h.
 */
#include "base/path.h"

#include <stdio.h>
#include <string.h>

const char *path_below(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	if (strncmp(path, dir, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

const char *path_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *path_join(const char *dir, const char *name)
{
	char *path;

	if (strcmp(dir, ".") == 0)
		return strdup(name);
	if (strcmp(dir, "/") == 0)
		dir = "";
	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

char *path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}
