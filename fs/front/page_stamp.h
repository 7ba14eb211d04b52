/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the kernel's cached pages of a file are still right.
 *
 * On an immutable source there is no OPEN, and pages stay. Elsewhere each OPEN compares
 * what the pages depend on (for a pyc: itself, its source, the header that follows from
 * both) with what they depended on before, and drops them if that changed. A kept page
 * with a constant served mtime would vouch for an edited source.
 */
#ifndef CANONFS_FS_FRONT_PAGE_STAMP_H
#define CANONFS_FS_FRONT_PAGE_STAMP_H

#include "cache/resolve.h"

/**
 * page_stamp() - a digest of all that the pages of a file depend on, for node_stamp()
 * @stx: of the file, just taken
 * @pyc: what was found out about it, if it is bytecode; NULL otherwise
 * Return: 0 where a change may have left no trace in it yet: that never compares equal.
 */
uint64_t page_stamp(const struct statx *stx, const struct resolution *pyc);

#endif
