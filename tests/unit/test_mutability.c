/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can a source change? Real mounts, in a namespace of this process's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/mutability.h"
#include "tests/unit/scratch.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LINK "l/ABCDEFGHIJKLMNOPQRSTUVWXY2"

static char base[SCRATCH_MAX];

static char *below(const char *name)
{
	char *path = path_join(base, name);

	assert_non_null(path);
	return path;
}

/* With the folders above it. Return: its path. */
static char *make_folder(const char *name)
{
	char *path = below(name);

	for (char *slash = path + strlen(base) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mkdir(path, 0755);
	return path;
}

/* All is made on a tmpfs: an overlay takes its layers from there on any machine. */
static int setup(void **state)
{
	(void)state;
	scratch_make(base, "mutability");
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("none", base, "tmpfs", 0, "size=1m,mode=755") < 0) {
		scratch_remove(base);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	umount2(base, MNT_DETACH);
	scratch_remove(base);
	return 0;
}

static enum mutability_reason reason_said(const char *path, enum mutability_option said)
{
	struct mutability mutability;
	struct tree tree;

	assert_int_equal(tree_open(&tree, path, "/", path), 0);
	mutability = mutability_of(&tree, path, said);
	tree_close(&tree);
	assert_int_equal(mutability.immutable,
			 strncmp(mutability_text(mutability.reason), "never", 5) == 0);
	return mutability.reason;
}

static enum mutability_reason reason_of(const char *path)
{
	return reason_said(path, MUTABILITY_AUTO);
}

#define assert_reason(path, reason) assert_int_equal(reason_of(path), reason)

static void bind_read_only(const char *from, const char *to)
{
	assert_int_equal(mount(from, to, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, to, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
}

static void mount_overlay(const char *source, const char *point, const char *options)
{
	/* Relative names of layers begin here. */
	assert_int_equal(chdir(base), 0);
	assert_int_equal(mount(source, point, "overlay", MS_RDONLY, options), 0);
	assert_int_equal(chdir("/"), 0);
}

/* The reason for an overlay that is made so. */
static enum mutability_reason reason_of_overlay(const char *source, const char *options)
{
	scope_free char *point = make_folder("point");
	enum mutability_reason reason;

	mount_overlay(source, point, options);
	reason = reason_of(point);
	assert_int_equal(umount(point), 0);
	return reason;
}

/* A read-only tmpfs with two folders. */
static char *mount_read_only_fs(const char *name)
{
	char *path = make_folder(name);
	scope_free char *one = path_join(path, "one");
	scope_free char *two = path_join(path, "two");

	assert_int_equal(mount("none", path, "tmpfs", 0, "size=64k,mode=755"), 0);
	mkdir(one, 0755);
	mkdir(two, 0755);
	assert_int_equal(mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	return path;
}

static void test_said(void **state)
{
	(void)state;
	assert_int_equal(reason_said(base, MUTABILITY_NEVER), MUTABILITY_SAID_IMMUTABLE);
	assert_int_equal(reason_said(base, MUTABILITY_ALWAYS), MUTABILITY_SAID_MUTABLE);
}

static void test_mounts(void **state)
{
	scope_free char *tree = make_folder("tree/inner");
	scope_free char *bound = make_folder("bound");
	scope_free char *fs = mount_read_only_fs("fs");
	scope_free char *one = path_join(fs, "one");

	(void)state;
	assert_reason(tree, MUTABILITY_READ_WRITE);
	bind_read_only(tree, bound);
	assert_reason(bound, MUTABILITY_READ_ONLY_MOUNT);
	assert_int_equal(umount(bound), 0);
	assert_reason(fs, MUTABILITY_READ_ONLY_FS);
	assert_reason(one, MUTABILITY_READ_ONLY_FS);
	/* A mount of its own is no other file system. */
	assert_int_equal(mount(one, bound, NULL, MS_BIND, NULL), 0);
	assert_reason(bound, MUTABILITY_READ_ONLY_FS);
	assert_int_equal(umount(bound), 0);
	assert_int_equal(umount(fs), 0);
	/* The super block of proc is the kernel's to change. */
	assert_int_equal(mount("none", bound, "proc", MS_RDONLY, NULL), 0);
	assert_int_not_equal(reason_of(bound), MUTABILITY_READ_ONLY_FS);
	assert_int_equal(umount(bound), 0);
}

/* The tree is a copy of its mount, and is found all the same when the mount is hidden. */
static void test_hidden_mount(void **state)
{
	scope_free char *fs = mount_read_only_fs("fs");
	struct tree tree;

	(void)state;
	assert_int_equal(tree_open(&tree, fs, "/", fs), 0);
	assert_int_equal(mount("none", fs, "tmpfs", 0, NULL), 0);
	assert_true(mutability_of(&tree, fs, MUTABILITY_AUTO).immutable);
	assert_int_equal(umount(fs), 0);
	assert_int_equal(umount(fs), 0);
	/* And without its mount nothing is known of it. */
	assert_int_equal(mutability_of(&tree, fs, MUTABILITY_AUTO).reason,
			 MUTABILITY_UNKNOWN);
	tree_close(&tree);
}

static void test_overlays(void **state)
{
	scope_free char *fs = mount_read_only_fs("fs");
	scope_free char *upper = make_folder("upper");
	scope_free char *work = make_folder("work");
	scope_free char *plain = make_folder("plain");
	char options[512];

	(void)state;
#define OVERLAY(...)                                      \
	(snprintf(options, sizeof(options), __VA_ARGS__), \
	 reason_of_overlay("none", options))
	assert_int_equal(OVERLAY("lowerdir=%s/one:%s/two", fs, fs),
			 MUTABILITY_READ_ONLY_LAYERS);
	assert_int_equal(OVERLAY("lowerdir=%s/one:%s", fs, plain), MUTABILITY_OTHER_LAYERS);
	assert_int_equal(OVERLAY("lowerdir=%s:%s/one", plain, fs), MUTABILITY_OTHER_LAYERS);
	assert_int_equal(OVERLAY("lowerdir=fs/one:fs/two"), MUTABILITY_OTHER_LAYERS);
	assert_int_equal(OVERLAY("lowerdir=%s/one,upperdir=%s,workdir=%s", fs, upper, work),
			 MUTABILITY_UPPER_LAYER);
	assert_int_equal(umount(fs), 0);
}

/* Where the overlay lies over one of its layers, the layer's name leads to the overlay. */
static void test_overlay_over_its_layer(void **state)
{
	scope_free char *fs = mount_read_only_fs("fs");
	scope_free char *plain = make_folder("plain");
	char options[512];

	(void)state;
	snprintf(options, sizeof(options), "lowerdir=%s:%s/one", plain, fs);
	mount_overlay("none", plain, options);
	assert_reason(plain, MUTABILITY_OTHER_LAYERS);
	assert_int_equal(umount(plain), 0);
	assert_int_equal(umount(fs), 0);
}

static void test_engines(void **state)
{
	static const struct {
		const char *name;
		bool is_layer;
	} names[] = {
		{LINK, true},
		{"overlay/" LINK, true},
		{"storage/overlay/" ID "/diff", true},
		{"storage/overlay/" ID "/empty", true},
		{"docker/overlay2/" ID "/diff", true},
		{"docker/overlay2/" ID "-init/diff", true},
		{"io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs", true},
		{"l/ABCDEFGHIJKLMNOPQRSTUVWXYz", false},
		{"l/ABCDEFGHIJKLMNOPQRSTUVWXY22", false},
		{"xl/ABCDEFGHIJKLMNOPQRSTUVWXY2", false},
		{"overlay/diff", false},
		{"overlay/" ID "a/diff", false},
		{"overlay/" ID "/work", false},
		{"overlay/" ID "/diff/usr", false},
		{"myoverlay/" ID "/diff", false},
		{"snapshots/12/fs", false},
		{"io.containerd.snapshotter.v1.overlayfs/snapshots/x/fs", false},
	};
	char options[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		/* A copy, so that there are two; by its whole path, and as podman names it.
		 */
		scope_free char *layer = make_folder(names[i].name);
		bool is_short = names[i].name[0] == 'l';

		snprintf(options, sizeof(options), "lowerdir=%s:%s",
			 is_short ? names[i].name : layer, LINK);
		if (strcmp(names[i].name, LINK) == 0)
			snprintf(options, sizeof(options), "lowerdir=%s:%s", layer,
				 "l/ABCDEFGHIJKLMNOPQRSTUVWXY3");
		free(make_folder("l/ABCDEFGHIJKLMNOPQRSTUVWXY3"));
		assert_int_equal(reason_of_overlay("overlay", options),
				 names[i].is_layer ? MUTABILITY_CONTAINER_LAYERS
						   : MUTABILITY_OTHER_LAYERS);
	}
}

static void test_composefs(void **state)
{
	static const char options[] = "metacopy=on,lowerdir=plain::objects";

	(void)state;
	free(make_folder("plain"));
	free(make_folder("objects"));
	assert_int_equal(reason_of_overlay("composefs", options), MUTABILITY_COMPOSEFS);
	assert_int_equal(reason_of_overlay("none", options), MUTABILITY_OTHER_LAYERS);
	assert_int_equal(reason_of_overlay("composefs", "lowerdir=plain:objects"),
			 MUTABILITY_OTHER_LAYERS);
}

/* ---- ostree ---- */

#define DEPLOY "sys/ostree/deploy/os/deploy"

static void make_file(const char *name)
{
	scope_free char *path = below(name);
	scope_fd int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
}

/* The reason for a read-only bind mount of a directory, as /usr is one. */
static enum mutability_reason reason_of_bound(const char *name)
{
	scope_free char *from = make_folder(name);
	scope_free char *to = make_folder("bound");
	enum mutability_reason reason;

	bind_read_only(from, to);
	reason = reason_of(to);
	assert_int_equal(umount(to), 0);
	return reason;
}

static void test_ostree(void **state)
{
	scope_free char *usr = make_folder(DEPLOY "/" ID ".0/usr");
	scope_free char *deployment = below(DEPLOY "/" ID ".0");
	scope_free char *origin = below(DEPLOY "/" ID ".0.origin");

	(void)state;
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0/usr"),
			 MUTABILITY_READ_ONLY_MOUNT);
	make_file(DEPLOY "/" ID ".0.origin");
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0/usr"), MUTABILITY_OSTREE);
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0/usr/lib"), MUTABILITY_OSTREE);
	/* Only usr never changes. */
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0"), MUTABILITY_READ_ONLY_MOUNT);
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0/etc"),
			 MUTABILITY_READ_ONLY_MOUNT);
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0/usrx"),
			 MUTABILITY_READ_ONLY_MOUNT);
	assert_reason(usr, MUTABILITY_READ_WRITE);
	/* What others can write to is no deployment. */
	chmod(deployment, 0777);
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0/usr"),
			 MUTABILITY_READ_ONLY_MOUNT);
	chmod(deployment, 0755);
	assert_int_equal(chown(origin, 1, 1), 0);
	assert_int_equal(reason_of_bound(DEPLOY "/" ID ".0/usr"),
			 MUTABILITY_READ_ONLY_MOUNT);
}

static void test_not_ostree(void **state)
{
	static const char *const names[] = {
		DEPLOY "/" ID ".x", DEPLOY "/" ID "a.0", DEPLOY "/" ID,
		"sys/ostree/deploy/deploy/" ID ".0", "sys/deploy/os/deploy/" ID ".0"};
	char name[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "%s/usr", names[i]);
		free(make_folder(name));
		snprintf(name, sizeof(name), "%s.origin", names[i]);
		make_file(name);
		snprintf(name, sizeof(name), "%s/usr", names[i]);
		assert_int_equal(reason_of_bound(name), MUTABILITY_READ_ONLY_MOUNT);
	}
}

/* Where no mount shows the origin, nothing proves that it is a deployment. */
static void test_ostree_unseen(void **state)
{
	scope_free char *usr = make_folder("fs");
	scope_free char *bound = make_folder("bound");
	scope_free char *inside = below("fs/ostree/deploy/os/deploy/" ID ".1/usr");

	(void)state;
	assert_int_equal(mount("none", usr, "tmpfs", 0, "size=64k,mode=755"), 0);
	free(make_folder("fs/ostree/deploy/os/deploy/" ID ".1/usr"));
	make_file("fs/ostree/deploy/os/deploy/" ID ".1.origin");
	bind_read_only(inside, bound);
	assert_reason(bound, MUTABILITY_OSTREE);
	assert_int_equal(mount("none", usr, "tmpfs", 0, NULL), 0);
	assert_reason(bound, MUTABILITY_READ_ONLY_MOUNT);
	assert_int_equal(umount(usr), 0);
	assert_int_equal(umount(usr), 0);
	assert_reason(bound, MUTABILITY_READ_ONLY_MOUNT);
	assert_int_equal(umount(bound), 0);
}

static void test_words(void **state)
{
	(void)state;
	for (int i = 0; i < MUTABILITY_REASONS; i++) {
		const struct mutability mutability = {.reason = (enum mutability_reason)i};

		assert_true(strlen(mutability_name(mutability.reason)) > 0);
		assert_true(strlen(mutability_text(mutability.reason)) > 0);
		/* What never changes is no surprise. */
		if (mutability_is_surprising(&mutability))
			assert_int_equal(
				strncmp(mutability_text(mutability.reason), "may", 3), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_said),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_hidden_mount),
		cmocka_unit_test(test_overlays),
		cmocka_unit_test(test_overlay_over_its_layer),
		cmocka_unit_test(test_engines),
		cmocka_unit_test(test_composefs),
		cmocka_unit_test(test_ostree),
		cmocka_unit_test(test_not_ostree),
		cmocka_unit_test(test_ostree_unseen),
		cmocka_unit_test(test_words),
	};

	if (geteuid() != 0) {
		puts("1..0 # SKIP mounts need root's rights");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
