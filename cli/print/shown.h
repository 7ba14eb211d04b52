/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text from elsewhere (paths, names of processes) as a terminal may have it: what
 * quote_path() escapes is escaped.
 */
#ifndef CANONFS_CLI_PRINT_SHOWN_H
#define CANONFS_CLI_PRINT_SHOWN_H

#include "base/log.h"

/* Writes to @buffer, of QUOTED_MAX bytes, which is returned. */
const char *shown_in(const char *text, char *buffer);

/* As it is, or in quotes where something in it is escaped; lives as quoted(). */
#define shown(text) shown_in((text), (char[QUOTED_MAX]){0})

/* Without quotes in any case, for the cells of a table; the caller's, NULL when out of
 * memory. */
char *shown_bare(const char *text);

#endif
