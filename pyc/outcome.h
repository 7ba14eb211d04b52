/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an interpreter does with a bytecode file as it lies on the disk, without canonfs.
 *
 * Sources: importlib/_bootstrap_external.py (SourceLoader.get_code, FileFinder.find_spec,
 * SourcelessFileLoader, cache_from_source), Python/import.c (find_module,
 * load_source_module, load_compiled_module) of 2.7 and 3.0 to 3.2. The rules were compared
 * with what CPython 2.7, 3.6 to 3.15 and PyPy 3.9 and 3.11 do (tests/e2e/test_explain.py);
 * for versions in between they come from the sources alone.
 */
#ifndef CANONFS_PYC_OUTCOME_H
#define CANONFS_PYC_OUTCOME_H

#include <time.h>

#include "pyc/verdict.h"

enum pyc_outcome {
	PYC_OUTCOME_UNKNOWN, /* a fact that decides is not known */
	PYC_LOADS,	     /* runs the bytecode; the source is not read */
	PYC_LOADS_CHECKED,   /* reads the source, finds its hash, runs the bytecode */
	PYC_COMPILES,	     /* compiles the source, in every run */
	PYC_FAILS,	     /* the import fails */
	PYC_IGNORES,	     /* never looks at the file */
	PYC_OUTCOMES
};

/**
 * pyc_outcome() - what an interpreter does with a bytecode file
 * @facts:  .served_mtime is not looked at; .body matters where the header is accepted,
 *          .hash for checked-hash files: where they are unknown and matter, so is the
 *          outcome
 * @mtime:  st_mtime of the source as the interpreter sees it
 * @reader: the interpreter's magic; NULL for the one that the file's name and magic say
 *
 * The interpreter runs with the optimisation level of the file's name and the default
 * --check-hash-based-pycs, and finds the source first in its path. One thing that it would
 * see is not in the facts: a directory between the two that cannot be searched.
 */
enum pyc_outcome pyc_outcome(const struct pyc_facts *facts, struct timespec mtime,
			     const struct pyc_magic *reader);

/* "loads", and a sentence for people; static storage. */
const char *pyc_outcome_name(enum pyc_outcome outcome);
const char *pyc_outcome_text(enum pyc_outcome outcome);

#endif
