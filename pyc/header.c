/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header of a bytecode file, byte by byte: the magic decides where everything else
 * stands. A changed header is safe to serve: one word differs, the rest is the disk's.
 */
#include "pyc/header.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

/* The only layout with flags and hashes puts the hash where the times would be. */
#define HASH_OFFSET 8

/*
 * _classify_pyc() in importlib/_bootstrap_external.py: it refuses any flag above bit 1
 * first, and looks at bit 1 only after it has seen bit 0.
 */
static enum pyc_header_kind kind_of(uint32_t flags)
{
	if (flags & ~PYC_FLAGS_KNOWN)
		return PYC_KIND_UNKNOWN_FLAGS;
	if (!(flags & PYC_FLAG_HASH))
		return PYC_KIND_TIMESTAMP;
	if (flags & PYC_FLAG_CHECK_SOURCE)
		return PYC_KIND_HASH_CHECKED;
	return PYC_KIND_HASH_UNCHECKED;
}

enum pyc_header_status pyc_header_parse(const uint8_t *buf, size_t len,
					struct pyc_header *ret_header)
{
	struct pyc_header header = {0};
	const struct pyc_magic *magic;

	if (len < 4)
		return PYC_HEADER_SHORT;
	/* Bytes 2 and 3 are CR LF, to show a copy in text mode (Python/import.c). */
	if (buf[2] != '\r' || buf[3] != '\n')
		return PYC_HEADER_UNKNOWN_MAGIC;
	magic = pyc_magic_lookup(load_le16(buf));
	if (!magic)
		return PYC_HEADER_UNKNOWN_MAGIC;
	if (len < magic->header_size)
		return PYC_HEADER_SHORT;

	header.magic = magic;
	memcpy(header.raw, buf, magic->header_size);
	if (magic->flags_offset)
		header.flags = load_le32(buf + magic->flags_offset);
	header.kind = kind_of(header.flags);
	if (header.kind == PYC_KIND_HASH_CHECKED ||
	    header.kind == PYC_KIND_HASH_UNCHECKED) {
		memcpy(header.hash, buf + HASH_OFFSET, PYC_HASH_SIZE);
	} else {
		header.mtime = load_le32(buf + magic->mtime_offset);
		if (magic->size_offset)
			header.source_size = load_le32(buf + magic->size_offset);
	}
	*ret_header = header;
	return PYC_HEADER_OK;
}

void pyc_header_set_mtime(struct pyc_header *header, uint32_t mtime)
{
	/* In a hash pyc those bytes are half of the hash. */
	assert(header->kind == PYC_KIND_TIMESTAMP);
	header->mtime = mtime;
	store_le32(header->raw + header->magic->mtime_offset, mtime);
}

void pyc_header_set_unchecked(struct pyc_header *header)
{
	assert(header->kind == PYC_KIND_HASH_CHECKED);
	header->kind = PYC_KIND_HASH_UNCHECKED;
	header->flags &= ~PYC_FLAG_CHECK_SOURCE;
	store_le32(header->raw + header->magic->flags_offset, header->flags);
}
