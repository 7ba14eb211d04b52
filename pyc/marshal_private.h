/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the marshal walk share: values without objects, the reader, and what
 * differs from one interpreter version to the next.
 *
 *	marshal.c	the walk: type codes, containers, back references
 *	marshal_code.c	code objects: their fields by version, and what a loader checks
 *	marshal_text.c	strings and numbers written as text
 *	marshal_compare.c	two bodies side by side
 */
#ifndef CANONFS_PYC_MARSHAL_PRIVATE_H
#define CANONFS_PYC_MARSHAL_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "pyc/magic.h"
#include "pyc/marshal.h"

/* Offsets into a body share a 32-bit word with a class; see struct refs in marshal.c. */
#define MARSHAL_OFFSET_BITS 28
#define MARSHAL_MAX_BODY    ((size_t)1 << MARSHAL_OFFSET_BITS)

/* What a loader could do with an object. The walk keeps no more of it. */
enum marshal_class {
	VALUE_OPEN,	  /* a container whose items are still being read */
	VALUE_NULL,	  /* no object; ends a dict */
	VALUE_SCALAR,	  /* hashable, and fits no field of a code object */
	VALUE_UNHASHABLE, /* list, set, dict, frozendict; a slice of these */
	VALUE_CODE,
	VALUE_STR,	   /* str of 3.x */
	VALUE_BYTES,	   /* bytes of 3.x */
	VALUE_OLD_STR,	   /* str of 2.7, which serves as both */
	VALUE_NAMES,	   /* a tuple of nothing but str, perhaps empty */
	VALUE_TUPLE,	   /* any other tuple */
	VALUE_TUPLE_MIXED, /* a tuple that holds something unhashable */
	VALUE_CLASSES
};

_Static_assert(VALUE_CLASSES <= 1 << (32 - MARSHAL_OFFSET_BITS), "classes fill 4 bits");

#define TRAIT_HASHABLE 0x01u
#define TRAIT_STR      0x02u
#define TRAIT_BYTES    0x04u
#define TRAIT_TUPLE    0x08u
#define TRAIT_NAMES    0x10u

#define MARSHAL_FLAG_REF 0x80u /* on a type code: give the object an index */

/* MAX_MARSHAL_STACK_DEPTH of CPython on Linux; PyPy goes some thousands deeper. */
#define MARSHAL_MAX_DEPTH 2000

enum marshal_shape {
	SHAPE_UNKNOWN,
	SHAPE_SINGLETON, /* the type code is all; never given an index */
	SHAPE_FIXED,	 /* .size bytes, any content */
	SHAPE_LONG,	 /* int32 count and sign, digits of 15 bits */
	SHAPE_FLOATS,	 /* .size times: uint8 length, a number as text */
	SHAPE_STRING,	 /* int32 length, content */
	SHAPE_SHORT,	 /* uint8 length, content */
	SHAPE_REF,	 /* int32 index */
	SHAPE_ITEMS,	 /* int32 count, objects */
	SHAPE_FEW,	 /* uint8 count, objects */
	SHAPE_TRIPLE,	 /* three objects */
	SHAPE_DICT,	 /* pairs of objects, then NULL */
	SHAPE_CODE,
};

/**
 * struct marshal_type - one type code
 * @shape: what follows it
 * @class: what it gives; for containers see finish() in marshal.c
 * @size:  see enum marshal_shape
 * @needs: DIALECT_ bits: versions that know it
 */
struct marshal_type {
	uint8_t shape;
	uint8_t class;
	uint8_t size;
	uint8_t needs;
};

#define MARSHAL_TYPES 128
extern const struct marshal_type marshal_types[MARSHAL_TYPES];

extern const uint8_t marshal_class_traits[VALUE_CLASSES];

/* TRAIT_ bits; asked of each object. */
static inline unsigned marshal_traits(enum marshal_class value_class)
{
	return marshal_class_traits[value_class];
}

/**
 * struct marshal_value - an object that was read
 * @start: bytes; where its type code stands in the body (of the referent, for a back
 *         reference), so that a length or a content can be looked up when needed
 * @class: what it is good for
 */
struct marshal_value {
	uint32_t start;
	uint8_t class;
};

/* The bytes, and how many are read; @pos never passes @len. */
struct marshal_input {
	const uint8_t *body;
	uint32_t len;
	uint32_t pos;
};

static inline uint32_t marshal_left(const struct marshal_input *in)
{
	return in->len - in->pos;
}

/* r_long(): false where fewer than 4 bytes are left. */
static inline bool marshal_read_le32(struct marshal_input *in, uint32_t *ret)
{
	if (marshal_left(in) < 4)
		return false;
	*ret = load_le32(in->body + in->pos);
	in->pos += 4;
	return true;
}

/* Type codes that not every version knows, and rules that not every version has. */
#define DIALECT_PY2	   0x01u /* str is bytes; back references to interned strings only */
#define DIALECT_INTERNED   0x02u /* 't' */
#define DIALECT_REFS	   0x04u /* FLAG_REF, 'r', and the short and ASCII types of 3.4 */
#define DIALECT_SLICE	   0x08u /* ':' */
#define DIALECT_FROZENDICT 0x10u /* '}' */
#define DIALECT_WORDCODE   0x20u /* instructions of two bytes */
#define DIALECT_PYPY	   0x40u

struct marshal_dialect {
	const uint8_t *fields; /* enum code_field, ends with FIELD_END; marshal_code.c */
	unsigned features;     /* DIALECT_ bits */
};

/* The dialect of a magic, static storage; NULL where it is not known for certain. */
const struct marshal_dialect *marshal_dialect_of(const struct pyc_magic *magic);

/**
 * struct marshal_code - a code object of which some fields are read
 * @field:    the index in the dialect's fields of what comes next
 * @argcount: as read, not negative
 * @total:    local variables that the arguments take
 * @names:    how many names of local variables there are (3.11+)
 */
struct marshal_code {
	uint8_t field;
	uint32_t argcount;
	uint64_t total;
	uint32_t names;
};

/**
 * marshal_code_ints() - read the plain integers that come next
 * @code: zeroed before the first call; moves on to the next field that is an object
 *
 * Return: PYC_MARSHAL_OK, TRUNCATED, or BAD_CODE for a value that the loader refuses.
 */
enum pyc_marshal_status marshal_code_ints(const struct marshal_dialect *dialect,
					  struct marshal_input *in,
					  struct marshal_code *code);

/* Is @value fit for the field that comes next? Moves on. Return: OK or BAD_CODE. */
enum pyc_marshal_status marshal_code_take(const struct marshal_dialect *dialect,
					  const uint8_t *body, struct marshal_code *code,
					  struct marshal_value value);

/* Are all fields read? */
bool marshal_code_done(const struct marshal_dialect *dialect,
		       const struct marshal_code *code);

/* What stands at a place among the fields of a code object. */
enum marshal_field_kind {
	MARSHAL_FIELD_END,
	MARSHAL_FIELD_INT,
	MARSHAL_FIELD_FILENAME,
	MARSHAL_FIELD_OBJECT,
};

/* @ret_name: for people; static storage */
enum marshal_field_kind marshal_code_field(const struct marshal_dialect *dialect,
					   unsigned index, const char **ret_name);

/**
 * struct marshal_map - a body that was walked, and where its back references lead
 * @len:  bytes of the code object; what follows it is not looked at
 * @refs: offset of each object that has an index; owned
 */
struct marshal_map {
	const struct marshal_dialect *dialect;
	const uint8_t *body;
	uint32_t len;
	uint32_t *refs;
	uint32_t ref_count;
};

/* Walks a body as pyc_marshal_check() does. Return: as that; marshal_map_fini() either way.
 */
enum pyc_marshal_status marshal_map_init(struct marshal_map *map,
					 const struct pyc_magic *magic, const uint8_t *body,
					 size_t len);
void marshal_map_fini(struct marshal_map *map);

/* UTF-8 as Python's "surrogatepass" takes it: lone surrogates are fine. */
bool marshal_text_is_utf8(const uint8_t *text, size_t len);
bool marshal_text_is_ascii(const uint8_t *text, size_t len);

/* A number as repr() writes floats, and as PyOS_string_to_double() reads them. */
bool marshal_text_is_float(const uint8_t *text, size_t len);

#endif
