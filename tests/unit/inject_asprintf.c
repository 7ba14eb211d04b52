/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An asprintf() that can fail; see inject.h.
 */
#include "tests/unit/inject.h"

#include <stdarg.h>
#include <stdio.h>

bool no_memory;

int asprintf(char **ret, const char *format, ...)
{
	va_list arguments;
	int n;

	if (no_memory)
		return -1; /* *ret is undefined then, says asprintf(3) */
	va_start(arguments, format);
	n = vasprintf(ret, format, arguments);
	va_end(arguments);
	return n;
}
