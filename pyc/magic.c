/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding a magic number. The table is generated, sorted by number, and small enough
 * for a binary search to need eight steps at most.
 */
#include "pyc/magic.h"

#include <stdlib.h>

static int magic_compare(const void *number, const void *magic)
{
	return *(const uint16_t *)number - ((const struct pyc_magic *)magic)->number;
}

const struct pyc_magic *pyc_magic_lookup(uint16_t number)
{
	return bsearch(&number, pyc_magic_table, pyc_magic_count,
		       sizeof(pyc_magic_table[0]), magic_compare);
}
