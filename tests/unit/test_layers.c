/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From which layer a source and its bytecode are. The layers are plain directories here;
 * tests/e2e/test_layers.py has overlays of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cache/tree/layers.h"
#include "scratch.h"

#define PYC    "p/__pycache__/m.pyc"
#define SOURCE "p/m.py"
#define COUNT  3

static char base[SCRATCH_MAX];
static struct layers layers;

static int layer(size_t i)
{
	return layers.dir[i];
}

static int set_up(void **state)
{
	(void)state;
	scratch_make(base, "layers");
	for (int i = 0; i < COUNT; i++) {
		char path[SCRATCH_MAX + 16];

		snprintf(path, sizeof(path), "%s/%d", base, i);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(
			layers_add(&layers, open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)),
			0);
		assert_int_equal(mkdirat(layer((size_t)i), "p", 0700), 0);
		assert_int_equal(mkdirat(layer((size_t)i), "p/__pycache__", 0700), 0);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	layers_fini(&layers);
	scratch_remove(base);
	return 0;
}

static struct statx put(size_t i, const char *path, const char *text)
{
	scope_fd int fd = openat(layer(i), path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct statx stx;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(statx_at(fd, "", &stx), 0);
	return stx;
}

static enum pyc_check compare(const struct statx *pyc, const struct statx *source)
{
	return layers_compare(&layers, &(struct layers_file){.path = PYC, .stx = pyc},
			      &(struct layers_file){.path = SOURCE, .stx = source});
}

static void test_one_layer_has_both(void **state)
{
	struct statx pyc = put(1, PYC, "pyc");
	struct statx source = put(1, SOURCE, "source");

	(void)state;
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_OK);
	/* What it replaced does not matter. */
	put(2, SOURCE, "its ancestor");
	put(2, PYC, "that of its ancestor");
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_OK);
}

static void test_compiled_later(void **state)
{
	struct statx pyc = put(0, PYC, "pyc");
	struct statx source = put(2, SOURCE, "source");

	(void)state;
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_OK);
}

static void test_source_of_a_later_layer(void **state)
{
	struct statx pyc = put(1, PYC, "pyc");
	struct statx old = put(1, SOURCE, "old source");
	struct statx source = put(0, SOURCE, "SOURCE");

	(void)state;
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_BAD);
	assert_int_equal(unlinkat(layer(1), PYC, 0), 0);
	pyc = put(2, PYC, "pyc");
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_BAD);
	/* The first layer is not what the overlay shows. */
	assert_int_equal(compare(&pyc, &old), PYC_CHECK_UNKNOWN);
}

/* Layers whose names lead to something else by now tell nothing. */
static void test_other_files_than_the_overlay_shows(void **state)
{
	struct statx pyc = put(1, PYC, "pyc");
	struct statx source = put(0, SOURCE, "source");
	struct statx other = source;

	(void)state;
	other.stx_mtime.tv_sec++;
	assert_int_equal(compare(&pyc, &other), PYC_CHECK_UNKNOWN);
	other = source;
	other.stx_ctime.tv_nsec ^= 1;
	assert_int_equal(compare(&pyc, &other), PYC_CHECK_UNKNOWN);
	other = source;
	other.stx_size++;
	assert_int_equal(compare(&pyc, &other), PYC_CHECK_UNKNOWN);
	other = source;
	other.stx_mode ^= S_IXUSR;
	assert_int_equal(compare(&pyc, &other), PYC_CHECK_UNKNOWN);
	other = pyc;
	other.stx_mtime.tv_nsec ^= 1;
	assert_int_equal(compare(&other, &source), PYC_CHECK_UNKNOWN);
	assert_int_equal(unlinkat(layer(1), PYC, 0), 0);
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_UNKNOWN);
}

/* What hides the files of lower layers, and what is no directory, is followed nowhere. */
static void test_something_else_on_the_way(void **state)
{
	struct statx pyc = put(2, PYC, "pyc");
	struct statx source = put(1, SOURCE, "source");

	(void)state;
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_BAD);
	assert_int_equal(symlinkat("nowhere", layer(0), SOURCE), 0);
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_UNKNOWN);
	assert_int_equal(unlinkat(layer(0), SOURCE, 0), 0);
	assert_int_equal(unlinkat(layer(0), "p/__pycache__", AT_REMOVEDIR), 0);
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_BAD);
	put(0, "p/__pycache__", "a file");
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_UNKNOWN);
	assert_int_equal(unlinkat(layer(0), "p/__pycache__", 0), 0);
	assert_int_equal(symlinkat("../../1/p/__pycache__", layer(0), "p/__pycache__"), 0);
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_UNKNOWN);
}

static void test_no_layers(void **state)
{
	struct statx pyc = put(1, PYC, "pyc");
	struct statx source = put(0, SOURCE, "source");

	(void)state;
	layers_fini(&layers);
	assert_int_equal(compare(&pyc, &source), PYC_CHECK_UNKNOWN);
}

static void test_too_many(void **state)
{
	int fd;

	(void)state;
	while (layers.count < LAYERS_MAX)
		assert_int_equal(layers_add(&layers, dup(layer(0))), 0);
	fd = dup(layer(0));
	assert_int_equal(layers_add(&layers, fd), -E2BIG);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_layer_has_both),
		TEST(test_compiled_later),
		TEST(test_source_of_a_later_layer),
		TEST(test_other_files_than_the_overlay_shows),
		TEST(test_something_else_on_the_way),
		TEST(test_no_layers),
		TEST(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
