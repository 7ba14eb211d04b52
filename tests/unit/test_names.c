/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of bytecode files, as the interpreters build them and as they are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "pyc/names.h"
#include "tests/data/siphash_vectors.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct name_case {
	const char *name;
	enum pyc_placement placement;
	const char *stem;
	const char *tag;
	const char *opt;
	const char *source; /* NULL: pairs with nothing */
};

static const struct name_case in_cache[] = {
	{"foo.cpython-311.pyc", PYC_PLACE_CACHE, "foo", "cpython-311", "", "foo.py"},
	{"foo.cpython-311.opt-1.pyc", PYC_PLACE_CACHE, "foo", "cpython-311", "1", "foo.py"},
	{"foo.cpython-311.opt-2.pyc", PYC_PLACE_CACHE, "foo", "cpython-311", "2", "foo.py"},
	{"foo.cpython-34.pyo", PYC_PLACE_CACHE, "foo", "cpython-34", "", "foo.py"},
	{"foo.pypy39.opt-zZ9.pyc", PYC_PLACE_CACHE, "foo", "pypy39", "zZ9", "foo.py"},
	{"foo.bar.cpython-311.pyc", PYC_PLACE_CACHE, "foo.bar", "cpython-311", "",
	 "foo.bar.py"},
	{"a.b.c.d.opt-1.pyc", PYC_PLACE_CACHE, "a.b.c", "d", "1", "a.b.c.py"},
	{"a.b.pyc", PYC_PLACE_CACHE, "a", "b", "", "a.py"},
	/* A level counts only where cache_from_source() puts it. */
	{"foo.opt-1.cpython-311.pyc", PYC_PLACE_CACHE, "foo.opt-1", "cpython-311", "",
	 "foo.opt-1.py"},
	{"foo.opt-1.opt-2.pyc", PYC_PLACE_CACHE, "foo", "opt-1", "2", "foo.py"},
	{"foo.OPT-1.pyc", PYC_PLACE_CACHE, "foo", "OPT-1", "", "foo.py"},
	{"..cpython-311.pyc", PYC_PLACE_CACHE, ".", "cpython-311", "", "..py"},
	{"\xff\n.cpython-311.pyc", PYC_PLACE_CACHE, "\xff\n", "cpython-311", "",
	 "\xff\n.py"},

	{"foo.cpython-311-pytest-7.2.1.pyc", PYC_PLACE_PYTEST, "foo", "", "", "foo.py"},
	{"foo.b.cpython-38-pytest-8.pyc", PYC_PLACE_PYTEST, "foo.b", "", "", "foo.b.py"},
	{"cpython-38-pytest-8.pyc", PYC_PLACE_PYTEST, "", "", "", NULL},
	{".cpython-38-pytest-8.pyc", PYC_PLACE_PYTEST, "", "", "", NULL},
	{"foo.cpython-311-PYTEST.pyc", PYC_PLACE_CACHE, "foo", "cpython-311-PYTEST", "",
	 "foo.py"},

	{"foo.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{".pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{".pyo", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo..pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{".cpython-311.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.opt-1.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{".opt-1.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo..opt-1.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-1_.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-\xe9.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-/.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-:.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-@.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-[.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-`.pyc", PYC_PLACE_ODD, "", "", "", NULL},
	{"foo.cpython-311.opt-{.pyc", PYC_PLACE_ODD, "", "", "", NULL},

	/* What py_compile and importlib write before they rename. */
	{"foo.cpython-311.pyc.140234", PYC_PLACE_NONE, "", "", "", NULL},
	{"foo.py", PYC_PLACE_NONE, "", "", "", NULL},
	{"foo.cpython-311.PYC", PYC_PLACE_NONE, "", "", "", NULL},
	{"pyc", PYC_PLACE_NONE, "", "", "", NULL},
	{"", PYC_PLACE_NONE, "", "", "", NULL},
};

static const struct name_case outside[] = {
	{"foo.pyc", PYC_PLACE_LEGACY, "foo", "", "", "foo.py"},
	{"foo.pyo", PYC_PLACE_LEGACY, "foo", "", "", "foo.py"},
	{"foo.bar.pyc", PYC_PLACE_LEGACY, "foo.bar", "", "", "foo.bar.py"},
	{"foo.cpython-311.pyc", PYC_PLACE_LEGACY, "foo.cpython-311", "", "",
	 "foo.cpython-311.py"},
	{"a-pytest-b.pyc", PYC_PLACE_LEGACY, "a-pytest-b", "", "", "a-pytest-b.py"},
	{".pyc", PYC_PLACE_LEGACY, "", "", "", ".py"},
	{".pyo", PYC_PLACE_LEGACY, "", "", "", ".py"},
	{"foo.py", PYC_PLACE_NONE, "", "", "", NULL},
	{"foo.pyd", PYC_PLACE_NONE, "", "", "", NULL},
	{"pyc", PYC_PLACE_NONE, "", "", "", NULL},
	{"", PYC_PLACE_NONE, "", "", "", NULL},
};

static void assert_part(const char *part, size_t len, const char *expected)
{
	assert_int_equal(len, strlen(expected));
	if (len > 0)
		assert_memory_equal(part, expected, len);
}

static void check_case(const struct name_case *c, bool cached)
{
	char source[PYC_NAME_MAX + 1];
	struct pyc_name name;

	memset(&name, 0x5a, sizeof(name));
	assert_int_equal(pyc_name_parse(c->name, cached, &name), c->placement);
	assert_int_equal(name.placement, c->placement);
	assert_part(name.stem, name.stem_len, c->stem);
	assert_part(name.tag, name.tag_len, c->tag);
	assert_part(name.opt, name.opt_len, c->opt);
	/* What pairs with a source has a NAME, be it empty. */
	assert_int_equal(name.stem != NULL, c->source != NULL);
	assert_int_equal(name.tag != NULL, c->tag[0] != '\0');
	assert_int_equal(name.opt != NULL, c->opt[0] != '\0');
	assert_int_equal(pyc_name_is_bytecode(c->name), c->placement != PYC_PLACE_NONE);
	assert_int_equal(pyc_name_source(&name, source), c->source != NULL);
	if (c->source)
		assert_string_equal(source, c->source);
}

static void test_in_cache(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(in_cache); i++)
		check_case(&in_cache[i], true);
}

static void test_outside(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(outside); i++)
		check_case(&outside[i], false);
}

/* The interpreter's own direction: cache_from_source() of a name comes apart again. */
static void test_names_that_python_builds(void **state)
{
	static const char *const stems[] = {"foo",     "foo.bar", "__init__",
					    "a.opt-1", ".",	  "x y"};
	static const char *const levels[] = {"", ".opt-1", ".opt-2", ".opt-abc"};
	char path[PYC_NAME_MAX + 1];
	char source[PYC_NAME_MAX + 1];
	char expected[PYC_NAME_MAX + 1];
	struct pyc_name name;

	(void)state;
	for (size_t i = 0; i < LENGTH(stems) * LENGTH(levels); i++) {
		const char *stem = stems[i / LENGTH(levels)];

		snprintf(path, sizeof(path), "%s.cpython-312%s.pyc", stem,
			 levels[i % LENGTH(levels)]);
		assert_int_equal(pyc_name_parse(path, true, &name), PYC_PLACE_CACHE);
		assert_true(pyc_name_source(&name, source));
		snprintf(expected, sizeof(expected), "%s.py", stem);
		assert_string_equal(source, expected);
	}
}

static void test_longest_names(void **state)
{
	char path[PYC_NAME_MAX + 1];
	char source[PYC_NAME_MAX + 1];
	struct pyc_name name;

	(void)state;
	memset(path, 'x', sizeof(path));
	strcpy(path + PYC_NAME_MAX - 3, ".py"); /* not bytecode, of the greatest length */
	assert_int_equal(pyc_name_parse(path, false, &name), PYC_PLACE_NONE);

	memset(path, 'x', sizeof(path));
	strcpy(path + PYC_NAME_MAX - 4, ".pyc");
	assert_int_equal(pyc_name_parse(path, false, &name), PYC_PLACE_LEGACY);
	assert_true(pyc_name_source(&name, source));
	assert_int_equal(strlen(source), PYC_NAME_MAX - 1);
}

/* No caller has longer names than NAME_MAX; one that does must not overrun the buffer. */
static void test_too_long_a_source(void **state)
{
	char path[PYC_NAME_MAX + 8];
	char source[PYC_NAME_MAX + 1];
	struct pyc_name name;

	(void)state;
	memset(path, 'x', sizeof(path));
	strcpy(path + PYC_NAME_MAX - 3, ".pyc"); /* the source has exactly PYC_NAME_MAX */
	pyc_name_parse(path, false, &name);
	assert_true(pyc_name_source(&name, source));
	assert_int_equal(strlen(source), PYC_NAME_MAX);

	memset(path, 'x', sizeof(path));
	strcpy(path + PYC_NAME_MAX - 2, ".pyc");
	pyc_name_parse(path, false, &name);
	assert_false(pyc_name_source(&name, source));
}

/*
 * tests/e2e/test_explain.py has the same table, and asks interpreters which of them they
 * load.
 */
static void test_is_bytecode(void **state)
{
	static const char *const yes[] = {
		"m.pyc",
		"m.pyo",
		".pyc",
		".pyo",
		"a.b.pyc",
		"m.cpython-311.pyc",
		"__pycache__.pyc",
		"\xff\n.pyc",
		"m..pyc",
		"m.cpython-311.pyc.pyc",
		"m.py.pyc",
		"d/.pyc",
		"/d/m.pyc",
	};
	static const char *const no[] = {
		"",	   "pyc",	    "m.pyc~",  "m.PYC", "m.pyC",       "m.pyc.1",
		"m.pyc.0", "m.py",	    ".py",     "m.pyd", "m.pycc",      "m.pyc ",
		"m",	   "m.cpython-311", "d.pyc/m", "yc",	"__pycache__",
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(yes); i++)
		assert_true(pyc_name_is_bytecode(yes[i]));
	for (size_t i = 0; i < LENGTH(no); i++)
		assert_false(pyc_name_is_bytecode(no[i]));
}

static bool agrees(const char *path, bool cached, uint16_t number)
{
	struct pyc_name name;

	pyc_name_parse(path, cached, &name);
	return pyc_name_tag_agrees(&name, pyc_magic_lookup(number));
}

static void test_tags(void **state)
{
	(void)state;
	assert_true(agrees("foo.cpython-312.pyc", true, 3531));
	assert_true(agrees("foo.cpython-312.opt-1.pyc", true, 3531));
	assert_false(agrees("foo.rustpython-312.pyc", true, 3531));
	assert_false(agrees("foo.cpython-311.pyc", true, 3531));
	assert_false(agrees("foo.cpython-3.pyc", true, 3531));
	assert_false(agrees("foo.cpython-3120.pyc", true, 3531));
	assert_false(agrees("foo.Cpython-312.pyc", true, 3531));

	/* Prefixes: PyPy before 3.7 and GraalPy. */
	assert_true(agrees("foo.pypy3-71.pyc", true, 160));
	assert_true(agrees("foo.pypy36.pyc", true, 192));
	assert_false(agrees("foo.pypy2.pyc", true, 192));
	assert_true(agrees("foo.graalpy240-310-native-x86_64-linux.pyc", true, 21280));
	assert_false(agrees("foo.cpython-310.pyc", true, 21280));
	assert_false(agrees("foo.pypy391.pyc", true, 336)); /* not a prefix from 3.7 on */
}

static void test_tags_outside_of_a_cache(void **state)
{
	struct pyc_name none = {.placement = PYC_PLACE_NONE};
	struct pyc_name no_tag = {
		.placement = PYC_PLACE_CACHE, .stem = "foo", .stem_len = 3};

	(void)state;
	assert_true(agrees("foo.pyc", false, 62211));
	assert_true(agrees("foo.pyc", false, 3531));
	/* 2.7 and 3.1 never look in __pycache__, whatever the name says. */
	assert_false(agrees("foo.cpython-27.pyc", true, 62211));
	assert_false(agrees("foo.cpython-31.pyc", true, 3151));
	assert_false(agrees("foo.pypy27.pyc", true, 62218));
	assert_false(agrees("foo.cpython-311-pytest-7.2.1.pyc", true, 3495));
	assert_false(agrees("foo.pyc", true, 3495));
	assert_false(pyc_name_tag_agrees(&no_tag, pyc_magic_lookup(62211)));
	assert_false(pyc_name_tag_agrees(&none, pyc_magic_lookup(3495)));
}

/* sys.implementation.cache_tag of the interpreters that made the hash vectors. */
static void test_tags_of_real_interpreters(void **state)
{
	char path[PYC_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < LENGTH(siphash_vectors); i++) {
		const struct siphash_vector *v = &siphash_vectors[i];
		uint16_t number =
			(uint16_t)((uint8_t)v->magic[0] | (uint8_t)v->magic[1] << 8);

		snprintf(path, sizeof(path), "foo.%s.pyc", v->cache_tag);
		assert_true(agrees(path, true, number));
	}
}

static void test_is_source(void **state)
{
	(void)state;
	assert_true(pyc_name_is_source("foo.py"));
	assert_true(pyc_name_is_source("foo.bar.py"));
	assert_true(pyc_name_is_source("..py"));
	assert_false(pyc_name_is_source(".py"));
	assert_false(pyc_name_is_source("py"));
	assert_false(pyc_name_is_source("foo.pyc"));
	assert_false(pyc_name_is_source("foo.PY"));
	assert_false(pyc_name_is_source("foopy"));
	assert_false(pyc_name_is_source(""));
}

/* Which level the interpreters of a magic read a name at. */
static void test_levels(void **state)
{
	static const struct {
		const char *name;
		bool in_cache;
		uint16_t magic;
		int level;
	} cases[] = {
		{"foo.cpython-311.pyc", true, 3495, 0},
		{"foo.cpython-311.opt-1.pyc", true, 3495, 1},
		{"foo.cpython-311.opt-2.pyc", true, 3495, 2},
		{"foo.pypy39.opt-2.pyc", true, 336, 2},
		{"foo.cpython-35.opt-1.pyc", true, 3350, 1},
		{"foo.cpython-311.opt-0.pyc", true, 3495, -1},
		{"foo.cpython-311.opt-3.pyc", true, 3495, -1},
		{"foo.cpython-311.opt-12.pyc", true, 3495, -1},
		{"foo.cpython-311.opt-a.pyc", true, 3495, -1},
		{"foo.cpython-311.pyo", true, 3495, -1},
		{"foo.cpython-311.opt-1.pyo", true, 3495, -1},
		{"foo.cpython-34.pyc", true, 3310, 0},
		{"foo.cpython-34.pyo", true, 3310, 1},
		{"foo.cpython-34.opt-1.pyc", true, 3310, -1},
		{"foo.cpython-34.opt-1.pyo", true, 3310, -1},
		{"foo.pyc", false, 62211, 0},
		{"foo.pyo", false, 62211, 1},
		{"foo.pyc", false, 3495, 0},
		{"foo.pyo", false, 3495, -1},
		{"foo.graalpy250-311.opt-1.pyc", true, 21320, 1},
		{"foo.graalpy250-311.pyo", true, 21320, -1},
		/* 0: whoever asks for such a name. */
		{"foo.cpython-311.pyc", true, 0, 0},
		{"foo.cpython-34.pyo", true, 0, 1},
		{"foo.pyo", false, 0, 1},
		{".pyo", false, 0, 1},
		{"foo.x.opt-1.pyc", true, 0, 1},
		{"foo.x.opt-2.pyc", true, 0, 2},
		{"foo.x.opt-3.pyc", true, 0, -1},
		{"foo.x.opt-12.pyc", true, 0, -1},
		{"foo.x.opt-1.pyo", true, 0, -1},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct pyc_name name;

		pyc_name_parse(cases[i].name, cases[i].in_cache, &name);
		assert_int_equal(
			pyc_name_level(&name, cases[i].magic
						      ? pyc_magic_lookup(cases[i].magic)
						      : NULL),
			cases[i].level);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_cache),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_names_that_python_builds),
		cmocka_unit_test(test_longest_names),
		cmocka_unit_test(test_too_long_a_source),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_tags_outside_of_a_cache),
		cmocka_unit_test(test_tags_of_real_interpreters),
		cmocka_unit_test(test_is_bytecode),
		cmocka_unit_test(test_is_source),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
