/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the version that had proofs in the database to the one that has not; see private.h.
 */
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/scope.h"
#include "cache/store/private.h"
#include "cache/store/proof_file.h"

/* Over all columns, as for rows. */
static int64_t store_upgrade_checksum(const struct proof *proof)
{
	const uint64_t words[] = {proof->magic, proof->level, (uint64_t)proof->result,
				  (uint64_t)proof->when_s};
	uint8_t bytes[2 * WIRE_BLOB_SIZE + sizeof(words) + PROOF_INTERPRETER_MAX] = {0};
	uint8_t *end = bytes + 2 * WIRE_BLOB_SIZE;

	digest_save(proof->source, bytes);
	digest_save(proof->body, bytes + WIRE_BLOB_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++, end += sizeof(uint64_t))
		store_le64(end, words[i]);
	memcpy(end, proof->interpreter, strlen(proof->interpreter));
	return (int64_t)XXH3_64bits(bytes, sizeof(bytes));
}

static bool store_upgrade_read(sqlite3_stmt *statement, struct proof *ret_proof)
{
	uint8_t source[WIRE_BLOB_SIZE], body[WIRE_BLOB_SIZE];
	int64_t magic, level, result, when_s, checksum;
	struct proof proof = {.magic = 0};
	const unsigned char *text;

	if (!store_sql_blob(statement, 0, source) || !store_sql_blob(statement, 1, body) ||
	    !store_sql_number(statement, 2, &magic) ||
	    !store_sql_number(statement, 3, &level) ||
	    !store_sql_number(statement, 4, &result) ||
	    !store_sql_number(statement, 5, &when_s) ||
	    sqlite3_column_type(statement, 6) != SQLITE_TEXT ||
	    !store_sql_number(statement, 7, &checksum) || magic < 0 || magic > UINT16_MAX ||
	    level < 0 || level > PROOF_LEVEL_MAX ||
	    (result != PYC_CHECK_OK && result != PYC_CHECK_BAD))
		return false;
	text = sqlite3_column_text(statement, 6);
	if (!text || strlen((const char *)text) >= sizeof(proof.interpreter))
		return false;
	memcpy(proof.interpreter, text, strlen((const char *)text));
	proof.source = digest_load(source);
	proof.body = digest_load(body);
	proof.magic = (uint16_t)magic;
	proof.level = (uint8_t)level;
	proof.result = (enum pyc_check)result;
	proof.when_s = when_s;
	*ret_proof = proof;
	return checksum == store_upgrade_checksum(&proof) && proof_is_valid(&proof);
}

/* A damaged one may have been a disproof, so it is not passed over. */
static int store_upgrade_load(sqlite3 *sql, struct proof_set *set)
{
	scope_statement sqlite3_stmt *statement = NULL;
	struct proof proof;
	int code = SQLITE_DONE;
	int r = store_sql_prepare(sql, "SELECT * FROM proof", &statement);

	while (r == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
		r = store_upgrade_read(statement, &proof) ? proof_set_add(set, &proof)
							  : -EBADMSG;
	return r < 0 ? r : store_error(code);
}

int store_upgrade(sqlite3 *sql, const struct store_place *place, struct reason *why)
{
	struct proof_set set = {.count = 0};
	int r = store_upgrade_load(sql, &set);

	if (r < 0)
		reason_set_errno(why, r, "the proofs in it cannot be read");
	else
		r = proof_file_take_over(place, &set, why);
	proof_set_fini(&set);
	if (r < 0)
		return r;
	/* A crash before this does it once more. */
	r = store_sql_run(sql, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE; DROP TABLE proof;"
			       "PRAGMA user_version=4; COMMIT;"
			       "PRAGMA wal_checkpoint(TRUNCATE)");
	_Static_assert(STORE_VERSION == 4, "the number in the text");
	return r < 0 ? reason_set_errno(why, r, "it cannot be written") : 0;
}
