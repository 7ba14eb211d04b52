/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows to and from the database's form; see row.h.
 */
#include "cache/store/row.h"

#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"

_Static_assert(PYC_HEADER_MAX == WIRE_BLOB_SIZE, "a header is a blob");

void digest_save(struct digest digest, uint8_t blob[WIRE_BLOB_SIZE])
{
	_Static_assert(sizeof(digest) == WIRE_BLOB_SIZE, "a digest is a blob");
	store_le64(blob, digest.low);
	store_le64(blob + 8, digest.high);
}

struct digest digest_load(const uint8_t blob[WIRE_BLOB_SIZE])
{
	return (struct digest){.low = load_le64(blob), .high = load_le64(blob + 8)};
}

int64_t store_wire_checksum(const struct store_wire *wire)
{
	uint8_t bytes[sizeof(wire->number) + sizeof(wire->blob)];

	for (size_t i = 0; i < WIRE_NUMBERS; i++)
		store_le64(bytes + i * sizeof(uint64_t), (uint64_t)wire->number[i]);
	memcpy(bytes + sizeof(wire->number), wire->blob, sizeof(wire->blob));
	return (int64_t)XXH3_64bits(bytes, sizeof(bytes));
}

void store_row_encode(const struct store_row *row, struct store_wire *ret_wire)
{
	const struct identity *pyc = &row->pyc;

	*ret_wire = (struct store_wire){
		.number = {[WIRE_IMAGE] = row->image,
			   [WIRE_INODE] = (int64_t)pyc->inode,
			   [WIRE_GENERATION] = (int64_t)pyc->generation,
			   [WIRE_BTIME] = pyc->btime_ns,
			   [WIRE_SIZE] = pyc->size,
			   [WIRE_MTIME] = pyc->mtime_ns,
			   [WIRE_CTIME] = pyc->ctime_ns,
			   [WIRE_BODY] = row->body,
			   [WIRE_STORED] = row->stored_s},
	};
	memcpy(ret_wire->blob[WIRE_HEADER], row->header.raw,
	       row->header.magic->header_size);
	digest_save(row->digest, ret_wire->blob[WIRE_DIGEST]);
	ret_wire->checksum = store_wire_checksum(ret_wire);
}

/* A right checksum says that canonfs wrote it, perhaps a canonfs with a bug. */
static bool store_wire_is_plausible(const struct store_wire *wire)
{
	const int64_t *number = wire->number;

	return wire->checksum == store_wire_checksum(wire) && number[WIRE_IMAGE] >= 0 &&
	       number[WIRE_SIZE] >= 0 && number[WIRE_GENERATION] >= 0 &&
	       number[WIRE_GENERATION] <= UINT32_MAX &&
	       (number[WIRE_BODY] == PYC_CHECK_OK || number[WIRE_BODY] == PYC_CHECK_BAD);
}

bool store_row_decode(const struct store_wire *wire, struct store_row *ret_row)
{
	const int64_t *number = wire->number;
	struct pyc_header header;

	if (!store_wire_is_plausible(wire) ||
	    pyc_header_parse(wire->blob[WIRE_HEADER], WIRE_BLOB_SIZE, &header) !=
		    PYC_HEADER_OK ||
	    number[WIRE_SIZE] < header.magic->header_size)
		return false;
	*ret_row = (struct store_row){
		.image = number[WIRE_IMAGE],
		.pyc = {.inode = (uint64_t)number[WIRE_INODE],
			.generation = (uint64_t)number[WIRE_GENERATION],
			.btime_ns = number[WIRE_BTIME],
			.size = number[WIRE_SIZE],
			.mtime_ns = number[WIRE_MTIME],
			.ctime_ns = number[WIRE_CTIME]},
		.header = header,
		.body = (enum pyc_check)number[WIRE_BODY],
		.digest = digest_load(wire->blob[WIRE_DIGEST]),
		.stored_s = number[WIRE_STORED],
	};
	return true;
}
