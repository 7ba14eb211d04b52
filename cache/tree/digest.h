/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XXH3-128: what tells contents apart where identities cannot. Not cryptographic: whoever
 * can write the source can run code anyway.
 */
#ifndef CANONFS_CACHE_TREE_DIGEST_H
#define CANONFS_CACHE_TREE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

struct digest {
	uint64_t low;
	uint64_t high;
};

/* The digest of @len bytes; @data may be NULL when @len is 0. */
static inline struct digest digest_of(const void *data, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits(len ? data : "", len);

	return (struct digest){.low = hash.low64, .high = hash.high64};
}

static inline bool digest_equal(struct digest a, struct digest b)
{
	return a.low == b.low && a.high == b.high;
}

#endif
