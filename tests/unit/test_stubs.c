/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the data layer of a stacked mount shows: the bytecode that has a stub, the way to
 * it, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "fs/data.h"
#include "fs/stubs.h"

#define PYC "a/__pycache__/m.cpython-311.pyc"

struct layer {
	char path[32];
	int fd;
};

static void make_file(const struct layer *layer, const char *name)
{
	int fd = openat(layer->fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	struct layer *layer = calloc(1, sizeof(*layer));

	snprintf(layer->path, sizeof(layer->path), "/tmp/canonfs-unit-XXXXXX");
	assert_non_null(mkdtemp(layer->path));
	layer->fd = open(layer->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(layer->fd, "a", 0700), 0);
	assert_int_equal(mkdirat(layer->fd, "a/__pycache__", 0700), 0);
	make_file(layer, PYC);
	make_file(layer, "a/m.py");
	assert_int_equal(symlinkat("m.cpython-311.pyc", layer->fd,
				   "a/__pycache__/link.cpython-311.pyc"),
			 0);
	*state = layer;
	return 0;
}

static int teardown(void **state)
{
	struct layer *layer = *state;

	unlinkat(layer->fd, "a/__pycache__/link.cpython-311.pyc", 0);
	unlinkat(layer->fd, PYC, 0);
	unlinkat(layer->fd, "a/__pycache__", AT_REMOVEDIR);
	unlinkat(layer->fd, "a/m.py", 0);
	unlinkat(layer->fd, "a", AT_REMOVEDIR);
	close(layer->fd);
	rmdir(layer->path);
	free(layer);
	return 0;
}

static void test_what_is_shown(void **state)
{
	static const char *const shown[] = {
		".canonfs",
		".canonfs/a",
		".canonfs/a/__pycache__",
		(".canonfs/" PYC),
	};
	const struct layer *layer = *state;

	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		assert_true(data_shows(layer->fd, shown[i]));
}

static void test_what_is_not(void **state)
{
	static const char *const hidden[] = {
		"a",
		PYC,
		"etc",
		".canonfsx",
		".canonfs/b",
		".canonfs/a/m.py",	/* has a stub, but its data is in the source */
		".canonfs/a/other.pyc", /* has none */
		".canonfs/a/__pycache__/link.cpython-311.pyc",
		".canonfs/.canonfs",
		(".canonfs/.canonfs/" PYC),
		".canonfs/..",
		".canonfs/a/../../etc",
	};
	const struct layer *layer = *state;

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (data_shows(layer->fd, hidden[i]))
			fail_msg("%s is shown", hidden[i]);
}

static void test_where_it_is(void **state)
{
	(void)state;
	assert_string_equal(data_source("."), ".");
	assert_string_equal(data_source(".canonfs"), ".");
	assert_string_equal(data_source(".canonfs/" PYC), PYC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_shown),
		cmocka_unit_test(test_what_is_not),
		cmocka_unit_test(test_where_it_is),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
