/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a file's name to its source, its bytecode and its tree; see explain.h.
 *
 * Paths are what readers in the root directory see. Directories are resolved, last
 * components are not: Python looks for bytecode beside the name that it was given, also
 * where that is a link.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/listing.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/trees/mountable.h"
#include "fs/mount/mountinfo.h"

/* NULL when out of memory. */
static char *join(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", strcmp(dir, "/") ? dir : "", name) < 0)
		return NULL;
	return path;
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash && slash > path ? (size_t)(slash - path) : 1);
}

/* ---- the file ---- */

/* Where readers see the directory, without symlinks; NULL with errno set. */
static char *resolve_dir(const struct explain_request *request, const char *dir)
{
	scope_free char *path = tree_set_locate(request->root, dir);
	const char *below = path ? path_below(path, request->root) : NULL;

	if (below)
		return strdup(below[0] ? below : "/");
	errno = path ? EXDEV : errno;
	return NULL;
}

/* A path from where we are, unless it is an image's. */
static char *make_absolute(const struct explain_request *request, const char *file)
{
	scope_free char *here = NULL;

	if (file[0] == '/')
		return strdup(file);
	if (strcmp(request->root, "/") != 0)
		return join("/", file);
	here = getcwd(NULL, 0);
	return here ? join(here, file) : NULL;
}

/**
 * struct place - where a file is
 * @folder:   of the source, resolved: the file's own, or the one above its __pycache__.
 * That may be a link: who comes through it pairs what is there with his own sources.
 * @in_cache: whether it is in the folder's __pycache__
 * @name:     its last component
 * @path:     all of it
 */
struct place {
	char *folder;
	bool in_cache;
	char *name;
	char *path;
};

static void place_fini(struct place *place)
{
	free(place->folder);
	free(place->name);
	free(place->path);
}

static bool is_cache_dir(const char *dir)
{
	const char *slash = strrchr(dir, '/');

	return slash && strcmp(slash + 1, PYC_CACHE_DIR) == 0;
}

/* A relative name within a __pycache__, or a link of another name that leads to one. */
static int leave_cache(struct place *place)
{
	char *above;

	if (place->in_cache || !is_cache_dir(place->folder))
		return 0;
	above = parent_of(place->folder);
	if (!above)
		return -ENOMEM;
	free(place->folder);
	place->folder = above;
	place->in_cache = true;
	return 0;
}

static int place_find(const struct explain_request *request, const char *file,
		      struct place *place)
{
	scope_free char *absolute = make_absolute(request, file);
	scope_free char *dir = absolute ? parent_of(absolute) : NULL;
	scope_free char *above = dir ? parent_of(dir) : NULL;
	scope_free char *holder = NULL;

	*place = (struct place){0};
	if (!above)
		return -ENOMEM;
	place->name = strdup(strrchr(absolute, '/') + 1);
	place->in_cache = is_cache_dir(dir);
	place->folder = resolve_dir(request, place->in_cache ? above : dir);
	if (!place->folder)
		return -errno;
	if (leave_cache(place) < 0)
		return -ENOMEM;
	holder = place->in_cache ? join(place->folder, PYC_CACHE_DIR)
				 : strdup(place->folder);
	place->path = holder && place->name ? join(holder, place->name) : NULL;
	return place->path ? 0 : -ENOMEM;
}

/* 0, -EISDIR, or why it is not there. */
static int look_at(const struct explain_request *request, const char *path)
{
	scope_fd int fd = openat2_fd(request->root_fd, path, O_PATH, RESOLVE_IN_ROOT);
	scope_fd int link = -1;
	struct stat st;

	if (fd == -ENOENT || fd == -ELOOP) {
		/* A dangling link is something that can be explained. */
		link = openat2_fd(request->root_fd, path, O_PATH | O_NOFOLLOW,
				  RESOLVE_IN_ROOT);
		return link < 0 ? link : 0;
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? -EISDIR : 0;
}

/* ---- the tree ---- */

/* Of a tree that is a canonfs: where, and of what. */
static void find_canonfs(struct explain_tree *tree)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *top = NULL;

	if (mountinfo_read(&list) == 0)
		top = mountinfo_top(&list, tree->set.path);
	if (!top || !top->ours)
		return;
	tree->mount = strdup(top->point);
	tree->mount_source = strdup(top->source);
}

/* The policy with the time that the sources share, if that is not in it anyway. */
static void find_policy(const struct explain_request *request, struct explain_tree *tree)
{
	size_t before = request->options->policy.canonical_count;

	tree->policy = resolver_policy(tree->set.resolver);
	tree->has_time = tree->policy.canonical_count > before;
	if (tree->has_time)
		tree->time = tree->policy.canonical[before];
}

static int open_tree(struct explain_request *request, const char *path,
		     struct explain_tree **ret_tree)
{
	const char *root = strcmp(request->root, "/") ? request->root : NULL;
	struct explain_tree *tree;

	for (tree = request->trees; tree; tree = tree->next)
		if (strcmp(tree->set.tree.view_path, path) == 0) {
			*ret_tree = tree;
			return 0;
		}
	tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	tree->next = request->trees;
	request->trees = tree;
	if (tree_set_open(&tree->set, path, root, request->options) < 0)
		return -EIO; /* said already */
	find_canonfs(tree);
	find_policy(request, tree);
	*ret_tree = tree;
	return 0;
}

/* Finds and opens the tree of a folder. 0 or an exit status with one line logged. */
static int find_tree(struct explain_request *request, const char *folder,
		     struct explain_tree **ret_tree)
{
	scope_free char *path = request->given_tree
					? resolve_dir(request, request->given_tree)
					: mountable_tree(request->root, folder);

	if (!path) {
		log_error("cannot open the tree %s: %s",
			  quoted(request->given_tree ? request->given_tree : folder),
			  strerror(errno));
		return EXIT_EXPLAIN_NOINPUT;
	}
	if (!path_below(folder, path)) {
		log_error("cannot explain what is in %s: it is not in the tree %s",
			  quoted(folder), quoted(path));
		return EXIT_EXPLAIN_USAGE;
	}
	return open_tree(request, path, ret_tree) < 0 ? EXIT_EXPLAIN_NOINPUT : 0;
}

/* @path below the tree, without a slash before it. */
static char *relative_to(const struct explain_tree *tree, const char *path)
{
	const char *below = path_below(path, tree->set.tree.view_path);

	return below && below[0] ? strdup(below + 1) : NULL;
}

/* ---- the bytecode ---- */

/* Where a path leads through links, for readers; NULL where there are none on the way. */
static char *follow_links(const struct explain_request *request, const char *path)
{
	scope_fd int fd = openat2_fd(request->root_fd, path, O_PATH, RESOLVE_IN_ROOT);
	scope_free char *real = fd < 0 ? NULL : path_of_fd(fd);
	const char *below = real ? path_below(real, request->root) : NULL;

	return below && strcmp(below, path) != 0 ? strdup(below) : NULL;
}

static int add_pyc(const struct explain_request *request, struct explanation *explanation,
		   const char *path)
{
	struct explain_pyc *grown =
		reallocarray(explanation->pycs, explanation->pyc_count + 1, sizeof(*grown));
	struct explain_pyc *pyc;

	if (!grown)
		return -ENOMEM;
	explanation->pycs = grown;
	pyc = &grown[explanation->pyc_count++];
	*pyc = (struct explain_pyc){
		.path = strdup(path),
		.relative = relative_to(explanation->tree, path),
		.real = follow_links(request, path),
	};
	return pyc->path && pyc->relative ? 0 : -ENOMEM;
}

static bool is_of_stem(const char *name, bool in_cache, const char *stem)
{
	struct pyc_name parsed;

	pyc_name_parse(name, in_cache, &parsed);
	return parsed.stem && parsed.stem_len == strlen(stem) &&
	       memcmp(parsed.stem, stem, parsed.stem_len) == 0;
}

/* An optimised one comes after the plain one of its tag. */
static int compare_pycs(const void *left, const void *right)
{
	const struct explain_pyc *a = left, *b = right;
	struct pyc_name x, y;
	int order;

	pairing_name(a->path, &x);
	pairing_name(b->path, &y);
	if (!x.tag || !y.tag)
		return strverscmp(a->path, b->path);
	order = x.tag_len == y.tag_len ? memcmp(x.tag, y.tag, x.tag_len)
				       : strverscmp(x.tag, y.tag);
	if (order == 0 && (x.opt_len == 0 || y.opt_len == 0))
		return (x.opt_len > 0) - (y.opt_len > 0);
	return order ? order : strverscmp(a->path, b->path);
}

/* Of the folder's __pycache__, which may have many entries of other sources. */
static int add_cached(const struct explain_request *request,
		      struct explanation *explanation)
{
	scope_free char *path = join(explanation->folder, PYC_CACHE_DIR);
	scope_fd int fd = path ? openat2_fd(request->root_fd, path, O_RDONLY | O_DIRECTORY,
					    RESOLVE_IN_ROOT)
			       : -1;
	struct listing listing = {0};
	int r = path ? 0 : -ENOMEM;

	if (fd >= 0 && listing_read(&listing, fd) == -ENOMEM)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < listing.count; i++) {
		const char *name = listing.entries[i].name;
		scope_free char *pyc = NULL;

		if (!is_of_stem(name, true, explanation->stem))
			continue;
		pyc = join(path, name);
		r = pyc ? add_pyc(request, explanation, pyc) : -ENOMEM;
	}
	listing_fini(&listing);
	if (explanation->pyc_count > 0)
		qsort(explanation->pycs, explanation->pyc_count, sizeof(struct explain_pyc),
		      compare_pycs);
	return r;
}

/* Python 2's, or in place of a source. */
static int add_beside(const struct explain_request *request,
		      struct explanation *explanation)
{
	static const char *const suffixes[] = {"c", "o"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(suffixes) && r == 0; i++) {
		scope_free char *path = NULL;

		if (asprintf(&path, "%s%s", explanation->path, suffixes[i]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (look_at(request, path) == 0)
			r = add_pyc(request, explanation, path);
	}
	return r;
}

/* ---- the source ---- */

static void read_link(const struct explain_request *request,
		      struct explanation *explanation)
{
	scope_fd int fd = openat2_fd(request->root_fd, explanation->path,
				     O_PATH | O_NOFOLLOW, RESOLVE_IN_ROOT);
	char target[PATH_MAX];
	ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);

	/* ENOENT is what that says of a file that is no link. */
	if (len > 0)
		explanation->link = strndup(target, (size_t)len);
}

/* What the file tells of the explanation's names; takes them out of @place. */
static int name_explanation(struct place *place, struct explanation *explanation)
{
	struct pyc_name name;
	scope_free char *source = NULL;

	if (!place->in_cache && pyc_name_is_source(place->name)) {
		explanation->stem = strndup(place->name, strlen(place->name) - 3);
	} else if (pyc_name_parse(place->name, place->in_cache, &name) == PYC_PLACE_NONE) {
		return -EINVAL;
	} else if (name.stem) {
		explanation->stem = strndup(name.stem, name.stem_len);
	} else {
		explanation->path = strdup(place->path);
		explanation->folder = take_ptr(place->folder);
		return explanation->path ? 0 : -ENOMEM;
	}
	if (!explanation->stem || asprintf(&source, "%s.py", explanation->stem) < 0) {
		source = NULL;
		return -ENOMEM;
	}
	explanation->folder = take_ptr(place->folder);
	explanation->path = join(explanation->folder, source);
	return explanation->path ? 0 : -ENOMEM;
}

static int find_bytecode(const struct explain_request *request, const struct place *place,
			 struct explanation *explanation)
{
	int r;

	explanation->relative = relative_to(explanation->tree, explanation->path);
	if (!explanation->relative)
		return -ENOMEM;
	if (!explanation->stem)
		return add_pyc(request, explanation, place->path);
	source_find(&explanation->tree->set.tree, explanation->relative,
		    &explanation->source);
	read_link(request, explanation);
	r = add_cached(request, explanation);
	return r < 0 ? r : add_beside(request, explanation);
}

static void explanation_fini(struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->pyc_count; i++) {
		struct explain_pyc *pyc = &explanation->pycs[i];

		for (size_t j = 0; j < pyc->asked_count; j++) {
			free(pyc->asked[j].error);
			free(pyc->asked[j].lines);
		}
		for (size_t j = 0; j < pyc->change_count; j++)
			free(pyc->changes[j]);
		free(pyc->asked);
		free(pyc->path);
		free(pyc->relative);
		free(pyc->real);
		free(pyc->mount_verdict);
		free(pyc->mount_reason);
	}
	free(explanation->pycs);
	source_fini(&explanation->source);
	free(explanation->path);
	free(explanation->folder);
	free(explanation->stem);
	free(explanation->relative);
	free(explanation->link);
}

static bool is_known(const struct explain_request *request, const char *path)
{
	for (size_t i = 0; i < request->count; i++)
		if (strcmp(request->explanations[i].path, path) == 0)
			return true;
	return false;
}

/* Takes what @explanation owns. */
static int keep(struct explain_request *request, struct explanation *explanation)
{
	struct explanation *grown =
		reallocarray(request->explanations, request->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	request->explanations = grown;
	grown[request->count++] = *explanation;
	*explanation = (struct explanation){0};
	return 0;
}

static int fail(const char *file, int error)
{
	switch (error) {
	case -EISDIR:
		log_error("%s is a directory: use canonfs check for all that is in it",
			  quoted(file));
		return EXIT_EXPLAIN_USAGE;
	case -EINVAL:
		log_error("cannot explain %s: it is neither a .py nor a .pyc file",
			  quoted(file));
		return EXIT_EXPLAIN_NOINPUT;
	default:
		log_error("cannot explain %s: %s", quoted(file), strerror(-error));
		return error == -ENOMEM ? EXIT_EXPLAIN_FAILURE : EXIT_EXPLAIN_NOINPUT;
	}
}

/* A source that is gone may have left its bytecode. */
static bool is_there(const struct explanation *explanation, int looked)
{
	return looked == 0 || (looked == -ENOENT && explanation->pyc_count > 0);
}

static int find_all(struct explain_request *request, const char *file, struct place *place,
		    struct explanation *explanation)
{
	bool is_source = !place->in_cache && pyc_name_is_source(place->name);
	int looked = look_at(request, place->path);
	int r;

	if (looked == -EISDIR || (looked < 0 && !is_source))
		return fail(file, looked);
	r = name_explanation(place, explanation);
	if (r < 0)
		return fail(file, r);
	if (is_known(request, explanation->path))
		return 0;
	r = find_tree(request, explanation->folder, &explanation->tree);
	if (r != 0)
		return r;
	r = find_bytecode(request, place, explanation);
	if (r == 0 && !is_there(explanation, looked))
		r = looked;
	if (r == 0)
		r = keep(request, explanation);
	return r < 0 ? fail(file, r) : 0;
}

int explain_find(struct explain_request *request, const char *file)
{
	struct explanation explanation = {0};
	struct place place;
	int r = place_find(request, file, &place);

	r = r < 0 ? fail(file, r) : find_all(request, file, &place, &explanation);
	explanation_fini(&explanation);
	place_fini(&place);
	return r;
}

void explain_fini(struct explain_request *request)
{
	for (size_t i = 0; i < request->count; i++)
		explanation_fini(&request->explanations[i]);
	free(request->explanations);
	while (request->trees) {
		struct explain_tree *tree = request->trees;

		request->trees = tree->next;
		tree_set_close(&tree->set);
		free(tree->mount);
		free(tree->mount_source);
		free(tree);
	}
	interpreters_free(&request->asked);
	interpreters_free(&request->installed);
}
