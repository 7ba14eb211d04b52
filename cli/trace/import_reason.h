/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why an import did not use its bytecode, what canonfs would make of that, and what to do.
 *
 * Asked after the command has ended. The resolver answers, as it would for a mount; where
 * it cannot (the file was replaced, or is in another mount namespace), what the bytecode's
 * header and the source's attributes were when they were opened.
 */
#ifndef CANONFS_CLI_TRACE_IMPORT_REASON_H
#define CANONFS_CLI_TRACE_IMPORT_REASON_H

#include "cli/trace/import_tracker.h"
#include "pyc/verdict.h"

enum import_advice {
	ADVICE_NONE,
	ADVICE_MOUNT,	/* a canonfs mount over the tree would make it match */
	ADVICE_COMPILE, /* python -m compileall */
	ADVICE_EXPLAIN, /* canonfs explain tells more */
	ADVICE_NOTHING, /* the interpreter wrote new bytecode: the next run uses it */
	ADVICES
};

/* "mount"; static storage. */
const char *import_advice_name(enum import_advice advice);

/**
 * struct import_reason - about one record
 * @text:   a sentence about the bytecode; static storage
 * @judged: the resolver looked at it: @verdict and @reason are meaningful
 * @mounted: it lies in a canonfs mount
 * @tree:   what would have to be mounted, or compiled: the installation, or the folder of
 *          the top package; the judge's; NULL where it is not known
 */
struct import_reason {
	const char *text;
	bool judged;
	enum pyc_verdict verdict;
	enum pyc_reason reason;
	bool mounted;
	enum import_advice advice;
	const char *tree;
};

struct import_judge;

/* NULL when out of memory. */
struct import_judge *import_judge_new(void);
void import_judge_free(struct import_judge *judge);

/**
 * import_judge() - find out about one record
 * @record: .how is made precise: checked bytecode whose hash is another was compiled;
 *          bytecode whose code is damaged did not load
 */
void import_judge(struct import_judge *judge, struct import_record *record,
		  struct import_reason *ret_reason);

#endif
