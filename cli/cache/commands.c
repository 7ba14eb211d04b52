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
		{"list", cache_list, false, STORE_DB_EXISTING},
		{"verify", cache_verify, false, STORE_DB_EXISTING},
		{"prune", cache_prune, false, STORE_DB_EXISTING},
		{"clear", cache_clear, false, STORE_DB_RENEW},
		{"export", cache_export, true, STORE_DB_EXISTING},
		{"import", cache_import, true, STORE_DB_MAKE},
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

static int cache_run_on_database(const struct cache_word *word,
				 struct cache_request *request)
{
	struct store_place place;
	struct store_db *db = NULL;
	struct reason why;
	int status = EXIT_CACHE_FAILURE;
	int r = store_place_open(&place, request->cache, &why);

	request->path = place.path	 ? place.path
			: request->cache ? request->cache
					 : "in the default place";
	if (r == 0)
		r = store_db_open(&place, word->mode, &db, &why);
	if (r < 0) {
		log_error("cannot use the cache %s: %s", quoted(request->path), why.text);
	} else {
		if (why.text[0])
			log_warning("set the cache %s aside: %s", quoted(request->path),
				    why.text);
		status = word->run(db, request);
	}
	store_db_close(db);
	store_place_close(&place);
	return status;
}

int cache_run(const struct cache_word *word, struct cache_request *request)
{
	if (!word->run)
		return cache_print_path(request->cache, request->json);
	if (word->run == cache_import && cache_import_read(request) < 0)
		return EXIT_CACHE_FAILURE;
	return cache_run_on_database(word, request);
}
