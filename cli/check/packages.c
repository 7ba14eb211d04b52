/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lists of dpkg; see packages.h. Sixteen bytes for each source, not its path:
 * systems have tens of thousands.
 */
#include "cli/check/packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cache/tree/digest.h"
#include "pyc/names.h"

#define DPKG_INFO   "var/lib/dpkg/info"
#define LIST_SUFFIX ".list"

struct file {
	uint64_t hash; /* of its path */
	size_t package;
};

struct packages {
	struct file *file; /* sorted */
	size_t file_count;
	size_t file_capacity;
	char **name;
	size_t name_count;
};

void packages_free(struct packages *packages)
{
	if (!packages)
		return;
	for (size_t i = 0; i < packages->name_count; i++)
		free(packages->name[i]);
	free(packages->name);
	free(packages->file);
	free(packages);
}

/* /lib is /usr/lib on merged systems, whatever the list says. */
static uint64_t hash_path(const char *path)
{
	if (strncmp(path, "/usr/", 5) == 0)
		path += 4;
	return digest_of(path, strlen(path)).low;
}

static int add_file(struct packages *packages, const char *path)
{
	if (packages->file_count == packages->file_capacity) {
		size_t capacity = 2 * packages->file_capacity + 1024;
		struct file *grown = reallocarray(packages->file, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		packages->file = grown;
		packages->file_capacity = capacity;
	}
	packages->file[packages->file_count++] = (struct file){
		.hash = hash_path(path),
		.package = packages->name_count - 1,
	};
	return 0;
}

/* "python3-six.list", "libpython3.11:amd64.list": the name up to the architecture. */
static int add_name(struct packages *packages, const char *list)
{
	char **grown =
		reallocarray(packages->name, packages->name_count + 1, sizeof(*grown));
	size_t len = strcspn(list, ":");

	if (!grown)
		return -ENOMEM;
	packages->name = grown;
	if (len == strlen(list))
		len -= strlen(LIST_SUFFIX);
	grown[packages->name_count] = strndup(list, len);
	return grown[packages->name_count] ? (packages->name_count++, 0) : -ENOMEM;
}

static int read_list(struct packages *packages, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	scope_free char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int r;

	if (!stream) {
		close_fd(&fd);
		return 0; /* counts as nobody's */
	}
	r = add_name(packages, name);
	while (r == 0 && (len = getline(&line, &size, stream)) >= 0) {
		if (len > 0 && line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (pyc_name_is_source(line))
			r = add_file(packages, line);
	}
	fclose(stream);
	return r;
}

static bool is_list(const char *name)
{
	size_t len = strlen(name), suffix = strlen(LIST_SUFFIX);

	return len > suffix && strcmp(name + len - suffix, LIST_SUFFIX) == 0;
}

static int compare(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static int read_all(struct packages *packages, DIR *dir)
{
	struct dirent *entry;
	int r = 0;

	while (r == 0 && (entry = readdir(dir)))
		if (is_list(entry->d_name))
			r = read_list(packages, dirfd(dir), entry->d_name);
	if (packages->file_count)
		qsort(packages->file, packages->file_count, sizeof(*packages->file),
		      compare);
	return r;
}

int packages_load(int root_fd, struct packages **ret_packages)
{
	int fd = openat2_fd(root_fd, DPKG_INFO, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct packages *packages = calloc(1, sizeof(*packages));
	int r = fd < 0 ? fd : -ENOMEM;

	if (dir && packages)
		r = read_all(packages, dir);
	if (dir)
		closedir(dir);
	else
		close_fd(&fd);
	if (r < 0) {
		packages_free(packages);
		return r;
	}
	*ret_packages = packages;
	return 0;
}

const char *packages_find(const struct packages *packages, const char *dir,
			  const char *name)
{
	scope_free char *path = NULL;
	const struct file *file;
	struct file key;

	if (!packages || packages->file_count == 0)
		return NULL;
	if (asprintf(&path, "%s/%s", strcmp(dir, "/") ? dir : "", name) < 0) {
		path = NULL;
		return NULL;
	}
	key = (struct file){.hash = hash_path(path)};
	file = bsearch(&key, packages->file, packages->file_count, sizeof(key), compare);
	return file ? packages->name[file->package] : NULL;
}
