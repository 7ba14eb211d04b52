/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answering the lookup of a symbolic link to bytecode (cache/tree/alias.h).
 */
#ifndef CANONFS_FS_FRONT_ALIAS_REPLY_H
#define CANONFS_FS_FRONT_ALIAS_REPLY_H

#include "fs/front/ops.h"

/**
 * alias_reply_entry() - fuse_reply_entry() for such a link
 * @path:  of the link
 * @param: the entry; copied
 *
 * Before a reader can go through the link, the pycs that it makes ambiguous are marked,
 * and the kernel has dropped the pages in which they were vouched for. That waits for
 * reads in flight, so it happens in a thread of its own: a handler that waited would be
 * one less to answer them. One link is answered at a time: a second link to the same pyc
 * finds it marked, and must not be shown before its pages are gone.
 */
void alias_reply_entry(fuse_req_t req, struct passthrough *passthrough, const char *path,
		       const struct fuse_entry_param *param);

/* Waits until every such link is answered; when the mount has ended, that is at once. */
void alias_reply_finish(struct passthrough *passthrough);

#endif
