/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answering the lookup of a symbolic link to bytecode (cache/tree/alias.h).
 *
 * Before a reader can go through the link, the pycs that it makes ambiguous are marked,
 * and the kernel has dropped the pages in which they were vouched for. That waits for
 * reads in flight, so it happens in a thread of its own: a handler that waited would be
 * one less to answer them. One link is answered at a time: a second link to the same pyc
 * finds it marked, and must not be shown before its pages are gone.
 *
 * A link that makes nothing ambiguous is answered by the handler itself, if no other link
 * is being answered.
 */
#ifndef CANONFS_FS_FRONT_ALIAS_REPLY_H
#define CANONFS_FS_FRONT_ALIAS_REPLY_H

#include <pthread.h>
#include <stdbool.h>

struct alias_job;
struct fuse_entry_param;
struct fuse_req;
struct passthrough;

/**
 * struct alias_queue - the lookups that wait for the thread
 * @lock:    of all that follows but @thread; no i/o under it
 * @changed: there is something to do for the thread
 * @first:   the lookups, in the order of their answers; @end is where the next one goes
 * @busy:    the turn: a handler or the thread works on a link
 * @ending:  no more lookups come
 * @started: there is a thread
 */
struct alias_queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct alias_job *first;
	struct alias_job **end;
	bool busy;
	bool ending;
	bool started;
	pthread_t thread;
};

/* Starts the thread. Return: 0 or -errno; alias_reply_fini() either way. */
int alias_reply_init(struct passthrough *passthrough);

/**
 * alias_reply_entry() - fuse_reply_entry() for such a link
 * @path:  of the link
 * @param: the entry; copied
 */
void alias_reply_entry(struct fuse_req *req, struct passthrough *passthrough,
		       const char *path, const struct fuse_entry_param *param);

/*
 * Answers all that wait, and ends the thread; no lookup may come any more. When the mount
 * has ended nothing is waited for, as there are no reads then.
 */
void alias_reply_finish(struct passthrough *passthrough);

/* After alias_reply_finish(), or where no lookup came. */
void alias_reply_fini(struct passthrough *passthrough);

#endif
