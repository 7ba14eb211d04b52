/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owners; see owners.h.
 *
 * Distributions say which files are theirs in NAME-VERSION.dist-info/RECORD (PEP 376, PEP
 * 627), older ones and Debian's in NAME-VERSION.egg-info/top_level.txt. Only the first
 * component matters: that is the directory, or the module, below site-packages.
 */
#include "cli/check/owners.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/check/packages.h"
#include "pyc/names.h"

#define PACKAGES_SUFFIX "-packages"

/* The distribution that a name in a directory of packages belongs to. */
struct claim {
	char *name;	    /* PATH/NAME */
	char *distribution; /* somebody may have borrowed it */
	bool ambiguous;	    /* several claim it */
};

struct owners {
	enum check_by by;
	pthread_rwlock_t lock; /* guards claims; their strings do not change */
	void *claims;
	struct packages *packages; /* does not change once it was read */
};

struct owners *owners_new(enum check_by by)
{
	struct owners *owners = calloc(1, sizeof(*owners));

	if (!owners)
		return NULL;
	owners->by = by;
	pthread_rwlock_init(&owners->lock, NULL);
	return owners;
}

static void claim_free(void *context)
{
	struct claim *claim = context;

	free(claim->name);
	free(claim->distribution);
	free(claim);
}

void owners_free(struct owners *owners)
{
	if (!owners)
		return;
	tdestroy(owners->claims, claim_free);
	packages_free(owners->packages);
	pthread_rwlock_destroy(&owners->lock);
	free(owners);
}

int owners_load_packages(struct owners *owners, int root_fd)
{
	if (owners->packages)
		return 0;
	return packages_load(root_fd, &owners->packages);
}

/* ---- claims ---- */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct claim *)a)->name, ((const struct claim *)b)->name);
}

/* Takes ownership of @name. Whose name two claim is nobody's, as namespace packages. */
static void put_locked(struct owners *owners, char *name, const char *distribution)
{
	struct claim *claim = calloc(1, sizeof(*claim));
	struct claim **node;

	if (!claim) {
		free(name);
		return;
	}
	claim->name = name;
	node = tsearch(claim, &owners->claims, compare);
	if (node && *node == claim) {
		claim->distribution = strdup(distribution);
		return;
	}
	claim_free(claim);
	if (node && (*node)->distribution &&
	    strcmp((*node)->distribution, distribution) != 0)
		(*node)->ambiguous = true;
}

static void put(struct owners *owners, const char *path, const char *name, size_t len,
		const char *distribution)
{
	char *key;

	if (len == 0 || name[0] == '.' || name[0] == '/')
		return;
	if (asprintf(&key, "%s/%.*s", path, (int)len, name) < 0)
		return;
	pthread_rwlock_wrlock(&owners->lock);
	put_locked(owners, key, distribution);
	pthread_rwlock_unlock(&owners->lock);
}

static const char *find(struct owners *owners, const char *key)
{
	const struct claim probe = {.name = (char *)(uintptr_t)key};
	struct claim *const *node;
	const char *distribution;

	pthread_rwlock_rdlock(&owners->lock);
	node = tfind(&probe, &owners->claims, compare);
	distribution = node && !(*node)->ambiguous ? (*node)->distribution : NULL;
	pthread_rwlock_unlock(&owners->lock);
	return distribution;
}

/* ---- what distributions say ---- */

/* RECORD: a line is a path, maybe in double quotes, and more after a comma (PEP 376). */
static void take_record(struct owners *owners, const char *path, char *line,
			const char *distribution)
{
	const char *name = line[0] == '"' ? line + 1 : line;

	/* "m.py" and "m/..." are of interest; "../../bin/m" and metadata are nobody's. */
	put(owners, path, name, strcspn(name, "/,\"\n"), distribution);
}

/* top_level.txt: a line is a module. */
static void take_top_level(struct owners *owners, const char *path, char *line,
			   const char *distribution)
{
	size_t len = strcspn(line, "\r\n");
	char module[PYC_NAME_MAX + 1];

	put(owners, path, line, len, distribution);
	if (len == 0 || len + sizeof(".py") > sizeof(module))
		return;
	snprintf(module, sizeof(module), "%.*s.py", (int)len, line);
	put(owners, path, module, strlen(module), distribution);
}

typedef void take_line_fn(struct owners *owners, const char *path, char *line,
			  const char *distribution);

static int read_lines(struct owners *owners, const struct tree *tree, const char *file,
		      const char *path, const char *distribution, take_line_fn *take)
{
	int fd = tree_openat(tree, file, O_RDONLY | O_NONBLOCK);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	scope_free char *line = NULL;
	size_t size = 0;

	if (!stream) {
		close_fd(&fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (getline(&line, &size, stream) >= 0)
		take(owners, path, line, distribution);
	fclose(stream);
	return 0;
}

static int read_file(struct owners *owners, const struct tree *tree, const char *info,
		     const char *name, const char *path, const char *distribution)
{
	scope_free char *file = path_join(info, name);

	if (!file)
		return -ENOMEM;
	return read_lines(owners, tree, file, path, distribution,
			  strcmp(name, "RECORD") == 0 ? take_record : take_top_level);
}

static bool ends_with(const char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

/* "requests-2.28.1.dist-info" is "requests 2.28.1"; the caller's. */
static char *distribution_of(const char *info)
{
	const char *dash = strchr(info, '-');
	size_t name_len = dash ? (size_t)(dash - info) : strcspn(info, ".");
	const char *version = dash ? dash + 1 : "";
	const char *end = strrchr(version, '.'); /* .dist-info */
	size_t version_len = end ? (size_t)(end - version) : 0;
	const char *python = memmem(version, version_len, "-py", 3); /* eggs' */
	char *text;

	if (python)
		version_len = (size_t)(python - version);
	if (asprintf(&text, "%.*s%s%.*s", (int)name_len, info, version_len ? " " : "",
		     (int)version_len, version) < 0)
		return NULL;
	return text;
}

static void learn(struct owners *owners, const struct tree *tree, const char *dir,
		  const char *name, const char *path)
{
	scope_free char *info = path_join(dir, name);
	scope_free char *distribution = distribution_of(name);

	if (!info || !distribution)
		return;
	if (read_file(owners, tree, info, "RECORD", path, distribution) < 0)
		read_file(owners, tree, info, "top_level.txt", path, distribution);
}

void owners_learn(struct owners *owners, const struct tree *tree,
		  const struct walk_dir *dir, const char *path)
{
	if (owners->by != CHECK_BY_DISTRIBUTION || !ends_with(path, PACKAGES_SUFFIX))
		return;
	for (size_t i = 0; i < dir->count; i++) {
		const struct listing_entry *entry = &dir->entries[i];

		if (entry->type == DT_DIR && (ends_with(entry->name, ".dist-info") ||
					      ends_with(entry->name, ".egg-info")))
			learn(owners, tree, dir->path, entry->name, path);
	}
}

/* ---- whose is it? ---- */

/* The end of the last component for which @fits; 0 for none. */
static size_t end_of_component(const char *path, bool (*fits)(const char *, size_t))
{
	size_t end = 0;

	for (size_t at = 0; path[at];) {
		size_t begin = at + strspn(path + at, "/");
		size_t len = strcspn(path + begin, "/");

		if (len > 0 && fits(path + begin, len))
			end = begin + len;
		at = begin + len;
	}
	return end;
}

static bool is_packages(const char *name, size_t len)
{
	size_t suffix = strlen(PACKAGES_SUFFIX);

	return len > suffix && memcmp(name + len - suffix, PACKAGES_SUFFIX, suffix) == 0;
}

/* "python3", "python3.11", "pypy3.9": where a standard library is. */
static bool is_standard(const char *name, size_t len)
{
	size_t prefix = len > 6 && memcmp(name, "python", 6) == 0 ? 6
			: len > 4 && memcmp(name, "pypy", 4) == 0 ? 4
								  : 0;

	for (size_t i = prefix; i < len; i++)
		if (!isdigit((unsigned char)name[i]) && name[i] != '.')
			return false;
	return prefix > 0;
}

static struct owner distribution_at(struct owners *owners, const char *path,
				    const char *name, size_t packages)
{
	const char *rest = path + packages + strspn(path + packages, "/");
	size_t top_len = strcspn(rest, "/");
	struct owner owner = {.path_len = packages};
	scope_free char *key = NULL;

	if (asprintf(&key, "%.*s/%.*s", (int)packages, path,
		     top_len ? (int)top_len : (int)strlen(name), top_len ? rest : name) < 0)
		key = NULL;
	owner.name = key ? find(owners, key) : NULL;
	if (!owner.name && top_len)
		owner.path_len = (size_t)(rest - path) + top_len;
	return owner;
}

struct owner owner_of(struct owners *owners, const char *path, const char *name)
{
	struct owner owner = {.path_len = strlen(path)};
	size_t end;

	if (owners->by == CHECK_BY_PACKAGE) {
		owner.name = packages_find(owners->packages, path, name);
		owner.path_len = owner.name ? 0 : owner.path_len;
		return owner;
	}
	if (owners->by == CHECK_BY_DIRECTORY)
		return owner;
	end = end_of_component(path, is_packages);
	if (end)
		return distribution_at(owners, path, name, end);
	end = end_of_component(path, is_standard);
	if (end)
		owner.path_len = end;
	return owner;
}
