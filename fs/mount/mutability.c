/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Judging whether a source can change; see mutability.h.
 */
#include "fs/mount/mutability.h"

#include <sys/statvfs.h>

/* In the order of the enum. */
static const struct {
	const char *name;
	const char *text;
	bool immutable;
} mutability_reasons[] = {
	[MUTABILITY_SAID_IMMUTABLE] = {"said-immutable",
				       "never changes: -o immutable says so", true},
	[MUTABILITY_SAID_MUTABLE] = {"said-mutable", "may change: -o mutable says so",
				     false},
	[MUTABILITY_READ_ONLY] = {"read-only", "never changes: it is mounted read-only",
				  true},
	[MUTABILITY_READ_WRITE] = {"read-write", "may change: it is mounted read-write",
				   false},
};

_Static_assert(sizeof(mutability_reasons) / sizeof(mutability_reasons[0]) ==
		       MUTABILITY_REASONS,
	       "each reason has its words");

static enum mutability_reason mutability_judge(const struct tree *tree)
{
	struct statvfs statistics;

	if (fstatvfs(tree->root_fd, &statistics) == 0 && statistics.f_flag & ST_RDONLY)
		return MUTABILITY_READ_ONLY;
	return MUTABILITY_READ_WRITE;
}

struct mutability mutability_of(const struct tree *tree, const char *path,
				enum mutability_option said)
{
	enum mutability_reason reason = said == MUTABILITY_NEVER ? MUTABILITY_SAID_IMMUTABLE
					: said == MUTABILITY_ALWAYS
						? MUTABILITY_SAID_MUTABLE
						: mutability_judge(tree);

	(void)path;
	return (struct mutability){
		.immutable = mutability_reasons[reason].immutable,
		.reason = reason,
	};
}

const char *mutability_name(enum mutability_reason reason)
{
	return mutability_reasons[reason].name;
}

const char *mutability_text(enum mutability_reason reason)
{
	return mutability_reasons[reason].text;
}
