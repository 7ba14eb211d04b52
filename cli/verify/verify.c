/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs verify: a run, from the PATHs to what is printed; see verify.h.
 */
#include "cli/verify/verify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/store/proof_file.h"

/**
 * struct verify_work - what is open while the command runs
 * @records: whether anything is recorded
 * @proofs:  what is in the place already
 * @sets: the trees that the files are in
 */
struct verify_work {
	struct store_place place;
	bool records;
	struct proof_book proofs;
	struct tree_set *sets;
	size_t set_count;
	struct verify_list list;
};

/* ---- what is proved, and will be ---- */

/*
 * Runs before anything is compiled: an error at the end would waste all of the work.
 * Return: 0, or -errno with one line logged.
 */
static int verify_open_proofs(struct verify_request *request, struct verify_work *work)
{
	struct reason why = {""};
	const char *path;
	int r = store_place_open(&work->place, request->cache, &why);

	if (r == 0)
		r = proof_file_can_record(&work->place, &why);
	if (r == 0)
		proof_book_read(&work->proofs, &work->place);
	if (r == 0 && work->proofs.state == PROOFS_UNREAD) {
		why = work->proofs.why;
		r = -EBADMSG;
	}
	work->records = r == 0;
	if (r == 0)
		return 0;
	path = work->place.proofs ? work->place.proofs : request->cache;
	log_error("cannot record in the proofs %s: %s; use --no-record, or --cache with a "
		  "file of its own and then canonfs cache export and import",
		  quoted(path ? path : "in the default place"), why.text);
	return r;
}

/* The interpreter's name in a proof. */
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

/* Records what is new. Return: 0, or -errno with one line logged. */
static int verify_record(struct verify_request *request, struct verify_work *work)
{
	struct proof_set set = {.count = 0};
	struct reason why = {"out of memory"};
	int r = verify_gather_proofs(&work->list, &set);

	if (r == 0 && set.count > 0)
		r = proof_file_record(&work->place, &set, &why);
	if (r == 0)
		request->report.recorded = set.count;
	else
		log_error("cannot write the proofs %s: %s; nothing was recorded",
			  quoted(work->place.proofs), why.text);
	proof_set_fini(&set);
	return r;
}

/* ---- what to look at ---- */

/* Without "." and symlinks, but for a bytecode file that is one itself; NULL if there is no
 * such place. */
static char *verify_absolute_path(const char *path)
{
	scope_free char *dir = NULL;
	scope_free char *real = NULL;

	if (!pyc_name_is_bytecode(path))
		return realpath(path, NULL);
	dir = path_parent(path);
	real = dir ? realpath(dir, NULL) : NULL;
	return real ? path_join(real, path_last(path)) : NULL;
}

/*
 * Splits a path into a tree and what is in it. The tree of a bytecode file holds its
 * source, too. Return: the tree, the caller's; NULL when out of memory.
 */
static char *verify_tree_of(const char *path, const char **ret_inside)
{
	scope_free char *dir = NULL;

	*ret_inside = ".";
	if (!pyc_name_is_bytecode(path))
		return strdup(path);
	dir = path_parent(path);
	*ret_inside = path_last(path);
	if (!dir || strcmp(path_last(dir), PYC_CACHE_DIR) != 0)
		return take_ptr(dir);
	*ret_inside = path + (path_last(dir) - dir);
	return path_parent(dir);
}

static int verify_collect_path(struct verify_request *request, struct verify_work *work,
			       const char *path)
{
	struct tree_set *set = &work->sets[work->set_count];
	/* An image's paths are as its readers name them. */
	scope_free char *real = request->root ? NULL : verify_absolute_path(path);
	struct mount_options options;
	const char *inside;
	scope_free char *tree = verify_tree_of(real ? real : path, &inside);
	int r;

	if (!tree)
		return -ENOMEM;
	mount_options_init(&options);
	options.no_cache = true; /* verdicts do not matter here */
	r = tree_set_open(set, tree, request->root, &options);
	mount_options_fini(&options);
	work->set_count++;
	if (r < 0)
		return r;
	r = verify_collect(set, inside, &work->list);
	if (r < 0)
		log_error("cannot look at %s: %s", quoted(path), strerror(-r));
	return r;
}

static int verify_collect_all(struct verify_request *request, struct verify_work *work)
{
	int r = 0;

	work->sets = calloc(request->path_count, sizeof(*work->sets));
	if (!work->sets)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < request->path_count; i++)
		r = verify_collect_path(request, work, request->paths[i]);
	return r;
}

/* ---- who compiles ---- */

static int verify_find_interpreters(struct verify_request *request)
{
	int r = 0;

	if (request->root)
		r = interpreters_find(request->root, INTERPRETERS_ASKED,
				      &request->run.image);
	if (r == 0)
		r = interpreters_find("/", INTERPRETERS_ASKED, &request->run.machine);
	if (r < 0)
		log_error("cannot look for interpreters: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < request->python_count; i++)
		r = interpreters_add("/", request->pythons[i], &request->run.machine);
	return r;
}

/* ---- all of it ---- */

static int verify_status(const struct verify_list *list)
{
	bool unknown = false;

	for (size_t i = 0; i < list->count; i++) {
		enum verify_why why = list->files[i].why;

		if (verify_why_result(why) == VERIFY_DISPROVED)
			return 2;
		unknown |= verify_why_result(why) == VERIFY_UNKNOWN ||
			   why == VERIFY_NO_INTERPRETER || why == VERIFY_CANNOT_RUN ||
			   why == VERIFY_UNREADABLE;
	}
	return unknown;
}

static int verify_paths(struct verify_request *request, struct verify_work *work)
{
	int r = verify_find_interpreters(request);
	int status;

	if (r == 0)
		r = verify_collect_all(request, work);
	if (r < 0)
		return EX_NOINPUT;
	r = verify_find_readers(&request->run, work->set_count ? work->sets[0].root : "/",
				&work->list);
	/* An interpreter that ends early must not end us. */
	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		r = verify_all(&request->run, &work->list);
	signal(SIGPIPE, SIG_DFL);
	if (r < 0) {
		log_error("cannot verify: %s", strerror(-r));
		return EX_NOINPUT;
	}
	status = verify_status(&work->list);
	if (work->records && verify_record(request, work) < 0)
		status = EX_NOINPUT;
	request->report.cache = work->records ? work->place.path : NULL;
	if (!request->run.quiet)
		verify_print(&request->report, &work->list);
	return status;
}

int verify(struct verify_request *request)
{
	struct verify_work work = {.place = {.dir_fd = -1}};
	int status = EX_NOINPUT;

	request->run.known = &work.proofs.set;
	if (request->no_record || verify_open_proofs(request, &work) == 0)
		status = verify_paths(request, &work);
	verify_list_fini(&work.list);
	for (size_t i = 0; i < work.set_count; i++)
		tree_set_close(&work.sets[i]);
	free(work.sets);
	proof_book_fini(&work.proofs);
	store_place_close(&work.place);
	interpreters_free(&request->run.image);
	interpreters_free(&request->run.machine);
	return status;
}
