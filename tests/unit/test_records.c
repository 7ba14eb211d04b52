/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of packages: their text, which may be anything, and what they say of the sources
 * of a tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "cache/tree/record_text.h"
#include "cache/tree/records.h"
#include "tests/unit/scratch.h"

/* ---- text ---- */

/* Of "x = 1\n". */
#define SHA "sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q"
#define MD5 "3253b41059cac6e987c5a5e9233ea5d0"

struct taken {
	char text[1024];
	size_t count;
};

static void take(void *context, const char *path, size_t len, enum record_kind kind,
		 const uint8_t *hash)
{
	struct taken *taken = context;

	assert_non_null(hash);
	taken->count++;
	if (strlen(taken->text) + len + 3 < sizeof(taken->text))
		snprintf(taken->text + strlen(taken->text),
			 sizeof(taken->text) - strlen(taken->text), "%.*s%s", (int)len,
			 path, kind == RECORD_MD5 ? ";" : "|");
}

/* In memory that ends where the text ends. */
static void parse(bool pip, const char *text, size_t len, struct taken *ret)
{
	char *copy = malloc(len ? len : 1);

	*ret = (struct taken){.count = 0};
	memcpy(copy, text, len);
	if (pip)
		record_parse_pip(copy, len, take, ret);
	else
		record_parse_dpkg(copy, len, take, ret);
	free(copy);
}

static void expect_text(bool pip, const char *text, const char *expected)
{
	struct taken taken;

	parse(pip, text, strlen(text), &taken);
	assert_string_equal(taken.text, expected);
}

static void test_pip(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", ""},
		{"a.py," SHA ",6\n", "a.py|"},
		{"a.py," SHA ",6", "a.py|"},
		{"a.py," SHA "", "a.py|"},
		{"a.py," SHA ",6\r\nb/c.py," SHA ",7\r\n", "a.py|b/c.py|"},
		{"\"a,b.py\"," SHA ",6\n", "a,b.py|"},
		{"\"a\"\"b.py\"," SHA ",6\nc.py," SHA ",6\n", "a\"b.py|c.py|"},
		{"\"a\nb.py\"," SHA ",6\n", "a\nb.py|"},
		{"\"a.py," SHA ",6\nb.py," SHA ",6\n", ""}, /* never closed */
		{"\"\"," SHA ",6\nb.py," SHA ",6\n", "b.py|"},
		{"a.py,\"" SHA "\",6\n", "a.py|"},
		{"a.pyc,,\na-1.dist-info/RECORD,,\nb.py," SHA ",6\n", "b.py|"},
		{"a.py,md5=aa,6\na.py," SHA "A,6\na.py,sha256=,6\na.py,,\na.py\n", ""},
		{"a.so," SHA ",6\n.py," SHA ",6\n", ""},
		{"/a.py," SHA ",6\n../a.py," SHA ",6\nb/../a.py," SHA ",6\n./a.py," SHA
		 ",6\nb//a.py," SHA ",6\nb/./a.py," SHA ",6\n..a/.b.py," SHA ",6\n",
		 "..a/.b.py|"},
		{"\n\n\r\n,\n,,\n\"\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_text(true, cases[i].text, cases[i].expected);
}

static void test_dpkg(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", ""},
		{MD5 "  usr/lib/a.py\n", "usr/lib/a.py;"},
		{MD5 "  usr/lib/a b.py", "usr/lib/a b.py;"},
		{MD5 " usr/lib/a.py\n" MD5 "\n" MD5 "  \n" MD5 "  a\n", ""},
		{MD5 "  /usr/lib/a.py\n" MD5 "  usr/../a.py\n" MD5 "  ./a.py\n", ""},
		{"x" MD5 "  a.py\ng253b41059cac6e987c5a5e9233ea5d0  a.py\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_text(false, cases[i].text, cases[i].expected);
}

static void test_a_zero_byte_is_in_no_path(void **state)
{
	static const char text[] = "a\0b.py," SHA ",6\n";
	struct taken taken;

	(void)state;
	parse(true, text, sizeof(text) - 1, &taken);
	assert_int_equal(taken.count, 0);
}

/* Any text is read to its end and not over it, which the sanitizers watch. */
static void test_any_text(void **state)
{
	static const char *const parts[] = {"a.py", ",",  "\"", "\n", "\r\n",
					    SHA,    MD5,  "  ", "/",  ".",
					    "..",   "\0", "=",	"6",  "\xff"};
	unsigned seed = 1;
	struct taken taken;
	char text[512];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = 0;

		for (int i = rand_r(&seed) % 12; i > 0; i--) {
			const char *part = parts[(size_t)rand_r(&seed) % ARRAY_SIZE(parts)];
			size_t part_len = *part ? strlen(part) : 1;

			memcpy(text + len, part, part_len);
			len += part_len;
		}
		parse(round % 2, text, len, &taken);
	}
}

/* ---- a tree ---- */

struct fixture {
	char folder[SCRATCH_MAX];
	struct tree tree;
	struct records *records;
};

static void make(const struct fixture *fixture, const char *path, const char *text)
{
	char whole[256];
	FILE *file;

	snprintf(whole, sizeof(whole), "%s/%s", fixture->folder, path);
	for (char *slash = whole + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(whole, 0755);
		*slash = '/';
	}
	file = fopen(whole, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void start(struct fixture *fixture)
{
	char path[SCRATCH_MAX + 8];

	snprintf(path, sizeof(path), "%s/usr", fixture->folder);
	assert_int_equal(tree_open(&fixture->tree, path, fixture->folder, "/usr"), 0);
	fixture->records = records_new(&fixture->tree);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	scratch_make(fixture->folder, "records");
	make(fixture, "usr/empty", "");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	records_free(fixture->records);
	if (fixture->records)
		tree_close(&fixture->tree);
	scratch_remove(fixture->folder);
	free(fixture);
	return 0;
}

/* What is said of a source with this text; the record is in @last_record. */
static const char *last_record;

static enum pyc_check check(struct fixture *fixture, const char *path, const char *text)
{
	struct record_claims claims;

	last_record = NULL;
	if (!records_find(fixture->records, path, &claims))
		return PYC_CHECK_UNKNOWN;
	last_record = claims.record;
	assert_non_null(last_record);
	return record_claims_check(&claims, (const uint8_t *)text, strlen(text));
}

#define ONE   "x = 1\n"
#define OTHER "x = 2\n"
#define SITE  "usr/lib/site-packages/"
#define PKG   "lib/site-packages/pkg/a.py"

static void test_a_record(void **state)
{
	struct fixture *fixture = *state;

	make(fixture, SITE "pkg-1.dist-info/RECORD", "pkg/a.py," SHA ",6\r\n");
	make(fixture, SITE "pkg/a.py", ONE);
	start(fixture);
	for (int i = 0; i < 2; i++) { /* read once, and known */
		assert_int_equal(check(fixture, PKG, ONE), PYC_CHECK_OK);
		assert_string_equal(last_record,
				    "/usr/lib/site-packages/pkg-1.dist-info/RECORD");
		assert_int_equal(check(fixture, PKG, OTHER), PYC_CHECK_BAD);
		assert_int_equal(check(fixture, PKG, ""), PYC_CHECK_BAD);
		assert_int_equal(check(fixture, "lib/site-packages/pkg/b.py", ONE),
				 PYC_CHECK_UNKNOWN);
		assert_int_equal(check(fixture, "lib/a.py", ONE), PYC_CHECK_UNKNOWN);
	}
}

/* The image's md5sums have paths from its root; the tree is a part of it. */
static void test_sums_of_an_image(void **state)
{
	struct fixture *fixture = *state;

	make(fixture, "var/lib/dpkg/info/one.md5sums",
	     MD5 "  usr/lib/a.py\n" MD5 "  opt/lib/b.py\n" MD5 "  usrx/c.py\n");
	make(fixture, "var/lib/dpkg/info/two.list", MD5 "  usr/lib/d.py\n");
	start(fixture);
	assert_int_equal(check(fixture, "lib/a.py", ONE), PYC_CHECK_OK);
	assert_string_equal(last_record, "/var/lib/dpkg/info/one.md5sums");
	assert_int_equal(check(fixture, "lib/a.py", OTHER), PYC_CHECK_BAD);
	assert_int_equal(check(fixture, "lib/b.py", ONE), PYC_CHECK_UNKNOWN);
	assert_int_equal(check(fixture, "c.py", ONE), PYC_CHECK_UNKNOWN);
	assert_int_equal(check(fixture, "lib/d.py", ONE), PYC_CHECK_UNKNOWN);
}

/* Of a path that is diverted the file belongs to another package. */
static void test_diversions(void **state)
{
	struct fixture *fixture = *state;

	make(fixture, "var/lib/dpkg/info/one.md5sums",
	     MD5 "  usr/lib/a.py\n" MD5 "  usr/lib/b.py\n");
	make(fixture, "var/lib/dpkg/diversions",
	     "/usr/lib/a.py\n/usr/lib/a.distrib.py\nother\n/bin/sh\n/bin/"
	     "sh.distrib\ndash\n");
	start(fixture);
	assert_int_equal(check(fixture, "lib/a.py", OTHER), PYC_CHECK_UNKNOWN);
	assert_int_equal(check(fixture, "lib/b.py", OTHER), PYC_CHECK_BAD);
}

/* A package may take a file over from another: one that agrees is enough. */
static void test_several_records(void **state)
{
	struct fixture *fixture = *state;

	make(fixture, "var/lib/dpkg/info/one.md5sums",
	     "00000000000000000000000000000000  " PKG "\n");
	make(fixture, "var/lib/dpkg/info/two.md5sums",
	     "00000000000000000000000000000000  usr/" PKG "\n");
	make(fixture, SITE "pkg-1.dist-info/RECORD",
	     "pkg/a.py,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,6\n");
	make(fixture, SITE "pkg-2.dist-info/RECORD", "pkg/a.py," SHA ",6\n");
	make(fixture, SITE "pkg-3.dist-info/METADATA", "");
	start(fixture);
	assert_int_equal(check(fixture, PKG, ONE), PYC_CHECK_OK);
	assert_int_equal(check(fixture, PKG, OTHER), PYC_CHECK_BAD);
}

/* What may be listed in a record that cannot be read is not known to be right. */
static void test_records_that_cannot_be_read(void **state)
{
	struct fixture *fixture = *state;
	char path[256];

	make(fixture, SITE "pkg-1.dist-info/RECORD", "pkg/a.py," SHA ",6\n");
	snprintf(path, sizeof(path), "%s/" SITE "odd-1.dist-info", fixture->folder);
	mkdir(path, 0755);
	strcat(path, "/RECORD");
	assert_int_equal(mkfifo(path, 0644), 0); /* and nobody waits for a writer */
	start(fixture);
	assert_int_equal(check(fixture, "lib/site-packages/odd.py", ONE), PYC_CHECK_BAD);
	assert_string_equal(last_record, "/usr/lib/site-packages/odd-1.dist-info/RECORD");
	assert_int_equal(check(fixture, PKG, ONE), PYC_CHECK_OK); /* one says so */
	assert_int_equal(check(fixture, PKG, OTHER), PYC_CHECK_BAD);
	assert_int_equal(check(fixture, "lib/odd.py", ONE), PYC_CHECK_UNKNOWN);
}

static void test_sums_that_cannot_be_read(void **state)
{
	struct fixture *fixture = *state;
	char path[256];

	make(fixture, "var/lib/dpkg/info/one.md5sums", MD5 "  usr/lib/a.py\n");
	snprintf(path, sizeof(path), "%s/var/lib/dpkg/info/two.md5sums", fixture->folder);
	assert_int_equal(mkfifo(path, 0644), 0);
	start(fixture);
	assert_int_equal(check(fixture, "lib/a.py", ONE), PYC_CHECK_OK);
	assert_int_equal(check(fixture, "lib/b.py", ONE), PYC_CHECK_BAD);
	assert_string_equal(last_record, "/var/lib/dpkg/info/two.md5sums");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pip),
		cmocka_unit_test(test_dpkg),
		cmocka_unit_test(test_a_zero_byte_is_in_no_path),
		cmocka_unit_test(test_any_text),
		TEST(test_a_record),
		TEST(test_sums_of_an_image),
		TEST(test_diversions),
		TEST(test_several_records),
		TEST(test_records_that_cannot_be_read),
		TEST(test_sums_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
