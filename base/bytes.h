/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Little-endian numbers in byte strings, as bytecode files, hashes and the store have them.
 */
#ifndef CANONFS_BASE_BYTES_H
#define CANONFS_BASE_BYTES_H

#include <stdint.h>

static inline uint16_t load_le16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t load_le32(const uint8_t *bytes)
{
	return (uint32_t)load_le16(bytes) | (uint32_t)load_le16(bytes + 2) << 16;
}

static inline uint64_t load_le64(const uint8_t *bytes)
{
	return (uint64_t)load_le32(bytes) | (uint64_t)load_le32(bytes + 4) << 32;
}

static inline uint32_t load_be32(const uint8_t *bytes)
{
	return __builtin_bswap32(load_le32(bytes));
}

static inline void store_le32(uint8_t *bytes, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static inline void store_le64(uint8_t *bytes, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

#endif
