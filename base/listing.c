/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listing directories; see listing.h.
 */
#include "base/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"

#define READ_BYTES (64u << 10)

/* All records of the directory. Return: their length or -errno. */
static ssize_t listing_read_records(struct listing *listing, int fd)
{
	size_t len = 0;
	ssize_t n;

	do {
		if (listing->records_capacity - len < READ_BYTES / 2) {
			size_t capacity = listing->records_capacity + READ_BYTES;
			char *grown = realloc(listing->records, capacity);

			if (!grown)
				return -ENOMEM;
			listing->records = grown;
			listing->records_capacity = capacity;
		}
		n = getdents64(fd, listing->records + len, listing->records_capacity - len);
		/* ENOENT: the directory was removed while it was open. */
		if (n < 0)
			return errno == ENOENT ? (ssize_t)len : -errno;
		len += (size_t)n;
	} while (n > 0);
	return (ssize_t)len;
}

/* Some file systems do not say what a name is. */
static unsigned char listing_type(int dir, const struct dirent64 *record)
{
	struct statx stx;

	if (record->d_type != DT_UNKNOWN)
		return record->d_type;
	return statx_at(dir, record->d_name, &stx) < 0 ? DT_UNKNOWN : IFTODT(stx.stx_mode);
}

static int listing_add(struct listing *listing, const char *name, unsigned char type)
{
	if (listing->count == listing->capacity) {
		size_t capacity = 2 * listing->capacity + 64;
		struct listing_entry *grown =
			reallocarray(listing->entries, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		listing->entries = grown;
		listing->capacity = capacity;
	}
	listing->entries[listing->count++] = (struct listing_entry){name, type};
	return 0;
}

int listing_read(struct listing *listing, int fd)
{
	ssize_t len = listing_read_records(listing, fd);
	int r = len < 0 ? (int)len : 0;

	listing->count = 0;
	for (ssize_t at = 0; r == 0 && at < len;) {
		const struct dirent64 *record = (const void *)(listing->records + at);
		const char *name = record->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			r = listing_add(listing, name, listing_type(fd, record));
		at += record->d_reclen;
	}
	if (r < 0)
		listing->count = 0;
	return r;
}

void listing_fini(struct listing *listing)
{
	free(listing->records);
	free(listing->entries);
}
