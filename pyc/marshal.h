/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does the body of a bytecode file parse as exactly one code object?
 *
 * A pyc whose header matches and whose body does not load makes the import *fail*
 * (EOFError, ValueError), where a mismatch only makes it slow. So canonfs vouches for no
 * file whose body it has not walked. The walk follows Python/marshal.c of each version (2.7
 * to 3.15) and PyPy's rpython/rlib/rmarshal.py and pypy/module/marshal/interp_marshal.py
 * without building objects: one pass, an explicit stack, four bytes per back reference.
 */
#ifndef CANONFS_PYC_MARSHAL_H
#define CANONFS_PYC_MARSHAL_H

#include <stddef.h>
#include <stdint.h>

#include "pyc/magic.h"

enum pyc_marshal_status {
	PYC_MARSHAL_OK,
	PYC_MARSHAL_TRUNCATED, /* the data ends inside an object */
	PYC_MARSHAL_BAD_TYPE,  /* a type byte that this version does not know */
	PYC_MARSHAL_BAD_REF,   /* a back reference to nothing, or to an unfinished object */
	PYC_MARSHAL_BAD_VALUE, /* a length, digit or string that cannot be */
	PYC_MARSHAL_NOT_CODE,  /* a whole object, but not a code object */
	PYC_MARSHAL_BAD_CODE,  /* a code object whose field is of the wrong type */
	PYC_MARSHAL_TOO_DEEP,  /* nested deeper than the interpreters allow */
	PYC_MARSHAL_UNSUPPORTED, /* a layout that is not known (GraalPy) */
	PYC_MARSHAL_NO_MEMORY,
};

/**
 * pyc_marshal_check() - walk the body of a bytecode file
 * @magic:   the version whose marshal format applies
 * @body:    the bytes after the header
 * @len:     how many bytes there are
 * @ret_len: bytes that the code object takes, at most @len (what follows is ignored, as
 *           the interpreters do); written on PYC_MARSHAL_OK only; may be NULL
 *
 * Memory: at most @len bytes for back references, beyond a small table on the stack, plus a
 * stack of bounded depth. A body that would need more (no compiler writes one), or of
 * 256 MiB and more, is PYC_MARSHAL_NO_MEMORY.
 * Return: PYC_MARSHAL_OK or the first defect.
 */
enum pyc_marshal_status pyc_marshal_check(const struct pyc_magic *magic,
					  const uint8_t *body, size_t len, size_t *ret_len);

enum pyc_marshal_match {
	PYC_MARSHAL_SAME,
	PYC_MARSHAL_DIFFERS,
	PYC_MARSHAL_UNDECIDED, /* one cannot be walked, or it takes too long */
};

/**
 * pyc_marshal_compare() - are two bodies the same code?
 * @magic:     of both
 * @ret_field: what of a code object differs first, for people; static storage, NULL unless
 *             they differ; may be NULL
 *
 * Compares what a loader would build, not bytes: neither how objects are shared (back
 * references, interning) nor the order of a set's items matters, nor what the file is
 * called, if every code object in a body calls it the same. Everything else does: the type
 * and every bit of each constant and of each field that the version has.
 *
 * Memory: as pyc_marshal_check() for each, and eight bytes for each item of a set.
 */
enum pyc_marshal_match pyc_marshal_compare(const struct pyc_magic *magic, const uint8_t *a,
					   size_t a_len, const uint8_t *b, size_t b_len,
					   const char **ret_field);

#endif
