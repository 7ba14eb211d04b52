/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a recompile proved: that a body is, or is not, what an interpreter makes of a
 * source. Keyed by content alone, so a proof is as good on any image and any host.
 */
#ifndef CANONFS_CACHE_STORE_PROOF_H
#define CANONFS_CACHE_STORE_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cache/tree/digest.h"
#include "pyc/verdict.h"

/* Proofs at most, in memory (14 MiB) as on disk; a system with numpy has 14,000. */
#define PROOF_MAX 131072

#define PROOF_INTERPRETER_MAX 64

#define PROOF_LEVEL_MAX 2

/**
 * struct proof - one recompile's outcome
 * @source, @body: digests of the source and of the pyc's body
 * @magic:         number of the interpreter's magic
 * @level:         of optimisation: 0, 1 (-O) or 2 (-OO); as pyc_name_level() says. What is
 *                 right under one name is wrong under another
 * @result:        PYC_CHECK_OK: this source gives this body; PYC_CHECK_BAD: another
 * @when_s:        seconds since 1970
 * @interpreter:   which one said so; printable, may be empty
 */
struct proof {
	struct digest source;
	struct digest body;
	uint16_t magic;
	uint8_t level;
	enum pyc_check result;
	int64_t when_s;
	char interpreter[PROOF_INTERPRETER_MAX];
};

/* Is every field in its range? */
bool proof_is_valid(const struct proof *proof);

/**
 * struct proof_set - proofs to be looked up; zeroed is empty
 *
 * Filled by one thread, then sealed and read by many.
 */
struct proof_set {
	struct proof *proofs; /* owned */
	size_t count;
	bool has[PYC_CHECK_BAD + 1];
};

/* Return: 0; -ENOMEM; -E2BIG when there are PROOF_MAX. */
int proof_set_add(struct proof_set *set, const struct proof *proof);

/* Sorts; of contradicting proofs the disproof wins, of equal ones the later one stays. */
void proof_set_seal(struct proof_set *set);

/**
 * proof_set_merge() - add all of another set, and seal
 * Return: 0; -ENOMEM; -E2BIG where there are more than PROOF_MAX then.
 */
int proof_set_merge(struct proof_set *set, const struct proof_set *more);

/*
 * What is proved about a body and a source, for a magic and a level of optimisation;
 * PYC_CHECK_UNKNOWN where nothing is.
 */
enum pyc_check proof_set_find(const struct proof_set *set, struct digest source,
			      struct digest body, uint16_t magic, uint8_t level);

void proof_set_fini(struct proof_set *set);

/*
 * The file that proofs travel in: text, one proof a line, between a line with the
 * format's version and one with the count.
 *
 *	canonfs-proofs 1
 *	SOURCE-DIGEST BODY-DIGEST MAGIC LEVEL same|differs WHEN INTERPRETER
 *	end COUNT
 */

/* Return: 0 or -errno of the stream. */
int proof_set_write(const struct proof_set *set, FILE *file);

/**
 * proof_set_read() - all proofs of a file, or none
 * @set:      empty; sealed on success, empty on failure
 * @ret_line: on -EBADMSG, the number of the line that is wrong
 *
 * Return: 0; -EBADMSG where the file is not as above to the last byte; -E2BIG; -ENOMEM;
 * another -errno of the stream.
 */
int proof_set_read(struct proof_set *set, FILE *file, size_t *ret_line);

#endif
