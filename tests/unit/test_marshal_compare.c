/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bodies side by side: what a loader would build is the same, or not, however it is
 * written. Real compilers' bodies are the business of tests/e2e/test_verify.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pyc/marshal.h"

#define PY27  62211
#define PY311 3495
#define PY314 3627

#define SAME	  PYC_MARSHAL_SAME
#define DIFFERS	  PYC_MARSHAL_DIFFERS
#define UNDECIDED PYC_MARSHAL_UNDECIDED

/* A stretch of bytes, NULs and all. */
struct part {
	const char *bytes;
	size_t len;
};

/* clang-format off */
#define PART(literal) { literal, sizeof(literal) - 1 }
#define INT(n) n "\0\0\0" /* "\1": 1 */
/* clang-format on */

#define BODY_MAX 65536

struct body {
	uint8_t data[BODY_MAX];
	size_t len;
};

static void append(struct body *body, const void *bytes, size_t len)
{
	assert_true(body->len + len <= BODY_MAX);
	memcpy(body->data + body->len, bytes, len);
	body->len += len;
}

#define APPEND(body, literal) append(body, literal, sizeof(literal) - 1)

/* A code object with one constant and no names. */
static void code_311(struct body *body, const struct part *constant,
		     const struct part *filename)
{
	APPEND(body, "c" INT("\0") INT("\0") INT("\0") INT("\1") INT("\0"));
	APPEND(body, "s\2\0\0\0d\0)\1");
	append(body, constant->bytes, constant->len);
	APPEND(body, ")\0)\0s\0\0\0\0");
	append(body, filename->bytes, filename->len);
	APPEND(body, "z\1fz\1f" INT("\1") "s\0\0\0\0s\0\0\0\0");
}

static void code_27(struct body *body, const struct part *constant,
		    const struct part *filename)
{
	APPEND(body, "c" INT("\0") INT("\0") INT("\1") INT("\0"));
	APPEND(body, "s\2\0\0\0d\0(\1\0\0\0");
	append(body, constant->bytes, constant->len);
	APPEND(body, "(\0\0\0\0(\0\0\0\0(\0\0\0\0(\0\0\0\0");
	append(body, filename->bytes, filename->len);
	APPEND(body, "s\1\0\0\0f" INT("\1") "s\0\0\0\0");
}

/* Both ways round, in memory that ends where the bodies end. */
static enum pyc_marshal_match compare(uint16_t magic, const struct body *a,
				      const struct body *b, const char **ret_field)
{
	const struct pyc_magic *found = pyc_magic_lookup(magic);
	uint8_t *first = malloc(a->len), *second = malloc(b->len);
	enum pyc_marshal_match match;

	assert_non_null(first);
	assert_non_null(second);
	memcpy(first, a->data, a->len);
	memcpy(second, b->data, b->len);
	match = pyc_marshal_compare(found, first, a->len, second, b->len, ret_field);
	assert_int_equal(pyc_marshal_compare(found, second, b->len, first, a->len, NULL),
			 match);
	assert_int_not_equal(pyc_marshal_compare(found, first, a->len, first, a->len, NULL),
			     DIFFERS);
	free(first);
	free(second);
	return match;
}

static const struct part m = PART("z\1m");

struct constants {
	uint16_t magic;
	struct part a, b;
	enum pyc_marshal_match match;
};

static const struct constants constants[] = {
	/* numbers, by type and by bits */
	{PY311, PART("i\1\0\0\0"), PART("i\1\0\0\0"), SAME},
	{PY311, PART("i\1\0\0\0"), PART("i\2\0\0\0"), DIFFERS},
	{PY311, PART("i\1\0\0\0"), PART("T"), DIFFERS},
	{PY311, PART("i\1\0\0\0"), PART("g\0\0\0\0\0\0\xf0\x3f"), DIFFERS},
	{PY311, PART("i\0\0\0\0"), PART("F"), DIFFERS},
	{PY311, PART("g\0\0\0\0\0\0\0\0"), PART("g\0\0\0\0\0\0\0\x80"), DIFFERS},
	{PY311, PART("g\0\0\0\0\0\0\xf8\x7f"), PART("g\0\0\0\0\0\0\xf8\x7f"), SAME},
	{PY311, PART("g\0\0\0\0\0\0\xf8\x7f"), PART("g\0\0\0\0\0\0\xf8\xff"), DIFFERS},
	{PY311, PART("y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	 PART("y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80"), DIFFERS},
	{PY311, PART("l\3\0\0\0\1\0\1\0\1\0"), PART("l\3\0\0\0\1\0\1\0\1\0"), SAME},
	{PY311, PART("l\3\0\0\0\1\0\1\0\1\0"), PART("l\3\0\0\0\1\0\1\0\2\0"), DIFFERS},
	{PY311, PART("l\2\0\0\0\1\0\1\0"), PART("l\xfe\xff\xff\xff\1\0\1\0"), DIFFERS},
	{PY311, PART("f\0031.0"), PART("f\0031.0"), SAME},
	{PY311, PART("x\0031.0\0031.5"), PART("x\0031.0\0031.0"), DIFFERS},
	{PY311, PART("N"), PART("."), DIFFERS},
	{PY311, PART("N"), PART("F"), DIFFERS},
	/* texts, however they are written; bytes are none */
	{PY311, PART("z\1x"), PART("u\1\0\0\0x"), SAME},
	{PY311, PART("Z\1x"), PART("\xe1\1\0\0\0x"), SAME},
	{PY311, PART("t\1\0\0\0x"), PART("A\1\0\0\0x"), SAME},
	{PY311, PART("z\1x"), PART("z\1y"), DIFFERS},
	{PY311, PART("z\1x"), PART("z\2xx"), DIFFERS},
	{PY311, PART("z\1x"), PART("s\1\0\0\0x"), DIFFERS},
	{PY311, PART("u\3\0\0\0\xed\xa0\x80"), PART("u\3\0\0\0\xed\xa0\x80"), SAME},
	{PY311, PART("u\3\0\0\0\xed\xa0\x80"), PART("u\3\0\0\0\xed\xa0\x81"), DIFFERS},
	{PY311, PART("z\2\xc3\xa9"), PART("u\2\0\0\0\xc3\xa9"), DIFFERS}, /* Latin-1 */
	{PY27, PART("s\1\0\0\0x"), PART("t\1\0\0\0x"), SAME},
	{PY27, PART("s\1\0\0\0x"), PART("u\1\0\0\0x"), DIFFERS},
	{PY27, PART("i\1\0\0\0"), PART("l\1\0\0\0\1\0"), DIFFERS},
	/* tuples, by what they hold; references are followed */
	{PY311, PART(")\2NT"), PART("(\2\0\0\0NT"), SAME},
	{PY311, PART(")\2NT"), PART(")\2TN"), DIFFERS},
	{PY311, PART(")\2NT"), PART(")\1N"), DIFFERS},
	{PY311, PART(")\2NT"), PART("[\2\0\0\0NT"), DIFFERS},
	{PY311, PART(")\2z\1xz\1x"), PART(")\2\xfa\1xr\0\0\0\0"), SAME},
	{PY311, PART(")\2z\1xz\1y"), PART(")\2\xfa\1xr\0\0\0\0"), DIFFERS},
	{PY311, PART(")\2)\1z\1x)\1z\1x"), PART(")\2\xa9\1\xfa\1xr\0\0\0\0"), SAME},
	{PY311, PART(")\3)\1z\1xz\1xN"), PART(")\3\xa9\1\xfa\1xr\1\0\0\0N"), SAME},
	{PY311, PART(")\3)\1z\1xz\1xN"), PART(")\3\xa9\1\xfa\1xr\0\0\0\0N"), DIFFERS},
	{PY27, PART("(\2\0\0\0t\1\0\0\0xR\0\0\0\0"), PART("(\2\0\0\0s\1\0\0\0xs\1\0\0\0x"),
	 SAME},
	{PY27, PART("(\2\0\0\0t\1\0\0\0xR\0\0\0\0"), PART("(\2\0\0\0s\1\0\0\0xs\1\0\0\0y"),
	 DIFFERS},
	/* sets, in any order */
	{PY311, PART(">\2\0\0\0z\1xz\1y"), PART(">\2\0\0\0z\1yz\1x"), SAME},
	{PY311, PART(">\2\0\0\0z\1xz\1y"), PART(">\2\0\0\0z\1yz\1y"), DIFFERS},
	{PY311, PART(">\2\0\0\0z\1xz\1y"), PART(">\1\0\0\0z\1y"), DIFFERS},
	{PY311, PART(">\1\0\0\0z\1x"), PART(")\1z\1x"), DIFFERS},
	{PY311, PART(">\1\0\0\0i\1\0\0\0"), PART(">\1\0\0\0T"), DIFFERS},
	{PY311, PART(">\3\0\0\0)\2NTNT"), PART(">\3\0\0\0TN)\2NT"), SAME},
	{PY311, PART(">\3\0\0\0)\2NTNT"), PART(">\3\0\0\0TN)\2TN"), DIFFERS},
	{PY311, PART(">\2\0\0\0>\2\0\0\0NT)\0"), PART(">\2\0\0\0)\0>\2\0\0\0TN"), SAME},
	{PY311, PART(")\2>\2\0\0\0\xfa\1xz\1yz\1x"),
	 PART(")\2>\2\0\0\0\xfa\1y\xfa\1xr\1\0\0\0"), SAME},
	{PY311, PART("\xbe\0\0\0\0"), PART(">\0\0\0\0"), SAME},
	{PY311, PART("<\0\0\0\0"), PART(">\0\0\0\0"), DIFFERS},
	/* slices of 3.14 */
	{PY314, PART(":NNT"), PART(":NNT"), SAME},
	{PY314, PART(":NNT"), PART(":NNN"), DIFFERS},
	{PY314, PART(":NNT"), PART(")\3NNT"), DIFFERS},
	/* what no compiler writes */
	{PY311, PART("{0"), PART("{0"), UNDECIDED},
	{PY311, PART("{0"), PART("N"), UNDECIDED},
	{PY311, PART("?"), PART("N"), UNDECIDED},
};

static void make(uint16_t magic, const struct part *constant, const struct part *filename,
		 struct body *ret_body)
{
	ret_body->len = 0;
	if (magic == PY27)
		code_27(ret_body, constant, filename);
	else
		code_311(ret_body, constant, filename);
}

static void test_constants(void **state)
{
	static struct body a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		const struct constants *c = &constants[i];
		static const struct part old_m = PART("s\1\0\0\0m");
		const struct part *filename = c->magic == PY27 ? &old_m : &m;
		const char *field = "";

		make(c->magic, &c->a, filename, &a);
		make(c->magic, &c->b, filename, &b);
		if (compare(c->magic, &a, &b, &field) != c->match)
			fail_msg("constants %zu: not %d", i, c->match);
		if (c->match == DIFFERS)
			assert_string_equal(field, "constants");
		else
			assert_null(field);
	}
}

/* Every byte of a body but its file name's matters. */
static void test_every_field(void **state)
{
	static const struct part one = PART("i\1\0\0\0");
	static struct body a, b;
	size_t differing = 0;

	(void)state;
	make(PY311, &one, &m, &a);
	for (size_t i = 0; i < a.len; i++) {
		b = a;
		b.data[i] ^= 1;
		if (b.data[i] == 'l' && a.data[i] == 'm') /* the file name */
			assert_int_equal(compare(PY311, &a, &b, NULL), SAME);
		else
			assert_int_not_equal(compare(PY311, &a, &b, NULL), SAME);
		differing += compare(PY311, &a, &b, NULL) == DIFFERS;
	}
	assert_true(differing > 10);
	/* What follows the code object is not a part of it. */
	b = a;
	APPEND(&b, "rest");
	assert_int_equal(compare(PY311, &a, &b, NULL), SAME);
	b.len = a.len - 1;
	assert_int_equal(pyc_marshal_compare(pyc_magic_lookup(PY311), a.data, a.len, b.data,
					     b.len, NULL),
			 UNDECIDED);
}

static void test_names_of_fields(void **state)
{
	static const struct part one = PART("N");
	static struct body a, b;
	const char *field;

	(void)state;
	make(PY311, &one, &m, &a);
	b = a;
	b.data[13] = 2;
	assert_int_equal(compare(PY311, &a, &b, &field), DIFFERS);
	assert_string_equal(field, "stack size");
	b = a;
	b.data[26] = 'e';
	assert_int_equal(compare(PY311, &a, &b, &field), DIFFERS);
	assert_string_equal(field, "instructions");
}

/* A function in a module: both call their file the same, whatever that is. */
static void nested(const struct part *constant, const struct part *inner,
		   const struct part *outer, struct body *ret_body)
{
	static struct body function;
	struct part code;

	make(PY311, constant, inner, &function);
	code = (struct part){(const char *)function.data, function.len};
	make(PY311, &code, outer, ret_body);
}

static void test_file_names(void **state)
{
	static const struct part none = PART("N"), other = PART("z\1o"),
				 longer = PART("u\3\0\0\0/\xc3\xa9");
	static struct body a, b;
	const char *field;

	(void)state;
	nested(&none, &m, &m, &a);
	nested(&none, &longer, &longer, &b);
	assert_int_equal(compare(PY311, &a, &b, NULL), SAME);
	nested(&none, &other, &m, &b);
	assert_int_equal(compare(PY311, &a, &b, &field), DIFFERS);
	assert_string_equal(field, "file name");
	nested(&none, &m, &other, &a);
	assert_int_equal(pyc_marshal_compare(pyc_magic_lookup(PY311), a.data, a.len, b.data,
					     b.len, NULL),
			 DIFFERS);
}

static void test_nested_code(void **state)
{
	static const struct part one = PART("i\1\0\0\0"), two = PART("i\2\0\0\0");
	static struct body a, b;

	(void)state;
	nested(&one, &m, &m, &a);
	nested(&one, &m, &m, &b);
	assert_int_equal(compare(PY311, &a, &b, NULL), SAME);
	nested(&two, &m, &m, &b);
	assert_int_equal(compare(PY311, &a, &b, NULL), DIFFERS);
}

/* Many levels of pairs of references to the level below: 2^@levels items. */
static void bomb(unsigned levels, struct body *ret_body)
{
	static struct body constant;
	struct part part;

	constant.len = 0;
	append(&constant, ")", 1);
	append(&constant, &(uint8_t){(uint8_t)(levels + 1)}, 1);
	APPEND(&constant, "\xa9\1N"); /* reference 0 */
	for (unsigned level = 0; level < levels; level++) {
		uint8_t i = (uint8_t)level;
		const uint8_t pair[] = {0xa9, 2, 'r', i, 0, 0, 0, 'r', i, 0, 0, 0};

		append(&constant, pair, sizeof(pair));
	}
	part = (struct part){(const char *)constant.data, constant.len};
	make(PY311, &part, &m, ret_body);
}

static void test_a_bomb(void **state)
{
	static const struct part none = PART("N");
	static struct body a, b;

	(void)state;
	bomb(10, &a);
	bomb(10, &b);
	assert_int_equal(compare(PY311, &a, &b, NULL), SAME);
	bomb(60, &a);
	bomb(60, &b);
	assert_int_equal(pyc_marshal_compare(pyc_magic_lookup(PY311), a.data, a.len, b.data,
					     b.len, NULL),
			 UNDECIDED);
	make(PY311, &none, &m, &b); /* ends at once where the other side ends */
	assert_int_equal(pyc_marshal_compare(pyc_magic_lookup(PY311), a.data, a.len, b.data,
					     b.len, NULL),
			 DIFFERS);
}

/* References to references, deeper than any loader goes. */
static void test_depth(void **state)
{
	static struct body a, constant;
	const uint16_t levels = 4000;
	struct part part;

	(void)state;
	APPEND(&constant, "(");
	append(&constant, &(uint8_t[]){levels & 0xff, levels >> 8, 0, 0}, 4);
	APPEND(&constant, "\xa9\1N");
	for (uint16_t i = 0; i < levels - 1; i++) {
		const uint8_t one[] = {0xa9, 1, 'r', i & 0xff, (uint8_t)(i >> 8), 0, 0};

		append(&constant, one, sizeof(one));
	}
	part = (struct part){(const char *)constant.data, constant.len};
	make(PY311, &part, &m, &a);
	assert_int_equal(pyc_marshal_check(pyc_magic_lookup(PY311), a.data, a.len, NULL),
			 PYC_MARSHAL_OK);
	assert_int_equal(compare(PY311, &a, &a, NULL), UNDECIDED);
}

/* Two sets of many items, one the other way round. */
static void test_a_large_set(void **state)
{
	static struct body parts[2], a, b;
	const uint32_t count = 8000;
	struct part part;

	(void)state;
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t number[] = {i, count - 1 - i};

		for (int j = 0; j < 2; j++) {
			if (i == 0) {
				APPEND(&parts[j], ">");
				append(&parts[j], &count, 4);
			}
			APPEND(&parts[j], "i");
			append(&parts[j], &number[j], 4);
		}
	}
	part = (struct part){(const char *)parts[0].data, parts[0].len};
	make(PY311, &part, &m, &a);
	part = (struct part){(const char *)parts[1].data, parts[1].len};
	make(PY311, &part, &m, &b);
	assert_int_equal(compare(PY311, &a, &b, NULL), SAME);
	b.data[b.len / 2] ^= 0x10;
	assert_int_not_equal(compare(PY311, &a, &b, NULL), SAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_constants),	cmocka_unit_test(test_every_field),
		cmocka_unit_test(test_names_of_fields), cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_nested_code),	cmocka_unit_test(test_a_bomb),
		cmocka_unit_test(test_depth),		cmocka_unit_test(test_a_large_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
