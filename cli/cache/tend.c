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
#include "cli/trees/tree_set.h"

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

int cache_prune(struct store_db *db, const struct cache_request *request)
{
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

int cache_clear(struct store_db *db, const struct cache_request *request)
{
	int64_t bytes = 0;
	int r = store_db_clear(db);

	if (r == 0)
		r = store_db_size(db, &bytes);
	if (r < 0)
		return cache_fail(request, "clear", r);
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

int cache_export(struct store_db *db, const struct cache_request *request)
{
	struct proof_set set = {.count = 0};
	int r = tree_set_load_proofs(db, &set);
	int status = 0;

	if (r < 0) {
		status = cache_fail(request, "read", r);
	} else if ((r = cache_write_proofs(&set, request->operand)) < 0) {
		log_error("cannot write %s: %s", quoted(request->operand), strerror(-r));
		status = EXIT_CACHE_FAILURE;
	} else if (strcmp(request->operand, "-") != 0) {
		cache_report(request, "proofs", (int64_t)set.count, "proofs were exported");
	}
	proof_set_fini(&set);
	return status;
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

int cache_import(struct store_db *db, const struct cache_request *request)
{
	int r = store_db_put_proofs(db, &request->proofs);

	if (r == -E2BIG) {
		log_error("the cache %s would have more than %d proofs; nothing was "
			  "imported",
			  quoted(request->path), PROOF_MAX);
		return EXIT_CACHE_FAILURE;
	}
	if (r < 0)
		return cache_fail(request, "write", r);
	cache_report(request, "proofs", (int64_t)request->proofs.count,
		     "proofs were imported");
	return 0;
}
