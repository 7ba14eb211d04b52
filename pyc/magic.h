/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The magic numbers that begin every bytecode file, and what each one says
 * about the rest of the header.
 *
 * Sources: CPython Include/internal/pycore_magic_number.h, PyPy
 * pypy/interpreter/pycode.py, GraalPy release tags; see tests/data/pyc-magics.json,
 * from which scripts/gen-magics writes pyc/magic_table.c.
 */
#ifndef CANONFS_PYC_MAGIC_H
#define CANONFS_PYC_MAGIC_H

#include <stddef.h>
#include <stdint.h>

enum pyc_implementation {
	PYC_CPYTHON,
	PYC_PYPY,
	PYC_GRAALPY,
};

/* How an interpreter hashes a source for a PEP 552 hash pyc. */
enum pyc_hash_algorithm {
	PYC_HASH_NONE,	    /* the layout has no hash pycs */
	PYC_HASH_SIPHASH24, /* CPython 3.7-3.10, PyPy */
	PYC_HASH_SIPHASH13, /* CPython 3.11 and later */
	PYC_HASH_UNKNOWN,   /* has hash pycs, the hash cannot be computed here (GraalPy) */
};

/* How an interpreter compares the embedded mtime with the source's st_mtime. */
enum pyc_mtime_rule {
	PYC_MTIME_SIGNED,   /* <= 3.2: int32 against st_mtime's seconds & 0xffffffff */
	PYC_MTIME_UNMASKED, /* 3.3-3.6: uint32 against int(st_mtime) */
	PYC_MTIME_MASKED,   /* 3.7+: uint32 against int(st_mtime) & 0xffffffff */
};

/**
 * struct pyc_magic - what one magic number stands for
 * @number:         the first two bytes, little-endian
 * @implementation: who writes it
 * @major, @minor:  the language version, e.g. 3 and 11
 * @header_size:    bytes before the marshalled code object: 8, 12 or 16
 * @mtime_offset:   bytes; where the embedded mtime stands (uint32 LE)
 * @size_offset:    bytes; where the source's size stands (uint32 LE), 0: not recorded
 * @flags_offset:   bytes; where the PEP 552 flags stand (uint32 LE), 0: none
 * @mtime_rule:     how the interpreter compares times
 * @hash:           how it hashes sources
 * @version:        for people: "3.11", "pypy3.9"; static storage
 * @tag:            the cache tag (sys.implementation.cache_tag) that file names must
 *                  carry, "" where the version has none (before PEP 3147); where
 *                  @tag_is_prefix, any tag that begins so
 */
struct pyc_magic {
	uint16_t number;
	uint8_t implementation;
	uint8_t major;
	uint8_t minor;
	uint8_t header_size;
	uint8_t mtime_offset;
	uint8_t size_offset;
	uint8_t flags_offset;
	uint8_t mtime_rule;
	uint8_t hash;
	uint8_t tag_is_prefix;
	const char *version;
	const char *tag;
};

/**
 * pyc_magic_lookup() - find a magic by its number
 * @number: the first two bytes of the file, little-endian; bytes 2 and 3 are the
 *          caller's to check (0d 0a)
 *
 * Return: the entry (static storage), NULL for a magic that is not known.
 */
const struct pyc_magic *pyc_magic_lookup(uint16_t number);

/* The whole table, sorted by number; for tests and listings. */
extern const struct pyc_magic pyc_magic_table[];
extern const size_t pyc_magic_count;

#endif
