/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the path of a pyc to that of its source; see pairing.h.
 */
#include "cache/tree/pairing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"

/* Length of the directory part of the first @len bytes, without its slash; 0 for none. */
static size_t pairing_dir_length(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

static bool pairing_ends_in_cache_dir(const char *path, size_t len)
{
	static const size_t cache_len = sizeof(PYC_CACHE_DIR) - 1;

	return len >= cache_len && (len == cache_len || path[len - cache_len - 1] == '/') &&
	       memcmp(path + len - cache_len, PYC_CACHE_DIR, cache_len) == 0;
}

enum pyc_placement pairing_name(const char *path, struct pyc_name *ret_name)
{
	size_t dir = pairing_dir_length(path, strlen(path));

	return pyc_name_parse(path_last(path), pairing_ends_in_cache_dir(path, dir),
			      ret_name);
}

int pairing_source(const char *path, const struct pyc_name *name, char **ret_path)
{
	size_t dir = pairing_dir_length(path, strlen(path));
	char source[PYC_NAME_MAX + 1];
	char *joined;

	if (!pyc_name_source(name, source))
		return -ENOENT;
	if (name->placement != PYC_PLACE_LEGACY)
		dir = pairing_dir_length(path, dir);
	if (asprintf(&joined, "%.*s%s%s", (int)dir, path, dir ? "/" : "", source) < 0)
		return -ENOMEM;
	*ret_path = joined;
	return 0;
}
