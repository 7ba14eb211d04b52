/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text from elsewhere; see shown.h.
 */
#include "cli/print/shown.h"

#include <stdio.h>
#include <string.h>

const char *shown_in(const char *text, char *buffer)
{
	quote_path(text, buffer, QUOTED_MAX);
	if (strstr(buffer, "\\x") || strchr(text, '\\') || strlen(text) + 3 > QUOTED_MAX)
		return buffer;
	snprintf(buffer, QUOTED_MAX, "%s", text);
	return buffer;
}

/* Quotes and backslashes do no harm in a table. */
char *shown_bare(const char *text)
{
	char quote[QUOTED_MAX];
	char *to = quote;

	quote_path(text, quote, sizeof(quote));
	for (const char *from = quote + 1; from[0] && from[1]; from++) {
		if (from[0] == '\\' && (from[1] == '\'' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	*to = '\0';
	return strdup(quote);
}
