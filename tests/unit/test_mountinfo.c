/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mount lists: the parser on lines as kernels write them (a file in the place of
 * /proc/self/mountinfo), and, as root, real mounts in a namespace of this process's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/scope.h"
#include "fs/mount/mountinfo.h"
#include "tests/unit/scratch.h"

static struct mountinfo of_text(const char *text)
{
	struct mountinfo list;
	FILE *file = tmpfile();

	assert_non_null(file);
	fputs(text, file);
	rewind(file);
	assert_int_equal(mountinfo_read_file(&list, file), 0);
	fclose(file);
	return list;
}

static void test_lines(void **state)
{
	struct mountinfo list =
		of_text("22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n"
			"23 22 0:21 / /sys rw - sysfs sysfs rw\n"
			"90 22 0:45 /sub/dir /mnt ro,nosuid master:3 propagate_from:2 - "
			"fuse.canonfs "
			"/usr ro,user_id=0\n"
			"91 22 0:46 / /a ro - overlay /usr "
			"ro,lowerdir=canonfs-stubs:canonfs-source::canonfs-data,xino=on\n"
			"92 22 0:47 / /b ro - overlay none ro,lowerdir=/canonfs-stubs:/x\n"
			"93 22 0:48 / /c rw - tmpfs lowerdir=canonfs-stubs:x "
			"lowerdir=canonfs-stubs:x\n");

	(void)state;
	assert_int_equal(list.count, 6);
	assert_int_equal(list.entry[0].device, makedev(8, 2));
	assert_string_equal(list.entry[0].point, "/");
	assert_string_equal(list.entry[0].type, "ext4");
	assert_string_equal(list.entry[0].source, "/dev/sda2");
	assert_string_equal(list.entry[0].root, "/");
	assert_string_equal(list.entry[0].options, "rw");
	assert_false(list.entry[0].read_only || list.entry[0].fs_read_only);
	assert_string_equal(list.entry[1].point, "/sys");
	assert_int_equal(list.entry[2].device, makedev(0, 45));
	assert_string_equal(list.entry[2].root, "/sub/dir");
	assert_string_equal(list.entry[2].options, "ro,user_id=0");
	assert_true(list.entry[2].read_only && list.entry[2].fs_read_only);
	assert_string_equal(list.entry[2].point, "/mnt");
	assert_string_equal(list.entry[2].type, MOUNT_TYPE);
	assert_string_equal(list.entry[2].source, "/usr");
	assert_true(list.entry[2].ours);
	assert_string_equal(list.entry[3].source, "/usr");
	assert_true(list.entry[3].ours);
	assert_false(list.entry[4].ours);
	assert_false(list.entry[5].ours);
	assert_ptr_equal(mountinfo_find(&list, 91), &list.entry[3]);
	assert_null(mountinfo_find(&list, 1));
	mountinfo_free(&list);
}

/* fs/proc_namespace.c escapes space, tab, newline, backslash and, in sources, '#'. */
static void test_escapes(void **state)
{
	struct mountinfo list = of_text(
		"30 22 0:9 / /a\\040b\\011c\\012d\\134e rw - tmpfs so\\043urce\\040x rw\n"
		"31 22 0:9 / /caf\xc3\xa9\\134 rw - tmpfs \\134 rw\n");

	(void)state;
	assert_int_equal(list.count, 2);
	assert_string_equal(list.entry[0].point, "/a b\tc\nd\\e");
	assert_string_equal(list.entry[0].source, "so#urce x");
	assert_string_equal(list.entry[1].point, "/caf\xc3\xa9\\");
	assert_string_equal(list.entry[1].source, "\\");
	mountinfo_free(&list);
}

/* A bind mount is read-only by itself; a file system is for all of its mounts. */
static void test_read_only(void **state)
{
	struct mountinfo list =
		of_text("30 22 8:2 /a /a ro,nosuid - ext4 /dev/sda2 rw,ro=x\n"
			"31 22 8:3 / /b rw - ext4 /dev/sda3 ro\n"
			"32 22 8:4 / /c road - ext4 /dev/sda4 road\n"
			"33 22 8:5 /a\\040b /d ro - ext4 /dev/sda4\n");

	(void)state;
	assert_int_equal(list.count, 4);
	assert_true(list.entry[0].read_only && !list.entry[0].fs_read_only);
	assert_true(!list.entry[1].read_only && list.entry[1].fs_read_only);
	assert_true(!list.entry[2].read_only && !list.entry[2].fs_read_only);
	assert_true(list.entry[3].read_only && !list.entry[3].fs_read_only);
	assert_string_equal(list.entry[3].root, "/a b");
	assert_string_equal(list.entry[3].options, "");
	mountinfo_free(&list);
}

/* What is not a line of this kind is passed over, whatever it is. */
static void test_odd_lines(void **state)
{
	struct mountinfo list = of_text("\n"
					" - \n"
					"garbage\n"
					"1 2 3 4 5 - 6\n"
					"1 2 a:b / /x rw - tmpfs t rw\n"
					"1 2 0:1\n"
					"1 2 0:1 - \n"
					"1 2 0:1 / - tmpfs x rw\n"
					"40 22 0:9 / /good rw - tmpfs");

	(void)state;
	assert_int_equal(list.count, 1);
	assert_string_equal(list.entry[0].point, "/good");
	assert_string_equal(list.entry[0].type, "tmpfs");
	assert_string_equal(list.entry[0].source, "");
	mountinfo_free(&list);
	list = of_text("");
	assert_int_equal(list.count, 0);
	mountinfo_free(&list);
}

static void test_long_line(void **state)
{
	size_t len = 100000;
	char *text = malloc(len + 100);
	struct mountinfo list;
	size_t start;

	(void)state;
	assert_non_null(text);
	start = (size_t)sprintf(text, "40 22 0:9 / /");
	memset(text + start, 'x', len);
	strcpy(text + start + len, " rw - tmpfs t rw\n");
	list = of_text(text);
	assert_int_equal(list.count, 1);
	assert_int_equal(strlen(list.entry[0].point), len + 1);
	mountinfo_free(&list);
	free(text);
}

/* ---- real mounts ---- */

static char base[SCRATCH_MAX];
static bool have_namespace;

static int setup(void **state)
{
	(void)state;
	scratch_make(base, "mountinfo");
	have_namespace = unshare(CLONE_NEWNS) == 0 &&
			 mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0;
	return 0;
}

static char *below(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", base, name) > 0);
	return path;
}

static int teardown(void **state)
{
	static const char *const dirs[] = {"a/inner", "a", "ab", "sp ace\\\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		scope_free char *path = below(dirs[i]);

		while (umount2(path, MNT_DETACH) == 0)
			;
	}
	scratch_remove(base);
	return 0;
}

static void mount_at(const char *name)
{
	scope_free char *path = below(name);

	if (!have_namespace)
		skip();
	mkdir(path, 0755);
	assert_int_equal(mount("canonfs-test", path, "tmpfs", 0, "size=64k"), 0);
}

/* The device of the mount that is visible at a path; 0 for none. */
static uint64_t device_at(const char *point)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *top;

	assert_int_equal(mountinfo_read(&list), 0);
	top = mountinfo_top(&list, point);
	assert_true(!top || !top->ours);
	assert_false(mount_is_ours(point, NULL));
	return top ? top->device : 0;
}

static void test_root_is_mounted(void **state)
{
	(void)state;
	if (!device_at("/"))
		skip(); /* chroot() to a plain directory */
	assert_int_equal(device_at("/proc/no-such-mount"), 0);
}

static void test_top(void **state)
{
	scope_free char *a = below("a");
	uint64_t first, second;
	struct stat st;

	(void)state;
	mount_at("a");
	assert_int_equal(stat(a, &st), 0);
	first = device_at(a);
	assert_int_equal(first, st.st_dev);
	mount_at("a");
	assert_int_equal(stat(a, &st), 0);
	second = device_at(a);
	assert_int_equal(second, st.st_dev);
	assert_int_not_equal(first, second);
	assert_int_equal(umount(a), 0);
	assert_int_equal(device_at(a), first);
	assert_int_equal(umount(a), 0);
	assert_int_equal(device_at(a), 0);
}

/* The first mount below @path; a copy, NULL for none. */
static char *first_below(const char *path)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *found;

	assert_int_equal(mountinfo_read(&list), 0);
	found = mountinfo_below(&list, path);
	return found ? strdup(found->point) : NULL;
}

static void assert_below(const char *path, const char *point)
{
	scope_free char *found = first_below(path);

	assert_non_null(found);
	assert_string_equal(found, point);
}

/* Below means a component more: neither the directory itself nor a longer name. */
static void test_below(void **state)
{
	scope_free char *a = below("a");
	scope_free char *ab = below("ab");
	scope_free char *inner = below("a/inner");
	scope_free char *odd = below("sp ace\\\n");
	scope_free char *any = NULL;

	(void)state;
	mount_at("a");
	mount_at("ab");
	assert_null(first_below(a));
	assert_null(first_below(ab));
	mount_at("a/inner");
	assert_below(a, inner);
	assert_int_equal(umount(inner), 0);
	assert_int_equal(umount(ab), 0);
	assert_int_equal(umount(a), 0);
	assert_null(first_below(base));
	mount_at("sp ace\\\n");
	assert_below(base, odd);
	any = first_below("/");
	assert_non_null(any);
	assert_int_equal(umount(odd), 0);
}

/* A mount that another one hides is not "the mount that is visible at a path". */
static void test_top_hidden(void **state)
{
	scope_free char *a = below("a");
	scope_free char *inner = below("a/inner");

	(void)state;
	mount_at("a");
	mount_at("a/inner");
	mount_at("a");
	assert_int_equal(device_at(inner), 0);
	assert_int_equal(umount(a), 0);
	assert_int_equal(umount(inner), 0);
	assert_int_equal(umount(a), 0);
}

/* What is upon a canonfs hides it, and still one would have to go through it. */
static void test_ours(void **state)
{
	scope_mountinfo struct mountinfo list =
		of_text("22 1 8:2 / / rw - ext4 /dev/sda2 rw\n"
			"23 22 0:45 / /a ro - fuse.canonfs /usr ro,user_id=7\n"
			"24 22 0:46 / /b ro - fuse.canonfs /usr ro,user_id=0\n"
			"25 24 0:47 / /b rw - tmpfs none rw\n");

	(void)state;
	assert_true(mountinfo_top(&list, "/a")->ours);
	assert_int_equal(mountinfo_top(&list, "/a")->user_id, 7);
	assert_false(mountinfo_top(&list, "/b")->ours);
	assert_null(mountinfo_top(&list, "/a/b"));
	assert_true(mountinfo_leads_through_ours(&list, "/a"));
	assert_true(mountinfo_leads_through_ours(&list, "/a/b"));
	assert_true(mountinfo_leads_through_ours(&list, "/b/c"));
	assert_false(mountinfo_leads_through_ours(&list, "/ab"));
	assert_false(mountinfo_leads_through_ours(&list, "/"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	   cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_read_only),  cmocka_unit_test(test_odd_lines),
		cmocka_unit_test(test_long_line),  cmocka_unit_test(test_root_is_mounted),
		cmocka_unit_test(test_top),	   cmocka_unit_test(test_below),
		cmocka_unit_test(test_top_hidden), cmocka_unit_test(test_ours),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
