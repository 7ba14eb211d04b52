/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Colours; see colour.h.
 */
#include "cli/print/colour.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"

/* https://no-color.org: present and not empty, whatever its value. */
static bool colour_is_wanted(void)
{
	const char *term = getenv("TERM");
	const char *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0 &&
	       !(no_colour && *no_colour);
}

const char *colour_code(enum colour colour)
{
	/* The eight colours that every terminal has, in its user's own palette. */
	static const char *const sequences[] = {
		[COLOUR_NONE] = "\033[0m",  [COLOUR_GOOD] = "\033[32m",
		[COLOUR_WARN] = "\033[33m", [COLOUR_BAD] = "\033[31m",
		[COLOUR_DIM] = "\033[2m",   [COLOUR_BOLD] = "\033[1m",
	};

	_Static_assert(ARRAY_SIZE(sequences) == COLOURS, "each colour has a sequence");
	return colour_is_wanted() ? sequences[colour] : "";
}

enum colour colour_of_verdict(enum pyc_verdict verdict)
{
	switch (verdict) {
	case PYC_FRESH:
	case PYC_RESTAMPED:
	case PYC_HASH_CHECKED:
	case PYC_HASH_UNCHECKED:
	case PYC_SOURCELESS:
		return COLOUR_GOOD;
	case PYC_STALE:
	case PYC_CORRUPT:
		return COLOUR_BAD;
	case PYC_ORPHAN:
	case PYC_FOREIGN:
		return COLOUR_DIM; /* Python does not look at them */
	case PYC_VERDICTS:
		break;
	}
	return COLOUR_NONE;
}

enum colour colour_of_verdict_name(const char *name)
{
	for (int i = 0; i < PYC_VERDICTS; i++)
		if (strcmp(name, pyc_verdict_name((enum pyc_verdict)i)) == 0)
			return colour_of_verdict((enum pyc_verdict)i);
	return COLOUR_NONE;
}
