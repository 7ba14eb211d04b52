/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two clocks: CLOCK_MONOTONIC to wait by, CLOCK_REALTIME to compare with times of files.
 */
#ifndef CANONFS_BASE_CLOCK_H
#define CANONFS_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_ms(void);

/* Seconds of CLOCK_MONOTONIC_COARSE: a few milliseconds late, and cheap enough for a
 * request. */
int64_t clock_coarse_s(void);

/* CLOCK_REALTIME. */
struct timespec clock_real(void);

/* Makes a condition whose timed waits go by CLOCK_MONOTONIC. pthread_cond_destroy() it. */
void clock_condition_init(pthread_cond_t *condition);

/* A time for such waits: @ms milliseconds from now. */
struct timespec clock_deadline(int64_t ms);

/**
 * clock_left_ms() - what is left of a time, for poll(2)
 * @until_ms: of clock_ms()
 * Return: milliseconds, 0 where it is over.
 */
int clock_left_ms(int64_t until_ms);

#endif
