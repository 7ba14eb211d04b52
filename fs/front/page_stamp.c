/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cached pages depend on; see page_stamp.h.
 */
#include "config.h"

#include "fs/front/page_stamp.h"

#include <string.h>
#include <xxhash.h>

#include "base/clock.h"

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

uint64_t page_stamp(const struct statx *stx, const struct resolution *pyc)
{
	struct page_basis basis = {.file = identity_of(stx, 0)};

	if (!pyc)
		return page_stamp_digest(&basis, false);
	basis.source = pyc->source;
	memcpy(basis.header, pyc->decision.header.raw, sizeof(basis.header));
	return page_stamp_digest(&basis, pyc->facts.source == PYC_SOURCE_REGULAR);
}
