/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash, as in Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with
 * the number of rounds as parameters: importlib hashed sources with SipHash-2-4 up to
 * CPython 3.10 and with SipHash-1-3 from 3.11 on (Python/pyhash.c, _Py_KeyedHash()).
 */
#include "pyc/siphash.h"

#include "base/bytes.h"

#define BLOCK_SIZE 8

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

/* Up to eight bytes, little-endian; missing ones count as zero. */
static uint64_t load_le(const uint8_t *p, size_t len)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

static void rounds(struct state *s, int count)
{
	while (count-- > 0) {
		s->v0 += s->v1;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v2 = rotl(s->v2, 32);
	}
}

static void compress(struct state *s, int c, uint64_t block)
{
	s->v3 ^= block;
	rounds(s, c);
	s->v0 ^= block;
}

uint64_t pyc_siphash(int c, int d, uint64_t key0, uint64_t key1, const void *data,
		     size_t len)
{
	const uint8_t *p = data;
	size_t left = len;
	/* The constants spell "somepseudorandomlygeneratedbytes". */
	struct state s = {
		.v0 = key0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = key1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = key0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = key1 ^ UINT64_C(0x7465646279746573),
	};

	for (; left >= BLOCK_SIZE; left -= BLOCK_SIZE, p += BLOCK_SIZE)
		compress(&s, c, load_le(p, BLOCK_SIZE));
	compress(&s, c, load_le(p, left) | (uint64_t)len << 56);

	s.v2 ^= 0xff;
	rounds(&s, d);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

bool pyc_source_hash(const struct pyc_magic *magic, const void *source, size_t len,
		     uint8_t *ret_hash)
{
	/* importlib's _RAW_MAGIC_NUMBER: the four bytes as one little-endian word. */
	uint64_t key0 = (uint64_t)magic->number | (uint64_t)'\r' << 16 |
			(uint64_t)'\n'
				<< 24;

	switch (magic->hash) {
	case PYC_HASH_SIPHASH24:
		store_le64(ret_hash, pyc_siphash(2, 4, key0, 0, source, len));
		return true;
	case PYC_HASH_SIPHASH13:
		store_le64(ret_hash, pyc_siphash(1, 3, key0, 0, source, len));
		return true;
	default:
		return false;
	}
}
