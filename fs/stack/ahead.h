/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of the first READ of a file, prepared before it comes.
 *
 * overlayfs looks a file's data up when the file is opened, so the LOOKUP is followed by a
 * READ. What that needs is made ready while the reader is on its way there: on another
 * processor, after the LOOKUP was answered. Few files are kept so, and not for long: what
 * nobody took is made anew.
 */
#ifndef CANONFS_FS_STACK_AHEAD_H
#define CANONFS_FS_STACK_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/front/served.h"

struct ahead;

/* Return: NULL when out of memory. */
struct ahead *ahead_new(void);

void ahead_free(struct ahead *ahead);

/**
 * ahead_begin() - begin to prepare a file
 * @id: of the node
 * Return: whether to go on: ahead_end() has to follow then, soon.
 */
bool ahead_begin(struct ahead *ahead, uint64_t id);

/* Takes what is in @bytes; without data it was in vain. */
void ahead_end(struct ahead *ahead, uint64_t id, const struct served_bytes *bytes);

/**
 * ahead_take() - take what was prepared; waits for it where it is on the way
 * Return: whether there was something; its bytes are the caller's to free.
 */
bool ahead_take(struct ahead *ahead, uint64_t id, struct served_bytes *ret_bytes);

#endif
