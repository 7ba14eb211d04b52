/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls of libc that a test program replaces with its own. A program that uses one of these
 * variables gets the call that belongs to it; what a test sets, its teardown sets back.
 */
#ifndef CANONFS_TESTS_UNIT_INJECT_H
#define CANONFS_TESTS_UNIT_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define NS_PER_S INT64_C(1000000000)
#define HOUR	 3600

/* asprintf() fails. */
extern bool no_memory;

/* What statx() says of the inode of this number; 0: nothing is frozen. */
extern struct statx frozen;

/* CLOCK_REALTIME in ns; 0: an hour from now, so all that was just made is settled. */
extern int64_t fake_now_ns;

/* Is added to CLOCK_MONOTONIC: a deadline that is made of it passes so much later. */
extern int64_t monotonic_ahead_s;

#endif
