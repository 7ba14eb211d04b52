/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clocks that a test can set; see inject.h.
 */
#include "tests/unit/inject.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int64_t fake_now_ns;
int64_t monotonic_ahead_s;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret);

	if (clock == CLOCK_MONOTONIC)
		ret->tv_sec += monotonic_ahead_s;
	if (clock != CLOCK_REALTIME)
		return r;
	if (fake_now_ns == 0)
		ret->tv_sec += HOUR;
	else
		*ret = (struct timespec){.tv_sec = fake_now_ns / NS_PER_S,
					 .tv_nsec = fake_now_ns % NS_PER_S};
	return r;
}
