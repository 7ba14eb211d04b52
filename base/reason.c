/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reasons; see reason.h.
 */
#include "base/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int reason_set(struct reason *reason, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason->text, sizeof(reason->text), format, arguments);
	va_end(arguments);
	return error;
}

int reason_set_errno(struct reason *reason, int error, const char *format, ...)
{
	va_list arguments;
	size_t len;

	va_start(arguments, format);
	vsnprintf(reason->text, sizeof(reason->text), format, arguments);
	va_end(arguments);
	len = strlen(reason->text);
	snprintf(reason->text + len, sizeof(reason->text) - len, ": %s", strerror(-error));
	return error;
}
