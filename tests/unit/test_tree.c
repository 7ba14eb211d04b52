/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source tree and the search for source files: nothing leads out of the tree that
 * should not, symlinks lead where they lead a reader (into the tree below view_path, else
 * to the readers' root), and no path is too deep, too long or too twisted to be safe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/source.h"
#include "cache/tree/tree.h"
#include "tests/unit/scratch.h"

/*
 * BASE/host is the readers' root. BASE/image is the tree; its readers see it at /view,
 * where the host has a decoy: who looks there went through the mount.
 */
struct fixture {
	char base[SCRATCH_MAX];
	int fd;
	struct tree tree;
	bool mounted;
};

static bool have_namespace;

static int group_setup(void **state)
{
	(void)state;
	have_namespace = unshare(CLONE_NEWNS) == 0 &&
			 mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0;
	return 0;
}

static void make_dirs(struct fixture *fixture, const char *path)
{
	char part[PATH_MAX];

	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		memcpy(part, path, (size_t)(slash - path));
		part[slash - path] = '\0';
		mkdirat(fixture->fd, part, 0755);
	}
}

static void put(struct fixture *fixture, const char *path, const char *text)
{
	scope_fd int fd = -1;

	make_dirs(fixture, path);
	fd = openat(fixture->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void link_to(struct fixture *fixture, const char *path, const char *target)
{
	make_dirs(fixture, path);
	assert_int_equal(symlinkat(target, fixture->fd, path), 0);
}

static char *below(struct fixture *fixture, const char *path)
{
	char *joined;

	assert_true(asprintf(&joined, "%s/%s", fixture->base, path) > 0);
	return joined;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	scratch_make(fixture->base, "tree");
	fixture->fd = open(fixture->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(fixture, "image/lib/a.py", "inside");
	put(fixture, "host/view/lib/a.py", "decoy!");
	put(fixture, "host/etc/a.py", "host");

	scope_free char *image = below(fixture, "image");
	scope_free char *host = below(fixture, "host");

	return tree_open(&fixture->tree, image, host, "/view");
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *mounted = below(fixture, "image/lib/mnt");
	scope_free char *file = below(fixture, "image/lib/mnt.py");
	scope_free char *view = below(fixture, "host/view");
	scope_free char *deeper = below(fixture, "host/srv/view");

	tree_close(&fixture->tree);
	tree_close(&fixture->tree); /* twice is harmless */
	if (fixture->mounted) {
		umount2(mounted, MNT_DETACH);
		umount2(file, MNT_DETACH);
		umount2(view, MNT_DETACH);
		umount2(deeper, MNT_DETACH);
	}
	close(fixture->fd);
	scratch_remove(fixture->base);
	free(fixture);
	return 0;
}

/* Who has the directory open must find the same. */
static void assert_same_in(struct fixture *fixture, const char *path,
			   const struct source *expected)
{
	const char *slash = strrchr(path, '/');
	scope_free char *dir = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
	scope_fd int fd = tree_openat(&fixture->tree, dir, O_RDONLY | O_DIRECTORY);
	struct source source;

	source_find_in(&fixture->tree, path, fd < 0 ? -1 : fd, &source);
	assert_int_equal(source.state, expected->state);
	assert_int_equal(source.error, expected->error);
	assert_int_equal(source.stx.stx_ino, expected->stx.stx_ino);
	assert_int_equal(source.path == NULL, expected->path == NULL);
	if (source.path)
		assert_string_equal(source.path, expected->path);
	source_fini(&source);
}

/* What source_find() says, and that what it opens is the same. */
static void assert_source(struct fixture *fixture, const char *path, const char *content,
			  const char *tree_path)
{
	struct source source;
	scope_fd int fd = -1;
	char text[64] = "";

	source_find(&fixture->tree, path, &source);
	assert_int_equal(source.state, PYC_SOURCE_REGULAR);
	assert_int_equal(source.stx.stx_size, strlen(content));
	if (tree_path)
		assert_string_equal(source.path, tree_path);
	else
		assert_null(source.path);
	assert_same_in(fixture, path, &source);
	fd = source_open(&fixture->tree, path, &source);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(pread_full(fd, text, sizeof(text) - 1, 0) >= 0);
	assert_string_equal(text, content);
	source_fini(&source);
	source_fini(&source);
}

static void assert_state(struct fixture *fixture, const char *path,
			 enum pyc_source_state expected)
{
	struct source source;

	source_find(&fixture->tree, path, &source);
	assert_int_equal(source.state, expected);
	assert_same_in(fixture, path, &source);
	source_fini(&source);
}

/* ---- the tree ---- */

static void test_open_errors(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *file = below(fixture, "host/etc/a.py");
	scope_free char *none = below(fixture, "none");
	struct tree tree;

	assert_int_equal(tree_open(&tree, none, "/", "/"), -ENOENT);
	assert_int_equal(tree_open(&tree, file, "/", "/"), -ENOTDIR);
	assert_int_equal(tree_open(&tree, "/", none, "/"), -ENOENT);
	assert_int_equal(tree_open(&tree, "/", file, "/"), -ENOTDIR);
}

static void test_openat(void **state)
{
	struct fixture *fixture = *state;
	scope_fd int fd = tree_openat(&fixture->tree, "lib/a.py", O_RDONLY);
	scope_fd int root = tree_openat(&fixture->tree, ".", O_RDONLY | O_DIRECTORY);
	struct statx stx;

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(root >= 0);
	assert_int_equal(tree_openat(&fixture->tree, "none", O_RDONLY), -ENOENT);
	assert_int_equal(tree_openat(&fixture->tree, "lib/a.py/x", O_RDONLY), -ENOTDIR);
	assert_int_equal(tree_openat(&fixture->tree, "lib/../..", O_PATH), -EXDEV);
	assert_int_equal(tree_openat(&fixture->tree, "/etc", O_PATH), -EXDEV);
	assert_int_equal(tree_stat(&fixture->tree, "lib", &stx), 0);
	assert_true(S_ISDIR(stx.stx_mode));
	assert_int_equal(tree_stat(&fixture->tree, "none", &stx), -ENOENT);
}

static void test_openat_never_follows(void **state)
{
	struct fixture *fixture = *state;
	struct statx stx;
	scope_fd int fd = -1;

	link_to(fixture, "image/l", "lib/a.py");
	link_to(fixture, "image/d", "lib");
	link_to(fixture, "image/out", "/etc");
	assert_int_equal(tree_openat(&fixture->tree, "l", O_RDONLY), -ELOOP);
	assert_int_equal(tree_openat(&fixture->tree, "d/a.py", O_RDONLY), -ELOOP);
	assert_int_equal(tree_openat(&fixture->tree, "out/passwd", O_RDONLY), -ELOOP);
	fd = tree_openat(&fixture->tree, "l", O_PATH);
	assert_true(fd >= 0);
	assert_int_equal(tree_stat(&fixture->tree, "l", &stx), 0);
	assert_true(S_ISLNK(stx.stx_mode));
}

/* Makes DEPTH directories of 200 bytes each; the last holds deep.py. */
static char *make_deep(struct fixture *fixture, int depth)
{
	scope_fd int dir = openat(fixture->fd, "image", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int fd = -1;
	char name[201];
	char *path = calloc((size_t)depth + 1, sizeof(name));

	assert_non_null(path);
	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(dir, name, 0755), 0);
		next = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close_fd(&dir);
		dir = next;
		strcat(path, name);
		strcat(path, "/");
	}
	strcat(path, "deep.py");
	fd = openat(dir, "deep.py", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "deep", 4), 4);
	assert_int_equal(symlinkat("deep.py", dir, "link.py"), 0);
	return path;
}

static void test_longer_than_path_max(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *path = make_deep(fixture, 65);
	struct statx stx;

	assert_true(strlen(path) > (size_t)3 * PATH_MAX);
	assert_source(fixture, path, "deep", path);
	strcpy(strrchr(path, '/') + 1, "none.py");
	assert_int_equal(tree_stat(&fixture->tree, path, &stx), -ENOENT);
	assert_state(fixture, path, PYC_SOURCE_NONE);
	/* The walk through links is bounded: not known, never wrong. */
	strcpy(strrchr(path, '/') + 1, "link.py");
	assert_state(fixture, path, PYC_SOURCE_UNKNOWN);
}

/* Each length around the border, so that the cut falls on every place of a name. */
static void test_around_path_max(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *path = make_deep(fixture, 20);
	char *name = strrchr(path, '/') + 1;
	scope_fd int parent = -1;

	name[-1] = '\0';
	parent = tree_openat(&fixture->tree, path, O_PATH | O_DIRECTORY);
	name[-1] = '/';
	assert_true(parent >= 0);
	for (size_t total = PATH_MAX - 3; total <= PATH_MAX + 3; total++) {
		size_t len = total - (size_t)(name - path);
		struct statx stx;

		memset(name, 'n', len);
		name[len] = '\0';
		assert_int_equal(renameat(parent, "deep.py", parent, name), 0);
		assert_int_equal(tree_stat(&fixture->tree, path, &stx), 0);
		assert_int_equal(stx.stx_size, 4);
		assert_int_equal(renameat(parent, name, parent, "deep.py"), 0);
	}
}

/* No slash within what the kernel takes at once: at the beginning, and further on. */
static void test_names_longer_than_path_max(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *path = make_deep(fixture, 20);
	scope_free char *name = malloc((size_t)2 * PATH_MAX);
	scope_free char *below = NULL;
	struct statx stx;

	memset(name, 'n', 2 * PATH_MAX - 1);
	name[2 * PATH_MAX - 1] = '\0';
	*strrchr(path, '/') = '\0';
	below = path_join(path, name);
	assert_int_equal(tree_stat(&fixture->tree, name, &stx), -ENAMETOOLONG);
	assert_int_equal(tree_stat(&fixture->tree, below, &stx), -ENAMETOOLONG);
}

/* ---- the search ---- */

static void test_plain(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "image/top.py", "top");
	assert_source(fixture, "lib/a.py", "inside", "lib/a.py");
	assert_source(fixture, "top.py", "top", "top.py");
	assert_state(fixture, "lib/none.py", PYC_SOURCE_NONE);
	assert_state(fixture, "lib/a.py/x.py", PYC_SOURCE_NONE);
	assert_state(fixture, "none/a.py", PYC_SOURCE_NONE);
}

static void test_not_regular(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "image/dir.py/x", "");
	assert_int_equal(mkfifoat(fixture->fd, "image/fifo.py", 0644), 0);
	link_to(fixture, "image/tofifo.py", "fifo.py");
	link_to(fixture, "image/todir.py", "dir.py");
	link_to(fixture, "image/toroot.py", "/");
	link_to(fixture, "image/toself.py", "/view");
	assert_state(fixture, "dir.py", PYC_SOURCE_NONE);
	assert_state(fixture, "fifo.py", PYC_SOURCE_NONE);
	assert_state(fixture, "tofifo.py", PYC_SOURCE_NONE);
	assert_state(fixture, "todir.py", PYC_SOURCE_NONE);
	assert_state(fixture, "toroot.py", PYC_SOURCE_NONE);
	assert_state(fixture, "toself.py", PYC_SOURCE_NONE);
}

static void test_links_inside(void **state)
{
	struct fixture *fixture = *state;

	link_to(fixture, "image/lib/b.py", "a.py");
	link_to(fixture, "image/lib/sub/c.py", "../a.py");
	link_to(fixture, "image/d.py", "lib/sub/../b.py");
	link_to(fixture, "image/lib64", "lib");
	link_to(fixture, "image/e.py", "lib64/sub/./c.py");
	link_to(fixture, "image/f.py", ".//lib///a.py");
	assert_source(fixture, "lib/b.py", "inside", "lib/a.py");
	assert_source(fixture, "lib/sub/c.py", "inside", "lib/a.py");
	assert_source(fixture, "d.py", "inside", "lib/a.py");
	assert_source(fixture, "e.py", "inside", "lib/a.py");
	assert_source(fixture, "f.py", "inside", "lib/a.py");
}

/* ".." of a linked directory is the parent of where it leads, not of the link. */
static void test_dotdot_after_link(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "image/x/y/real/n", "");
	put(fixture, "image/x/y/s.py", "right");
	put(fixture, "image/s.py", "wrong");
	link_to(fixture, "image/jump", "x/y/real");
	link_to(fixture, "image/lib/g.py", "../jump/../s.py");
	assert_source(fixture, "lib/g.py", "right", "x/y/s.py");
}

/* An absolute link below the view leads into the tree, not through the mount. */
static void test_absolute_below_view(void **state)
{
	struct fixture *fixture = *state;

	link_to(fixture, "image/b.py", "/view/lib/a.py");
	link_to(fixture, "image/c.py", "/etc/../view/lib/../lib/a.py");
	link_to(fixture, "host/etc/back", "/view");
	link_to(fixture, "image/d.py", "/etc/back/lib/a.py");
	link_to(fixture, "image/e.py", "/view/none.py");
	assert_source(fixture, "b.py", "inside", "lib/a.py");
	assert_source(fixture, "c.py", "inside", "lib/a.py");
	assert_source(fixture, "d.py", "inside", "lib/a.py");
	assert_state(fixture, "e.py", PYC_SOURCE_NONE);
}

/* "/viewer" is not below "/view". */
static void test_view_is_a_component(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "host/viewer/lib/a.py", "viewer");
	link_to(fixture, "image/b.py", "/viewer/lib/a.py");
	assert_source(fixture, "b.py", "viewer", NULL);
}

static void test_links_outside(void **state)
{
	struct fixture *fixture = *state;

	link_to(fixture, "image/b.py", "/etc/a.py");
	link_to(fixture, "image/lib/c.py", "../../etc/a.py");
	link_to(fixture, "image/d.py", "../../../../../../etc/a.py"); /* above the root */
	link_to(fixture, "host/etc/l.py", "a.py");
	link_to(fixture, "image/e.py", "/etc/l.py");
	link_to(fixture, "image/f.py", "/etc/none.py");
	link_to(fixture, "image/g.py", "/../../../etc/a.py");
	assert_source(fixture, "b.py", "host", NULL);
	assert_source(fixture, "lib/c.py", "host", NULL);
	assert_source(fixture, "d.py", "host", NULL);
	assert_source(fixture, "e.py", "host", NULL);
	assert_source(fixture, "g.py", "host", NULL);
	assert_state(fixture, "f.py", PYC_SOURCE_NONE);
}

/* ---- links of others ---- */

#define USER  1000
#define OTHER 1001

static void own(struct fixture *fixture, const char *path, uid_t uid)
{
	assert_int_equal(fchownat(fixture->fd, path, uid, uid, AT_SYMLINK_NOFOLLOW), 0);
}

static void set_mode(struct fixture *fixture, const char *path, mode_t mode)
{
	assert_int_equal(fchmodat(fixture->fd, path, mode, 0), 0);
}

static void assert_hidden(struct fixture *fixture, const char *path)
{
	struct source source;

	source_find(&fixture->tree, path, &source);
	assert_int_equal(source.state, PYC_SOURCE_UNKNOWN);
	assert_int_equal(source.error, -EACCES);
	source_fini(&source);
}

/* A user's link leads root to no file that the user could not read. */
static void test_link_of_a_user(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	link_to(fixture, "image/b.py", "/etc/a.py");
	link_to(fixture, "image/c.py", "../etc/a.py");
	set_mode(fixture, "host/etc/a.py", 0600);
	assert_source(fixture, "b.py", "host", NULL); /* root's own link */
	own(fixture, "image/b.py", USER);
	own(fixture, "image/c.py", USER);
	assert_hidden(fixture, "b.py");
	assert_hidden(fixture, "c.py");
	set_mode(fixture, "host/etc/a.py", 0644);
	assert_source(fixture, "b.py", "host", NULL);
	assert_source(fixture, "c.py", "host", NULL);
	/* Groups are not known; what a group may not do, the user may not either. */
	set_mode(fixture, "host/etc/a.py", 0640);
	assert_hidden(fixture, "b.py");
	set_mode(fixture, "host/etc/a.py", 0604);
	assert_hidden(fixture, "b.py");
	/* The user's own file goes by its owner's bits. */
	own(fixture, "host/etc/a.py", USER);
	set_mode(fixture, "host/etc/a.py", 0600);
	assert_source(fixture, "b.py", "host", NULL);
	set_mode(fixture, "host/etc/a.py", 0044);
	assert_hidden(fixture, "b.py");
}

/* Nor does it tell what there is in a directory that the user cannot search. */
static void test_link_of_a_user_through_directories(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	put(fixture, "host/etc/inner/a.py", "inner");
	link_to(fixture, "image/b.py", "/etc/inner/a.py");
	link_to(fixture, "image/c.py", "/etc/inner/none.py");
	link_to(fixture, "image/d.py", "/etc/inner/../a.py");
	own(fixture, "image/b.py", USER);
	own(fixture, "image/c.py", USER);
	own(fixture, "image/d.py", USER);
	assert_source(fixture, "b.py", "inner", NULL);
	assert_state(fixture, "c.py", PYC_SOURCE_NONE);
	assert_source(fixture, "d.py", "host", NULL);
	set_mode(fixture, "host/etc/inner", 0744);
	assert_hidden(fixture, "b.py");
	assert_hidden(fixture, "c.py");
	assert_hidden(fixture, "d.py");
	set_mode(fixture, "host/etc/inner", 0755);
	set_mode(fixture, "host/etc", 0700);
	assert_hidden(fixture, "b.py");
	set_mode(fixture, "host/etc", 0755);
}

/* The rights are those of all links on the way. */
static void test_links_of_several_users(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	link_to(fixture, "image/b.py", "/etc/l.py"); /* root's, to a user's */
	link_to(fixture, "host/etc/l.py", "a.py");
	own(fixture, "host/etc/l.py", USER);
	own(fixture, "host/etc/a.py", USER);
	set_mode(fixture, "host/etc/a.py", 0600);
	assert_source(fixture, "b.py", "host", NULL);
	own(fixture, "image/b.py", OTHER);
	assert_hidden(fixture, "b.py");
	set_mode(fixture, "host/etc/a.py", 0644);
	assert_source(fixture, "b.py", "host", NULL);
	own(fixture, "host/etc/a.py", 0);
	own(fixture, "image/b.py", 0);
	set_mode(fixture, "host/etc/a.py", 0600);
	assert_hidden(fixture, "b.py");
}

/* In the tree, too: its owner may have written a part of it only. */
static void test_link_of_a_user_in_the_tree(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	link_to(fixture, "image/b.py", "lib/a.py");
	own(fixture, "image/b.py", USER);
	assert_source(fixture, "b.py", "inside", "lib/a.py");
	set_mode(fixture, "image/lib/a.py", 0600);
	assert_hidden(fixture, "b.py");
	/* Without a link nothing is told that the mount does not show. */
	assert_source(fixture, "lib/a.py", "inside", "lib/a.py");
}

/* An ACL may take away what the bits give (posix_acl_xattr.h: version 2; tag, rights, id).
 */
static void test_link_of_a_user_to_an_acl(void **state)
{
	static const uint8_t acl[] = {
		2,  0, 0, 0, 1,	  0,   6,   0,	 255, 255, 255, 255, /* user::rw- */
		2,  0, 0, 0, 232, 3,   0,   0,			     /* user:1000:--- */
		4,  0, 4, 0, 255, 255, 255, 255,		     /* group::r-- */
		16, 0, 4, 0, 255, 255, 255, 255,		     /* mask::r-- */
		32, 0, 4, 0, 255, 255, 255, 255,		     /* other::r-- */
	};
	struct fixture *fixture = *state;
	scope_fd int fd = openat(fixture->fd, "host/etc/a.py", O_RDONLY | O_CLOEXEC);

	if (geteuid() != 0 ||
	    fsetxattr(fd, "system.posix_acl_access", acl, sizeof(acl), 0) < 0)
		skip();
	link_to(fixture, "image/b.py", "/etc/a.py");
	assert_source(fixture, "b.py", "host", NULL);
	own(fixture, "image/b.py", USER);
	assert_hidden(fixture, "b.py");
}

/* The whole root is shown: nothing is outside. */
static void test_view_is_root(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *image = below(fixture, "image");

	tree_close(&fixture->tree);
	assert_int_equal(tree_open(&fixture->tree, image, image, "/"), 0);
	put(fixture, "image/top.py", "top");
	link_to(fixture, "image/lib/b.py", "/lib/a.py");
	link_to(fixture, "image/c.py", "../../lib/a.py");
	link_to(fixture, "image/lib/d.py", "../top.py");
	link_to(fixture, "image/e.py", "/");
	assert_source(fixture, "lib/b.py", "inside", "lib/a.py");
	assert_source(fixture, "c.py", "inside", "lib/a.py");
	assert_source(fixture, "lib/d.py", "top", "top.py");
	assert_state(fixture, "e.py", PYC_SOURCE_NONE);
}

static void test_loops(void **state)
{
	struct fixture *fixture = *state;
	char name[16], target[16];

	link_to(fixture, "image/self.py", "self.py");
	link_to(fixture, "image/ping.py", "/view/pong.py");
	link_to(fixture, "image/pong.py", "ping.py");
	link_to(fixture, "image/d", "d/d");
	link_to(fixture, "image/e.py", "d/x.py");
	assert_state(fixture, "self.py", PYC_SOURCE_UNKNOWN);
	assert_state(fixture, "ping.py", PYC_SOURCE_UNKNOWN);
	assert_state(fixture, "e.py", PYC_SOURCE_UNKNOWN);
	/* As many links as the kernel follows, and one more. */
	for (int i = 1; i <= 41; i++) {
		scope_free char *path = NULL;

		snprintf(name, sizeof(name), "c%d.py", i);
		snprintf(target, sizeof(target), "c%d.py", i - 1);
		assert_true(asprintf(&path, "image/%s", name) > 0);
		link_to(fixture, path, i == 1 ? "lib/a.py" : target);
	}
	assert_source(fixture, "c40.py", "inside", "lib/a.py");
	assert_state(fixture, "c41.py", PYC_SOURCE_UNKNOWN);
}

/* Targets that would not fit into any buffer. */
static void test_long_targets(void **state)
{
	struct fixture *fixture = *state;
	char target[PATH_MAX];

	memset(target, '/', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	memcpy(target + sizeof(target) - 1 - 8, "etc/a.py", 8);
	link_to(fixture, "image/b.py", target);
	assert_state(fixture, "b.py", PYC_SOURCE_REGULAR); /* as long as a target can be */
	/* A component that no file can have. */
	memset(target, 'n', 300);
	strcpy(target + 300, "/a.py");
	link_to(fixture, "image/c.py", target);
	assert_state(fixture, "c.py", PYC_SOURCE_UNKNOWN);
	/* Each fits, both together do not; the kernel would follow them. */
	memset(target, '/', 3000);
	strcpy(target + 3000, "view");
	link_to(fixture, "image/d2", target);
	memset(target, '/', 3000);
	strcpy(target + 3000, "view/d2/lib/a.py");
	link_to(fixture, "image/d.py", target);
	assert_source(fixture, "d.py", "inside", "lib/a.py");
	memcpy(target, "d2", 2);
	strcpy(target + 3000, "lib/a.py");
	link_to(fixture, "image/e.py", target);
	assert_state(fixture, "e.py", PYC_SOURCE_UNKNOWN);
}

/*
 * What the kernel refuses with ENOTDIR, Python does not find: a file is no directory, not
 * even for "/", "/." and "/..".
 */
static void test_file_is_no_directory(void **state)
{
	struct fixture *fixture = *state;

	link_to(fixture, "image/b.py", "lib/a.py/");
	link_to(fixture, "image/c.py", "lib/a.py/.");
	link_to(fixture, "image/d.py", "lib/a.py/../a.py");
	assert_state(fixture, "d.py", PYC_SOURCE_NONE);
	assert_state(fixture, "c.py", PYC_SOURCE_NONE);
	assert_state(fixture, "b.py", PYC_SOURCE_NONE);
}

/* The file of the facts and the file that is read are the same, or nothing is read. */
static void test_swapped_before_open(void **state)
{
	struct fixture *fixture = *state;
	struct source plain, linked, outside;

	link_to(fixture, "image/b.py", "lib/a.py");
	link_to(fixture, "image/c.py", "/etc/a.py");
	source_find(&fixture->tree, "lib/a.py", &plain);
	source_find(&fixture->tree, "b.py", &linked);
	source_find(&fixture->tree, "c.py", &outside);
	put(fixture, "image/lib/new", "NEW");
	put(fixture, "host/etc/new", "NEW");
	assert_int_equal(
		renameat(fixture->fd, "image/lib/new", fixture->fd, "image/lib/a.py"), 0);
	assert_int_equal(
		renameat(fixture->fd, "host/etc/new", fixture->fd, "host/etc/a.py"), 0);
	assert_int_equal(source_open(&fixture->tree, "lib/a.py", &plain), -ESTALE);
	assert_int_equal(source_open(&fixture->tree, "b.py", &linked), -ESTALE);
	assert_int_equal(source_open(&fixture->tree, "c.py", &outside), -ESTALE);
	assert_int_equal(unlinkat(fixture->fd, "image/lib/a.py", 0), 0);
	assert_int_equal(source_open(&fixture->tree, "lib/a.py", &plain), -ENOENT);
	source_fini(&plain);
	source_fini(&linked);
	source_fini(&outside);
}

/* ext4 gives a freed inode number to the next file, here a fifo; opening does not hang. */
static void test_inode_reused(void **state)
{
	struct fixture *fixture = *state;
	struct source source;

	for (int i = 0; i < 16; i++) {
		put(fixture, "image/lib/a.py", "inside");
		source_find(&fixture->tree, "lib/a.py", &source);
		assert_int_equal(unlinkat(fixture->fd, "image/lib/a.py", 0), 0);
		assert_int_equal(mkfifoat(fixture->fd, "image/lib/a.py", 0644), 0);
		assert_int_equal(source_open(&fixture->tree, "lib/a.py", &source), -ESTALE);
		assert_int_equal(unlinkat(fixture->fd, "image/lib/a.py", 0), 0);
		source_fini(&source);
	}
}

/* ---- mounts below the source ---- */

static void bind(struct fixture *fixture, const char *from, const char *to)
{
	scope_free char *source = below(fixture, from);
	scope_free char *target = below(fixture, to);

	if (!have_namespace)
		skip();
	assert_int_equal(mount(source, target, NULL, MS_BIND, NULL), 0);
	fixture->mounted = true;
}

static void test_submount(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *image = below(fixture, "image");
	struct statx stx;
	struct tree bare = {
		.root_fd = open(image, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.host_fd = fcntl(fixture->fd, F_DUPFD_CLOEXEC, 0),
		.view_path = strdup("/view"),
	};
	scope_fd int dir = -1;

	put(fixture, "image/lib/mnt/own.py", "own");
	put(fixture, "image/lib/mnt.py", "own");
	bind(fixture, "host/etc", "image/lib/mnt");
	bind(fixture, "host/etc/a.py", "image/lib/mnt.py");
	/* Without a copy of the mount: it cannot be entered, and says what it is. */
	assert_int_equal(tree_openat(&bare, "lib/mnt", O_PATH), -EXDEV);
	assert_int_equal(tree_openat(&bare, "lib/mnt/a.py", O_RDONLY), -EXDEV);
	assert_int_equal(tree_openat(&bare, "lib/mnt.py", O_RDONLY), -EXDEV);
	dir = tree_openat(&bare, "lib", O_PATH | O_DIRECTORY);
	assert_int_equal(statx_at(dir, "mnt", &stx), 0);
	assert_true(tree_is_submount(&stx));
	assert_int_equal(statx_at(dir, "a.py", &stx), 0);
	assert_false(tree_is_submount(&stx));
	{
		struct source source;

		source_find(&bare, "lib/mnt.py", &source);
		assert_int_equal(source.state, PYC_SOURCE_UNKNOWN);
		source_fini(&source);
	}
	/* With one: what lies below the mount, as the source has it. */
	if (fixture->tree.is_clone) {
		assert_source(fixture, "lib/mnt.py", "own", "lib/mnt.py");
		assert_source(fixture, "lib/mnt/own.py", "own", "lib/mnt/own.py");
		assert_state(fixture, "lib/mnt/a.py", PYC_SOURCE_NONE);
		assert_int_equal(tree_stat(&fixture->tree, "lib/mnt", &stx), 0);
		assert_false(tree_is_submount(&stx));
	}
	tree_close(&bare);
}

/* Outside of the tree, mounts are as good as directories. */
static void test_mount_outside(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "host/mnt/x", "");
	put(fixture, "image/lib/mnt/x", "");
	link_to(fixture, "image/b.py", "/mnt/a.py");
	bind(fixture, "host/etc", "host/mnt");

	scope_free char *host = below(fixture, "host");
	scope_free char *mounted = below(fixture, "host/mnt");
	scope_fd int host_fd = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int saved = fixture->tree.host_fd;

	fixture->tree.host_fd = host_fd;
	assert_source(fixture, "b.py", "host", NULL);
	fixture->tree.host_fd = saved;
	umount2(mounted, MNT_DETACH);
}

/* ---- links of every form, against the kernel ---- */

static const char *const links_at[] = {"m.py", "lib/m.py", "lib/sub/__pycache__"};
static const char *const link_roots[] = {
	"",	    ".",	"..",	    "../..",   "../../..",   "lib",   "lib/a.py",
	"a.py",	    "../lib",	"to_dir",   "to_file", "../to_file", "to_up", "to_here",
	"to_root",  "to_slash", "to_loop",  "to_none", "to_etc",     "none",  "fifo",
	"/",	    "//",	"/view",    "/view/",  "/view/lib",  "/etc",  "/etc/a.py",
	"/to_view", "/..",	"/view/..", "/srv",    "/srv/view",
};
static const char *const link_ends[] = {
	"",	 "/",	   "//",      "/.",	    "/./",	 "/..",
	"/../",	 "/../.",  "/../..",  "/a.py",	    "//a.py",	 "/lib/../a.py",
	"/view", "/lib/.", "/to_dir", "/../lib/..", "/to_file/", "/to_file/..",
};

/* How often the kernel said what. */
struct outcomes {
	unsigned inside, outside, directory, fifo, none, not_dir, loop;
};

/*
 * What the kernel finds at @path in a readers' root of its own: a descriptor or -errno, and
 * the path of the file as readers see it.
 */
static int resolve_by_kernel(const char *root, const char *path, char ret_seen[PATH_MAX])
{
	scope_fd int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = openat2_fd(root_fd, path, O_PATH, RESOLVE_IN_ROOT);
	char link[64];
	ssize_t len;

	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, ret_seen, PATH_MAX - 1);
	assert_true(len >= (ssize_t)strlen(root));
	ret_seen[len] = '\0';
	assert_memory_equal(ret_seen, root, strlen(root));
	memmove(ret_seen, ret_seen + strlen(root), (size_t)len - strlen(root) + 1);
	return fd;
}

/* That a source that was found is the file that the kernel found, and can be opened. */
static void check_found(struct fixture *fixture, const char *path,
			const struct source *source, int fd, struct outcomes *outcomes)
{
	struct statx right, opened;
	scope_fd int again = -1;

	assert_int_equal(statx_at(fd, "", &right), 0);
	assert_int_equal(source->stx.stx_ino, right.stx_ino);
	assert_int_equal(source->stx.stx_mode, right.stx_mode);
	assert_int_equal(source->state,
			 S_ISREG(right.stx_mode) ? PYC_SOURCE_REGULAR : PYC_SOURCE_NONE);
	outcomes->directory += S_ISDIR(right.stx_mode);
	outcomes->fifo += S_ISFIFO(right.stx_mode);
	if (!S_ISREG(right.stx_mode))
		return;
	again = source_open(&fixture->tree, path, source);
	assert_true(again >= 0);
	assert_int_equal(statx_at(again, "", &opened), 0);
	assert_int_equal(opened.stx_ino, right.stx_ino);
	outcomes->inside += source->path != NULL;
	outcomes->outside += source->path == NULL;
}

/* The part of a path that is below the view; NULL for one outside. */
static const char *below_view(const struct tree *tree, const char *seen)
{
	const char *below = path_below(seen[0] ? seen : "/", tree->view_path);

	if (!below)
		return NULL;
	below += strspn(below, "/");
	return *below ? below : ".";
}

static void check_link(struct fixture *fixture, const char *root, const char *path,
		       struct outcomes *outcomes)
{
	scope_free char *seen_path = path_join(fixture->tree.view_path, path);
	char seen[PATH_MAX];
	scope_fd int fd = resolve_by_kernel(root, seen_path, seen);
	struct source source;

	source_find(&fixture->tree, path, &source);
	assert_same_in(fixture, path, &source);
	if (fd < 0) {
		assert_int_equal(source.error, fd);
		assert_int_equal(source.state,
				 fd == -ELOOP ? PYC_SOURCE_UNKNOWN : PYC_SOURCE_NONE);
		outcomes->none += fd == -ENOENT;
		outcomes->not_dir += fd == -ENOTDIR;
		outcomes->loop += fd == -ELOOP;
	} else {
		const char *inside = below_view(&fixture->tree, seen);

		assert_int_equal(source.path == NULL, inside == NULL);
		if (inside)
			assert_string_equal(source.path, inside);
		check_found(fixture, path, &source, fd, outcomes);
	}
	source_fini(&source);
}

static void put_what_links_lead_to(struct fixture *fixture, const char *root)
{
	scope_free char *to_view = NULL;

	put(fixture, "image/a.py", "top");
	put(fixture, "image/lib/sub/a.py", "sub");
	put(fixture, "host/srv/a.py", "beside the view");
	assert_int_equal(mkfifoat(fixture->fd, "image/lib/fifo", 0644), 0);
	link_to(fixture, "image/lib/to_dir", "sub");
	link_to(fixture, "image/to_file", "lib/a.py");
	link_to(fixture, "image/lib/to_file", "a.py");
	link_to(fixture, "image/lib/to_up", "..");
	link_to(fixture, "image/lib/to_here", ".");
	link_to(fixture, "image/lib/to_root", "../../../..");
	link_to(fixture, "image/lib/to_slash", "/");
	link_to(fixture, "image/lib/to_loop", "to_loop/.");
	link_to(fixture, "image/lib/to_none", "none/..");
	link_to(fixture, "image/lib/to_etc", "/etc");
	assert_true(asprintf(&to_view, "%s/to_view", root) > 0);
	assert_int_equal(symlinkat(fixture->tree.view_path, AT_FDCWD, to_view), 0);
}

/* Every root with every end, at every place. @host: the readers' root, of BASE. */
static struct outcomes check_links(struct fixture *fixture, const char *host)
{
	scope_free char *root = below(fixture, host);
	struct outcomes outcomes = {0};

	put_what_links_lead_to(fixture, root);
	for (size_t at = 0; at < ARRAY_SIZE(links_at); at++) {
		scope_free char *path = path_join("image", links_at[at]);

		for (size_t i = 0; i < ARRAY_SIZE(link_roots) * ARRAY_SIZE(link_ends);
		     i++) {
			char target[64];

			snprintf(target, sizeof(target), "%s%s",
				 link_roots[i % ARRAY_SIZE(link_roots)],
				 link_ends[i / ARRAY_SIZE(link_roots)]);
			if (!target[0])
				continue;
			link_to(fixture, path, target);
			check_link(fixture, root, links_at[at], &outcomes);
			assert_int_equal(unlinkat(fixture->fd, path, 0), 0);
		}
	}
	return outcomes;
}

static void check_links_below(struct fixture *fixture, const char *view)
{
	scope_free char *image = below(fixture, "image");
	scope_free char *host = below(fixture, "host");
	scope_free char *mounted = NULL;
	struct outcomes outcomes;

	assert_true(asprintf(&mounted, "host%s", view) > 0);
	tree_close(&fixture->tree);
	assert_int_equal(tree_open(&fixture->tree, image, host, view), 0);
	put(fixture, "host/srv/view/a.py", "decoy!");
	bind(fixture, "image", mounted);
	outcomes = check_links(fixture, "host");
	assert_true(outcomes.inside > 20 && outcomes.outside > 20);
	assert_true(outcomes.directory > 20 && outcomes.fifo > 0);
	assert_true(outcomes.none > 20 && outcomes.not_dir > 20 && outcomes.loop > 10);
}

static void test_every_link(void **state)
{
	check_links_below(*state, "/view");
}

static void test_every_link_to_a_deeper_view(void **state)
{
	check_links_below(*state, "/srv/view");
}

static void test_every_link_where_the_view_is_the_root(void **state)
{
	struct fixture *fixture = *state;
	scope_free char *image = below(fixture, "image");
	struct outcomes outcomes;

	tree_close(&fixture->tree);
	assert_int_equal(tree_open(&fixture->tree, image, image, "/"), 0);
	outcomes = check_links(fixture, "image");
	assert_true(outcomes.inside > 20);
	assert_int_equal(outcomes.outside, 0);
	assert_true(outcomes.directory > 20);
}

static void test_join(void **state)
{
	char *path = path_join(".", "a");

	(void)state;
	assert_string_equal(path, "a");
	free(path);
	path = path_join("a/b", "c");
	assert_string_equal(path, "a/b/c");
	free(path);
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		PLAIN(test_open_errors),
		PLAIN(test_openat),
		PLAIN(test_openat_never_follows),
		PLAIN(test_longer_than_path_max),
		PLAIN(test_names_longer_than_path_max),
		PLAIN(test_around_path_max),
		PLAIN(test_plain),
		PLAIN(test_not_regular),
		PLAIN(test_links_inside),
		PLAIN(test_dotdot_after_link),
		PLAIN(test_absolute_below_view),
		PLAIN(test_view_is_a_component),
		PLAIN(test_links_outside),
		PLAIN(test_link_of_a_user),
		PLAIN(test_link_of_a_user_through_directories),
		PLAIN(test_links_of_several_users),
		PLAIN(test_link_of_a_user_in_the_tree),
		PLAIN(test_link_of_a_user_to_an_acl),
		PLAIN(test_view_is_root),
		PLAIN(test_loops),
		PLAIN(test_long_targets),
		PLAIN(test_swapped_before_open),
		PLAIN(test_submount),
		PLAIN(test_mount_outside),
		PLAIN(test_file_is_no_directory),
		PLAIN(test_inode_reused),
		PLAIN(test_every_link),
		PLAIN(test_every_link_to_a_deeper_view),
		PLAIN(test_every_link_where_the_view_is_the_root),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
