/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be said of source files whose time is not the one that their bytecode embeds,
 * and is not forgiven: which option would forgive it, and what it looks like.
 */
#ifndef CANONFS_CLI_TREES_TIMES_H
#define CANONFS_CLI_TREES_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "pyc/verdict.h"

/* "trust=size,canonical=" and a number. */
#define TIMES_OPTION_MAX 64

/**
 * times_make_canonical() - make a time canonical, as an option would
 * @policy: changed
 * @time:   of a source
 * @trust:  PYC_TRUST_CANONICAL, or PYC_TRUST_SIZE where it is later than the embedded one
 * @option: what says the same
 * Return: false where the time cannot be made canonical, or is.
 */
bool times_make_canonical(struct pyc_policy *policy, struct timespec time,
			  enum pyc_trust trust, char option[TIMES_OPTION_MAX]);

/**
 * times_option() - the least that would forgive a source's time
 * @facts: of a stale file. If its body was not checked, it counts as sound.
 * @option: of a mount: "immutable", "canonical=7", "trust=size", "trust=size,canonical=7"
 * Return: false where no option would, written or not.
 */
bool times_option(const struct pyc_facts *facts, const struct pyc_policy *policy,
		  char option[TIMES_OPTION_MAX]);

/* What a difference looks like. */
enum times_look {
	TIMES_EARLIER, /* the source's time is, than the embedded one */
	TIMES_LATER,
	TIMES_ROUNDED, /* to the two seconds of a zip archive */
	TIMES_SHIFTED, /* by quarters of an hour: unpacked in another time zone */
	TIMES_LOOKS
};

/**
 * times_look() - what the difference between two times looks like
 * @source:      the source's time
 * @embedded:    seconds
 * @ret_shift_s: TIMES_SHIFTED: how much later the source's time is, seconds; else 0
 */
enum times_look times_look(struct timespec source, uint32_t embedded, int64_t *ret_shift_s);

/* "earlier", and what it means, for people; static storage. */
const char *times_look_name(enum times_look look);
const char *times_look_text(enum times_look look);

/**
 * struct times_row - files that have something in common
 * @files:   how many
 * @option:  what would forgive the times of all of them; "": nothing
 * @seconds: the time of their sources, if @option names it
 * @look, @shift_s: without @option: see times_look()
 */
struct times_row {
	uint64_t files;
	char option[TIMES_OPTION_MAX];
	int64_t seconds;
	enum times_look look;
	int64_t shift_s;
};

/* Counts files. Not safe from several threads: the caller locks. */
struct times;

/* Further rows are not counted, so that memory is bounded. */
#define TIMES_ROWS_MAX 65536

/* Return: NULL when out of memory. */
struct times *times_new(void);

void times_free(struct times *times);

/**
 * times_add() - count a file
 *
 * Only stale files whose time alone is in doubt are counted. One that was rounded or
 * shifted counts as such, and also for the option that would forgive it.
 */
void times_add(struct times *times, const struct pyc_facts *facts,
	       const struct pyc_decision *decision, const struct pyc_policy *policy);

/* All rows, those of the most files first; borrowed. */
const struct times_row **times_sorted(struct times *times, size_t *ret_count);

#endif
