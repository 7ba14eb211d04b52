/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a source what its package installed? pip's RECORD and dpkg's md5sums say so, where
 * there are any. Times do not tell a file that was edited to the same size before they were
 * set.
 *
 * Nothing is read before it is asked for. The RECORDs of a directory are read when a source
 * below it is asked for; the md5sums of the image, which lie outside of the tree, all at
 * once and by a thread, for RECORDS_WAIT_MS at most. A record that is there and cannot be
 * read is doubt about what it may list.
 */
#ifndef CANONFS_CACHE_TREE_RECORDS_H
#define CANONFS_CACHE_TREE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/tree/tree.h"
#include "pyc/verdict.h"

#define RECORDS_WAIT_MS 3000

struct record_entry;
struct records;

/**
 * records_new() - nothing is read yet
 * @tree: borrowed; must outlive the records
 * Return: NULL when out of memory.
 */
struct records *records_new(const struct tree *tree);

void records_free(struct records *records);

#define RECORD_CLAIMS_MAX 8

/**
 * struct record_claims - what records say of one source
 * @entries: any of them may be right: another package took the file over
 * @is_unread: one that may list the source could not be read
 * @record:  the path of the first that says something, or of one that could not be read, as
 *           readers know it; lives as long as the records. NULL where nothing is said
 */
struct record_claims {
	const struct record_entry *entries[RECORD_CLAIMS_MAX];
	size_t count;
	bool is_unread;
	const char *record;
};

/**
 * records_find() - what is said of a source
 * @path: relative to the tree, of a regular file
 * Return: whether anything is.
 */
bool records_find(struct records *records, const char *path, struct record_claims *ret);

/* PYC_CHECK_OK where one of the claims is right, else PYC_CHECK_BAD. */
enum pyc_check record_claims_check(const struct record_claims *claims, const uint8_t *data,
				   size_t len);

#endif
