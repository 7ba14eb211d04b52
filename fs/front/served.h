/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents as they are served: the source's own, except that the header of a bytecode file
 * is the one that cache/resolve decided on. Both kinds of front reply to READ with these.
 */
#ifndef CANONFS_FS_FRONT_SERVED_H
#define CANONFS_FS_FRONT_SERVED_H

#include <stddef.h>
#include <stdint.h>

#include "fs/front/ops.h"

/**
 * struct served_header - what was decided on the header of a bytecode file
 * @resolved: a decision was made; where none was, the file is served as it is
 * @disk:     the header that was judged
 */
struct served_header {
	bool resolved;
	struct pyc_header disk;
	struct pyc_decision decision;
};

struct served_header served_header(const struct resolution *resolution);

/**
 * struct served_bytes - the beginning of a bytecode file, as it is served
 * @data:     owned; NULL: there are none
 * @len:      bytes
 * @resolved: a decision was made
 */
struct served_bytes {
	uint8_t *data;
	size_t len;
	bool resolved;
	struct pyc_decision decision;
};

/**
 * served_read_pyc() - read from a bytecode file
 * @path, @fd, @stx: as of served_reply()
 * @ret:             its data is the caller's to free
 * Return: 0 or -errno.
 */
int served_read_pyc(struct front *front, const char *path, int fd, const struct statx *stx,
		    size_t size, off_t offset, struct served_bytes *ret);

/* Replies with bytes, counts the decision, and frees the bytes. */
void served_reply_bytes(fuse_req_t req, const char *path, struct served_bytes *bytes);

/**
 * served_reply() - reply with a part of a file
 * @path: relative to the tree
 * @fd:   the file, open; borrowed
 * @stx:  of @fd, just taken
 */
void served_reply(fuse_req_t req, const char *path, int fd, const struct statx *stx,
		  size_t size, off_t offset);

/* The same where @fd is no bytecode file, or @offset lies behind its header. */
void served_reply_plain(fuse_req_t req, int fd, size_t size, off_t offset);

/* The same with a header that was decided on before. */
void served_reply_as(fuse_req_t req, const char *path, int fd,
		     const struct served_header *header, size_t size, off_t offset);

#endif
