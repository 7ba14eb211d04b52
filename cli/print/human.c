/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers for people; see human.h. Not printf's ', which follows the locale.
 */
#include "cli/print/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/scope.h"

const char *human_count(uint64_t number, char text[HUMAN_MAX])
{
	char digits[HUMAN_MAX];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number);
	char *to = text;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

const char *human_bytes(uint64_t bytes, char text[HUMAN_MAX])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes / 1000;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(text, HUMAN_MAX, "%" PRIu64 " byte%s", bytes,
			 bytes == 1 ? "" : "s");
		return text;
	}
	/* What would be printed as 1000.0 is one of the next unit. */
	while (value >= 999.95 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(text, HUMAN_MAX, "%.1f %s", value, units[unit]);
	return text;
}

const char *human_date(int64_t seconds, char date[HUMAN_DATE_MAX])
{
	time_t time = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&time, &tm) ||
	    strftime(date, HUMAN_DATE_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		strcpy(date, "beyond the calendar");
	return date;
}
