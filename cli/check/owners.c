/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owners; see check.h.
 *
 * Distributions say which files are theirs in NAME-VERSION.dist-info/RECORD (PEP 376, PEP
 * 627), older ones and Debian's in NAME-VERSION.egg-info/top_level.txt. Only the first
 * component of a path matters: it is the directory or the module below site-packages.
 *
 * dpkg says it in var/lib/dpkg/info/NAME.list, by whole paths. On merged systems /lib is
 * /usr/lib, and lists name either: so /usr is left out of paths.
 */
#include "cli/check/check.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
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
#include "pyc/names.h"

#define PACKAGES_SUFFIX "-packages"
#define DPKG_INFO	"var/lib/dpkg/info"
#define LIST_SUFFIX	".list"

/* Who owns a file, or all that is below a directory. */
struct claim {
	char *path;
	char *owner;	/* somebody may have borrowed it */
	bool ambiguous; /* several claim it */
};

struct owners {
	enum check_by by;
	pthread_rwlock_t lock; /* guards claims; their strings do not change */
	void *claims;
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

	free(claim->path);
	free(claim->owner);
	free(claim);
}

void owners_free(struct owners *owners)
{
	if (!owners)
		return;
	tdestroy(owners->claims, claim_free);
	pthread_rwlock_destroy(&owners->lock);
	free(owners);
}

/* ---- claims ---- */

static int claim_compare(const void *a, const void *b)
{
	return strcmp(((const struct claim *)a)->path, ((const struct claim *)b)->path);
}

/*
 * Takes ownership of @path, NULL when out of memory. What two claim is nobody's, as
 * namespace packages.
 */
static void claim_put(struct owners *owners, char *path, const char *owner)
{
	struct claim *claim = calloc(1, sizeof(*claim));
	struct claim **node;

	if (!claim || !path || !(claim->owner = strdup(owner))) {
		free(claim);
		free(path);
		return;
	}
	claim->path = path;
	pthread_rwlock_wrlock(&owners->lock);
	node = tsearch(claim, &owners->claims, claim_compare);
	if (node && *node != claim && strcmp((*node)->owner, owner) != 0)
		(*node)->ambiguous = true;
	if (!node || *node != claim)
		claim_free(claim);
	pthread_rwlock_unlock(&owners->lock);
}

static const char *claim_find(struct owners *owners, const char *path)
{
	const struct claim probe = {.path = (char *)(uintptr_t)path};
	struct claim *const *node;
	const char *owner;

	pthread_rwlock_rdlock(&owners->lock);
	node = tfind(&probe, &owners->claims, claim_compare);
	owner = node && !(*node)->ambiguous ? (*node)->owner : NULL;
	pthread_rwlock_unlock(&owners->lock);
	return owner;
}

/* ---- what distributions and packages say ---- */

static void owners_take_name(struct owners *owners, const char *dir, const char *name,
			     size_t len, const char *distribution)
{
	char *path;

	if (len == 0 || name[0] == '.' || name[0] == '/')
		return;
	if (asprintf(&path, "%s/%.*s", dir, (int)len, name) >= 0)
		claim_put(owners, path, distribution);
}

/* RECORD: a line is a path, maybe in double quotes, and more after a comma (PEP 376). */
static void owners_take_record(struct owners *owners, const char *dir, char *line,
			       const char *distribution)
{
	const char *name = line[0] == '"' ? line + 1 : line;

	/* "m.py" and "m/..." are of interest; "../../bin/m" and metadata are nobody's. */
	owners_take_name(owners, dir, name, strcspn(name, "/,\"\n"), distribution);
}

/* top_level.txt: a line is a module. */
static void owners_take_top_level(struct owners *owners, const char *dir, char *line,
				  const char *distribution)
{
	size_t len = strcspn(line, "\r\n");
	char module[PYC_NAME_MAX + 1];

	owners_take_name(owners, dir, line, len, distribution);
	if (len == 0 || len + sizeof(".py") > sizeof(module))
		return;
	snprintf(module, sizeof(module), "%.*s.py", (int)len, line);
	owners_take_name(owners, dir, module, strlen(module), distribution);
}

static const char *without_usr(const char *path)
{
	return strncmp(path, "/usr/", 5) == 0 ? path + 4 : path;
}

/* dpkg's lists: a line is a path; of interest are sources. */
static void owners_take_path(struct owners *owners, const char *dir, char *line,
			     const char *package)
{
	(void)dir;
	line[strcspn(line, "\n")] = '\0';
	if (pyc_name_is_source(line))
		claim_put(owners, strdup(without_usr(line)), package);
}

typedef void take_line_fn(struct owners *owners, const char *dir, char *line,
			  const char *owner);

/* Takes ownership of @fd, which may be an error. */
static int owners_read_lines(struct owners *owners, int fd, const char *dir,
			     const char *owner, take_line_fn *take)
{
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	scope_free char *line = NULL;
	size_t size = 0;

	if (!stream) {
		close_fd(&fd);
		return -ENOENT;
	}
	while (getline(&line, &size, stream) >= 0)
		take(owners, dir, line, owner);
	fclose(stream);
	return 0;
}

static int owners_read_metadata(struct owners *owners, const struct tree *tree,
				const char *info, const char *name, const char *dir,
				const char *distribution, take_line_fn *take)
{
	scope_free char *file = path_join(info, name);
	int fd = file ? tree_openat(tree, file, O_RDONLY | O_NONBLOCK) : -ENOMEM;

	return owners_read_lines(owners, fd, dir, distribution, take);
}

static bool ends_with(const char *text, size_t len, const char *suffix)
{
	size_t suffix_len = strlen(suffix);

	return len > suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

static bool is_packages(const char *name, size_t len)
{
	return ends_with(name, len, PACKAGES_SUFFIX);
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

static void owners_learn_distribution(struct owners *owners, const struct tree *tree,
				      const char *dir, const char *name, const char *path)
{
	scope_free char *info = path_join(dir, name);
	scope_free char *distribution = distribution_of(name);

	if (!info || !distribution)
		return;
	if (owners_read_metadata(owners, tree, info, "RECORD", path, distribution,
				 owners_take_record) < 0)
		owners_read_metadata(owners, tree, info, "top_level.txt", path,
				     distribution, owners_take_top_level);
}

void owners_learn(struct owners *owners, const struct tree *tree,
		  const struct walk_dir *dir, const char *path)
{
	if (owners->by != CHECK_BY_DISTRIBUTION || !is_packages(path, strlen(path)))
		return;
	for (size_t i = 0; i < dir->count; i++) {
		const struct listing_entry *entry = &dir->entries[i];
		size_t len = strlen(entry->name);

		if (entry->type == DT_DIR && (ends_with(entry->name, len, ".dist-info") ||
					      ends_with(entry->name, len, ".egg-info")))
			owners_learn_distribution(owners, tree, dir->path, entry->name,
						  path);
	}
}

/* "python3-six.list", "libpython3.11:amd64.list": the name up to the architecture. */
static void owners_read_list(struct owners *owners, int dir, const char *list)
{
	int fd = openat(dir, list, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	size_t whole = strlen(list) - strlen(LIST_SUFFIX);
	size_t len = strcspn(list, ":");
	scope_free char *package = strndup(list, len < whole ? len : whole);

	if (package)
		(void)owners_read_lines(owners, fd, NULL, package, owners_take_path);
	else
		close_fd(&fd);
}

int owners_load_packages(struct owners *owners, int root_fd)
{
	scope_fd int dir =
		openat2_fd(root_fd, DPKG_INFO, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
	struct listing listing = {.count = 0};
	int r = dir < 0 ? dir : listing_read(&listing, dir);

	for (size_t i = 0; i < listing.count; i++) {
		const char *name = listing.entries[i].name;

		if (ends_with(name, strlen(name), LIST_SUFFIX))
			owners_read_list(owners, dir, name);
	}
	listing_fini(&listing);
	return r;
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

static struct owner owners_distribution_at(struct owners *owners, const char *path,
					   const char *name, size_t packages)
{
	const char *rest = path + packages + strspn(path + packages, "/");
	size_t top_len = strcspn(rest, "/");
	struct owner owner = {.path_len = packages};
	scope_free char *key = NULL;

	if (asprintf(&key, "%.*s/%.*s", (int)packages, path,
		     top_len ? (int)top_len : (int)strlen(name), top_len ? rest : name) < 0)
		key = NULL;
	owner.name = key ? claim_find(owners, key) : NULL;
	if (!owner.name && top_len)
		owner.path_len = (size_t)(rest - path) + top_len;
	return owner;
}

struct owner owner_of(struct owners *owners, const char *path, const char *name)
{
	struct owner owner = {.path_len = strlen(path)};
	size_t end;

	if (owners->by == CHECK_BY_PACKAGE) {
		scope_free char *file = path_join(path, name);

		owner.name = file ? claim_find(owners, without_usr(file)) : NULL;
		owner.path_len = owner.name ? 0 : owner.path_len;
		return owner;
	}
	if (owners->by == CHECK_BY_DIRECTORY)
		return owner;
	end = end_of_component(path, is_packages);
	if (end)
		return owners_distribution_at(owners, path, name, end);
	end = end_of_component(path, is_standard);
	if (end)
		owner.path_len = end;
	return owner;
}
