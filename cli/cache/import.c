/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache import FILE: all of its proofs, or none.
 */
#include "cli/cache/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/print/json.h"

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
	if (request->json) {
		struct json_object *json = json_object_new_object();

		json_add_number(json, "proofs", (int64_t)request->proofs.count);
		json_print(json);
	} else {
		printf("%zu proofs were imported\n", request->proofs.count);
	}
	return 0;
}
