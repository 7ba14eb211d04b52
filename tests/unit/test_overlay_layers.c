/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An overlay's layers, from options as kernels write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fs/mount/overlay_layers.h"

static struct overlay_layers of(const char *options)
{
	const struct mount_entry entry = {.type = "overlay", .options = options};
	struct overlay_layers layers;

	assert_int_equal(overlay_layers_of(&entry, &layers), 0);
	return layers;
}

static void test_one_list(void **state)
{
	scope_overlay_layers struct overlay_layers layers =
		of("ro,seclabel,lowerdir=/a:l/B:/c,xino=off");

	(void)state;
	assert_int_equal(layers.count, 3);
	assert_string_equal(layers.lower[0], "/a");
	assert_string_equal(layers.lower[1], "l/B");
	assert_string_equal(layers.lower[2], "/c");
	assert_false(layers.upper || layers.has_data);
}

static void test_one_by_one(void **state)
{
	scope_overlay_layers struct overlay_layers layers =
		of("ro,lowerdir+=/a:b,lowerdir+=/c,datadir+=/d");

	(void)state;
	assert_int_equal(layers.count, 3);
	assert_string_equal(layers.lower[0], "/a:b");
	assert_string_equal(layers.lower[1], "/c");
	assert_string_equal(layers.lower[2], "/d");
	assert_true(layers.has_data && !layers.upper);
}

static void test_data_and_upper(void **state)
{
	scope_overlay_layers struct overlay_layers layers =
		of("rw,lowerdir=/a::/d::/e,upperdir=/u:p\\054q,workdir=/w");

	(void)state;
	assert_int_equal(layers.count, 3);
	assert_string_equal(layers.lower[2], "/e");
	assert_true(layers.has_data);
	assert_string_equal(layers.upper, "/u:p,q");
}

/* Commas, spaces and backslashes are octal; a colon of a name has a backslash before it. */
static void test_escapes(void **state)
{
	scope_overlay_layers struct overlay_layers layers =
		of("ro,lowerdir=/b\\134:c\\054d\\040e:/f\\134\\134g");

	(void)state;
	assert_int_equal(layers.count, 2);
	assert_string_equal(layers.lower[0], "/b:c,d e");
	assert_string_equal(layers.lower[1], "/f\\g");
}

static void test_none(void **state)
{
	static const char *const options[] = {"", "ro", "ro,lowerdir=", "lowerdirx=/a",
					      ",,"};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		scope_overlay_layers struct overlay_layers layers = of(options[i]);

		assert_int_equal(layers.count, 0);
		assert_false(layers.upper || layers.has_data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_list),       cmocka_unit_test(test_one_by_one),
		cmocka_unit_test(test_data_and_upper), cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
