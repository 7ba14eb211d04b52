/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bytes of one bytecode file say: its header, whether its body parses, whether
 * its hash is its source's. Read once, remembered in the table (cache/table.h), and
 * believed as long as the file's identity stays the same.
 */
#ifndef CANONFS_CACHE_CONTENT_H
#define CANONFS_CACHE_CONTENT_H

#include <stdint.h>

#include "cache/digest.h"
#include "cache/identity.h"
#include "pyc/verdict.h"

/* A pyc or source larger than this is not read whole: nobody's code, and not vouched for.
 */
#define CONTENT_MAX_BYTES (64u << 20)

struct table;

/**
 * struct content - what one file's bytes say
 * @header_status, @header: as in struct pyc_facts
 * @body:        PYC_CHECK_UNKNOWN: not walked yet
 * @digest:      of the whole file; meaningful unless @body is unknown
 * @hash:        is the embedded hash the one of @hash_source?
 * @hash_source: the source that @hash speaks of; meaningful unless @hash is unknown
 */
struct content {
	enum pyc_header_status header_status;
	struct pyc_header header;
	enum pyc_check body;
	struct digest digest;
	enum pyc_check hash;
	struct identity hash_source;
};

/**
 * struct content_file - an open bytecode file, and what is known of its bytes
 * @table:    remembers; borrowed
 * @mount_id: identity_mount_id() of the tree
 * @fd:       open for reading; borrowed, its offset is not moved
 * @identity: when it was opened here
 * @content:  filled in by the functions below
 */
struct content_file {
	struct table *table;
	uint64_t mount_id;
	int fd;
	struct identity identity;
	struct content content;
};

/**
 * content_open() - identity and header
 * @file: .table, .mount_id and .fd filled in
 * @stx:  of .fd, just taken
 * Return: 0; -EINVAL where it is not a regular file; another -errno.
 */
int content_open(struct content_file *file, const struct statx *stx);

/**
 * content_check_body() - does the body parse? Sets content.body
 *
 * It stays PYC_CHECK_UNKNOWN where the file cannot be read, is too large, or changes
 * while it is read.
 */
void content_check_body(struct content_file *file);

/**
 * content_check_hash() - is the embedded hash the source's? Sets content.hash
 * @source_fd: open for reading; borrowed
 *
 * It is PYC_CHECK_UNKNOWN where the source cannot be read, is too large, changes while it
 * is read, or is hashed in a way that is not known.
 */
void content_check_hash(struct content_file *file, int source_fd);

#endif
