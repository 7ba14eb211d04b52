/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which tree would be mounted for a file; tests/e2e/test_trace_command.py has mounts.
 */
#include "cli/trees/mountable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/path.h"
#include "base/scope.h"
#include "tests/unit/scratch.h"

static char root[SCRATCH_MAX];

static int set_up(void **state)
{
	(void)state;
	scratch_make(root, "mountable");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(root);
	return 0;
}

/* A folder of the image, with those above it. */
static void make_folder(const char *path)
{
	char host[256];

	snprintf(host, sizeof(host), "%s%s", root, path);
	for (char *slash = host + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(host, 0755);
		*slash = '/';
	}
	assert_int_equal(mkdir(host, 0755), 0);
}

static void make_file(const char *path)
{
	char host[256];
	FILE *file;

	snprintf(host, sizeof(host), "%s%s", root, path);
	file = fopen(host, "w");
	assert_non_null(file);
	fclose(file);
}

static void assert_tree(const char *folder, const char *expected)
{
	scope_free char *host = path_join(root, folder + 1);
	scope_free char *host_expected =
		strcmp(expected, "/") == 0 ? NULL : path_join(root, expected + 1);
	scope_free char *tree = mountable_tree(root, folder);

	assert_non_null(tree);
	assert_string_equal(tree, expected);
	/* For a reader whose root is ours, the same folder is the same tree. */
	if (host_expected) {
		free(take_ptr(tree));
		tree = mountable_tree("/", host);
		assert_non_null(tree);
		assert_string_equal(tree, host_expected);
	}
}

/* What is there decides about packages only. */
static void test_names(void **state)
{
	static const struct {
		const char *folder;
		const char *tree;
	} cases[] = {
		{"/usr/lib/python3.11", "/usr"},
		{"/usr/lib/python3/dist-packages/a/b", "/usr"},
		{"/usr/local/lib/python3.11/site-packages", "/usr"},
		{"/usr/share/app", "/usr"},
		{"/usr", "/usr"},
		{"/ostree/deploy/os/deploy/1.0/usr/lib64/python3.9",
		 "/ostree/deploy/os/deploy/1.0/usr"},
		{"/srv/usr/x/usr/y", "/srv/usr"},
		{"/opt/venv/lib/python3.11/site-packages/a", "/opt/venv"},
		{"/opt/venv/lib64/python3.11/site-packages/a", "/opt/venv"},
		{"/opt/pypy/lib/pypy3.9", "/opt/pypy"},
		{"/opt/pypy/lib64/pypy3.9/a", "/opt/pypy"},
		{"/opt/lib/x/lib/python3.11", "/opt/lib/x"},
		{"/a/lib/python3/b/lib/python3", "/a"},
		{"/opt/lib/app", "/opt/lib/app"},
		{"/opt/libs/python3", "/opt/libs/python3"},
		{"/opt/usrlocal/x", "/opt/usrlocal/x"},
		{"/home/me", "/home/me"},
		{"/", "/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_tree(cases[i].folder, cases[i].tree);
}

static void test_packages(void **state)
{
	(void)state;
	make_folder("/srv/app/package/inner");
	make_file("/srv/app/package/__init__.py");
	make_file("/srv/app/package/inner/__init__.py");
	make_folder("/srv/app/package/data/inner");
	make_folder("/srv/app/package/odd");
	make_folder("/srv/app/package/odd/__init__.py");
	assert_tree("/srv/app/package/inner", "/srv/app");
	assert_tree("/srv/app/package", "/srv/app");
	assert_tree("/srv/app", "/srv/app");
	/* No package, and what is above it does not matter. */
	assert_tree("/srv/app/package/data", "/srv/app/package/data");
	assert_tree("/srv/app/package/odd", "/srv/app/package/odd");
}

/* A package whose folder is right below the root leaves nothing but the root. */
static void test_package_in_the_root(void **state)
{
	(void)state;
	make_folder("/package");
	make_file("/package/__init__.py");
	assert_tree("/package", "/");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_packages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_package_in_the_root, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
