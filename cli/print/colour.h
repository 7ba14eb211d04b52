/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Colours on standard output, the same in all commands.
 */
#ifndef CANONFS_CLI_PRINT_COLOUR_H
#define CANONFS_CLI_PRINT_COLOUR_H

#include "pyc/verdict.h"

enum colour {
	COLOUR_NONE, /* back to normal */
	COLOUR_GOOD,
	COLOUR_WARN,
	COLOUR_BAD,
	COLOUR_DIM,
	COLOUR_BOLD,
	COLOURS
};

/*
 * The escape sequence; "" where standard output takes no colours: it is no terminal, TERM
 * is "dumb", or NO_COLOR is set. Static storage.
 */
const char *colour_code(enum colour colour);

/* Of a verdict as it holds in a mount. */
enum colour colour_of_verdict(enum pyc_verdict verdict);

/* The same by the verdict's name; COLOUR_NONE for what is none. */
enum colour colour_of_verdict_name(const char *name);

#endif
