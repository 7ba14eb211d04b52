/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The marshal walk on bodies made by hand: each type code in the versions that know it,
 * each field of a code object, each defect. Whole files of real interpreters are the
 * business of tests/tools/walk-pycs.c.
 *
 * Linked with -Wl,--wrap=malloc, so that memory can run out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pyc/marshal.h"

#define PY27	 62211
#define PY30A4	 3111
#define PY33	 3230
#define PY37	 3394
#define PY38	 3413
#define PY311	 3495
#define PY311A7	 3493
#define PY313	 3571
#define PY314	 3627
#define PY315	 3666
#define PYPY27	 62218
#define PYPY36	 192
#define PYPY39	 336
#define PYPY311	 416
#define PYPY311X 432
#define PYPY312	 448
#define GRAALPY	 21290

#define OK	  PYC_MARSHAL_OK
#define TRUNCATED PYC_MARSHAL_TRUNCATED
#define BAD_TYPE  PYC_MARSHAL_BAD_TYPE
#define BAD_REF	  PYC_MARSHAL_BAD_REF
#define BAD_VALUE PYC_MARSHAL_BAD_VALUE
#define BAD_CODE  PYC_MARSHAL_BAD_CODE

/* A stretch of bytes, NULs and all. */
struct part {
	const char *bytes;
	size_t len;
};

/* clang-format off */
#define PART(literal) { literal, sizeof(literal) - 1 }
#define INT(n) PART(n "\0\0\0") /* "\1": 1 */
#define NO_PART { NULL, 0 }
/* clang-format on */

#define PARTS_MAX 20

struct body {
	uint8_t *data;
	size_t len;
};

/* Memory that ends where the body ends, so that sanitizers see a read too far. */
static void append(struct body *body, const void *bytes, size_t len)
{
	uint8_t *data = malloc(body->len + len + 1);

	assert_non_null(data);
	if (body->len > 0)
		memcpy(data, body->data, body->len);
	memcpy(data + body->len, bytes, len);
	free(body->data);
	body->data = data;
	body->len += len;
}

static int mallocs_left = -1; /* of the walk; -1: as many as it likes */
static int walking;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	if (walking && mallocs_left == 0)
		return NULL;
	if (walking && mallocs_left > 0)
		mallocs_left--;
	return __real_malloc(size);
}

static enum pyc_marshal_status check_bytes(uint16_t number, const void *bytes, size_t len,
					   size_t *ret_len)
{
	uint8_t *exact = malloc(len + !len);
	enum pyc_marshal_status status;

	assert_non_null(exact);
	if (len)
		memcpy(exact, bytes, len);
	walking = 1;
	status = pyc_marshal_check(pyc_magic_lookup(number), exact, len, ret_len);
	walking = 0;
	free(exact);
	return status;
}

#define BYTES2	       PART("s\2\0\0\0d\0")
#define EMPTY	       PART("(\0\0\0\0")
#define ONE_NAME(t, s) PART("(\1\0\0\0" t "\1\0\0\0" s)

/* def f(a): the code object of each layout. */
struct layout {
	uint16_t number;
	struct part parts[PARTS_MAX];
};

/* clang-format off */
/* Where in struct layout a field stands. */
enum { ARGCOUNT_27 = 1, NLOCALS_27, STACKSIZE_27, FLAGS_27,
       CODE_27, CONSTS_27, NAMES_27, VARNAMES_27, FREEVARS_27, CELLVARS_27,
       FILENAME_27, NAME_27, FIRSTLINENO_27, LNOTAB_27 };
enum { CONSTS_37 = 7 };
enum { ARGCOUNT_38 = 1, POSONLY_38, KWONLY_38, NLOCALS_38, STACKSIZE_38, FLAGS_38,
       CODE_38, CONSTS_38, NAMES_38, VARNAMES_38, FREEVARS_38, CELLVARS_38,
       FILENAME_38, NAME_38, FIRSTLINENO_38, LNOTAB_38 };
enum { ARGCOUNT_311 = 1, POSONLY_311, KWONLY_311, STACKSIZE_311, FLAGS_311,
       CODE_311, CONSTS_311, NAMES_311, LOCALNAMES_311, KINDS_311,
       FILENAME_311, NAME_311, QUALNAME_311, FIRSTLINENO_311, LINETABLE_311,
       EXCEPTIONTABLE_311 };

#define NONES PART("(\1\0\0\0N")
#define TEXT_27(s) PART("t\1\0\0\0" s)
#define TEXT_30(s) PART("u\1\0\0\0" s)
#define NO_BYTES PART("s\0\0\0\0")
#define VARIABLES(t) ONE_NAME(t, "a"), EMPTY, EMPTY /* varnames, freevars, cellvars */

static const struct layout layout_27 = { PY27, {
	PART("c"), INT("\1"), INT("\1"), INT("\1"), INT("\x43"),
	BYTES2, NONES, EMPTY, VARIABLES("t"), TEXT_27("m"), TEXT_27("f"),
	INT("\1"), NO_BYTES
} };

static const struct layout layout_37 = { PY37, {
	PART("c"), INT("\1"), INT("\0"), INT("\1"), INT("\1"), INT("\x43"),
	BYTES2, NONES, EMPTY, VARIABLES("u"), TEXT_30("m"), TEXT_30("f"),
	INT("\1"), NO_BYTES
} };

static const struct layout layout_38 = { PY38, {
	PART("c"), INT("\1"), INT("\0"), INT("\0"), INT("\1"), INT("\1"), INT("\x43"),
	BYTES2, NONES, EMPTY, VARIABLES("u"), TEXT_30("m"), TEXT_30("f"),
	INT("\1"), NO_BYTES
} };

static const struct layout layout_311 = { PY311, {
	PART("c"), INT("\1"), INT("\0"), INT("\0"), INT("\1"), INT("\x43"),
	BYTES2, NONES, EMPTY, ONE_NAME("u", "a"), PART("s\1\0\0\0\x20"),
	TEXT_30("m"), TEXT_30("f"), TEXT_30("q"), INT("\1"), NO_BYTES, NO_BYTES
} };

static const struct layout layout_pypy311 = { PYPY311, {
	PART("c"), INT("\1"), INT("\0"), INT("\0"), INT("\1"), INT("\1"), INT("\x43"),
	BYTES2, NONES, EMPTY, VARIABLES("u"), TEXT_30("m"), TEXT_30("f"), TEXT_30("q"),
	INT("\1"), NO_BYTES
} };

static const struct layout layout_pypy311x = { PYPY311X, {
	PART("c"), INT("\1"), INT("\0"), INT("\0"), INT("\1"), INT("\1"), INT("\x43"),
	BYTES2, NONES, EMPTY, VARIABLES("u"), TEXT_30("m"), TEXT_30("f"), TEXT_30("q"),
	INT("\1"), NO_BYTES, NO_BYTES
} };
/* clang-format on */

/* The layout's body, with the field @which (0: none) replaced. */
static struct body make_body(const struct layout *layout, size_t which, struct part part)
{
	struct body body = {NULL, 0};

	for (size_t i = 0; i < PARTS_MAX && layout->parts[i].bytes; i++) {
		const struct part *p = which > 0 && which == i ? &part : &layout->parts[i];

		append(&body, p->bytes, p->len);
	}
	return body;
}

static enum pyc_marshal_status check_with(uint16_t number, const struct layout *layout,
					  size_t which, struct part part)
{
	struct body body = make_body(layout, which, part);
	enum pyc_marshal_status status = check_bytes(number, body.data, body.len, NULL);

	free(body.data);
	return status;
}

/* Which layout a version uses, and where its constants stand. */
static const struct layout *layout_of(uint16_t number, size_t *ret_consts)
{
	switch (number) {
	case PY27:
	case PYPY27:
		*ret_consts = CONSTS_27;
		return &layout_27;
	case PY33:
	case PY37:
	case PYPY36:
		*ret_consts = CONSTS_37;
		return &layout_37;
	case PY38:
	case PYPY39:
	case PYPY311:
	case PYPY311X:
		*ret_consts = CONSTS_38;
		return number == PYPY311    ? &layout_pypy311
		       : number == PYPY311X ? &layout_pypy311x
					    : &layout_38;
	default:
		*ret_consts = CONSTS_311;
		return &layout_311;
	}
}

/* A code object whose one constant is @object. */
static enum pyc_marshal_status check_const(uint16_t number, struct part object)
{
	struct body tuple = {NULL, 0};
	enum pyc_marshal_status status;
	const struct layout *layout;
	struct part part;
	size_t consts;

	layout = layout_of(number, &consts);
	append(&tuple, "(\1\0\0\0", 5);
	append(&tuple, object.bytes, object.len);
	part = (struct part){(const char *)tuple.data, tuple.len};
	status = check_with(number, layout, consts, part);
	free(tuple.data);
	return status;
}

static void test_layouts(void **state)
{
	static const uint16_t numbers[] = {PY27,  PYPY27,  PY33,    PY37,  PYPY36,
					   PY38,  PYPY39,  PY311,   PY313, PY314,
					   PY315, PYPY311, PYPY311X};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		size_t consts, len = 0;
		const struct layout *layout = layout_of(numbers[i], &consts);
		struct body body = make_body(layout, 0, (struct part)NO_PART);
		size_t whole = body.len;

		assert_int_equal(check_bytes(numbers[i], body.data, whole, &len), OK);
		assert_int_equal(len, whole);
		for (size_t cut = 0; cut < whole; cut++)
			assert_int_equal(check_bytes(numbers[i], body.data, cut, NULL),
					 TRUNCATED);
		append(&body, "garbage", 7); /* every interpreter ignores it */
		assert_int_equal(check_bytes(numbers[i], body.data, body.len, &len), OK);
		assert_int_equal(len, whole);
		free(body.data);
	}
}

static void test_other_layout_is_refused(void **state)
{
	(void)state;
	assert_int_not_equal(check_with(PY38, &layout_37, 0, (struct part)NO_PART), OK);
	assert_int_not_equal(check_with(PY37, &layout_38, 0, (struct part)NO_PART), OK);
	assert_int_not_equal(check_with(PY38, &layout_311, 0, (struct part)NO_PART), OK);
	assert_int_not_equal(check_with(PY27, &layout_37, 0, (struct part)NO_PART), OK);
	assert_int_not_equal(check_with(PYPY39, &layout_pypy311, 0, (struct part)NO_PART),
			     OK);
	assert_int_not_equal(check_with(PYPY311, &layout_38, 0, (struct part)NO_PART), OK);
}

static void test_ret_len_is_optional_and_kept_on_failure(void **state)
{
	size_t len = 42;

	(void)state;
	assert_int_equal(check_bytes(PY311, "N", 1, &len), PYC_MARSHAL_NOT_CODE);
	assert_int_equal(len, 42);
}

struct object_case {
	uint16_t number;
	enum pyc_marshal_status status;
	struct part object;
};

/* clang-format off */
static const struct object_case object_cases[] = {
	/* singletons; a flag on them is nothing that a writer sets */
	{ PY27, OK, PART("N") }, { PY311, OK, PART("N") }, { PY311, OK, PART("T") },
	{ PY311, OK, PART("F") }, { PY311, OK, PART("S") }, { PY311, OK, PART(".") },
	{ PY311, BAD_TYPE, PART("\xce") }, { PY33, BAD_TYPE, PART("\xce") },
	{ PY311, BAD_VALUE, PART("0") }, { PY27, BAD_VALUE, PART("0") },
	/* type codes that nobody or not this version knows */
	{ PY311, BAD_TYPE, PART("?") }, { PY311, BAD_TYPE, PART("\0") },
	{ PY311, BAD_TYPE, PART("\x7f") }, { PY27, BAD_TYPE, PART("\xff") },
	{ PY311, BAD_TYPE, PART("R\0\0\0\0") }, { PY27, BAD_TYPE, PART("r\0\0\0\0") },
	{ PY27, BAD_TYPE, PART("z\1x") }, { PY27, BAD_TYPE, PART(")\0") },
	{ PY33, BAD_TYPE, PART("t\1\0\0\0x") }, { PY33, BAD_TYPE, PART("a\1\0\0\0x") },
	{ PY33, BAD_TYPE, PART("\xe9\1\0\0\0") },
	{ PY313, BAD_TYPE, PART(":NNN") }, { PY314, OK, PART(":NNN") },
	{ PY314, BAD_TYPE, PART("}0") }, { PY315, OK, PART("}0") },
	/* numbers */
	{ PY311, OK, PART("i\xff\xff\xff\xff") }, { PY27, OK, PART("i\1\0\0\0") },
	{ PY311, OK, PART("\xe9\1\0\0\0") },
	{ PY311, OK, PART("I\1\0\0\0\0\0\0\0") },
	{ PY311, OK, PART("l\0\0\0\0") }, { PY311, OK, PART("l\1\0\0\0\1\0") },
	{ PY311, OK, PART("l\xfe\xff\xff\xff\0\0\xff\x7f") },
	{ PY311, BAD_VALUE, PART("l\1\0\0\0\0\0") },
	{ PY311, BAD_VALUE, PART("l\2\0\0\0\0\x80\1\0") },
	{ PY27, BAD_VALUE, PART("l\1\0\0\0\0\x80") },
	{ PY311, BAD_VALUE, PART("l\0\0\0\x80") },
	{ PY311, TRUNCATED, PART("l\xff\xff\xff\x7f") },
	{ PY311, OK, PART("g\0\0\0\0\0\0\xf8\x7f") },
	{ PY311, OK, PART("y\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\x3f") },
	{ PY27, OK, PART("f\3" "1.5") }, { PY311, OK, PART("f\5" "1e-05") },
	{ PY311, OK, PART("f\3inf") }, { PY311, OK, PART("f\4-NaN") },
	{ PY311, OK, PART("f\x9" "+Infinity") }, { PY311, OK, PART("f\2.5") },
	{ PY311, OK, PART("f\2" "5.") }, { PY311, OK, PART("f\4" "1E+5") },
	{ PY311, BAD_VALUE, PART("f\0") }, { PY311, BAD_VALUE, PART("f\1.") },
	{ PY311, BAD_VALUE, PART("f\1-") }, { PY311, BAD_VALUE, PART("f\2" "1e") },
	{ PY311, BAD_VALUE, PART("f\3" "1.x") }, { PY311, BAD_VALUE, PART("f\2 1") },
	{ PY311, BAD_VALUE, PART("f\4info") }, { PY311, BAD_VALUE, PART("f\2in") },
	{ PY311, OK, PART("x\3" "1.0\3" "2.0") }, { PY311, BAD_VALUE, PART("x\3" "1.0\1j") },
	/* strings */
	{ PY311, OK, PART("s\3\0\0\0\0\x80\xff") }, { PY27, OK, PART("s\3\0\0\0\0\x80\xff") },
	{ PY27, OK, PART("t\1\0\0\0\xff") }, { PY311, OK, PART("t\1\0\0\0x") },
	{ PY311, BAD_VALUE, PART("t\1\0\0\0\xff") },
	{ PY311, BAD_VALUE, PART("s\xff\xff\xff\xff") },
	{ PY311, BAD_VALUE, PART("u\0\0\0\x80") },
	{ PY311, TRUNCATED, PART("a\xff\xff\xff\x7f") },
	{ PY311, OK, PART("a\1\0\0\0x") }, { PY311, OK, PART("A\1\0\0\0x") },
	{ PY311, OK, PART("z\1x") }, { PY311, OK, PART("Z\0") }, { PY311, OK, PART("\xda\1x") },
	{ PY311, OK, PART("z\1\xe9") }, /* Latin-1 */
	{ PYPY39, BAD_VALUE, PART("z\1\xe9") }, { PYPY39, OK, PART("z\1x") },
	{ PYPY39, BAD_VALUE, PART("a\x9\0\0\0" "12345678\xe9") },
	/* UTF-8, with lone surrogates */
	{ PY311, OK, PART("u\0\0\0\0") }, { PY27, OK, PART("u\2\0\0\0\xc3\xa9") },
	{ PY311, OK, PART("u\xb\0\0\0" "12345678\xe2\x82\xac") },
	{ PY311, OK, PART("u\x8\0\0\0" "1234567\n") },
	{ PY311, OK, PART("u\x9\0\0\0" "\xc3\xa9" "1234567") },
	{ PY311, OK, PART("u\4\0\0\0\xf0\x9f\x98\x80") },
	{ PY311, OK, PART("u\4\0\0\0\xf4\x8f\xbf\xbf") },
	{ PY311, OK, PART("u\3\0\0\0\xed\xa0\x80") },
	{ PY311, BAD_VALUE, PART("u\1\0\0\0\x80") },
	{ PY311, BAD_VALUE, PART("u\2\0\0\0\xc3x") },
	{ PY311, BAD_VALUE, PART("u\2\0\0\0\xc0\x80") },
	{ PY311, BAD_VALUE, PART("u\3\0\0\0\xe0\x9f\xbf") },
	{ PY311, BAD_VALUE, PART("u\3\0\0\0\xe2\x82x") },
	{ PY311, BAD_VALUE, PART("u\2\0\0\0\xe2\x82") },
	{ PY311, BAD_VALUE, PART(")\2u\2\0\0\0\xe2\x82\xa9\0") }, /* next, a flagged ')' */
	{ PY311, BAD_VALUE, PART("u\4\0\0\0\xf0\x8f\xbf\xbf") },
	{ PY311, BAD_VALUE, PART("u\4\0\0\0\xf4\x90\x80\x80") },
	{ PY311, BAD_VALUE, PART("u\4\0\0\0\xf5\x80\x80\x80") },
	{ PY27, BAD_VALUE, PART("u\1\0\0\0\xff") },
	/* containers */
	{ PY311, OK, PART("(\0\0\0\0") }, { PY311, OK, PART(")\2NT") },
	{ PY311, OK, PART("[\1\0\0\0N") }, { PY311, OK, PART("[\0\0\0\0") },
	{ PY311, BAD_VALUE, PART(")\1" "0") }, { PY311, BAD_VALUE, PART("[\1\0\0\0" "0") },
	{ PY311, BAD_VALUE, PART("(\xff\xff\xff\xff") },
	{ PY311, TRUNCATED, PART("(\xff\xff\xff\x7f") },
	{ PY311, OK, PART("{0") }, { PY311, OK, PART("{NN0") },
	{ PY311, OK, PART("{N[\0\0\0\0" "0") },
	{ PY311, BAD_VALUE, PART("{N0") }, { PY311, BAD_VALUE, PART("{[\0\0\0\0N0") },
	{ PY311, BAD_VALUE, PART("{{0N0") }, { PY311, OK, PART("{)\1NN0") },
	{ PY311, BAD_VALUE, PART("{)\1{0N0") },
	{ PY311, OK, PART("<\2\0\0\0NT") }, { PY311, OK, PART(">\1\0\0\0>\0\0\0\0") },
	{ PY311, OK, PART(">\0\0\0\0") }, { PY27, OK, PART("<\0\0\0\0") },
	{ PY311, BAD_VALUE, PART("<\1\0\0\0<\0\0\0\0") },
	{ PY311, BAD_VALUE, PART("<\1\0\0\0)\1)\1[\0\0\0\0") },
	{ PY311, BAD_VALUE, PART(">\1\0\0\0" "0") },
	{ PY314, OK, PART("<\1\0\0\0:NNN") }, { PY314, BAD_VALUE, PART("<\1\0\0\0:NN{0") },
	{ PY314, BAD_VALUE, PART(":NN0") },
	{ PY315, OK, PART("}NN0") }, { PY315, BAD_VALUE, PART("}{0N0") },
	/* back references: index 0, as nothing before the constants is flagged */
	{ PY311, OK, PART(")\2\xda\1xr\0\0\0\0") }, { PY37, OK, PART(")\2\xe9\1\0\0\0r\0\0\0\0") },
	{ PY311, BAD_REF, PART("r\0\0\0\0") }, { PY311, BAD_REF, PART(")\2\xda\1xr\1\0\0\0") },
	{ PY311, BAD_REF, PART(")\2\xda\1xr\xff\xff\xff\xff") },
	{ PY311, BAD_REF, PART("\xa9\1r\0\0\0\0") },
	{ PY311, BAD_REF, PART("\xdb\1\0\0\0r\0\0\0\0") },
	{ PY311, BAD_REF, PART("\xbe\1\0\0\0r\0\0\0\0") },
	{ PY311, BAD_TYPE, PART(")\2\xda\1x\xf2\0\0\0\0") },
	{ PY311, TRUNCATED, PART(")\xff\xda\1xr\0\0") },
	/* an index is taken when the object begins */
	{ PY311, OK, PART(")\3\xa9\1\xda\1x{r\1\0\0\0r\0\0\0\0" "0N") },
	/* what is known of an object is known of a reference to it */
	{ PY311, BAD_VALUE, PART(")\2\xdb\0\0\0\0{r\0\0\0\0N0") },
	{ PY311, OK, PART(")\2\xa9\1N{r\0\0\0\0N0") },
	{ PY311, OK, PART(")\2\xbe\0\0\0\0<\1\0\0\0r\0\0\0\0") },
	/* 2.7: interned strings only; "a", of the varnames, comes later */
	{ PY27, OK, PART("(\2\0\0\0t\1\0\0\0xR\0\0\0\0") },
	{ PY27, BAD_REF, PART("(\2\0\0\0s\1\0\0\0xR\0\0\0\0") },
	{ PY27, BAD_REF, PART("(\2\0\0\0t\1\0\0\0xR\xff\xff\xff\xff") },
};
/* clang-format on */

static void test_objects(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(object_cases) / sizeof(object_cases[0]); i++) {
		const struct object_case *c = &object_cases[i];

		/* what ends a body early is told by the size that it claims */
		if (check_const(c->number, c->object) != c->status)
			fail_msg("case %zu (magic %u): status %d", i, c->number,
				 check_const(c->number, c->object));
	}
}

static void test_not_code(void **state)
{
	(void)state;
	assert_int_equal(check_bytes(PY311, "N", 1, NULL), PYC_MARSHAL_NOT_CODE);
	assert_int_equal(check_bytes(PY311, "0", 1, NULL), PYC_MARSHAL_NOT_CODE);
	assert_int_equal(check_bytes(PY311, ")\0", 2, NULL), PYC_MARSHAL_NOT_CODE);
	assert_int_equal(check_bytes(PY27, "(\1\0\0\0N", 6, NULL), PYC_MARSHAL_NOT_CODE);
	assert_int_equal(check_bytes(PY311, "", 0, NULL), TRUNCATED);
	assert_int_equal(pyc_marshal_check(pyc_magic_lookup(PY311), NULL, 0, NULL),
			 TRUNCATED);
}

struct field_case {
	const struct layout *layout;
	size_t field;
	enum pyc_marshal_status status;
	struct part part;
};

#define MINUS_1 PART("\xff\xff\xff\xff")

/* clang-format off */
static const struct field_case field_cases[] = {
	{ &layout_27, ARGCOUNT_27, BAD_CODE, MINUS_1 },
	{ &layout_27, NLOCALS_27, BAD_CODE, MINUS_1 },
	{ &layout_27, STACKSIZE_27, BAD_CODE, MINUS_1 },
	{ &layout_27, FLAGS_27, BAD_CODE, MINUS_1 },
	{ &layout_27, FIRSTLINENO_27, OK, MINUS_1 },
	{ &layout_27, ARGCOUNT_27, BAD_CODE, INT("\2") },
	{ &layout_27, CODE_27, BAD_CODE, PART("N") },
	{ &layout_27, CODE_27, OK, PART("s\1\0\0\0d") }, /* no word code yet */
	{ &layout_27, CODE_27, BAD_CODE, PART("u\2\0\0\0d\0") },
	{ &layout_27, CONSTS_27, BAD_CODE, PART("[\0\0\0\0") },
	{ &layout_27, NAMES_27, BAD_CODE, PART("(\1\0\0\0u\1\0\0\0x") },
	{ &layout_27, NAMES_27, OK, PART("(\2\0\0\0s\1\0\0\0xt\0\0\0\0") },
	{ &layout_27, VARNAMES_27, BAD_CODE, EMPTY },
	{ &layout_27, FREEVARS_27, BAD_CODE, PART("N") },
	{ &layout_27, CELLVARS_27, BAD_CODE, PART("(\1\0\0\0N") },
	{ &layout_27, FILENAME_27, BAD_CODE, PART("u\1\0\0\0x") },
	{ &layout_27, NAME_27, BAD_CODE, PART("N") },
	{ &layout_27, LNOTAB_27, BAD_CODE, PART("N") },
	{ &layout_27, NAME_27, BAD_VALUE, PART("{N0") },
	{ &layout_38, ARGCOUNT_38, OK, INT("\0") },
	{ &layout_38, POSONLY_38, OK, INT("\1") },
	{ &layout_38, POSONLY_38, BAD_CODE, INT("\2") },
	{ &layout_38, KWONLY_38, BAD_CODE, INT("\1") },
	{ &layout_38, KWONLY_38, BAD_CODE, MINUS_1 },
	{ &layout_38, NLOCALS_38, BAD_CODE, MINUS_1 },
	{ &layout_38, STACKSIZE_38, BAD_CODE, MINUS_1 },
	{ &layout_38, FLAGS_38, BAD_CODE, INT("\4") }, /* *args without a name */
	{ &layout_38, FLAGS_38, BAD_CODE, INT("\x8") },
	{ &layout_38, CODE_38, BAD_CODE, PART("s\1\0\0\0d") },
	{ &layout_38, CODE_38, OK, PART("s\0\0\0\0") },
	{ &layout_38, CODE_38, BAD_CODE, PART("u\2\0\0\0dd") },
	{ &layout_38, CONSTS_38, BAD_CODE, PART("N") },
	{ &layout_38, CONSTS_38, OK, PART(")\1[\0\0\0\0") },
	{ &layout_38, NAMES_38, BAD_CODE, PART(")\1s\1\0\0\0x") },
	{ &layout_38, NAMES_38, BAD_CODE, PART(")\2z\1xN") },
	{ &layout_38, NAMES_38, OK, PART(")\3z\1xt\1\0\0\0yu\2\0\0\0\xc3\xa9") },
	{ &layout_38, VARNAMES_38, OK, PART(")\1\xda\1x") },
	{ &layout_38, VARNAMES_38, BAD_CODE, PART(")\0") },
	{ &layout_38, FREEVARS_38, BAD_CODE, PART(")\1N") },
	{ &layout_38, CELLVARS_38, BAD_CODE, PART("z\0") },
	{ &layout_38, FILENAME_38, BAD_CODE, PART("s\1\0\0\0x") },
	{ &layout_38, NAME_38, BAD_CODE, PART(")\0") },
	{ &layout_38, FIRSTLINENO_38, OK, MINUS_1 },
	{ &layout_38, LNOTAB_38, BAD_CODE, PART("z\0") },
	{ &layout_311, ARGCOUNT_311, BAD_CODE, MINUS_1 },
	{ &layout_311, ARGCOUNT_311, BAD_CODE, PART("\xff\xff\xff\x7f") },
	{ &layout_311, POSONLY_311, BAD_CODE, INT("\2") },
	{ &layout_311, KWONLY_311, BAD_CODE, INT("\1") },
	{ &layout_311, STACKSIZE_311, BAD_CODE, MINUS_1 },
	{ &layout_311, FLAGS_311, BAD_CODE, MINUS_1 },
	{ &layout_311, FLAGS_311, BAD_CODE, INT("\4") },
	{ &layout_311, CODE_311, BAD_CODE, PART("s\3\0\0\0ddd") },
	{ &layout_311, CODE_311, BAD_CODE, PART("s\4\0\0\0dd\xfd\0") },
	{ &layout_311, CODE_311, OK, PART("s\4\0\0\0dd\xfc\xff") },
	{ &layout_311, CONSTS_311, BAD_CODE, PART("{0") },
	{ &layout_311, NAMES_311, BAD_CODE, PART(")\1)\0") },
	{ &layout_311, LOCALNAMES_311, BAD_CODE, PART(")\2z\1az\1b") },
	{ &layout_311, LOCALNAMES_311, BAD_CODE, PART(")\0") },
	{ &layout_311, KINDS_311, BAD_CODE, PART("s\2\0\0\0\x20\x20") },
	{ &layout_311, KINDS_311, BAD_CODE, PART("s\1\0\0\0\x80") }, /* a free variable */
	{ &layout_311, KINDS_311, OK, PART("s\1\0\0\0\x60") }, /* an argument in a cell */
	{ &layout_311, KINDS_311, BAD_CODE, PART("N") },
	{ &layout_311, FILENAME_311, BAD_CODE, PART("N") },
	{ &layout_311, FILENAME_311, OK, PART("z\3a\0b") },
	{ &layout_311, NAME_311, BAD_CODE, PART("s\0\0\0\0") },
	{ &layout_311, QUALNAME_311, BAD_CODE, PART("N") },
	{ &layout_311, FIRSTLINENO_311, OK, MINUS_1 },
	{ &layout_311, LINETABLE_311, BAD_CODE, PART("N") },
	{ &layout_311, EXCEPTIONTABLE_311, BAD_CODE, PART("N") },
	/* types and lengths are known through back references, too */
	{ &layout_311, LOCALNAMES_311, OK, PART("\xa9\1\xda\1x") },
	{ &layout_311, KINDS_311, BAD_REF, PART("r\0\0\0\0") },
	{ &layout_311, NAMES_311, OK, PART("\xa9\0") },
	{ &layout_pypy311, FILENAME_38, OK, PART("z\1x") },
	{ &layout_pypy311, FILENAME_38, BAD_CODE, PART("z\3a\0b") },
	{ &layout_pypy311, FILENAME_38, OK, PART("u\3\0\0\0\xed\xb2\x80") },
	{ &layout_pypy311, FILENAME_38, BAD_CODE, PART("u\3\0\0\0\xed\xa0\x80") },
	{ &layout_pypy311, FILENAME_38, OK, PART("u\3\0\0\0\xed\x9f\xbf") },
};
/* clang-format on */

static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(field_cases) / sizeof(field_cases[0]); i++) {
		const struct field_case *c = &field_cases[i];
		enum pyc_marshal_status status =
			check_with(c->layout->number, c->layout, c->field, c->part);

		if (status != c->status)
			fail_msg("case %zu (magic %u, field %zu): status %d", i,
				 c->layout->number, c->field, status);
	}
}

/* Wherever the instruction stands; what is no instruction may be anything. */
static void test_internal_instructions(void **state)
{
	char text[5 + 40];

	(void)state;
	for (int len = 2; len <= 40; len += 2) {
		for (int at = 0; at < len; at++) {
			const struct part part = {text, (size_t)len + 5};

			for (int byte = 252; byte < 256; byte++) {
				enum pyc_marshal_status expected =
					at % 2 == 0 && byte >= 253 ? BAD_CODE : OK;

				for (int i = 0; i < len; i++)
					text[5 + i] = (char)(i % 2 ? 0xff : 0xfc);
				memcpy(text, "s\0\0\0", 5);
				text[1] = (char)len;
				text[5 + at] = (char)byte;
				assert_int_equal(
					check_with(PY311, &layout_311, CODE_311, part),
					expected);
			}
		}
	}
}

/* The constants hold an object with index 0; a later field is a reference to it. */
static enum pyc_marshal_status check_field_ref(struct part constant, size_t field)
{
	struct layout layout = layout_311;

	layout.parts[CONSTS_311] = constant;
	layout.parts[field] = (struct part)PART("r\0\0\0\0");
	return check_with(PY311, &layout, 0, (struct part)NO_PART);
}

static void test_field_by_reference(void **state)
{
	static const struct part text = PART(")\1\xda\1x");
	static const struct part names = PART(")\1\xa9\1z\1x");
	static const struct part long_names = PART(")\1\xa8\1\0\0\0z\1x");
	static const struct part two_names = PART(")\1\xa9\2z\1xz\1y");
	static const struct part kinds = PART(")\1\xf3\1\0\0\0\x20");
	static const struct part cell = PART(")\1\xf3\1\0\0\0\x40");

	(void)state;
	assert_int_equal(check_field_ref(text, FILENAME_311), OK);
	assert_int_equal(check_field_ref(text, QUALNAME_311), OK);
	assert_int_equal(check_field_ref(text, NAMES_311), BAD_CODE);
	assert_int_equal(check_field_ref(text, EXCEPTIONTABLE_311), BAD_CODE);
	assert_int_equal(check_field_ref(names, LOCALNAMES_311), OK);
	assert_int_equal(check_field_ref(long_names, LOCALNAMES_311), OK);
	assert_int_equal(check_field_ref(two_names, LOCALNAMES_311), BAD_CODE);
	assert_int_equal(check_field_ref(two_names, NAMES_311), OK);
	assert_int_equal(check_field_ref(kinds, KINDS_311), OK);
	assert_int_equal(check_field_ref(kinds, LINETABLE_311), OK);
	assert_int_equal(check_field_ref(cell, KINDS_311), BAD_CODE);
	assert_int_equal(check_field_ref(kinds, NAME_311), BAD_CODE);
}

/* A code object as a constant; it is no name, no key, and refers to itself in vain. */
static void test_nested_code(void **state)
{
	struct body inner = make_body(&layout_311, 0, (struct part)NO_PART);
	struct body in_set = {NULL, 0};
	struct body own =
		make_body(&layout_311, CONSTS_311, (struct part)PART(")\1r\0\0\0\0"));

	(void)state;
	append(&in_set, "<\1\0\0\0", 5);
	append(&in_set, inner.data, inner.len);
	assert_int_equal(
		check_const(PY311, (struct part){(const char *)inner.data, inner.len}), OK);
	assert_int_equal(
		check_const(PY311, (struct part){(const char *)in_set.data, in_set.len}),
		BAD_VALUE);
	own.data[0] |= 0x80;
	assert_int_equal(check_bytes(PY311, own.data, own.len, NULL), BAD_REF);
	free(inner.data);
	free(in_set.data);
	free(own.data);
}

/* @depth tuples around None */
static struct body make_nest(size_t depth)
{
	struct body body = {calloc(depth + 1, 2), 2 * depth + 1};

	assert_non_null(body.data);
	for (size_t i = 0; i < depth; i++)
		memcpy(body.data + 2 * i, ")\1", 2);
	body.data[2 * depth] = 'N';
	return body;
}

/* CPython counts the code object, its constants, and None as well. */
static void test_depth(void **state)
{
	struct body body = make_nest(1997);
	struct part part = {(const char *)body.data, body.len};

	(void)state;
	assert_int_equal(check_const(PY311, part), OK);
	assert_int_equal(check_const(PYPY39, part), OK);
	free(body.data);
	body = make_nest(1998);
	part = (struct part){(const char *)body.data, body.len};
	assert_int_equal(check_const(PY311, part), PYC_MARSHAL_TOO_DEEP);
	assert_int_equal(check_const(PYPY39, part), PYC_MARSHAL_TOO_DEEP);
	free(body.data);
}

static void test_many_refs(void **state)
{
	struct body body = {NULL, 0};
	struct part part;

	(void)state;
	append(&body, "(\x10\x27\0\0", 5);
	for (int i = 0; i < 5000; i++)
		append(&body, "\xda\3abc", 5);
	for (int i = 0; i < 5000; i++) {
		uint8_t ref[5] = {'r', (uint8_t)i, (uint8_t)(i >> 8), 0, 0};

		append(&body, ref, sizeof(ref));
	}
	part = (struct part){(const char *)body.data, body.len};
	assert_int_equal(check_const(PY311, part), OK);
	body.data[body.len - 4]++; /* 4999 + 256 */
	body.data[body.len - 3]++;
	assert_int_equal(check_const(PY311, part), BAD_REF);
	free(body.data);
}

/* Every allocation fails once; in the end there is enough memory. */
static void check_without_memory(struct part object, int expected_mallocs)
{
	int n = 0;

	for (;; n++) {
		enum pyc_marshal_status status;

		mallocs_left = n;
		status = check_const(PY311, object);
		mallocs_left = -1;
		if (status == OK)
			break;
		assert_int_equal(status, PYC_MARSHAL_NO_MEMORY);
		assert_true(n < 100);
	}
	assert_int_equal(n, expected_mallocs);
}

static void test_no_memory(void **state)
{
	struct body deep = make_nest(1500);
	struct body refs = {NULL, 0};

	(void)state;
	append(&refs, "(\xd0\7\0\0", 5);
	for (int i = 0; i < 2000; i++)
		append(&refs, "\xda\3abc", 5);
	/* the first of each table needs no malloc(), each next one is four times as large
	 */
	check_without_memory((struct part)PART("N"), 0);
	check_without_memory((struct part){(const char *)deep.data, deep.len}, 3);
	check_without_memory((struct part){(const char *)refs.data, refs.len}, 2);
	free(deep.data);
	free(refs.data);
}

/* The table of back references takes no more memory than the body itself. */
static void test_refs_are_bounded(void **state)
{
	struct body body = {NULL, 0};
	struct part part;

	(void)state;
	append(&body, "(\xd0\7\0\0", 5);
	for (int i = 0; i < 2000; i++)
		append(&body, "\xa9\0", 2);
	part = (struct part){(const char *)body.data, body.len};
	assert_int_equal(check_const(PY311, part), PYC_MARSHAL_NO_MEMORY);
	free(body.data);
}

static void test_too_large(void **state)
{
	static const uint8_t byte = 'c';

	(void)state;
	/* not read: @len alone decides */
	assert_int_equal(
		pyc_marshal_check(pyc_magic_lookup(PY311), &byte, (size_t)1 << 28, NULL),
		PYC_MARSHAL_NO_MEMORY);
}

static void test_unsupported(void **state)
{
	static const uint16_t numbers[] = {GRAALPY, PY30A4, PY311A7, 3290, 3410,
					   PYPY312, 48,	    64,	     400};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_non_null(pyc_magic_lookup(numbers[i]));
		assert_int_equal(check_bytes(numbers[i], "N", 1, NULL),
				 PYC_MARSHAL_UNSUPPORTED);
	}
}

/* Every magic is either supported with one of the layouts, or says that it is not. */
static void test_every_magic(void **state)
{
	static const struct layout *const layouts[] = {&layout_27,	&layout_37,
						       &layout_38,	&layout_311,
						       &layout_pypy311, &layout_pypy311x};
	unsigned supported = 0;

	(void)state;
	for (size_t i = 0; i < pyc_magic_count; i++) {
		uint16_t number = pyc_magic_table[i].number;
		unsigned fits = 0;

		if (check_bytes(number, "N", 1, NULL) == PYC_MARSHAL_UNSUPPORTED)
			continue;
		supported++;
		for (size_t j = 0; j < sizeof(layouts) / sizeof(layouts[0]); j++)
			fits += check_with(number, layouts[j], 0, (struct part)NO_PART) ==
				OK;
		assert_true(fits >= 1);
	}
	assert_true(supported > pyc_magic_count / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_other_layout_is_refused),
		cmocka_unit_test(test_ret_len_is_optional_and_kept_on_failure),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_not_code),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_internal_instructions),
		cmocka_unit_test(test_field_by_reference),
		cmocka_unit_test(test_nested_code),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many_refs),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_refs_are_bounded),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_every_magic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
