/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Temporary folders of tests; see scratch.h.
 */
#include "tests/unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void scratch_make(char ret_path[SCRATCH_MAX], const char *name)
{
	int n = snprintf(ret_path, SCRATCH_MAX, "/tmp/canonfs-%s-XXXXXX", name);

	assert_in_range(n, 1, SCRATCH_MAX - 1);
	assert_non_null(mkdtemp(ret_path));
}

/* By descriptors, since paths of tests may be longer than the kernel takes. */
static void remove_all(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    unlinkat(fd, entry->d_name, 0) < 0)
			remove_all(fd, entry->d_name);
	if (stream)
		closedir(stream);
	unlinkat(dir, name, AT_REMOVEDIR);
}

void scratch_remove(const char *path)
{
	remove_all(AT_FDCWD, path);
	assert_int_equal(access(path, F_OK), -1);
}
