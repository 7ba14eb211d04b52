/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A source that can change, and whose changes are told.
 *
 * Where changes are told (fs/watch/source_watch.h), readers' kernels keep names, attributes
 * and listings for ever, and are made to forget what an event is about. Elsewhere changes
 * are asked for: names and attributes hold for a second.
 *
 * Contents are compared at OPEN in both cases (page_stamp.h). OPEN has to come anyway,
 * since an open file must stay what it is when another file takes its name (handle.h). It
 * also finds what no event is about: a source behind links that lead out of the tree, and
 * what is stored through a mapping. So it need not be known which bytecode depends on which
 * source. Links to bytecode are looked up each second in both cases, since what they lead
 * to decides whether they may be shown (alias_reply.h). So are the times of sources that
 * depend on bytecode (resolve_mtime_is_voted()), which no reader needs to know.
 *
 * An answer may be older than the event, and reach the kernel after what it is told because
 * of the event. This is why that cannot last:
 * - A name: fuse_lowlevel_notify_inval_entry() takes the directory's lock. So it waits for
 *   the lookups and listings that are on their way, and finds what they put there. A name
 *   that was known before, and is only asked for again, is taken off its directory.
 * - Attributes of an inode that the kernel has: it numbers them, and ignores an answer to a
 *   question that was asked before fuse_lowlevel_notify_inval_inode() (Linux 5.7).
 * - Attributes of one that it does not have yet: then that call says ENOENT, a lookup is on
 *   its way, and the name is invalidated, which waits for it.
 * - A node that is not in the table yet: whoever makes one looks at the file once more if
 * an event came meanwhile (told_count()).
 *
 * A name is invalidated only if it leads to another file than the kernel's. The kernel also
 * takes away what is mounted upon a name that is invalidated.
 *
 * One thread reads events, drops those about files that no reader knows, and never waits.
 * Another one tells the kernel, which can wait for reads and lookups. If events are lost
 * (the kernel's queue was full, or ours), that one looks at each name that readers know.
 */
#ifndef CANONFS_FS_FRONT_TOLD_H
#define CANONFS_FS_FRONT_TOLD_H

#include <stdint.h>

#include "base/reason.h"

struct passthrough;
struct told;

/**
 * told_new() - have changes told from now on
 * @ret_why: the reason, where NULL is returned
 * Return: NULL where changes are not told, or when out of memory.
 */
struct told *told_new(struct passthrough *passthrough, struct reason *ret_why);

/* Starts the threads, when there is a session. Changes are asked for where that fails. */
void told_start(struct told *told);

/* Ends them. The mount has ended, so that nothing waits for answers any more. */
void told_finish(struct told *told);

/* After told_finish(). */
void told_free(struct told *told);

/* Rises before events are acted upon. */
uint64_t told_count(const struct told *told);

#endif
