/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an interpreter makes of st_mtime. The results were compared with CPython 3.6 to
 * 3.13 and PyPy 3.9 at the places where rounding turns over, and for the times that need
 * more than 31 bits with an import by CPython 2.7; tests/unit/test_mtime.c has them.
 */
#include "pyc/mtime.h"

/* The first double that int64_t cannot hold. */
#define TWO_TO_63 9223372036854775808.0

/*
 * fill_time() in Modules/posixmodule.c: (double)sec + 1e-9 * nsec, each step rounded.
 * The volatile steps keep the compiler from fusing the two, and x87 from computing them
 * with more bits; GCC knows no standard pragma for either.
 */
static double as_float(struct timespec mtime)
{
	volatile double fraction = 1e-9 * (double)mtime.tv_nsec;
	volatile double sum = (double)mtime.tv_sec + fraction;

	return sum;
}

int64_t pyc_mtime_int(struct timespec mtime)
{
	double seconds = as_float(mtime);

	/* Rounding up can leave the range, and then the cast would be undefined. */
	if (seconds >= TWO_TO_63)
		return INT64_MAX;
	return (int64_t)seconds;
}

/*
 * load_source_module() in Python/import.c up to 3.2 takes the seconds as an integer and
 * cuts them to 32 bits, but reads the word as a signed one: words from 2^31 on compare
 * as negative numbers and equal nothing.
 */
static bool embed_signed(struct timespec mtime, uint32_t *ret_mtime)
{
	uint32_t word = (uint32_t)mtime.tv_sec;

	if (word > INT32_MAX)
		return false;
	*ret_mtime = word;
	return true;
}

/* 3.3 to 3.6 compare the unsigned word with all of int(st_mtime). */
static bool embed_unmasked(struct timespec mtime, uint32_t *ret_mtime)
{
	int64_t seconds = pyc_mtime_int(mtime);

	if (seconds < 0 || seconds > UINT32_MAX)
		return false;
	*ret_mtime = (uint32_t)seconds;
	return true;
}

/* From 3.7 on, int(st_mtime) is cut to 32 bits: some word matches any time. */
static bool embed_masked(struct timespec mtime, uint32_t *ret_mtime)
{
	/* Only 2^63 saturates pyc_mtime_int(), and its low bits are 0. */
	if (as_float(mtime) >= TWO_TO_63)
		*ret_mtime = 0;
	else
		*ret_mtime = (uint32_t)pyc_mtime_int(mtime);
	return true;
}

bool pyc_mtime_embed(const struct pyc_magic *magic, struct timespec mtime,
		     uint32_t *ret_mtime)
{
	switch (magic->mtime_rule) {
	case PYC_MTIME_SIGNED:
		return embed_signed(mtime, ret_mtime);
	case PYC_MTIME_UNMASKED:
		return embed_unmasked(mtime, ret_mtime);
	default:
		return embed_masked(mtime, ret_mtime);
	}
}

bool pyc_mtime_matches(const struct pyc_header *header, struct timespec mtime)
{
	uint32_t word;

	return pyc_mtime_embed(header->magic, mtime, &word) && word == header->mtime;
}

bool pyc_size_matches(const struct pyc_header *header, int64_t size)
{
	return !header->magic->size_offset || header->source_size == (uint32_t)size;
}
