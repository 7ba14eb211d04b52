/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking for interpreters; see places.h.
 *
 * pyenv puts shims in PATH: scripts of the interpreters' names that start one of them, or
 * fail. So scripts do not count, and pyenv's versions are looked through instead.
 */
#include "cli/python/places.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"

bool is_interpreter_name(const char *name)
{
	static const char *const prefixes[] = {"python", "pypy", "graalpy"};
	const char *rest = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes) && !rest; i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			rest = name + strlen(prefixes[i]);
	if (!rest)
		return false;
	rest += strspn(rest, "0123456789.");
	/* ABI flags: d, m, u, t. */
	return strspn(rest, "dmut") == strlen(rest);
}

/* ---- the list ---- */

void free_strings(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

void interpreter_fini(struct interpreter *interpreter)
{
	free(interpreter->program);
	free(interpreter->name);
	free(interpreter->root);
	free(interpreter->release);
	free(interpreter->prefix);
	free_strings(interpreter->libraries);
	*interpreter = (struct interpreter){.program = NULL};
}

void interpreters_free(struct interpreter_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		interpreter_fini(&list->interpreters[i]);
	free(list->interpreters);
	free(list->distrusted);
	*list = (struct interpreter_list){.count = 0};
}

int interpreters_put(struct interpreter_list *list, struct interpreter *interpreter)
{
	int r = array_add(list->interpreters, list->count, *interpreter);

	if (r == 0)
		*interpreter = (struct interpreter){.program = NULL};
	return r;
}

struct interpreter *interpreters_find_same(const struct interpreter_list *list,
					   const struct interpreter *program)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->interpreters[i].device == program->device &&
		    list->interpreters[i].inode == program->inode)
			return &list->interpreters[i];
	return NULL;
}

/* Of two links' names, "python3.12" says more than "python3"; the program's own is best. */
static void candidate_take_better_name(struct interpreter *known, struct interpreter *other)
{
	const char *own = path_last(known->program);
	char *name = known->name;

	if (strcmp(name, own) == 0 || strlen(other->name) <= strlen(name))
		return;
	known->name = other->name;
	other->name = name;
}

/* ---- one file ---- */

/* Where a file lies for those in the root directory. */
static char *path_in_root(int root_fd, int fd)
{
	scope_free char *root = path_of_fd(root_fd);
	scope_free char *path = path_of_fd(fd);
	const char *rest = root && path ? path_below(path, root) : NULL;

	return rest ? strdup(rest) : NULL;
}

static bool begins_with_hashbang(int path_fd)
{
	struct proc_path link = proc_path(path_fd);
	scope_fd int fd = open(link.text, O_RDONLY | O_CLOEXEC);
	char begin[2];

	return fd >= 0 && pread_full(fd, begin, sizeof(begin), 0) == sizeof(begin) &&
	       memcmp(begin, "#!", sizeof(begin)) == 0;
}

/*
 * Looks at @path; links are followed in the root directory. Return: 0 for a program, 1 for
 * a script, -ENOENT, -EACCES or -ENOMEM.
 */
static int candidate_look_at(int root_fd, const char *path, struct interpreter *ret)
{
	scope_fd int fd = openat2_fd(root_fd, path, O_PATH, RESOLVE_IN_ROOT);
	struct proc_path link;
	struct stat st;

	if (fd < 0)
		return fd == -EACCES ? -EACCES : -ENOENT;
	link = proc_path(fd);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || access(link.text, X_OK) < 0)
		return -EACCES;
	*ret = (struct interpreter){
		.program = path_in_root(root_fd, fd),
		.device = st.st_dev,
		.inode = st.st_ino,
	};
	if (!ret->program)
		return -ENOMEM;
	ret->name = strdup(is_interpreter_name(path_last(ret->program))
				   ? path_last(ret->program)
				   : path_last(path));
	if (ret->name)
		return begins_with_hashbang(fd);
	interpreter_fini(ret);
	return -ENOMEM;
}

/* ---- whose it is ---- */

/* Can nobody but root and us change this file, or what is in this directory? */
static bool is_ours(const char *path, uid_t root)
{
	struct stat st;

	if (lstat(path, &st) < 0 ||
	    (st.st_uid != 0 && st.st_uid != root && st.st_uid != geteuid()))
		return false;
	if (S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX)
		return true;
	return !(st.st_mode & S_IWOTH) && !(st.st_mode & S_IWGRP && st.st_gid != st.st_uid);
}

bool program_is_ours(const char *path)
{
	scope_free char *prefix = strdup(path);
	struct stat st;

	if (!prefix || stat("/", &st) < 0 || !is_ours(path, st.st_uid))
		return false;
	for (char *slash = strrchr(prefix, '/'); slash; slash = strrchr(prefix, '/')) {
		*slash = '\0';
		if (!is_ours(*prefix ? prefix : "/", st.st_uid))
			return false;
	}
	return true;
}

/* Notes the program's path, if it is one that we must not run. */
static bool candidate_is_distrusted(const struct interpreter *found, bool is_host,
				    char **distrusted)
{
	if (!is_host || program_is_ours(found->program))
		return false;
	if (!*distrusted)
		*distrusted = strdup(found->program);
	return true;
}

/* ---- directories ---- */

/* Called with the absolute path of a directory; what is not 0 ends the search. */
typedef int visit_fn(int root_fd, const char *dir, void *context);

static int places_visit_path(int root_fd, visit_fn *visit, void *context)
{
	const char *set = getenv("PATH");
	scope_free char *path = strdup(set ? set : "");
	char *rest = path;
	char *dir;
	int r = path ? 0 : -ENOMEM;

	/* A relative one depends on the directory that we are in. */
	while (r == 0 && rest && (dir = strsep(&rest, ":")))
		if (dir[0] == '/')
			r = visit(root_fd, dir, context);
	return r;
}

/* ${PYENV_ROOT:-~/.pyenv}/versions, or NULL */
static char *pyenv_versions(void)
{
	const char *root = getenv("PYENV_ROOT");
	const char *home = getenv("HOME");

	if (root && root[0] == '/')
		return path_join(root, "versions");
	return home && home[0] == '/' ? path_join(home, ".pyenv/versions") : NULL;
}

static int places_visit_pyenv(int root_fd, visit_fn *visit, void *context)
{
	scope_free char *versions = pyenv_versions();
	struct dirent **entries = NULL;
	int count = versions ? scandir(versions, &entries, NULL, versionsort) : 0;
	int r = 0;

	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		scope_free char *version = path_join(versions, name);
		scope_free char *dir = version ? path_join(version, "bin") : NULL;

		if (r == 0 && name[0] != '.')
			r = dir ? visit(root_fd, dir, context) : -ENOMEM;
		free(entries[i]);
	}
	free(entries);
	return r;
}

static int places_visit_all(int root_fd, bool is_host, visit_fn *visit, void *context)
{
	static const char *const always[] = {"/usr/local/bin", "/usr/bin", "/bin"};
	int r = is_host ? places_visit_path(root_fd, visit, context) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(always) && r == 0; i++)
		r = visit(root_fd, always[i], context);
	return r || !is_host ? r : places_visit_pyenv(root_fd, visit, context);
}

/* ---- all of them ---- */

struct candidate_search {
	struct interpreter_list *list;
	bool is_host;
};

static int candidates_add(int root_fd, const char *dir, const char *name,
			  const struct candidate_search *search)
{
	struct interpreter_list *list = search->list;
	scope_free char *path = path_join(dir, name);
	struct interpreter *known;
	struct interpreter found;
	int kind = path ? candidate_look_at(root_fd, path, &found) : -ENOMEM;
	int r = 0;

	if (kind < 0)
		return kind == -ENOMEM ? kind : 0;
	/* Scripts are left out anyway. */
	if (kind == 0 &&
	    candidate_is_distrusted(&found, search->is_host, &list->distrusted)) {
		interpreter_fini(&found);
		return 0;
	}
	known = interpreters_find_same(list, &found);
	if (known)
		candidate_take_better_name(known, &found);
	else if (kind == 0)
		r = interpreters_put(list, &found);
	interpreter_fini(&found);
	return r;
}

static int is_candidate(const struct dirent *entry)
{
	return is_interpreter_name(entry->d_name);
}

/* Sorted, so that of two hard links python3.6 is found before python3.6m. */
static int candidates_add_directory(int root_fd, const char *path, void *context)
{
	scope_fd int fd =
		openat2_fd(root_fd, path, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
	struct dirent **entries = NULL;
	int count = fd < 0 ? 0 : scandirat(fd, ".", &entries, is_candidate, versionsort);
	int r = 0;

	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = candidates_add(root_fd, path, entries[i]->d_name, context);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int candidates_find(int root_fd, bool is_host, struct interpreter_list *list)
{
	struct candidate_search search = {list, is_host};

	return places_visit_all(root_fd, is_host, candidates_add_directory, &search);
}

int candidates_find_in(int root_fd, bool is_host, const char *dir,
		       struct interpreter_list *list)
{
	struct candidate_search search = {list, is_host};

	return candidates_add_directory(root_fd, dir, &search);
}

/* ---- one that was named ---- */

struct candidate_lookup {
	const char *name;
	struct interpreter *found; /* the first script, or the program, in the end */
	bool is_host;
	char *distrusted; /* owned */
};

/* A program ends the search; the first script is kept meanwhile. */
static int candidate_look_up(int root_fd, const char *dir, void *context)
{
	struct candidate_lookup *lookup = context;
	scope_free char *path = path_join(dir, lookup->name);
	struct interpreter found;
	int r = path ? candidate_look_at(root_fd, path, &found) : -ENOMEM;

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (candidate_is_distrusted(&found, lookup->is_host, &lookup->distrusted) ||
	    (r > 0 && lookup->found->program)) {
		interpreter_fini(&found);
		return 0;
	}
	interpreter_fini(lookup->found);
	*lookup->found = found;
	return r == 0;
}

static int candidate_of_name(int root_fd, bool is_host, const char *name,
			     struct interpreter *ret)
{
	struct candidate_lookup lookup = {.name = name, .found = ret, .is_host = is_host};
	int r = places_visit_all(root_fd, is_host, candidate_look_up, &lookup);
	bool was_distrusted = lookup.distrusted;

	free(lookup.distrusted);
	if (r < 0)
		return r;
	if (r > 0)
		return 0;
	return ret->program ? 1 : was_distrusted ? -EPERM : -ENOENT;
}

int candidate_named(int root_fd, bool is_host, const char *program, struct interpreter *ret)
{
	scope_free char *here = NULL;
	scope_free char *path = NULL;

	if (!strchr(program, '/'))
		return candidate_of_name(root_fd, is_host, program, ret);
	/* A relative path is one from where we are. */
	here = is_host && program[0] != '/' ? getcwd(NULL, 0) : NULL;
	path = path_join(here ? here : "", program);
	return path ? candidate_look_at(root_fd, path, ret) : -ENOMEM;
}
