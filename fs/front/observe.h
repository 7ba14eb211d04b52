/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the request handlers tell about their work: to the counters (fs/watch/stats.h)
 * always, to those who watch (fs/watch/trace.h) if there are any.
 */
#ifndef CANONFS_FS_FRONT_OBSERVE_H
#define CANONFS_FS_FRONT_OBSERVE_H

#include <stddef.h>
#include <sys/types.h>

#include "fs/front/front.h"

/**
 * observe_request() - a request came
 * @message: as the kernel sent it, struct fuse_in_header first
 * @size:    bytes
 *
 * To be called before the request is answered: afterwards its node may be forgotten.
 */
void observe_request(struct front *front, const void *message, size_t size);

/**
 * observe_decision() - a pyc's header was served
 * @path:     relative to the tree
 * @tid:      of the thread that reads
 * @decision: NULL where nothing could be decided
 */
void observe_decision(struct front *front, const char *path, pid_t tid,
		      const struct pyc_decision *decision);

#endif
