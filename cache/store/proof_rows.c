/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proofs in the database; see db.h.
 */
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/scope.h"
#include "cache/store/private.h"

/* Over all columns, as for rows. */
static int64_t store_proof_checksum(const struct proof *proof)
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

int store_db_put_proof(struct store_db *db, const struct proof *proof)
{
	scope_statement sqlite3_stmt *statement = NULL;
	uint8_t source[WIRE_BLOB_SIZE], body[WIRE_BLOB_SIZE];
	int r = store_sql_prepare(
		db->sql,
		"INSERT INTO proof VALUES(?,?,?,?,?,?,?,?) ON CONFLICT DO "
		"UPDATE SET result = excluded.result, "
		"stored = excluded.stored, "
		"interpreter = excluded.interpreter, "
		"checksum = excluded.checksum "
		"WHERE excluded.result >= result",
		&statement);

	_Static_assert(PYC_CHECK_BAD > PYC_CHECK_OK, "a disproof replaces a proof");
	if (r < 0)
		return r;
	digest_save(proof->source, source);
	digest_save(proof->body, body);
	sqlite3_bind_blob(statement, 1, source, WIRE_BLOB_SIZE, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 2, body, WIRE_BLOB_SIZE, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, proof->magic);
	sqlite3_bind_int64(statement, 4, proof->level);
	sqlite3_bind_int64(statement, 5, proof->result);
	sqlite3_bind_int64(statement, 6, proof->when_s);
	sqlite3_bind_text(statement, 7, proof->interpreter, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 8, store_proof_checksum(proof));
	return store_error(sqlite3_step(statement));
}

int store_db_put_proofs(struct store_db *db, const struct proof_set *set)
{
	int64_t count = 0;
	int r = store_db_begin(db);

	for (size_t i = 0; r == 0 && i < set->count; i++)
		r = store_db_put_proof(db, &set->proofs[i]);
	if (r == 0)
		r = store_sql_ask(db->sql, "SELECT count(*) FROM proof", &count);
	if (r == 0 && count > PROOF_MAX)
		r = -E2BIG;
	return store_db_end(db, r);
}

static bool store_db_read_proof(sqlite3_stmt *statement, struct proof *ret_proof)
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
	return checksum == store_proof_checksum(&proof) && proof_is_valid(&proof);
}

static int store_db_load_proofs(struct store_db *db, enum pyc_check result,
				struct proof_set *set, size_t *ret_bad)
{
	scope_statement sqlite3_stmt *statement = NULL;
	struct proof proof;
	int code = SQLITE_DONE;
	int r = store_sql_prepare(db->sql, "SELECT * FROM proof WHERE result = ?",
				  &statement);

	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, result);
	while (*ret_bad < PROOF_MAX && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!store_db_read_proof(statement, &proof)) {
			++*ret_bad;
			continue;
		}
		r = proof_set_add(set, &proof);
		if (r < 0)
			return r == -E2BIG ? 0 : r;
	}
	return store_error(code);
}

int store_db_proofs(struct store_db *db, struct proof_set *set, size_t *ret_bad)
{
	int r;

	*ret_bad = 0;
	/* Disproofs first: they must not be those for which there is no room. */
	r = store_db_load_proofs(db, PYC_CHECK_BAD, set, ret_bad);
	if (r == 0)
		r = store_db_load_proofs(db, PYC_CHECK_OK, set, ret_bad);
	proof_set_seal(set);
	return r;
}
