/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows to and from the database's form; see row.h.
 */
#include "cache/store/row.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

_Static_assert(PYC_HEADER_MAX == WIRE_BLOB_SIZE, "a header is a blob");

void digest_save(struct digest digest, uint8_t blob[WIRE_BLOB_SIZE])
{
	const uint64_t words[] = {htole64(digest.low), htole64(digest.high)};

	_Static_assert(sizeof(words) == WIRE_BLOB_SIZE, "a digest is a blob");
	memcpy(blob, words, sizeof(words));
}

struct digest digest_load(const uint8_t blob[WIRE_BLOB_SIZE])
{
	uint64_t words[2];

	memcpy(words, blob, sizeof(words));
	return (struct digest){.low = le64toh(words[0]), .high = le64toh(words[1])};
}

int64_t store_wire_checksum(const struct store_wire *wire)
{
	uint8_t bytes[sizeof(wire->number) + sizeof(wire->blob)];

	for (size_t i = 0; i < WIRE_NUMBERS; i++) {
		uint64_t word = htole64((uint64_t)wire->number[i]);

		memcpy(bytes + i * sizeof(word), &word, sizeof(word));
	}
	memcpy(bytes + sizeof(wire->number), wire->blob, sizeof(wire->blob));
	return (int64_t)XXH3_64bits(bytes, sizeof(bytes));
}

/* An identity is six numbers in a row: inode, generation, btime, size, mtime, ctime. */
static void encode_identity(const struct identity *identity, int64_t number[6])
{
	number[0] = (int64_t)identity->inode;
	number[1] = (int64_t)identity->generation;
	number[2] = identity->btime_ns;
	number[3] = identity->size;
	number[4] = identity->mtime_ns;
	number[5] = identity->ctime_ns;
}

static struct identity decode_identity(const int64_t number[6])
{
	return (struct identity){
		.inode = (uint64_t)number[0],
		.generation = (uint64_t)number[1],
		.btime_ns = number[2],
		.size = number[3],
		.mtime_ns = number[4],
		.ctime_ns = number[5],
	};
}

_Static_assert(WIRE_CTIME == WIRE_INODE + 5, "the file's identity is six numbers");
_Static_assert(WIRE_SOURCE_CTIME == WIRE_SOURCE_INODE + 5, "the source's is, too");

void store_row_encode(const struct store_row *row, struct store_wire *ret_wire)
{
	const struct content *content = &row->content;
	int64_t *number = ret_wire->number;

	*ret_wire = (struct store_wire){.checksum = 0};
	number[WIRE_IMAGE] = row->image;
	encode_identity(&row->pyc, number + WIRE_INODE);
	number[WIRE_VERDICT] = row->verdict;
	number[WIRE_REASON] = row->reason;
	number[WIRE_BODY] = content->body;
	number[WIRE_HASH] = content->hash;
	number[WIRE_STORED] = row->stored_s;
	memcpy(ret_wire->blob[WIRE_DISK], content->header.raw,
	       content->header.magic->header_size);
	memcpy(ret_wire->blob[WIRE_SERVED], row->served,
	       content->header.magic->header_size);
	if (content->body != PYC_CHECK_UNKNOWN)
		digest_save(content->digest, ret_wire->blob[WIRE_DIGEST]);
	if (content->has_source) {
		number[WIRE_HAS_SOURCE] = 1;
		encode_identity(&content->source, number + WIRE_SOURCE_INODE);
		digest_save(content->source_digest, ret_wire->blob[WIRE_SOURCE_DIGEST]);
	}
	ret_wire->checksum = store_wire_checksum(ret_wire);
}

static bool in_range(int64_t number, int64_t end)
{
	return number >= 0 && number < end;
}

/* A right checksum says that canonfs wrote it; a canonfs with a bug, perhaps. */
static bool is_plausible(const struct store_wire *wire)
{
	const int64_t *number = wire->number;

	return wire->checksum == store_wire_checksum(wire) && number[WIRE_IMAGE] >= 0 &&
	       number[WIRE_SIZE] >= 0 && number[WIRE_SOURCE_SIZE] >= 0 &&
	       in_range(number[WIRE_GENERATION], INT64_C(1) << 32) &&
	       in_range(number[WIRE_SOURCE_GENERATION], INT64_C(1) << 32) &&
	       in_range(number[WIRE_VERDICT], PYC_VERDICTS) &&
	       in_range(number[WIRE_REASON], PYC_REASONS) &&
	       in_range(number[WIRE_BODY], PYC_CHECK_BAD + 1) &&
	       in_range(number[WIRE_HASH], PYC_CHECK_BAD + 1) &&
	       in_range(number[WIRE_HAS_SOURCE], 2) &&
	       /* The hash is always that of a source. */
	       (number[WIRE_HASH] == PYC_CHECK_UNKNOWN || number[WIRE_HAS_SOURCE]);
}

bool store_row_decode(const struct store_wire *wire, struct store_row *ret_row)
{
	const int64_t *number = wire->number;
	struct content content = {.header_status = PYC_HEADER_OK};

	if (!is_plausible(wire) ||
	    pyc_header_parse(wire->blob[WIRE_DISK], WIRE_BLOB_SIZE, &content.header) !=
		    PYC_HEADER_OK ||
	    number[WIRE_SIZE] < content.header.magic->header_size)
		return false;
	content.body = (enum pyc_check)number[WIRE_BODY];
	content.digest = digest_load(wire->blob[WIRE_DIGEST]);
	content.hash = (enum pyc_check)number[WIRE_HASH];
	content.has_source = number[WIRE_HAS_SOURCE] != 0;
	content.source = decode_identity(number + WIRE_SOURCE_INODE);
	content.source_digest = digest_load(wire->blob[WIRE_SOURCE_DIGEST]);
	*ret_row = (struct store_row){
		.image = number[WIRE_IMAGE],
		.pyc = decode_identity(number + WIRE_INODE),
		.content = content,
		.verdict = (enum pyc_verdict)number[WIRE_VERDICT],
		.reason = (enum pyc_reason)number[WIRE_REASON],
		.stored_s = number[WIRE_STORED],
	};
	memcpy(ret_row->served, wire->blob[WIRE_SERVED], sizeof(ret_row->served));
	return true;
}
