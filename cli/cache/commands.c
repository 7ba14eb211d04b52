/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache: the words, and the database that they work on; see commands.h.
 */
#include "cli/cache/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/scope.h"
#include "cache/store/place.h"
#include "cli/print/json.h"

const struct cache_word *cache_word(const char *name)
{
	static const struct cache_word words[] = {
		{"list", cache_list, false, true, STORE_DB_EXISTING},
		{"verify", cache_verify, false, true, STORE_DB_EXISTING},
		{"prune", cache_prune, false, true, STORE_DB_EXISTING},
		{"clear", cache_clear, false, true, STORE_DB_RENEW},
		{.name = "export", .run = cache_export, .has_operand = true},
		{.name = "import", .run = cache_import, .has_operand = true},
		{.name = "path"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, name) == 0)
			return &words[i];
	return NULL;
}

int cache_fail(const struct cache_request *request, const char *what, int error)
{
	log_error("cannot %s the cache %s: %s", what, quoted(request->path),
		  error == -EBADMSG ? "it is damaged" : strerror(-error));
	return EXIT_CACHE_FAILURE;
}

static int cache_print_path(const char *given, bool json)
{
	scope_free char *path = given ? strdup(given) : store_place_default();
	struct json_object *object;

	if (!path) {
		log_error("there is no place for a cache: HOME is not set");
		return EXIT_CACHE_FAILURE;
	}
	if (!json) {
		puts(path);
		return 0;
	}
	object = json_object_new_object();
	json_add_text(object, "path", path);
	json_print(object);
	return 0;
}

/*
 * Opens the database. Where there are proofs and no database, verify and clear have work
 * all the same.
 */
static int cache_open_database(const struct cache_word *word,
			       const struct cache_request *request, struct cache_work *work)
{
	struct reason why;
	int r = store_db_open(work->place, word->mode, &work->db, &why);

	if (r == -ENOENT && work->proofs->state != PROOFS_NONE &&
	    (word->run == cache_verify || word->run == cache_clear))
		return 0;
	if (r < 0)
		log_error("cannot use the cache %s: %s", quoted(request->path), why.text);
	else if (why.text[0])
		log_warning("set the cache %s aside: %s", quoted(request->path), why.text);
	return r;
}

static int cache_run_on_place(const struct cache_word *word, struct cache_request *request)
{
	struct proof_book proofs = {.state = PROOFS_NONE};
	struct store_place place;
	struct cache_work work = {.place = &place, .proofs = &proofs};
	struct reason why;
	int status = EXIT_CACHE_FAILURE;
	int r = store_place_open(&place, request->cache, &why);

	request->path = place.path	 ? place.path
			: request->cache ? request->cache
					 : "in the default place";
	if (r < 0) {
		log_error("cannot use the cache %s: %s", quoted(request->path), why.text);
	} else {
		/* Proofs in an old database are moved here, before it is opened. */
		proof_book_read(&proofs, &place);
		if (word->needs_database)
			r = cache_open_database(word, request, &work);
	}
	if (r == 0)
		status = word->run(&work, request);
	store_db_close(work.db);
	proof_book_fini(&proofs);
	store_place_close(&place);
	return status;
}

int cache_run(const struct cache_word *word, struct cache_request *request)
{
	if (!word->run)
		return cache_print_path(request->cache, request->json);
	if (word->run == cache_import && cache_import_read(request) < 0)
		return EXIT_CACHE_FAILURE;
	return cache_run_on_place(word, request);
}
