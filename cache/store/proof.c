/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proofs in memory and in files; see proof.h.
 */
#include "cache/store/proof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/scope.h"

static const char first_line[] = "canonfs-proofs 1";

/* Longer than any good line. */
#define LINE_MAX_BYTES 256

/* Printable ASCII: it goes to terminals as it is. */
static bool proof_is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

bool proof_is_valid(const struct proof *proof)
{
	return (proof->result == PYC_CHECK_OK || proof->result == PYC_CHECK_BAD) &&
	       proof->level <= PROOF_LEVEL_MAX && proof->when_s >= 0 &&
	       pyc_magic_lookup(proof->magic) &&
	       memchr(proof->interpreter, '\0', sizeof(proof->interpreter)) &&
	       proof_is_printable(proof->interpreter);
}

/* ---- the set ---- */

int proof_set_add(struct proof_set *set, const struct proof *proof)
{
	int r;

	if (set->count == PROOF_MAX)
		return -E2BIG;
	r = array_add(set->proofs, set->count, *proof);
	if (r == 0)
		set->has[proof->result] = true;
	return r;
}

static int proof_compare_keys(const void *first, const void *second)
{
	const struct proof *a = first, *b = second;
	const uint64_t keys[][2] = {
		{a->body.low, b->body.low},	{a->body.high, b->body.high},
		{a->source.low, b->source.low}, {a->source.high, b->source.high},
		{a->magic, b->magic},		{a->level, b->level},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i][0] != keys[i][1])
			return keys[i][0] < keys[i][1] ? -1 : 1;
	return 0;
}

/* By key; the disproof before the proof, then the later one before the earlier. */
static int proof_compare(const void *a, const void *b)
{
	const struct proof *first = a;
	const struct proof *second = b;
	int order = proof_compare_keys(first, second);

	if (order == 0)
		order = (int)second->result - (int)first->result;
	if (order == 0)
		order = (second->when_s > first->when_s) - (second->when_s < first->when_s);
	return order;
}

void proof_set_seal(struct proof_set *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort(set->proofs, set->count, sizeof(*set->proofs), proof_compare);
	for (size_t i = 1; i < set->count; i++)
		if (proof_compare_keys(&set->proofs[kept], &set->proofs[i]) != 0)
			set->proofs[++kept] = set->proofs[i];
	set->count = kept + 1;
}

int proof_set_merge(struct proof_set *set, const struct proof_set *more)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->count; i++) {
		r = array_add(set->proofs, set->count, more->proofs[i]);
		set->has[more->proofs[i].result] = true;
	}
	proof_set_seal(set);
	return r == 0 && set->count > PROOF_MAX ? -E2BIG : r;
}

enum pyc_check proof_set_find(const struct proof_set *set, struct digest source,
			      struct digest body, uint16_t magic, uint8_t level)
{
	const struct proof key = {
		.source = source, .body = body, .magic = magic, .level = level};
	const struct proof *found;

	if (set->count == 0)
		return PYC_CHECK_UNKNOWN;
	found = bsearch(&key, set->proofs, set->count, sizeof(*set->proofs),
			proof_compare_keys);
	return found ? found->result : PYC_CHECK_UNKNOWN;
}

void proof_set_fini(struct proof_set *set)
{
	free(set->proofs);
	*set = (struct proof_set){.count = 0};
}

/* ---- the file ---- */

int proof_set_write(const struct proof_set *set, FILE *file)
{
	fprintf(file, "%s\n", first_line);
	for (size_t i = 0; i < set->count; i++) {
		const struct proof *proof = &set->proofs[i];

		fprintf(file,
			"%016" PRIx64 "%016" PRIx64 " %016" PRIx64 "%016" PRIx64
			" %u %u %s %" PRId64 " %s\n",
			proof->source.high, proof->source.low, proof->body.high,
			proof->body.low, proof->magic, proof->level,
			proof->result == PYC_CHECK_OK ? "same" : "differs", proof->when_s,
			proof->interpreter);
	}
	fprintf(file, "end %zu\n", set->count);
	if (fflush(file) != 0 || ferror(file))
		return errno ? -errno : -EIO;
	return 0;
}

/* Takes one word off *@rest, which ends at the next space; NULL at the end. */
static char *proof_next_word(char **rest)
{
	char *word = *rest;
	char *space = word ? strchr(word, ' ') : NULL;

	*rest = space ? space + 1 : NULL;
	if (space)
		*space = '\0';
	return word;
}

/* 32 digits, lower-case as we write them, the most significant first. */
static bool proof_parse_digest(const char *text, struct digest *ret_digest)
{
	uint8_t bytes[sizeof(*ret_digest)];

	if (!text || strspn(text, "0123456789abcdef") != strlen(text) ||
	    hex_decode(text, bytes, sizeof(bytes)) != sizeof(bytes))
		return false;
	ret_digest->high = __builtin_bswap64(load_le64(bytes));
	ret_digest->low = __builtin_bswap64(load_le64(bytes + 8));
	return true;
}

/* Decimal digits only, without a sign; as we write it. */
static bool proof_parse_number(const char *text, int64_t max, int64_t *ret_number)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && *ret_number <= max;
}

static bool proof_parse_result(const char *text, enum pyc_check *ret_result)
{
	if (!text)
		return false;
	*ret_result = strcmp(text, "same") == 0 ? PYC_CHECK_OK : PYC_CHECK_BAD;
	return *ret_result == PYC_CHECK_OK || strcmp(text, "differs") == 0;
}

/* One line without its newline; taken apart in place. */
static bool proof_parse_line(char *line, struct proof *ret_proof)
{
	struct proof proof = {.result = PYC_CHECK_UNKNOWN};
	int64_t magic, level;
	char *rest = line;

	if (!proof_parse_digest(proof_next_word(&rest), &proof.source) ||
	    !proof_parse_digest(proof_next_word(&rest), &proof.body) ||
	    !proof_parse_number(proof_next_word(&rest), UINT16_MAX, &magic) ||
	    !proof_parse_number(proof_next_word(&rest), PROOF_LEVEL_MAX, &level) ||
	    !proof_parse_result(proof_next_word(&rest), &proof.result) ||
	    !proof_parse_number(proof_next_word(&rest), INT64_MAX, &proof.when_s) ||
	    !rest || strlen(rest) >= sizeof(proof.interpreter))
		return false;
	proof.magic = (uint16_t)magic;
	proof.level = (uint8_t)level;
	memcpy(proof.interpreter, rest, strlen(rest));
	if (!proof_is_valid(&proof))
		return false;
	*ret_proof = proof;
	return true;
}

/* A line with its newline taken off; false where it has none, or is longer than any. */
static bool proof_read_line(FILE *file, char line[LINE_MAX_BYTES])
{
	size_t len = 0;
	int c;

	/* Not fgets(): it does not tell a zero byte from the end of the text. */
	while ((c = getc(file)) != EOF && c != '\n' && c != '\0' &&
	       len < LINE_MAX_BYTES - 1)
		line[len++] = (char)c;
	line[len] = '\0';
	return c == '\n';
}

/* The last line, and nothing after it. */
static bool proof_is_end(FILE *file, const char *line, size_t count)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "end %zu", count);
	return strcmp(line, expected) == 0 && getc(file) == EOF;
}

static int proof_read_all(struct proof_set *set, FILE *file, size_t *line_number)
{
	char line[LINE_MAX_BYTES];
	struct proof proof;

	*line_number = 1;
	if (!proof_read_line(file, line) || strcmp(line, first_line) != 0)
		return -EBADMSG;
	for (;;) {
		int r;

		++*line_number;
		if (!proof_read_line(file, line))
			return -EBADMSG;
		if (strncmp(line, "end ", 4) == 0)
			return proof_is_end(file, line, set->count) ? 0 : -EBADMSG;
		if (!proof_parse_line(line, &proof))
			return -EBADMSG;
		r = proof_set_add(set, &proof);
		if (r < 0)
			return r;
	}
}

int proof_set_read(struct proof_set *set, FILE *file, size_t *ret_line)
{
	int r = proof_read_all(set, file, ret_line);

	/* The end of the file is not where reading failed. */
	if (ferror(file))
		r = errno ? -errno : -EIO;
	if (r < 0)
		proof_set_fini(set);
	else
		proof_set_seal(set);
	return r;
}
