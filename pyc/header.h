/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first 8, 12 or 16 bytes of a bytecode file: parse, and write a changed copy.
 *
 * Layouts, little-endian everywhere (PEP 552, PEP 3147 and
 * importlib/_bootstrap_external.py):
 *
 *	 8 bytes  magic[4] mtime[4]
 *	12 bytes  magic[4] mtime[4] size[4]
 *	16 bytes  magic[4] flags[4] mtime[4] size[4]	flags bit 0 clear
 *	16 bytes  magic[4] flags[4] hash[8]		flags bit 0 set
 */
#ifndef CANONFS_PYC_HEADER_H
#define CANONFS_PYC_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "pyc/magic.h"

#define PYC_HEADER_MAX 16
#define PYC_HASH_SIZE  8

/* PEP 552 flags. Bit 1 alone is still a timestamp pyc; any higher bit is unknown. */
#define PYC_FLAG_HASH	      0x1u
#define PYC_FLAG_CHECK_SOURCE 0x2u
#define PYC_FLAGS_KNOWN	      0x3u

enum pyc_header_kind {
	PYC_KIND_TIMESTAMP,
	PYC_KIND_HASH_CHECKED,
	PYC_KIND_HASH_UNCHECKED,
	PYC_KIND_UNKNOWN_FLAGS,
};

enum pyc_header_status {
	PYC_HEADER_OK,
	PYC_HEADER_SHORT,	  /* shorter than its magic's header */
	PYC_HEADER_UNKNOWN_MAGIC, /* no such magic, or bytes 2-3 are not 0d 0a */
};

/**
 * struct pyc_header - a parsed header
 * @magic:       the layout; static storage
 * @kind:        what validates this pyc
 * @flags:       PEP 552 flags, 0 where the layout has none
 * @mtime:       embedded mtime in seconds, modulo 2^32; 0 for hash pycs
 * @source_size: embedded size of the source in bytes, modulo 2^32; 0 for hash pycs and
 *               where the layout records none
 * @hash:        the source hash as it stands in the file; zeroes for timestamp pycs
 * @raw:         the header as bytes; the first magic->header_size are meaningful
 */
struct pyc_header {
	const struct pyc_magic *magic;
	enum pyc_header_kind kind;
	uint32_t flags;
	uint32_t mtime;
	uint32_t source_size;
	uint8_t hash[PYC_HASH_SIZE];
	uint8_t raw[PYC_HEADER_MAX];
};

/**
 * pyc_header_parse() - read a header from the first bytes of a file
 * @buf:        the file's first bytes
 * @len:        how many there are; PYC_HEADER_MAX are enough
 * @ret_header: written on success only
 *
 * Return: PYC_HEADER_OK, PYC_HEADER_SHORT (also when fewer than 4 bytes, so that there
 * is no magic to judge), PYC_HEADER_UNKNOWN_MAGIC.
 */
enum pyc_header_status pyc_header_parse(const uint8_t *buf, size_t len,
					struct pyc_header *ret_header);

/**
 * pyc_header_set_mtime() - restamp: change the mtime word and nothing else
 * @header: a PYC_KIND_TIMESTAMP header; .mtime and .raw are updated
 * @mtime:  seconds, modulo 2^32
 */
void pyc_header_set_mtime(struct pyc_header *header, uint32_t mtime);

/**
 * pyc_header_set_unchecked() - turn a checked-hash header into an unchecked-hash one
 * @header: a PYC_KIND_HASH_CHECKED header; .kind, .flags and .raw are updated
 */
void pyc_header_set_unchecked(struct pyc_header *header);

#endif
