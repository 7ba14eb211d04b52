/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The progress of a long command: a line on standard error that is written over, if that is
 * a terminal.
 */
#ifndef CANONFS_CLI_PRINT_PROGRESS_H
#define CANONFS_CLI_PRINT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* A command that ends sooner shows nothing. */
#define PROGRESS_DELAY_MS 300

/**
 * struct progress - the line
 * @what:       "checking"; borrowed
 * @wanted:     standard error is a terminal that can clear a line
 * @shown:      there is a line to clear
 * @started_ms: monotonic
 * @drawn_ms:   the last time that it was drawn
 *
 * For one thread at a time.
 */
struct progress {
	const char *what;
	bool wanted;
	bool shown;
	int64_t started_ms;
	int64_t drawn_ms;
};

void progress_begin(struct progress *progress, const char *what);

/**
 * progress_update() - draws the line, if it is time to
 * @total: 0 where it is not known: then there is no bar
 * @unit:  "files"
 */
void progress_update(struct progress *progress, uint64_t done, uint64_t total,
		     const char *unit);

/* Clears the line; to be called before anything else is printed. May go on afterwards. */
void progress_end(struct progress *progress);

#endif
