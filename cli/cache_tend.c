/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache prune, clear, export and import.
 */
#include "cli/cache_commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cli/json.h"

#define DAY_S 86400

/* One sentence, or one JSON object with the number by its name. */
static void report(const struct cache_request *request, const char *key, int64_t number,
		   const char *sentence)
{
	struct json json = {0};

	if (request->json) {
		json_begin(&json, NULL, '{');
		json_number(&json, key, number);
		json_end(&json, '}');
	} else {
		printf("%" PRId64 " %s\n", number, sentence);
	}
}

/* ---- prune, clear ---- */

int cache_prune(struct store_db *db, const struct cache_request *request)
{
	int64_t bytes = 0;
	int r = 0;

	if (request->days >= 0)
		r = store_db_forget(db, time(NULL) - request->days * DAY_S);
	if (r == 0)
		r = store_db_shrink(db, request->size);
	if (r == 0)
		r = store_db_size(db, &bytes);
	if (r < 0)
		return cache_fail(request, "prune", r);
	report(request, "bytes", bytes, "bytes are left");
	return 0;
}

int cache_clear(struct store_db *db, const struct cache_request *request)
{
	int64_t bytes = 0;
	int r = store_db_clear(db);

	if (r == 0)
		r = store_db_size(db, &bytes);
	if (r < 0)
		return cache_fail(request, "clear", r);
	report(request, "bytes", bytes, "bytes are left: the cache is empty");
	return 0;
}

/* ---- export, import ---- */

static FILE *open_file(const char *path, const char *mode, FILE *standard)
{
	return strcmp(path, "-") == 0 ? standard : fopen(path, mode);
}

static void close_file(FILE *file)
{
	if (file != stdin && file != stdout)
		fclose(file);
}

static int all_proofs(struct store_db *db, struct proof_set *set)
{
	size_t bad = 0;
	int r = store_db_proofs(db, PYC_CHECK_BAD, set, &bad);

	if (r == 0)
		r = store_db_proofs(db, PYC_CHECK_OK, set, &bad);
	if (bad > 0)
		log_warning("%zu proofs in the cache are damaged, ignoring them", bad);
	proof_set_seal(set);
	return r;
}

static int write_file(const struct proof_set *set, const char *path)
{
	FILE *file = open_file(path, "we", stdout);
	int r;

	if (!file)
		return -errno;
	r = proof_set_write(set, file);
	close_file(file);
	return r;
}

int cache_export(struct store_db *db, const struct cache_request *request)
{
	struct proof_set set = {.count = 0};
	int r = all_proofs(db, &set);
	int status = 0;

	if (r < 0) {
		status = cache_fail(request, "read", r);
	} else if ((r = write_file(&set, request->operand)) < 0) {
		log_error("cannot write %s: %s", quoted(request->operand), strerror(-r));
		status = EXIT_CACHE_FAILURE;
	} else if (strcmp(request->operand, "-") != 0) {
		report(request, "proofs", (int64_t)set.count, "proofs were exported");
	}
	proof_set_fini(&set);
	return status;
}

/* All of the file, checked, before the database sees any of it. */
static int read_file(const char *path, struct proof_set *set)
{
	FILE *file = open_file(path, "re", stdin);
	size_t line = 0;
	int r;

	if (!file) {
		log_error("cannot open %s: %s", quoted(path), strerror(errno));
		return -EIO;
	}
	r = proof_set_read(set, file, &line);
	close_file(file);
	if (r == -EBADMSG)
		log_error("%s is not a file of proofs: line %zu is wrong; nothing was "
			  "imported",
			  quoted(path), line);
	else if (r == -E2BIG)
		log_error("%s has more than %d proofs; nothing was imported", quoted(path),
			  PROOF_MAX);
	else if (r < 0)
		log_error("cannot read %s: %s", quoted(path), strerror(-r));
	return r;
}

/* In one transaction, and not more than a mount loads. */
static int put_all(struct store_db *db, const struct proof_set *set)
{
	struct proof_set all = {.count = 0};
	int r = store_db_begin(db);

	for (size_t i = 0; r == 0 && i < set->count; i++)
		r = store_db_put_proof(db, &set->proofs[i]);
	if (r == 0)
		r = all_proofs(db, &all);
	if (r == 0 && all.count == PROOF_MAX)
		r = -E2BIG;
	proof_set_fini(&all);
	if (r == 0)
		r = store_db_commit(db);
	if (r < 0)
		store_db_rollback(db);
	return r;
}

int cache_import(struct store_db *db, const struct cache_request *request)
{
	struct proof_set set = {.count = 0};
	int status = EXIT_CACHE_FAILURE;
	int r;

	if (read_file(request->operand, &set) == 0) {
		r = put_all(db, &set);
		if (r == 0) {
			report(request, "proofs", (int64_t)set.count,
			       "proofs were imported");
			status = 0;
		} else {
			cache_fail(request, "write", r);
		}
	}
	proof_set_fini(&set);
	return status;
}
