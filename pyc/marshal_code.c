/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code objects: which fields each version writes, and what its loader refuses.
 *
 * After CPython's case TYPE_CODE in Python/marshal.c with PyCode_New() (2.7 to 3.10) and
 * _PyCode_Validate() (3.11+) in Objects/codeobject.c, and PyPy's unmarshal_pycode() in
 * pypy/objspace/std/marshal_impl.py. Where versions check more or less, the sum of the
 * checks is applied to all: no compiler writes what any of them refuses. (2.7 does not
 * refuse but abort()s on a name that is no string.)
 */
#include <string.h>

#include "base/scope.h"
#include "pyc/marshal_private.h"

#define CO_VARARGS     0x4u
#define CO_VARKEYWORDS 0x8u
#define CO_FAST_LOCAL  0x20u /* in co_localspluskinds: pycore_code.h */

/* In order: plain integers, then objects; FIELD_FIRSTLINENO stands among the objects. */
enum code_field {
	FIELD_END,
	FIELD_ARGCOUNT,
	FIELD_POSONLYARGCOUNT,
	FIELD_KWONLYARGCOUNT,
	FIELD_NLOCALS,
	FIELD_STACKSIZE,
	FIELD_FLAGS,
	FIELD_FIRSTLINENO,
	FIELD_LAST_INT = FIELD_FIRSTLINENO,
	FIELD_CODE,
	FIELD_CONSTS,
	FIELD_NAMES,
	FIELD_VARNAMES,
	FIELD_LOCALSPLUSNAMES,
	FIELD_LOCALSPLUSKINDS,
	FIELD_FILENAME,
	FIELD_NAME,
	FIELD_LINETABLE,
	FIELDS
};

#define FIELDS_TO_NAMES FIELD_CODE, FIELD_CONSTS, FIELD_NAMES
/* varnames, freevars, cellvars */
#define FIELDS_VARIABLES FIELD_VARNAMES, FIELD_NAMES, FIELD_NAMES

/* clang-format off */
/* 2.7 */
static const uint8_t fields_27[] = {
	FIELD_ARGCOUNT, FIELD_NLOCALS, FIELD_STACKSIZE, FIELD_FLAGS,
	FIELDS_TO_NAMES, FIELDS_VARIABLES, FIELD_FILENAME, FIELD_NAME,
	FIELD_FIRSTLINENO, FIELD_LINETABLE, FIELD_END
};

/* 3.0 to 3.7: PEP 3102 */
static const uint8_t fields_30[] = {
	FIELD_ARGCOUNT, FIELD_KWONLYARGCOUNT, FIELD_NLOCALS, FIELD_STACKSIZE, FIELD_FLAGS,
	FIELDS_TO_NAMES, FIELDS_VARIABLES, FIELD_FILENAME, FIELD_NAME,
	FIELD_FIRSTLINENO, FIELD_LINETABLE, FIELD_END
};

/* 3.8 to 3.10: PEP 570 */
static const uint8_t fields_38[] = {
	FIELD_ARGCOUNT, FIELD_POSONLYARGCOUNT, FIELD_KWONLYARGCOUNT, FIELD_NLOCALS,
	FIELD_STACKSIZE, FIELD_FLAGS,
	FIELDS_TO_NAMES, FIELDS_VARIABLES, FIELD_FILENAME, FIELD_NAME,
	FIELD_FIRSTLINENO, FIELD_LINETABLE, FIELD_END
};

/* 3.11: no nlocals; localsplusnames and -kinds, qualname, exceptiontable */
static const uint8_t fields_311[] = {
	FIELD_ARGCOUNT, FIELD_POSONLYARGCOUNT, FIELD_KWONLYARGCOUNT,
	FIELD_STACKSIZE, FIELD_FLAGS,
	FIELDS_TO_NAMES, FIELD_LOCALSPLUSNAMES, FIELD_LOCALSPLUSKINDS,
	FIELD_FILENAME, FIELD_NAME, FIELD_NAME,
	FIELD_FIRSTLINENO, FIELD_LINETABLE, FIELD_LINETABLE, FIELD_END
};

/* PyPy 3.11: the qualname from 7.3.19 on, the exceptiontable from 7.3.23 on */
static const uint8_t fields_pypy_qualname[] = {
	FIELD_ARGCOUNT, FIELD_POSONLYARGCOUNT, FIELD_KWONLYARGCOUNT, FIELD_NLOCALS,
	FIELD_STACKSIZE, FIELD_FLAGS,
	FIELDS_TO_NAMES, FIELDS_VARIABLES, FIELD_FILENAME, FIELD_NAME, FIELD_NAME,
	FIELD_FIRSTLINENO, FIELD_LINETABLE, FIELD_END
};

static const uint8_t fields_pypy_exceptiontable[] = {
	FIELD_ARGCOUNT, FIELD_POSONLYARGCOUNT, FIELD_KWONLYARGCOUNT, FIELD_NLOCALS,
	FIELD_STACKSIZE, FIELD_FLAGS,
	FIELDS_TO_NAMES, FIELDS_VARIABLES, FIELD_FILENAME, FIELD_NAME, FIELD_NAME,
	FIELD_FIRSTLINENO, FIELD_LINETABLE, FIELD_LINETABLE, FIELD_END
};
/* clang-format on */

#define VERSION_2	(DIALECT_PY2 | DIALECT_INTERNED)
#define VERSION_4	(DIALECT_INTERNED | DIALECT_REFS)
#define VERSION_4_WORDS (VERSION_4 | DIALECT_WORDCODE)
#define VERSION_4_PYPY	(VERSION_4 | DIALECT_PYPY)
#define VERSION_5	(VERSION_4_WORDS | DIALECT_SLICE)

/*
 * Left out, so unsupported, as releases under one magic disagree or were not seen:
 * 3000-3111 (3.0 alphas), 3250-3290 (3.4 alphas: marshal versions 3 and 4 came between),
 * 3410 (3.8 alphas: argcount without and with the positional-only ones), 3450-3493 (3.11
 * alphas: four layouts); PyPy 3.2, 3.3, 3.11 before 7.3.19, 3.12; all of GraalPy.
 */
static const struct dialect_range {
	uint8_t implementation;
	uint16_t first, last; /* magics */
	struct marshal_dialect dialect;
} ranges[] = {
	{PYC_PYPY, 112, 240, {fields_30, VERSION_4_PYPY}},
	{PYC_PYPY, 256, 384, {fields_38, VERSION_4_PYPY}},
	{PYC_PYPY, 416, 416, {fields_pypy_qualname, VERSION_4_PYPY}},
	{PYC_PYPY, 432, 432, {fields_pypy_exceptiontable, VERSION_4_PYPY}},
	{PYC_CPYTHON, 3131, 3230, {fields_30, 0}},
	{PYC_CPYTHON, 3300, 3361, {fields_30, VERSION_4}},
	{PYC_CPYTHON, 3370, 3401, {fields_30, VERSION_4_WORDS}},
	{PYC_CPYTHON, 3411, 3439, {fields_38, VERSION_4_WORDS}},
	{PYC_CPYTHON, 3494, 3607, {fields_311, VERSION_4_WORDS}},
	{PYC_CPYTHON, 3608, 3665, {fields_311, VERSION_5}},
	{PYC_CPYTHON, 3666, 3666, {fields_311, VERSION_5 | DIALECT_FROZENDICT}},
	{PYC_CPYTHON, 62171, 62212, {fields_27, VERSION_2}},
	{PYC_PYPY, 62218, 62218, {fields_27, VERSION_2}},
};

const struct marshal_dialect *marshal_dialect_of(const struct pyc_magic *magic)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		const struct dialect_range *range = &ranges[i];

		if (range->implementation == magic->implementation &&
		    magic->number >= range->first && magic->number <= range->last)
			return &range->dialect;
	}
	return NULL;
}

bool marshal_code_done(const struct marshal_dialect *dialect,
		       const struct marshal_code *code)
{
	return dialect->fields[code->field] == FIELD_END;
}

enum marshal_field_kind marshal_code_field(const struct marshal_dialect *dialect,
					   unsigned index, const char **ret_name)
{
	static const char *const names[FIELDS] = {
		[FIELD_ARGCOUNT] = "number of arguments",
		[FIELD_POSONLYARGCOUNT] = "number of arguments",
		[FIELD_KWONLYARGCOUNT] = "number of arguments",
		[FIELD_NLOCALS] = "number of variables",
		[FIELD_STACKSIZE] = "stack size",
		[FIELD_FLAGS] = "flags",
		[FIELD_FIRSTLINENO] = "line numbers",
		[FIELD_CODE] = "instructions",
		[FIELD_CONSTS] = "constants",
		[FIELD_NAMES] = "names",
		[FIELD_VARNAMES] = "variables",
		[FIELD_LOCALSPLUSNAMES] = "variables",
		[FIELD_LOCALSPLUSKINDS] = "variables",
		[FIELD_FILENAME] = "file name",
		[FIELD_NAME] = "name",
		[FIELD_LINETABLE] = "line or exception table",
	};
	enum code_field field = dialect->fields[index];

	*ret_name = names[field];
	if (field == FIELD_END)
		return MARSHAL_FIELD_END;
	if (field == FIELD_FILENAME)
		return MARSHAL_FIELD_FILENAME;
	return field <= FIELD_LAST_INT ? MARSHAL_FIELD_INT : MARSHAL_FIELD_OBJECT;
}

/* The checks on integers that stand at the head of _PyCode_Validate(). */
static bool take_int(struct marshal_code *code, enum code_field field, uint32_t n)
{
	if (field == FIELD_FIRSTLINENO)
		return true;
	if (n > INT32_MAX)
		return false;
	switch (field) {
	case FIELD_ARGCOUNT:
		code->argcount = n;
		code->total += n;
		return true;
	case FIELD_POSONLYARGCOUNT: /* are counted in argcount, too */
		return n <= code->argcount;
	case FIELD_KWONLYARGCOUNT:
		code->total += n;
		return true;
	case FIELD_FLAGS:
		code->total += (n & CO_VARARGS) != 0;
		code->total += (n & CO_VARKEYWORDS) != 0;
		return true;
	default:
		return true;
	}
}

enum pyc_marshal_status marshal_code_ints(const struct marshal_dialect *dialect,
					  struct marshal_input *in,
					  struct marshal_code *code)
{
	while (!marshal_code_done(dialect, code)) {
		enum code_field field = dialect->fields[code->field];
		uint32_t n;

		if (field > FIELD_LAST_INT)
			break;
		if (!marshal_read_le32(in, &n))
			return PYC_MARSHAL_TRUNCATED;
		if (!take_int(code, field, n))
			return PYC_MARSHAL_BAD_CODE;
		code->field++;
	}
	return PYC_MARSHAL_OK;
}

/* How many items, of a tuple that was read without a defect. */
static uint32_t tuple_length(const uint8_t *tuple)
{
	return (tuple[0] & 0x7f) == ')' ? tuple[1] : load_le32(tuple + 1);
}

/* The content of a string that was read without a defect. */
static const uint8_t *string_content(const uint8_t *string, uint32_t *ret_len)
{
	uint8_t type = string[0] & 0x7f;

	if (type == 'z' || type == 'Z') {
		*ret_len = string[1];
		return string + 2;
	}
	*ret_len = load_le32(string + 1);
	return string + 5;
}

/*
 * Instructions of two bytes, and none of those that an interpreter puts into code while
 * it runs: 3.12's _PyCode_Quicken() crashes on the instrumented opcodes 253 and 254, as
 * it looks for the instruction that they stand for.
 */
static bool is_wordcode(const uint8_t *string)
{
	uint32_t len;
	const uint8_t *code = string_content(string, &len);
	uint64_t sums = 0;
	uint32_t i = 0;

	/* Four at a time, each in 16 bits: 253 and 3 are the first to carry. */
	for (; len - i >= 8; i += 8)
		sums |= (load_le64(code + i) & 0x00ff00ff00ff00ff) + 0x0003000300030003;
	for (; i < len; i += 2)
		sums |= code[i] + 3u;
	return len % 2 == 0 && !(sums & 0x0100010001000100);
}

/* One kind for each name, and local variables enough for the arguments. */
static bool kinds_fit(const struct marshal_code *code, const uint8_t *string)
{
	uint32_t len;
	const uint8_t *kinds = string_content(string, &len);
	uint64_t locals = 0;

	for (uint32_t i = 0; i < len; i++)
		locals += (kinds[i] & CO_FAST_LOCAL) != 0;
	return len == code->names && locals >= code->total;
}

/*
 * PyPy keeps the file name as the file system's bytes: no NUL, and of the surrogates
 * only U+DC80 to U+DCFF (PEP 383), which are ED B2 80 to ED B3 BF.
 */
static bool is_file_name(const uint8_t *string)
{
	uint32_t len;
	const uint8_t *name = string_content(string, &len);

	if (memchr(name, 0, len))
		return false;
	for (uint32_t i = 0; i + 1 < len; i++) {
		bool surrogate = name[i] == 0xed && name[i + 1] >= 0xa0;

		if (surrogate && name[i + 1] != 0xb2 && name[i + 1] != 0xb3)
			return false;
	}
	return true;
}

/* What the loader wants to know of a field beyond its type. */
static bool content_fits(const struct marshal_dialect *dialect, struct marshal_code *code,
			 enum code_field field, const uint8_t *object)
{
	switch (field) {
	case FIELD_CODE:
		return !(dialect->features & DIALECT_WORDCODE) || is_wordcode(object);
	case FIELD_VARNAMES:
		return tuple_length(object) >= code->total;
	case FIELD_LOCALSPLUSNAMES:
		code->names = tuple_length(object);
		return true;
	case FIELD_LOCALSPLUSKINDS:
		return kinds_fit(code, object);
	case FIELD_FILENAME:
		return !(dialect->features & DIALECT_PYPY) || is_file_name(object);
	default:
		return true;
	}
}

enum pyc_marshal_status marshal_code_take(const struct marshal_dialect *dialect,
					  const uint8_t *body, struct marshal_code *code,
					  struct marshal_value value)
{
	static const uint8_t wants[FIELDS] = {
		[FIELD_CODE] = TRAIT_BYTES,
		[FIELD_CONSTS] = TRAIT_TUPLE,
		[FIELD_NAMES] = TRAIT_NAMES,
		[FIELD_VARNAMES] = TRAIT_NAMES,
		[FIELD_LOCALSPLUSNAMES] = TRAIT_NAMES,
		[FIELD_LOCALSPLUSKINDS] = TRAIT_BYTES,
		[FIELD_FILENAME] = TRAIT_STR,
		[FIELD_NAME] = TRAIT_STR,
		[FIELD_LINETABLE] = TRAIT_BYTES,
	};
	enum code_field field = dialect->fields[code->field];

	if (!(marshal_traits(value.class) & wants[field]) ||
	    !content_fits(dialect, code, field, body + value.start))
		return PYC_MARSHAL_BAD_CODE;
	code->field++;
	return PYC_MARSHAL_OK;
}
