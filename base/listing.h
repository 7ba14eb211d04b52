/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names in a directory, read at once.
 */
#ifndef CANONFS_BASE_LISTING_H
#define CANONFS_BASE_LISTING_H

#include <stddef.h>

/**
 * struct listing_entry - one name in a directory
 * @name: borrowed from the listing
 * @type: DT_REG, DT_DIR, DT_LNK...; DT_UNKNOWN where it could not be looked at
 */
struct listing_entry {
	const char *name;
	unsigned char type;
};

/**
 * struct listing - what a directory holds, without "." and ".."
 * @entries: in the order of the directory
 *
 * {0} is an empty one. The rest is its memory, which serves the next directory as well.
 */
struct listing {
	struct listing_entry *entries;
	size_t count;
	size_t capacity;
	char *records;
	size_t records_capacity;
};

/**
 * listing_read() - list a directory, in place of what is in the listing
 * @fd: the directory, just opened for reading
 * Return: 0 or -errno; then the listing is empty. A directory that was removed is empty.
 */
int listing_read(struct listing *listing, int fd);

void listing_fini(struct listing *listing);

#endif
