/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text from elsewhere (paths, names of processes) in listings.
 */
#ifndef CANONFS_CLI_PRINT_SHOWN_H
#define CANONFS_CLI_PRINT_SHOWN_H

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* @buffer: QUOTED_MAX bytes */
static inline const char *shown_in(const char *text, char *buffer)
{
	quote_path(text, buffer, QUOTED_MAX);
	if (strstr(buffer, "\\x") || strchr(text, '\\') || strlen(text) + 3 > QUOTED_MAX)
		return buffer;
	snprintf(buffer, QUOTED_MAX, "%s", text);
	return buffer;
}

/* As it is, or quoted where it holds what a terminal must not get; lives as quoted(). */
#define shown(text) shown_in((text), (char[QUOTED_MAX]){0})

#endif
