/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers as people read them.
 */
#ifndef CANONFS_CLI_PRINT_HUMAN_H
#define CANONFS_CLI_PRINT_HUMAN_H

#include <stdint.h>

#define HUMAN_MAX      32
#define HUMAN_DATE_MAX 64

/* "12,345". Return: @text. */
const char *human_count(uint64_t number, char text[HUMAN_MAX]);

/* "812 bytes", "1.2 kB", "29.7 MB": powers of 1000, as ls --si and file managers have it.
 * Return: @text. */
const char *human_bytes(uint64_t bytes, char text[HUMAN_MAX]);

/* "1970-01-01 00:00:00 UTC" for seconds since then. Return: @date. */
const char *human_date(int64_t seconds, char date[HUMAN_DATE_MAX]);

/* @one for 1, @many for any other number. */
static inline const char *human_plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

/* human_count() and human_bytes() in a buffer that lives until the end of the calling
 * block. */
#define HUMAN_COUNT(number) human_count((number), (char[HUMAN_MAX]){0})
#define HUMAN_BYTES(bytes)  human_bytes((bytes), (char[HUMAN_MAX]){0})

#endif
