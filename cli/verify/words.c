/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Results and reasons of canonfs verify, in words; see verify.h.
 */
#include "cli/verify/verify.h"

static const struct {
	enum verify_result result;
	const char *name;
	const char *text;
} whys[VERIFY_WHYS] = {
	[VERIFY_NOT_YET] = {VERIFY_NOT_TRIED, "not-yet", "was not reached"},
	[VERIFY_SAME] = {VERIFY_PROVED, "same", "its source compiles to the same code"},
	[VERIFY_KNOWN_SAME] = {VERIFY_PROVED, "known-same",
			       "its source compiles to the same code, the cache says"},
	[VERIFY_DIFFERS] = {VERIFY_DISPROVED, "differs",
			    "its source compiles to other code"},
	[VERIFY_KNOWN_DIFFERS] = {VERIFY_DISPROVED, "known-differs",
				  "its source compiles to other code, the cache says"},
	[VERIFY_OTHER_COMPILER] = {VERIFY_UNKNOWN, "other-compiler",
				   "its source compiles to other code, but perhaps another "
				   "release compiled it"},
	[VERIFY_NOT_COMPILED] = {VERIFY_UNKNOWN, "not-compiled",
				 "its source does not compile"},
	[VERIFY_CRASHED] = {VERIFY_UNKNOWN, "crashed", "the interpreter crashed"},
	[VERIFY_TIMED_OUT] = {VERIFY_UNKNOWN, "timed-out",
			      "compiling took too long (see --timeout)"},
	[VERIFY_UNDECIDED] = {VERIFY_UNKNOWN, "undecided",
			      "the code is too odd to be compared"},
	[VERIFY_CHANGED] = {VERIFY_UNKNOWN, "changed", "it changed in the meantime"},
	[VERIFY_NO_INTERPRETER] = {VERIFY_NOT_TRIED, "no-interpreter",
				   "no interpreter reads such bytecode"},
	[VERIFY_CANNOT_RUN] = {VERIFY_NOT_TRIED, "cannot-run",
			       "its interpreter cannot be run"},
	/* what is said instead is the verdict's reason */
	[VERIFY_NOT_VERIFIED] = {VERIFY_NOT_TRIED, "not-verified", ""},
	[VERIFY_NO_LEVEL] = {VERIFY_NOT_TRIED, "no-level",
			     "no interpreter has such a level of optimisation"},
	[VERIFY_UNREADABLE] = {VERIFY_NOT_TRIED, "unreadable", "it cannot be read"},
};

enum verify_result verify_why_result(enum verify_why why)
{
	return whys[why].result;
}

const char *verify_why_name(enum verify_why why)
{
	return whys[why].name;
}

const char *verify_why_text(enum verify_why why)
{
	return whys[why].text;
}

const char *verify_result_name(enum verify_result result)
{
	static const char *const names[VERIFY_RESULTS] = {
		[VERIFY_PROVED] = "proved",
		[VERIFY_DISPROVED] = "disproved",
		[VERIFY_UNKNOWN] = "unknown",
		[VERIFY_NOT_TRIED] = "not-tried",
	};

	return names[result];
}
