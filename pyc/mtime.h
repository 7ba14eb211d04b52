/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File times as the interpreters see them: a double, truncated.
 *
 * os.stat().st_mtime is `sec + 1e-9 * nsec` in a double and importlib embeds
 * `int(st_mtime)`: near 1.7e9 seconds, .999999900 rounds up to the next second.
 */
#ifndef CANONFS_PYC_MTIME_H
#define CANONFS_PYC_MTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "pyc/header.h"

/* int(st_mtime) of every Python 3: toward zero, through a double. */
int64_t pyc_mtime_int(struct timespec mtime);

/**
 * pyc_mtime_embed() - the word that a pyc must carry to match a source's mtime
 * @magic:     the interpreter that will compare
 * @mtime:     the source's st_mtime, as the interpreter will see it
 * @ret_mtime: seconds, modulo 2^32; written on success only
 *
 * Return: false where that interpreter accepts no word at all for this time (3.3-3.6 do
 * not mask times below 0 or from 2^32 on; 2.7 sign-extends, so times from 2^31 on).
 */
bool pyc_mtime_embed(const struct pyc_magic *magic, struct timespec mtime,
		     uint32_t *ret_mtime);

/*
 * Does a PYC_KIND_TIMESTAMP header match the source's st_mtime, or its size in bytes, as
 * the header's interpreter compares them? A layout without a size matches any.
 */
bool pyc_mtime_matches(const struct pyc_header *header, struct timespec mtime);
bool pyc_size_matches(const struct pyc_header *header, int64_t size);

#endif
