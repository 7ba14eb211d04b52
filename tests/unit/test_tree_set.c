/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of open trees: one that cannot be opened is tried and told once.
 */
#include "cli/trees/tree_set.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "tests/unit/scratch.h"

static char folder[SCRATCH_MAX];

static int set_up(void **state)
{
	(void)state;
	scratch_make(folder, "tree-set");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(folder);
	return 0;
}

/* Standard error goes to a file from here on. Return: what it was. */
static int begin_log(int file)
{
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	assert_true(saved >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
	return saved;
}

static void test_a_tree_that_cannot_be_opened(void **state)
{
	struct tree_set *list = NULL;
	struct mount_options options;
	char missing[SCRATCH_MAX + 8], text[512] = "";
	scope_fd int file = memfd_create("log", MFD_CLOEXEC);
	scope_fd int saved = begin_log(file);
	struct tree_set *open;

	(void)state;
	snprintf(missing, sizeof(missing), "%s/none", folder);
	mount_options_init(&options);
	options.no_cache = true;
	for (int i = 0; i < 3; i++)
		assert_null(tree_set_get(&list, missing, NULL, &options));
	open = tree_set_get(&list, folder, NULL, &options);
	assert_null(tree_set_get(&list, missing, "/", &options));
	assert_ptr_equal(tree_set_get(&list, folder, "/", &options), open);
	dup2(saved, STDERR_FILENO);
	assert_non_null(open);
	assert_string_equal(open->path, folder);
	assert_true(pread_full(file, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "cannot open '"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	/* It is still so: what was found out holds for the list. */
	assert_int_equal(mkdir(missing, 0700), 0);
	assert_null(tree_set_get(&list, missing, NULL, &options));
	tree_set_free_list(&list);
	open = tree_set_get(&list, missing, NULL, &options);
	assert_non_null(open);
	tree_set_free_list(&list);
	mount_options_fini(&options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tree_that_cannot_be_opened),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
