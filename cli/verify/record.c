/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known is taken from the cache, what is new is recorded there; see verify.h.
 */
#include "cli/verify/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cli/trees/proofs.h"

int verify_open_cache(struct verify_request *request, struct verify_work *work)
{
	struct reason why = {""};
	const char *path;
	int r = store_place_open(&work->place, request->cache, &why);

	path = work->place.path ? work->place.path : request->cache;
	if (r == 0)
		r = store_db_open(&work->place, STORE_DB_MAKE, &work->db, &why);
	if (r == 0 && why.text[0])
		log_warning("set the cache %s aside: %s", quoted(path), why.text);
	if (r == 0)
		r = proofs_load(work->db, &request->run.known);
	if (r == 0)
		return 0;
	log_error("cannot record in the cache %s: %s; %suse --no-record, or --cache with a "
		  "file of its own and then canonfs cache export and import",
		  quoted(path ? path : "in the default place"),
		  why.text[0] ? why.text : strerror(-r),
		  r == -EBUSY ? "unmount first, or " : "");
	return r;
}

/* How the one who said it is remembered. */
static void verify_name_interpreter(const struct interpreter *interpreter,
				    char name[PROOF_INTERPRETER_MAX])
{
	bool is_cpython = interpreter->magic->implementation == PYC_CPYTHON;

	snprintf(name, PROOF_INTERPRETER_MAX, "%s%s", is_cpython ? "CPython " : "",
		 interpreter->release);
}

/* The new proofs and disproofs. */
static int verify_gather_proofs(const struct verify_list *list, struct proof_set *set)
{
	int64_t now = time(NULL);
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++) {
		const struct verify_file *file = &list->files[i];
		struct proof proof = {
			.source = file->source,
			.body = file->body,
			.result = file->why == VERIFY_SAME ? PYC_CHECK_OK : PYC_CHECK_BAD,
			.when_s = now,
		};

		if (file->why != VERIFY_SAME && file->why != VERIFY_DIFFERS)
			continue;
		proof.magic = file->magic->number;
		proof.level = (uint8_t)file->level;
		verify_name_interpreter(file->by, proof.interpreter);
		r = proof_set_add(set, &proof);
	}
	proof_set_seal(set);
	return r;
}

int verify_record(struct verify_request *request, struct verify_work *work)
{
	struct proof_set set = {.count = 0};
	int r = verify_gather_proofs(&work->list, &set);

	if (r == 0 && set.count > 0)
		r = store_db_put_proofs(work->db, &set);
	if (r == 0)
		request->report.recorded = set.count;
	else if (r == -E2BIG)
		log_error("the cache %s takes %d proofs, and would have more; nothing was "
			  "recorded",
			  quoted(work->place.path), PROOF_MAX);
	else
		log_error("cannot write the cache %s: %s; nothing was recorded",
			  quoted(work->place.path), strerror(-r));
	proof_set_fini(&set);
	return r;
}
