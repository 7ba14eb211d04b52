/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding a pyc's source file through symlinks, inside the tree or out of it; see
 * source.h.
 *
 * The walk keeps one absolute path as the reader sees it, without symlinks, and looks
 * at one component at a time: below view_path in the tree, elsewhere on the host. So the
 * process never asks the kernel to enter its own mount.
 *
 * Root can look at every file, and what a mount of root's decides tells of what it looked
 * at: a header that matches tells a time and a size. So a link leads root only to where it
 * could lead its owner.
 */
#include "cache/tree/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"

/* MAXSYMLINKS of the kernel (include/linux/namei.h). */
#define MAX_LINKS 40

/* No user has this number. */
#define SOURCE_ANYBODY ((uid_t)-1)

/**
 * struct source_walk - where the walk stands
 * @here: absolute path of the last component that was looked at, "" for the root; a
 *        directory as long as @rest is not empty
 * @rest: the components still to go
 * @is_seen: the last stat is that of @here
 * @is_for_all: nobody is told what is found: rights do not matter
 * @owner: whose rights the walk has: the owner of the links on the way, SOURCE_ANYBODY of
 *         links of several owners; 0: all rights that this process has
 */
struct source_walk {
	const struct tree *tree;
	char here[PATH_MAX];
	char rest[PATH_MAX];
	int links;
	bool is_seen;
	bool is_for_all;
	uid_t owner;
};

/* The part of @path below the view, "." for its root; NULL for a path outside. */
static const char *source_below_view(const struct tree *tree, const char *path)
{
	const char *rest = path_below(path, tree->view_path);

	if (!rest)
		return NULL;
	return *rest ? rest + 1 : ".";
}

/* Opens the file at @here itself: in the tree, or on the host. */
static int source_open_here(const struct tree *tree, const char *here, uint64_t flags)
{
	const char *inside = source_below_view(tree, here);

	if (inside)
		return tree_openat(tree, inside, flags);
	/* Without its slash: relative to the readers' root, "." for that itself. */
	return openat2_fd(tree->host_fd, here[0] && here[1] ? here + 1 : ".",
			  flags | O_NOFOLLOW,
			  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/* Is there an ACL, or may there be one? */
static bool source_has_acl(int fd)
{
	return getxattr(proc_path(fd).text, "system.posix_acl_access", NULL, 0) >= 0 ||
	       (errno != ENODATA && errno != EOPNOTSUPP);
}

/*
 * May the walk's owner do with a file what the bits of @right (S_IROTH or S_IXOTH) stand
 * for? Nobody knows the owner's groups here. So a right that comes from a group alone, or
 * may be taken away by a group or an ACL, is none.
 */
static bool source_is_allowed(const struct source_walk *walk, int fd,
			      const struct statx *stx, mode_t right)
{
	mode_t mode = stx->stx_mode;

	if (walk->owner == 0)
		return true;
	if (walk->owner == stx->stx_uid)
		return mode & right << 6;
	return (mode & right) && (mode & right << 3) && !source_has_acl(fd);
}

/* A component is looked up in @here. */
static int source_search(const struct source_walk *walk)
{
	scope_fd int fd = -1;
	struct statx stx;
	int r;

	if (walk->owner == 0)
		return 0;
	fd = source_open_here(walk->tree, walk->here, O_PATH);
	r = fd < 0 ? fd : statx_at(fd, "", &stx);
	if (r < 0)
		return r;
	return source_is_allowed(walk, fd, &stx, S_IXOTH) ? 0 : -EACCES;
}

/* A link was followed whose owner is @owner. */
static void source_follow_as(struct source_walk *walk, uid_t owner)
{
	if (walk->is_for_all || geteuid() != 0 || owner == 0)
		return;
	walk->owner = walk->owner == 0 || walk->owner == owner ? owner : SOURCE_ANYBODY;
}

/* Moves the first component of @rest to @component; false at the end of @rest. */
static bool source_next_component(struct source_walk *walk, char component[NAME_MAX + 1],
				  int *ret_error)
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(start, "/");

	*ret_error = len > NAME_MAX ? -ENAMETOOLONG : 0;
	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(component, start, len);
	component[len] = '\0';
	memmove(walk->rest, start + len, strlen(start + len) + 1);
	return true;
}

static void source_go_up(struct source_walk *walk)
{
	char *slash = strrchr(walk->here, '/');

	if (slash)
		*slash = '\0';
}

/* The link at @link replaces what was walked to reach it: its target goes before @rest. */
static int source_follow(struct source_walk *walk, int link)
{
	char target[PATH_MAX];
	char joined[PATH_MAX];
	ssize_t len = readlinkat(link, "", target, sizeof(target) - 1);

	if (len < 0)
		return -errno;
	if (++walk->links > MAX_LINKS)
		return -ELOOP;
	target[len] = '\0';
	if (snprintf(joined, sizeof(joined), "%s%s%s", target, walk->rest[0] ? "/" : "",
		     walk->rest) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (target[0] == '/')
		walk->here[0] = '\0';
	else
		source_go_up(walk);
	memcpy(walk->rest, joined, strlen(joined) + 1);
	return 0;
}

/* Looks at @here, and follows it if it is a link. */
static int source_look(struct source_walk *walk, struct statx *ret_stx)
{
	scope_fd int fd = source_open_here(walk->tree, walk->here, O_PATH);
	int r;

	if (fd < 0)
		return fd;
	r = statx_at(fd, "", ret_stx);
	if (r < 0)
		return r;
	walk->is_seen = !S_ISLNK(ret_stx->stx_mode);
	if (!walk->is_seen) {
		source_follow_as(walk, ret_stx->stx_uid);
		return source_follow(walk, fd);
	}
	/* What is compared with a source is its content. */
	return S_ISREG(ret_stx->stx_mode) && !source_is_allowed(walk, fd, ret_stx, S_IROTH)
		       ? -EACCES
		       : 0;
}

/* Goes one component on. */
static int source_step(struct source_walk *walk, const char *component,
		       struct statx *ret_stx)
{
	size_t len = strlen(walk->here);
	int r;

	if (strcmp(component, ".") == 0)
		return 0;
	r = source_search(walk);
	if (r < 0)
		return r;
	if (strcmp(component, "..") == 0) {
		source_go_up(walk);
		walk->is_seen = false;
		return 0;
	}
	if (len + strlen(component) + 2 > sizeof(walk->here))
		return -ENAMETOOLONG;
	snprintf(walk->here + len, sizeof(walk->here) - len, "/%s", component);
	return source_look(walk, ret_stx);
}

/* Walks from the directory of @path, in the tree, through its last component. */
static int source_walk_links(struct source_walk *walk, const char *path,
			     struct statx *ret_stx)
{
	const char *name = path_last(path);
	const char *view = strcmp(walk->tree->view_path, "/") ? walk->tree->view_path : "";
	char component[NAME_MAX + 1];
	int r;

	/* With the slash after it, if there is a directory. */
	if (snprintf(walk->here, sizeof(walk->here), "%s/%.*s", view, (int)(name - path),
		     path) >= PATH_MAX)
		return -ENAMETOOLONG;
	walk->here[strlen(walk->here) - 1] = '\0';
	snprintf(walk->rest, sizeof(walk->rest), "%s", name);
	while (source_next_component(walk, component, &r)) {
		r = source_step(walk, component, ret_stx);
		if (r < 0)
			return r;
		/* Even a slash after a file is too much. */
		if (walk->rest[0] && !S_ISDIR(ret_stx->stx_mode) &&
		    !S_ISLNK(ret_stx->stx_mode))
			return -ENOTDIR;
	}
	/* A link whose target ends with "." or "..", or is "/": it leads to a directory. */
	return r < 0 || walk->is_seen ? r : source_look(walk, ret_stx);
}

/* A file was found; @path is its path in the tree, NULL for a file outside. */
static void source_set_found(struct source *source, const char *path,
			     const struct statx *stx)
{
	source->path = path ? strdup(path) : NULL;
	if (path && !source->path)
		return;
	source->stx = *stx;
	source->state = S_ISREG(stx->stx_mode) ? PYC_SOURCE_REGULAR : PYC_SOURCE_NONE;
}

/* With some errors Python finds nothing there, either. */
static void source_set_error(struct source *source, int error)
{
	bool is_nothing = error == -ENOENT || error == -ENOTDIR;

	source->state = is_nothing ? PYC_SOURCE_NONE : PYC_SOURCE_UNKNOWN;
	source->error = error;
}

static void source_find_through_link(struct source_walk *walk, const char *path,
				     struct source *source)
{
	struct statx stx = {0};
	int r = source_walk_links(walk, path, &stx);

	if (r < 0)
		source_set_error(source, r);
	else
		source_set_found(source, source_below_view(walk->tree, walk->here), &stx);
}

static void source_find_by(struct source_walk *walk, const char *path,
			   struct source *ret_source)
{
	struct statx stx;
	int r = tree_stat(walk->tree, path, &stx);

	*ret_source = (struct source){.state = PYC_SOURCE_UNKNOWN, .error = -ENOMEM};
	if (r < 0)
		source_set_error(ret_source, r);
	else if (S_ISLNK(stx.stx_mode))
		source_find_through_link(walk, path, ret_source);
	else
		source_set_found(ret_source, path, &stx);
}

void source_find(const struct tree *tree, const char *path, struct source *ret_source)
{
	struct source_walk walk = {.tree = tree};

	source_find_by(&walk, path, ret_source);
}

void source_find_for_all(const struct tree *tree, const char *path,
			 struct source *ret_source)
{
	struct source_walk walk = {.tree = tree, .is_for_all = true};

	source_find_by(&walk, path, ret_source);
}

/* Most sources are plain files in a directory that is open: one call, not three. */
void source_find_in(const struct tree *tree, const char *path, int dir,
		    struct source *ret_source)
{
	struct statx stx;

	if (dir < 0 || statx_at(dir, path_last(path), &stx) < 0 || !S_ISREG(stx.stx_mode) ||
	    tree_is_submount(&stx)) {
		source_find(tree, path, ret_source);
		return;
	}
	*ret_source = (struct source){.state = PYC_SOURCE_UNKNOWN, .error = -ENOMEM};
	source_set_found(ret_source, path, &stx);
}

void source_fini(struct source *source)
{
	free(source->path);
	source->path = NULL;
}

/* As struct node_key: an inode number alone may be another file's by now. */
static bool source_is_same(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
	       a->stx_dev_minor == b->stx_dev_minor &&
	       (a->stx_mode & S_IFMT) == (b->stx_mode & S_IFMT) &&
	       a->stx_btime.tv_sec == b->stx_btime.tv_sec &&
	       a->stx_btime.tv_nsec == b->stx_btime.tv_nsec;
}

int source_open(const struct tree *tree, const char *path, const struct source *source)
{
	struct source_walk walk = {.tree = tree};
	scope_fd int fd = -1;
	struct statx stx = {0};
	int r;

	if (source->path) {
		fd = tree_openat(tree, source->path, O_RDONLY | O_NONBLOCK);
	} else {
		r = source_walk_links(&walk, path, &stx);
		if (r < 0)
			return r;
		fd = source_open_here(tree, walk.here, O_RDONLY | O_NONBLOCK);
	}
	if (fd < 0)
		return fd;
	r = statx_at(fd, "", &stx);
	if (r < 0)
		return r;
	return source_is_same(&stx, &source->stx) ? take_fd(&fd) : -ESTALE;
}
