/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What standard output can show: width and colours.
 */
#ifndef CANONFS_CLI_PRINT_TERMINAL_H
#define CANONFS_CLI_PRINT_TERMINAL_H

#include <stdbool.h>

/* Columns of standard output where it is a terminal; 0 where it is not: do not cut. */
unsigned terminal_width(void);

/* Whether standard output takes colours: a terminal, TERM not "dumb", NO_COLOR not set. */
bool terminal_has_colour(void);

enum terminal_colour {
	COLOUR_NONE, /* back to normal */
	COLOUR_GOOD,
	COLOUR_WARN,
	COLOUR_BAD,
	COLOUR_DIM,
	COLOUR_BOLD,
	COLOURS
};

/* The escape sequence, or "" where there are no colours; static storage. */
const char *terminal_colour(enum terminal_colour colour);

/* Columns of another descriptor; 0 where it is not a terminal. */
unsigned terminal_width_of(int fd);

#endif
