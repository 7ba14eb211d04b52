/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text from elsewhere (paths, names of processes), made safe for a terminal: escaped as
 * quote_path() does.
 */
#ifndef CANONFS_CLI_PRINT_SHOWN_H
#define CANONFS_CLI_PRINT_SHOWN_H

#include "base/log.h"

/* Writes to @buffer, of QUOTED_MAX bytes, which is returned. */
const char *shown_in(const char *text, char *buffer);

/* The text as it is, or in quotes where something in it is escaped; lives as quoted(). */
#define shown(text) shown_in((text), (char[QUOTED_MAX]){0})

/* The same without quotes, for the cells of a table; the caller's, NULL when out of memory.
 */
char *shown_bare(const char *text);

#endif
