/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words that text and JSON share; see explain.h.
 */
#include "cli/explain/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pyc/mtime.h"

char *explain_format(const char *text, ...)
{
	va_list arguments;
	char *result;
	int n;

	va_start(arguments, text);
	n = vasprintf(&result, text, arguments);
	va_end(arguments);
	return n < 0 ? NULL : result;
}

const char *explain_kind(enum pyc_header_kind kind)
{
	static const char *const names[] = {
		[PYC_KIND_TIMESTAMP] = "timestamp",
		[PYC_KIND_HASH_CHECKED] = "checked-hash",
		[PYC_KIND_HASH_UNCHECKED] = "unchecked-hash",
		[PYC_KIND_UNKNOWN_FLAGS] = "unknown-flags",
	};

	return names[kind];
}

static bool explain_compares_times(const struct pyc_facts *facts)
{
	return facts->header_status == PYC_HEADER_OK &&
	       facts->header.kind == PYC_KIND_TIMESTAMP &&
	       facts->source == PYC_SOURCE_REGULAR;
}

enum pyc_check explain_time_matches(const struct pyc_facts *facts)
{
	if (!explain_compares_times(facts))
		return PYC_CHECK_UNKNOWN;
	return pyc_mtime_matches(&facts->header, facts->source_mtime) ? PYC_CHECK_OK
								      : PYC_CHECK_BAD;
}

enum pyc_check explain_size_matches(const struct pyc_facts *facts)
{
	if (!explain_compares_times(facts) || !facts->header.magic->size_offset)
		return PYC_CHECK_UNKNOWN;
	return pyc_size_matches(&facts->header, facts->source_size) ? PYC_CHECK_OK
								    : PYC_CHECK_BAD;
}
