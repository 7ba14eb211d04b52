/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading bytecode files and their sources; see content.h.
 */
#include "cache/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/scope.h"
#include "pyc/marshal.h"
#include "pyc/siphash.h"

static int content_identity_of(int fd, const struct statx *stx, uint64_t mount_id,
			       struct identity *ret_identity)
{
	if (!S_ISREG(stx->stx_mode))
		return -EINVAL;
	*ret_identity = identity_of(stx, mount_id);
	ret_identity->generation = identity_generation(fd);
	return 0;
}

/* Is an open file still what it was? Its descriptor holds the inode, and its generation. */
static bool content_is_still(int fd, const struct identity *identity)
{
	struct identity now;
	struct statx stx;

	if (statx_at(fd, "", &stx) < 0)
		return false;
	now = identity_of(&stx, identity->mount_id);
	now.generation = identity->generation;
	return identity_equal(&now, identity);
}

/*
 * What is read of a file vouches for later readers only if the file's ctime was old enough
 * before the first byte was read.
 */
static bool content_is_settled(const struct content_file *file)
{
	return identity_is_settled(&file->identity, file->opened);
}

struct content content_to_remember(const struct content_file *file)
{
	struct content content = file->content;

	if (!file->source_settled) {
		content.has_source = false;
		content.hash = PYC_CHECK_UNKNOWN;
	}
	return content;
}

int content_open(struct content_file *file, const struct statx *stx)
{
	*file = (struct content_file){.mount_id = file->mount_id, .fd = file->fd};
	file->opened = clock_real();
	return content_identity_of(file->fd, stx, file->mount_id, &file->identity);
}

void content_believe(struct content_file *file)
{
	file->content = file->earlier;
	file->source_settled = file->content.has_source;
}

int content_read_header(struct content_file *file)
{
	uint8_t raw[PYC_HEADER_MAX];
	ssize_t n = pread_full(file->fd, raw, sizeof(raw), 0);

	if (n < 0)
		return (int)n;
	file->content.header_status =
		pyc_header_parse(raw, (size_t)n, &file->content.header);
	return 0;
}

/*
 * Reads a whole file of a known size; NULL where that fails, also where the size changed
 * meanwhile.
 */
static uint8_t *content_read_whole(int fd, int64_t size)
{
	scope_free uint8_t *data = NULL;

	if (size < 0 || size > (int64_t)CONTENT_MAX_BYTES)
		return NULL;
	data = malloc((size_t)size + 1); /* one more, to notice growth */
	if (!data || pread_full(fd, data, (size_t)size + 1, 0) != size)
		return NULL;
	return take_ptr(data);
}

static enum pyc_check content_walk(const struct pyc_magic *magic, const uint8_t *body,
				   size_t len)
{
	switch (pyc_marshal_check(magic, body, len, NULL)) {
	case PYC_MARSHAL_OK:
		return PYC_CHECK_OK;
	case PYC_MARSHAL_UNSUPPORTED:
	case PYC_MARSHAL_NO_MEMORY:
		return PYC_CHECK_UNKNOWN;
	default:
		return PYC_CHECK_BAD;
	}
}

/* The same body, read by the same interpreter? */
static bool content_is_same_body(const struct content *a, const struct content *b)
{
	return a->header.magic == b->header.magic && digest_equal(a->digest, b->digest);
}

/* A body with the bytes of an earlier state of the inode is not walked again. */
bool content_check_body(struct content_file *file)
{
	size_t size = (size_t)file->identity.size;
	struct content *content = &file->content;
	const struct pyc_magic *magic = content->header.magic;
	scope_free uint8_t *data = NULL;

	if (content->body != PYC_CHECK_UNKNOWN || size < magic->header_size)
		return false;
	file->bodies++;
	data = content_read_whole(file->fd, file->identity.size);
	if (!data || !content_is_still(file->fd, &file->identity) ||
	    memcmp(data, content->header.raw, magic->header_size) != 0)
		return false;
	content->digest = digest_of(data + magic->header_size, size - magic->header_size);
	file->is_confirmed = file->earlier.body != PYC_CHECK_UNKNOWN &&
			     content_is_same_body(&file->earlier, content);
	content->body = file->is_confirmed ? file->earlier.body
					   : content_walk(magic, data + magic->header_size,
							  size - magic->header_size);
	return content_is_settled(file);
}

/* Is the embedded hash that of a source's bytes? */
static enum pyc_check content_compare_hash(const struct pyc_header *header,
					   const uint8_t *data, size_t len)
{
	uint8_t hash[PYC_HASH_SIZE];

	if (!(header->flags & PYC_FLAG_HASH) ||
	    !pyc_source_hash(header->magic, data, len, hash))
		return PYC_CHECK_UNKNOWN;
	return memcmp(hash, header->hash, sizeof(hash)) == 0 ? PYC_CHECK_OK : PYC_CHECK_BAD;
}

uint8_t *content_read_source(int fd, uint64_t mount_id, size_t *ret_len)
{
	scope_free uint8_t *data = NULL;
	struct identity before;
	struct statx stx;

	if (statx_at(fd, "", &stx) < 0 ||
	    content_identity_of(fd, &stx, mount_id, &before) < 0)
		return NULL;
	data = content_read_whole(fd, before.size);
	if (!data || !content_is_still(fd, &before))
		return NULL;
	*ret_len = (size_t)before.size;
	return take_ptr(data);
}

bool content_check_source(struct content_file *file, int source_fd)
{
	struct content *content = &file->content;
	scope_free uint8_t *data = NULL;
	struct identity before;
	struct statx stx;
	bool known = content->has_source;

	content->has_source = false;
	if (statx_at(source_fd, "", &stx) < 0 ||
	    content_identity_of(source_fd, &stx, file->mount_id, &before) < 0) {
		content->hash = PYC_CHECK_UNKNOWN;
		return false;
	}
	if (known && identity_equal(&content->source, &before)) {
		content->has_source = true;
		return false;
	}
	content->hash = PYC_CHECK_UNKNOWN;
	file->source_settled = identity_is_settled(&before, clock_real());
	file->sources++;
	data = content_read_whole(source_fd, before.size);
	if (!data || !content_is_still(source_fd, &before))
		return false;
	content->has_source = true;
	content->source = before;
	content->source_digest = digest_of(data, (size_t)before.size);
	content->hash = content_compare_hash(&content->header, data, (size_t)before.size);
	return file->source_settled && content_is_still(file->fd, &file->identity) &&
	       content_is_settled(file);
}
