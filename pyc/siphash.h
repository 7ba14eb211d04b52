/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-c-d (Aumasson, Bernstein 2012) as PEP 552 uses it to hash sources.
 */
#ifndef CANONFS_PYC_SIPHASH_H
#define CANONFS_PYC_SIPHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pyc/header.h"

/**
 * pyc_siphash() - SipHash with @c compression and @d finalisation rounds
 * @key0, @key1: the 128-bit key as two little-endian words
 * @data, @len:  the message; @data may be NULL when @len is 0
 */
uint64_t pyc_siphash(int c, int d, uint64_t key0, uint64_t key1, const void *data,
		     size_t len);

/**
 * pyc_source_hash() - importlib.util.source_hash() of the interpreter behind @magic
 * @source, @len: the raw bytes of the source file
 * @ret_hash:     PYC_HASH_SIZE bytes as they stand in a pyc at offset 8
 *
 * k0 is the four magic bytes (with 0d 0a) as a little-endian word, k1 is 0.
 * Return: false where @magic's algorithm cannot be computed here.
 */
bool pyc_source_hash(const struct pyc_magic *magic, const void *source, size_t len,
		     uint8_t *ret_hash);

#endif
