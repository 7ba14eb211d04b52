/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of several names (hard links) that need stubs: names of one file that show the same
 * share one stub, so that they are names of one file in the view, too.
 *
 * Whoever comes with the first name makes the stub; the others wait for that, and link.
 */
#ifndef CANONFS_FS_STACK_TWINS_H
#define CANONFS_FS_STACK_TWINS_H

#include <stdint.h>

#include "pyc/header.h"

/**
 * struct twin_key - what names have to have in common
 * @device, @inode: of the file
 * @shows:          what the stub shows of it; the rest is 0
 */
struct twin_key {
	uint64_t device;
	uint64_t inode;
	uint8_t shows[PYC_HEADER_MAX];
};

struct twins;

/* Return: NULL when out of memory. */
struct twins *twins_new(void);

void twins_free(struct twins *twins);

/**
 * twins_begin() - come with a name
 * Return: the name that has the stub, in memory until twins_free(); NULL where none has:
 * then the caller is to make it.
 * Locking: others with the same key wait until twins_end(), which has to follow.
 */
const char *twins_begin(struct twins *twins, const struct twin_key *key);

/**
 * twins_end() - the name is done
 * @made: the name, if the caller made its stub; copied; else NULL
 * Return: 0 or -ENOMEM.
 */
int twins_end(struct twins *twins, const struct twin_key *key, const char *made);

#endif
