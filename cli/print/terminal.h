/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How wide a terminal is.
 */
#ifndef CANONFS_CLI_PRINT_TERMINAL_H
#define CANONFS_CLI_PRINT_TERMINAL_H

/* Columns of standard output; 0 where it is no terminal: then nothing is cut. */
unsigned terminal_width(void);

/* Columns of another descriptor; 0 where it is not a terminal. */
unsigned terminal_width_of(int fd);

#endif
