/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The colours of verdicts; see verdict_colour.h.
 */
#include "cli/print/verdict_colour.h"

#include <string.h>

enum terminal_colour verdict_colour(enum pyc_verdict verdict)
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

enum terminal_colour verdict_colour_of_name(const char *name)
{
	for (int i = 0; i < PYC_VERDICTS; i++)
		if (strcmp(name, pyc_verdict_name((enum pyc_verdict)i)) == 0)
			return verdict_colour((enum pyc_verdict)i);
	return COLOUR_NONE;
}
