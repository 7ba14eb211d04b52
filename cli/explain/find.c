/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a file to its source and the source's bytecode; see explain.h.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"

static void explain_read_link(const struct explain_request *request,
			      struct explanation *explanation)
{
	scope_fd int fd = openat2_fd(request->root_fd, explanation->path,
				     O_PATH | O_NOFOLLOW, RESOLVE_IN_ROOT);
	char target[PATH_MAX];
	ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);

	/* For a file that is no link readlinkat() fails with ENOENT. */
	if (len > 0)
		explanation->link = strndup(target, (size_t)len);
}

/* Sets path, folder and stem from the file's name; takes the folder out of @place. */
static int explain_name(struct explain_place *place, struct explanation *explanation)
{
	const char *last = path_last(place->path);
	struct pyc_name name = {.stem = last, .stem_len = strlen(last) - strlen(".py")};

	if ((place->in_cache || !pyc_name_is_source(last)) &&
	    pyc_name_parse(last, place->in_cache, &name) == PYC_PLACE_NONE)
		return -EINVAL;
	explanation->folder = take_ptr(place->folder);
	if (name.stem) {
		scope_free char *source =
			explain_format("%.*s.py", (int)name.stem_len, name.stem);

		explanation->stem = strndup(name.stem, name.stem_len);
		if (source && explanation->stem)
			explanation->path = path_join(explanation->folder, source);
	} else {
		explanation->path = strdup(place->path);
	}
	return explanation->path ? 0 : -ENOMEM;
}

static int explain_find_bytecode(const struct explain_request *request,
				 const struct explain_place *place,
				 struct explanation *explanation)
{
	explanation->relative = explain_relative(&explanation->tree, explanation->path);
	if (!explanation->relative)
		return -ENOMEM;
	if (!explanation->stem)
		return explain_add_pyc(request, explanation, place->path);
	source_find(&explanation->tree.set->tree, explanation->relative,
		    &explanation->source);
	explain_read_link(request, explanation);
	return explain_add_all(request, explanation);
}

static void explanation_fini(struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->pyc_count; i++) {
		struct explain_pyc *pyc = &explanation->pycs[i];

		for (size_t j = 0; j < pyc->asked_count; j++)
			explain_asked_fini(&pyc->asked[j]);
		for (size_t j = 0; j < pyc->change_count; j++)
			free(pyc->changes[j]);
		free(pyc->asked);
		free(pyc->path);
		free(pyc->title);
		free(pyc->real);
		free(pyc->mount_verdict);
		free(pyc->mount_reason);
	}
	free(explanation->pycs);
	source_fini(&explanation->source);
	free(explanation->path);
	free(explanation->folder);
	free(explanation->stem);
	free(explanation->tree.mount);
	free(explanation->tree.mount_source);
	free(explanation->link);
}

static bool explain_is_known(const struct explain_request *request, const char *path)
{
	for (size_t i = 0; i < request->count; i++)
		if (strcmp(request->explanations[i].path, path) == 0)
			return true;
	return false;
}

/* Moves @explanation into the request. */
static int explain_keep(struct explain_request *request, struct explanation *explanation)
{
	int r = array_add(request->explanations, request->count, *explanation);

	if (r == 0)
		*explanation = (struct explanation){0};
	return r;
}

static int explain_fail(const char *file, int error)
{
	switch (error) {
	case -EISDIR:
		log_error("%s is a directory: use canonfs check for all that is in it",
			  quoted(file));
		return EXIT_EXPLAIN_USAGE;
	case -EINVAL:
		log_error("cannot explain %s: it is neither a .py nor a .pyc file",
			  quoted(file));
		return EXIT_EXPLAIN_NOINPUT;
	default:
		log_error("cannot explain %s: %s", quoted(file), strerror(-error));
		return error == -ENOMEM ? EXIT_EXPLAIN_FAILURE : EXIT_EXPLAIN_NOINPUT;
	}
}

static int explain_find_all(struct explain_request *request, const char *file,
			    struct explain_place *place, struct explanation *explanation)
{
	bool is_source = !place->in_cache && pyc_name_is_source(path_last(place->path));
	int looked = explain_look_at(request, place->path);
	int r;

	if (looked == -EISDIR || (looked < 0 && !is_source))
		return explain_fail(file, looked);
	r = explain_name(place, explanation);
	if (r < 0)
		return explain_fail(file, r);
	if (explain_is_known(request, explanation->path))
		return 0;
	r = explain_find_tree(request, explanation->folder, &explanation->tree);
	if (r != 0)
		return r;
	r = explain_find_bytecode(request, place, explanation);
	/* A source that is gone may have left its bytecode. */
	if (r == 0 && (looked != -ENOENT || explanation->pyc_count == 0))
		r = looked;
	if (r == 0)
		r = explain_keep(request, explanation);
	return r < 0 ? explain_fail(file, r) : 0;
}

int explain_find(struct explain_request *request, const char *file)
{
	struct explanation explanation = {0};
	struct explain_place place;
	int r = explain_place_find(request, file, &place);

	r = r < 0 ? explain_fail(file, r)
		  : explain_find_all(request, file, &place, &explanation);
	explanation_fini(&explanation);
	explain_place_fini(&place);
	return r;
}

void explain_fini(struct explain_request *request)
{
	for (size_t i = 0; i < request->count; i++)
		explanation_fini(&request->explanations[i]);
	free(request->explanations);
	tree_set_free_list(&request->trees);
	interpreters_free(&request->asked);
	interpreters_free(&request->installed);
	close_fd(&request->root_fd);
	free(request->root);
	free(request->ask);
	mount_options_fini(&request->options);
}
