/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cached pages depend on; see page_stamp.h.
 */
#include "config.h"

#include "fs/front/page_stamp.h"

#include <string.h>
#include <xxhash.h>

#include "base/clock.h"
#include "pyc/names.h"

/* What the pages of a file depend on. */
struct page_basis {
	struct identity file;
	struct identity source;
	uint8_t header[PYC_HEADER_MAX];
};

/*
 * A digest of the basis; 0, which never compares equal, where a change may have left no
 * trace in it yet.
 */
static uint64_t page_stamp_digest(const struct page_basis *basis, bool has_source)
{
	struct timespec now = clock_real();

	if (!identity_is_settled(&basis->file, now) ||
	    (has_source && !identity_is_settled(&basis->source, now)))
		return 0;
	return XXH3_64bits(basis, sizeof(*basis)) | 1;
}

uint64_t page_stamp(struct front *front, const char *path, int fd, const struct statx *stx)
{
	const struct pyc_question question = {
		.path = path, .fd = fd, .stx = stx, .source_dir = -1};
	struct page_basis basis = {.file = identity_of(stx, 0)};
	struct resolution resolution;

	if (!pyc_name_is_bytecode(path) ||
	    resolve_pyc(front->resolver, &question, &resolution) < 0)
		return page_stamp_digest(&basis, false);
	basis.source = resolution.source;
	memcpy(basis.header, resolution.decision.header.raw, sizeof(basis.header));
	return page_stamp_digest(&basis, resolution.facts.source == PYC_SOURCE_REGULAR);
}
