/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache prune, clear, export and import.
 */
#include "cli/cache/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cli/print/json.h"

#define DAY_S 86400

/* One sentence, or one JSON object with the number by its name. */
static void cache_report(const struct cache_request *request, const char *key,
			 int64_t number, const char *sentence)
{
	if (request->json) {
		struct json_object *json = json_object_new_object();

		json_add_number(json, key, number);
		json_print(json);
	} else {
		printf("%" PRId64 " %s\n", number, sentence);
	}
}

/* ---- prune, clear ---- */

int cache_prune(const struct cache_work *work, const struct cache_request *request)
{
	struct store_db *db = work->db;
	int64_t bytes = 0;
	int r = 0;

	if (request->days != CACHE_ALL_DAYS)
		r = store_db_forget(db, time(NULL) - (int64_t)request->days * DAY_S);
	if (r == 0)
		r = store_db_shrink(db, request->size);
	if (r == 0)
		r = store_db_size(db, &bytes);
	if (r < 0)
		return cache_fail(request, "prune", r);
	cache_report(request, "bytes", bytes, "bytes are left");
	return 0;
}

int cache_clear(const struct cache_work *work, const struct cache_request *request)
{
	struct reason why;
	int64_t bytes = 0;
	int r = 0;

	if (work->db)
		r = store_db_clear(work->db);
	if (r == 0 && work->db)
		r = store_db_size(work->db, &bytes);
	if (r < 0)
		return cache_fail(request, "clear", r);
	if (work->proofs->state != PROOFS_NONE) {
		r = proof_file_delete(work->place, &why);
		if (r < 0 && r != -ENOENT) {
			log_error("cannot delete the proofs %s: %s",
				  quoted(work->place->proofs), why.text);
			return EXIT_CACHE_FAILURE;
		}
	}
	cache_report(request, "bytes", bytes, "bytes are left: the cache is empty");
	return 0;
}

/* ---- export ---- */

static int cache_write_proofs(const struct proof_set *set, const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	int r;

	if (!file)
		return -errno;
	r = proof_set_write(set, file);
	/* A network file system may say here that it has no room. */
	if (file != stdout && fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}

int cache_export(const struct cache_work *work, const struct cache_request *request)
{
	const struct proof_set *set = &work->proofs->set;
	int r;

	if (work->proofs->state == PROOFS_UNREAD) {
		log_error("cannot read the proofs %s: %s", quoted(work->place->proofs),
			  work->proofs->why.text);
		return EXIT_CACHE_FAILURE;
	}
	r = cache_write_proofs(set, request->operand);
	if (r < 0) {
		log_error("cannot write %s: %s", quoted(request->operand), strerror(-r));
		return EXIT_CACHE_FAILURE;
	}
	if (strcmp(request->operand, "-") != 0)
		cache_report(request, "proofs", (int64_t)set->count,
			     "proofs were exported");
	return 0;
}

/* ---- import ---- */

int cache_import_read(struct cache_request *request)
{
	const char *path = request->operand;
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t line = 0;
	int r;

	if (!file) {
		r = -errno;
		log_error("cannot open %s: %s", quoted(path), strerror(-r));
		return r;
	}
	r = proof_set_read(&request->proofs, file, &line);
	if (file != stdin)
		fclose(file);
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

int cache_import(const struct cache_work *work, const struct cache_request *request)
{
	struct reason why;

	if (proof_file_record(work->place, &request->proofs, &why) < 0) {
		log_error("cannot import into the proofs %s: %s; nothing was imported",
			  quoted(work->place->proofs), why.text);
		return EXIT_CACHE_FAILURE;
	}
	cache_report(request, "proofs", (int64_t)request->proofs.count,
		     "proofs were imported");
	return 0;
}
