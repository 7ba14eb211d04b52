/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding a magic number. The table is generated, sorted by number, and small enough
 * for a binary search to need eight steps at most.
 */
#include "pyc/magic.h"

const struct pyc_magic *pyc_magic_lookup(uint16_t number)
{
	size_t lo = 0;
	size_t hi = pyc_magic_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pyc_magic_table[mid].number == number)
			return &pyc_magic_table[mid];
		if (pyc_magic_table[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
