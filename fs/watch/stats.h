/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a mount counts. Counters are relaxed atomics: each is right, no two are of the same
 * moment. They lie in memory that the processes of a mount share, so they outlive a worker.
 */
#ifndef CANONFS_FS_WATCH_STATS_H
#define CANONFS_FS_WATCH_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "pyc/verdict.h"

/* Opcodes are counted one by one below this number, and together from there on. */
#define STATS_OPCODES 64

/* Seconds of which the requests are known one by one, and over which a rate is given. */
#define STATS_SECONDS	64
#define STATS_RATE_OVER 60

/* Times that tools set on a tree, and are counted one by one. */
#define STATS_TIMES 16

/*
 * Error replies that tell of trouble. ENOENT, ENODATA, ERANGE, EROFS, ENOTTY and ENOSYS are
 * ordinary answers. EACCES is not: the kernel has checked the reader's rights, so it is
 * the server that may not look.
 */
enum stats_error_class {
	STATS_EACCES,
	STATS_EIO,
	STATS_EMFILE,
	STATS_ENFILE,
	STATS_ENOMEM,
	STATS_ESTALE,
	STATS_OTHER,
	STATS_ERRORS
};

/**
 * struct stats - the counters of one mount
 * @device:    st_dev of the mount; the supervisor's to set, once there is one
 * @requests:  by opcode; the last one is for all opcodes that are higher
 * @recent:    requests in one second: its number (CLOCK_MONOTONIC) in the upper half, how
 *             many in the lower
 * @verdicts:  of headers that were read through the mount
 * @changed:   of these, how many were served otherwise than they are on disk
 * @undecided: pycs that were served as they are because nothing could be decided
 * @evidence:  by enum pyc_evidence, what rests on it. Where all files were judged before
 * the mount, these are files; else, headers that were read.
 * @time_s:    times that were taken from the tree (PYC_E_PAIR), seconds; 0: none yet.
 * Further ones are not told apart.
 * @time_count: what rests on each
 * @errors:    by enum stats_error_class
 */
struct stats {
	_Atomic uint64_t device;
	_Atomic uint64_t requests[STATS_OPCODES];
	_Atomic uint64_t recent[STATS_SECONDS];
	_Atomic uint64_t verdicts[PYC_VERDICTS];
	_Atomic uint64_t changed;
	_Atomic uint64_t undecided;
	_Atomic uint64_t evidence[PYC_EVIDENCES];
	_Atomic int64_t time_s[STATS_TIMES];
	_Atomic uint64_t time_count[STATS_TIMES];
	_Atomic uint64_t errors[STATS_ERRORS];
};

/* Counters that are all 0, shared with child processes. NULL when out of memory. */
struct stats *stats_new(void);

void stats_free(struct stats *stats);

/* @now_s: CLOCK_MONOTONIC */
void stats_request(struct stats *stats, uint32_t opcode, uint32_t now_s);

/* A header was served. @decision: NULL where there was none. */
void stats_decision(struct stats *stats, const struct pyc_decision *decision);

/* Counts what a decision rests on. */
void stats_evidence(struct stats *stats, const struct pyc_decision *decision);

/* Room for all kinds of evidence and STATS_TIMES times. */
#define STATS_EVIDENCE_MAX 1024

/* "constant 13000, pair 300 (1750000000: 300)"; "" for none. Returns @text. */
const char *stats_evidence_text(const struct stats *stats, char text[STATS_EVIDENCE_MAX]);

/* @error: a positive errno that a request is answered with; ordinary ones do not count. */
void stats_error(struct stats *stats, int error);

/* How many requests there were in the STATS_RATE_OVER seconds before @now_s. */
uint64_t stats_recent(const struct stats *stats, uint32_t now_s);

/* "LOOKUP"; NULL for a number that is not known. */
const char *stats_opcode_name(uint32_t opcode);

/* "EIO", and "other". */
const char *stats_error_name(enum stats_error_class class);

#endif
