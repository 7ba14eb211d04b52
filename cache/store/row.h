/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the store keeps of one bytecode file, and how a stored row is checked.
 *
 * In the database a row is numbers, blobs of 16 bytes and a checksum over all of them, the
 * key included: nobody believes a row in which a bit has flipped on the disk.
 */
#ifndef CANONFS_CACHE_STORE_ROW_H
#define CANONFS_CACHE_STORE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/tree/digest.h"
#include "cache/tree/identity.h"
#include "pyc/verdict.h"

/**
 * struct store_row - a body that was read
 * @image:    id of its image; with pyc.inode the key
 * @pyc:      the file when it was read. The database has no mount_id and device
 * @header:   before the body; it is a good one
 * @body:     does the body parse? PYC_CHECK_OK or PYC_CHECK_BAD
 * @digest:   of the body
 * @stored_s: when, seconds since 1970
 */
struct store_row {
	int64_t image;
	struct identity pyc;
	struct pyc_header header;
	enum pyc_check body;
	struct digest digest;
	int64_t stored_s;
};

/* The columns, in the order of the table: numbers, then blobs, then the checksum. */
enum wire_number {
	WIRE_IMAGE,
	WIRE_INODE,
	WIRE_GENERATION,
	WIRE_BTIME,
	WIRE_SIZE,
	WIRE_MTIME,
	WIRE_CTIME,
	WIRE_BODY,
	WIRE_STORED,
	WIRE_NUMBERS
};

enum wire_blob { WIRE_HEADER, WIRE_DIGEST, WIRE_BLOBS };

#define WIRE_BLOB_SIZE ((size_t)16)

struct store_wire {
	int64_t number[WIRE_NUMBERS];
	uint8_t blob[WIRE_BLOBS][WIRE_BLOB_SIZE];
	int64_t checksum;
};

/* The database's form of a row. */
void store_row_encode(const struct store_row *row, struct store_wire *ret_wire);

/**
 * store_row_decode() - check a row from the database
 *
 * The checksum has to be right, every field in its range, and the header has to parse.
 * Return: whether it is good; *@ret_row is written only then.
 */
bool store_row_decode(const struct store_wire *wire, struct store_row *ret_row);

/* What the checksum of a row has to be. */
int64_t store_wire_checksum(const struct store_wire *wire);

/* Digests as blobs, little-endian. */
void digest_save(struct digest digest, uint8_t blob[WIRE_BLOB_SIZE]);
struct digest digest_load(const uint8_t blob[WIRE_BLOB_SIZE]);

#endif
