/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bytes of one bytecode file say: its header, whether its body parses, whether
 * its hash is its source's.
 *
 * These functions read files and say which answers may be remembered. cache/resolve.c
 * remembers them, and believes them as long as the file's identity stays the same.
 */
#ifndef CANONFS_CACHE_CONTENT_H
#define CANONFS_CACHE_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/tree/digest.h"
#include "cache/tree/identity.h"
#include "pyc/verdict.h"

/* A larger pyc or source is no real code: it is not read whole, and not vouched for. */
#define CONTENT_MAX_BYTES (64u << 20)

/**
 * struct content - what one file's bytes say
 * @header_status, @header: as in struct pyc_facts
 * @body:          PYC_CHECK_UNKNOWN: not walked yet
 * @digest:        of the body, all that follows the header; meaningful unless @body is
 *                 unknown
 * @has_source:    whether a source was read for this file
 * @source:        that source; this and the next two are meaningful if @has_source
 * @source_digest: of all of it
 * @hash:          is the embedded hash the one of @source?
 */
struct content {
	enum pyc_header_status header_status;
	struct pyc_header header;
	enum pyc_check body;
	struct digest digest;
	bool has_source;
	struct identity source;
	struct digest source_digest;
	enum pyc_check hash;
};

/**
 * struct content_file - an open bytecode file, and what is known of its bytes
 * @mount_id: identity_mount_id() of the tree
 * @fd:       open for reading; borrowed, its offset is not moved
 * @identity: when it was opened here
 * @opened:   CLOCK_REALTIME when @identity was taken
 * @content:  filled in by the functions below
 * @earlier:  what was known of an earlier state of the inode; the digest of its body can
 *            show that nothing changed. Its .body is unknown where nothing was known.
 * @source_settled: the source's ctime was old enough when content.source was read
 * @is_confirmed: the body that was read is that of @earlier
 * @bodies, @sources: how often one was read
 */
struct content_file {
	uint64_t mount_id;
	int fd;
	struct identity identity;
	struct timespec opened;
	struct content content;
	struct content earlier;
	bool source_settled;
	bool is_confirmed;
	unsigned bodies;
	unsigned sources;
};

/**
 * content_open() - which file is it? Reads nothing
 * @file: .mount_id and .fd filled in; all else is set
 * @stx:  of .fd, just taken
 *
 * To be followed by content_believe() or content_read_header().
 * Return: 0; -EINVAL where it is not a regular file.
 */
int content_open(struct content_file *file, const struct statx *stx);

/* Makes .earlier, which was remembered of this very identity, the content. */
void content_believe(struct content_file *file);

/* Return: 0; -errno where the file cannot be read. */
int content_read_header(struct content_file *file);

/**
 * content_check_body() - does the body parse? Sets content.body and .digest
 * @file: its header_status is PYC_HEADER_OK
 *
 * content.body stays PYC_CHECK_UNKNOWN where the file cannot be read, is too large, or
 * changes while it is read.
 * Return: whether there is something new to be remembered, content_to_remember().
 */
bool content_check_body(struct content_file *file);

/**
 * content_check_source() - read the source. Sets content.has_source, .source_digest and,
 * for hash pycs, .hash
 * @file:      its header_status is PYC_HEADER_OK
 * @source_fd: open for reading; borrowed
 *
 * content.has_source is false where the source cannot be read, is too large or changes
 * while it is read; content.hash is unknown also where it is hashed in a way that is not
 * known.
 * Return: as content_check_body().
 */
bool content_check_source(struct content_file *file, int source_fd);

/**
 * content_read_source() - all bytes of a source, as it is in one state
 * @fd: open for reading; borrowed
 * Return: the caller's; NULL where it cannot be read, is too large or changes meanwhile.
 */
uint8_t *content_read_source(int fd, uint64_t mount_id, size_t *ret_len);

/* The content without what was read of a source that may have changed meanwhile. */
struct content content_to_remember(const struct content_file *file);

#endif
