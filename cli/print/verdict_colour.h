/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The colours of verdicts, the same in all commands.
 */
#ifndef CANONFS_CLI_PRINT_VERDICT_COLOUR_H
#define CANONFS_CLI_PRINT_VERDICT_COLOUR_H

#include "cli/print/terminal.h"
#include "pyc/verdict.h"

/* Of a verdict as it holds in a mount. */
enum terminal_colour verdict_colour(enum pyc_verdict verdict);

/* The same by the verdict's name; COLOUR_NONE for what is none. */
enum terminal_colour verdict_colour_of_name(const char *name);

#endif
