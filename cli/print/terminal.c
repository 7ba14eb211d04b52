/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Widths; see terminal.h. They are asked for each time, as windows change.
 */
#include "cli/print/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

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
