/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Content digests; see digest.h.
 */
#include "cache/tree/digest.h"

#include <xxhash.h>

struct digest digest_of(const void *data, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits(len ? data : "", len);

	return (struct digest){.low = hash.low64, .high = hash.high64};
}
