/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the path of a pyc to that of its source: which directory the name belongs to. A
 * wrong answer would hold a pyc against somebody else's source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "tests/unit/inject.h"

/* That @path pairs with @source, or, where that is NULL, with nothing. */
static void assert_pair(const char *path, enum pyc_placement placement, const char *source)
{
	scope_free char *found = NULL;
	struct pyc_name name;

	assert_int_equal(pairing_name(path, &name), placement);
	assert_int_equal(name.placement, placement);
	assert_int_equal(pairing_source(path, &name, &found), source ? 0 : -ENOENT);
	if (source)
		assert_string_equal(found, source);
	else
		assert_null(found);
}

static void test_last(void **state)
{
	static const char path[] = "a/b/m.pyc";

	(void)state;
	assert_ptr_equal(path_last(path), path + 4);
	assert_ptr_equal(path_last(path + 4), path + 4);
	assert_string_equal(path_last("a/"), "");
	assert_string_equal(path_last(""), "");
}

static void test_in_cache(void **state)
{
	(void)state;
	assert_pair("a/__pycache__/m.cpython-311.pyc", PYC_PLACE_CACHE, "a/m.py");
	assert_pair("a/b/__pycache__/m.cpython-311.opt-1.pyc", PYC_PLACE_CACHE, "a/b/m.py");
	assert_pair("a/__pycache__/m.x.pypy39.pyc", PYC_PLACE_CACHE, "a/m.x.py");
	assert_pair("a b/__pycache__/m.cpython-31.pyo", PYC_PLACE_CACHE, "a b/m.py");
	assert_pair("a/__pycache__/__pycache__/m.cpython-311.pyc", PYC_PLACE_CACHE,
		    "a/__pycache__/m.py");
}

static void test_in_cache_at_the_root(void **state)
{
	(void)state;
	assert_pair("__pycache__/m.cpython-311.pyc", PYC_PLACE_CACHE, "m.py");
	assert_pair("__pycache__/m.cpython-311-pytest-7.4.3.pyc", PYC_PLACE_PYTEST, "m.py");
	assert_pair("__pycache__/__pycache__/m.cpython-311.pyc", PYC_PLACE_CACHE,
		    "__pycache__/m.py");
}

static void test_legacy(void **state)
{
	(void)state;
	assert_pair("a/m.pyc", PYC_PLACE_LEGACY, "a/m.py");
	assert_pair("a/b/m.pyo", PYC_PLACE_LEGACY, "a/b/m.py");
	assert_pair("a/m.cpython-311.pyc", PYC_PLACE_LEGACY, "a/m.cpython-311.py");
	/* Below a cache directory, not in it. */
	assert_pair("__pycache__/a/m.pyc", PYC_PLACE_LEGACY, "__pycache__/a/m.py");
}

static void test_no_slash(void **state)
{
	(void)state;
	assert_pair("m.pyc", PYC_PLACE_LEGACY, "m.py");
	assert_pair("m.cpython-311.pyc", PYC_PLACE_LEGACY, "m.cpython-311.py");
	assert_pair("__pycache__.pyc", PYC_PLACE_LEGACY, "__pycache__.py");
}

/* Only the whole component makes a cache directory. */
static void test_like_a_cache(void **state)
{
	(void)state;
	assert_pair("x__pycache__/m.pyc", PYC_PLACE_LEGACY, "x__pycache__/m.py");
	assert_pair("a/x__pycache__/m.pyc", PYC_PLACE_LEGACY, "a/x__pycache__/m.py");
	assert_pair("a/__pycache__x/m.pyc", PYC_PLACE_LEGACY, "a/__pycache__x/m.py");
	assert_pair("a/pycache__/m.pyc", PYC_PLACE_LEGACY, "a/pycache__/m.py");
	assert_pair("_/m.pyc", PYC_PLACE_LEGACY, "_/m.py");
}

static void test_pytest(void **state)
{
	(void)state;
	assert_pair("t/__pycache__/test_m.cpython-311-pytest-7.4.3.pyc", PYC_PLACE_PYTEST,
		    "t/test_m.py");
	assert_pair("t/__pycache__/cpython-311-pytest-7.pyc", PYC_PLACE_PYTEST, NULL);
}

static void test_pairs_with_nothing(void **state)
{
	(void)state;
	assert_pair("a/__pycache__/m.pyc", PYC_PLACE_ODD, NULL);
	assert_pair("a/m.py", PYC_PLACE_NONE, NULL);
	assert_pair("a/__pycache__/README", PYC_PLACE_NONE, NULL);
	assert_pair("a/.pyc", PYC_PLACE_LEGACY, "a/.py");
	assert_pair("a/__pycache__/", PYC_PLACE_NONE, NULL);
	assert_pair("", PYC_PLACE_NONE, NULL);
}

/* Writes "a/" NAME SUFFIX with a NAME of @len bytes. */
static void long_path(char *path, size_t len, const char *suffix)
{
	memcpy(path, "a/", 2);
	memset(path + 2, 'n', len);
	strcpy(path + 2 + len, suffix);
}

/* No file has such a name, but a path from elsewhere may. */
static void test_too_long(void **state)
{
	char path[2 * PYC_NAME_MAX];
	char source[2 * PYC_NAME_MAX];

	(void)state;
	long_path(path, PYC_NAME_MAX - 3, ".pyc");
	long_path(source, PYC_NAME_MAX - 3, ".py");
	assert_pair(path, PYC_PLACE_LEGACY, source);
	long_path(path, PYC_NAME_MAX - 2, ".pyc");
	assert_pair(path, PYC_PLACE_LEGACY, NULL);
}

/* What pairing_name() says is parts of the path, not a copy. */
static void test_points_into_path(void **state)
{
	static const char path[] = "a/__pycache__/m.cpython-311.opt-2.pyc";
	struct pyc_name name;

	(void)state;
	assert_int_equal(pairing_name(path, &name), PYC_PLACE_CACHE);
	assert_ptr_equal(name.stem, path_last(path));
	assert_int_equal(name.stem_len, 1);
	assert_ptr_equal(name.tag, name.stem + 2);
	assert_int_equal(name.tag_len, strlen("cpython-311"));
	assert_ptr_equal(name.opt, strstr(path, "2.pyc"));
	assert_int_equal(name.opt_len, 1);
}

static void test_no_memory(void **state)
{
	char *found = (char *)1;
	struct pyc_name name;
	int r;

	(void)state;
	pairing_name("a/m.pyc", &name);
	no_memory = true;
	r = pairing_source("a/m.pyc", &name, &found);
	no_memory = false;
	assert_int_equal(r, -ENOMEM);
	assert_ptr_equal(found, (char *)1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_in_cache),
		cmocka_unit_test(test_in_cache_at_the_root),
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_no_slash),
		cmocka_unit_test(test_like_a_cache),
		cmocka_unit_test(test_pytest),
		cmocka_unit_test(test_pairs_with_nothing),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_points_into_path),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
