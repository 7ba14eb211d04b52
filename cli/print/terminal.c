/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the terminal can show; see terminal.h. Asked anew each time: windows change.
 */
#include "cli/print/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/scope.h"

/* Of terminals that do not tell (serial lines). */
#define DEFAULT_COLUMNS 80

unsigned terminal_width_of(int fd)
{
	struct winsize size = {0};

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return DEFAULT_COLUMNS;
	return size.ws_col;
}

unsigned terminal_width(void)
{
	return terminal_width_of(STDOUT_FILENO);
}

/* https://no-color.org: present and not empty, whatever its value. */
bool terminal_has_colour(void)
{
	const char *term = getenv("TERM");
	const char *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0 &&
	       !(no_colour && *no_colour);
}

const char *terminal_colour(enum terminal_colour colour)
{
	/* The eight colours that every terminal has, in its user's own palette. */
	static const char *const sequences[] = {
		[COLOUR_NONE] = "\033[0m",  [COLOUR_GOOD] = "\033[32m",
		[COLOUR_WARN] = "\033[33m", [COLOUR_BAD] = "\033[31m",
		[COLOUR_DIM] = "\033[2m",   [COLOUR_BOLD] = "\033[1m",
	};

	_Static_assert(ARRAY_SIZE(sequences) == COLOURS, "each colour has a sequence");
	return terminal_has_colour() ? sequences[colour] : "";
}
