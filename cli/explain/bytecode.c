/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytecode files of a source, by their names; see explain.h.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/fdio.h"
#include "base/listing.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/print/shown.h"

/* Where a reader gets to by a path; NULL where no links are on the way. */
static char *explain_follow_links(const struct explain_request *request, const char *path)
{
	scope_fd int fd = openat2_fd(request->root_fd, path, O_PATH, RESOLVE_IN_ROOT);
	scope_free char *real = fd < 0 ? NULL : path_of_fd(fd);
	const char *below = real ? path_below(real, request->root) : NULL;

	return below && strcmp(below, path) != 0 ? strdup(below) : NULL;
}

/* Of one in a __pycache__: the tag and the level, without the suffix. */
static char *explain_title(const char *path)
{
	const char *last = path_last(path);
	size_t suffix = 0;
	struct pyc_name name;

	if (pairing_name(path, &name) == PYC_PLACE_CACHE) {
		last = name.tag;
		suffix = strlen(".pyc");
	}
	return explain_format("%.*s", (int)(strlen(shown(last)) - suffix), shown(last));
}

int explain_add_pyc(const struct explain_request *request, struct explanation *explanation,
		    const char *path)
{
	struct explain_pyc *pyc;

	if (array_add(explanation->pycs, explanation->pyc_count,
		      (struct explain_pyc){.path = NULL}) < 0)
		return -ENOMEM;
	pyc = &explanation->pycs[explanation->pyc_count - 1];
	pyc->path = strdup(path);
	pyc->real = explain_follow_links(request, path);
	pyc->relative = explain_relative(&explanation->tree, pyc->path);
	pyc->title = explain_title(path);
	return pyc->relative && pyc->title ? 0 : -ENOMEM;
}

static bool explain_is_of_stem(const char *name, bool in_cache, const char *stem)
{
	struct pyc_name parsed;

	pyc_name_parse(name, in_cache, &parsed);
	return parsed.stem && parsed.stem_len == strlen(stem) &&
	       memcmp(parsed.stem, stem, parsed.stem_len) == 0;
}

/* By tag; the file without optimisation comes first. */
static int explain_compare_pycs(const void *left, const void *right)
{
	const struct explain_pyc *a = left, *b = right;
	struct pyc_name x, y;
	int order;

	pairing_name(a->path, &x);
	pairing_name(b->path, &y);
	if (!x.tag || !y.tag)
		return strverscmp(a->path, b->path);
	order = x.tag_len == y.tag_len ? memcmp(x.tag, y.tag, x.tag_len)
				       : strverscmp(x.tag, y.tag);
	if (order == 0 && (x.opt_len == 0 || y.opt_len == 0))
		return (x.opt_len > 0) - (y.opt_len > 0);
	return order ? order : strverscmp(a->path, b->path);
}

/* Adds those in the folder's __pycache__, which also holds the bytecode of other sources.
 */
static int explain_add_cached(const struct explain_request *request,
			      struct explanation *explanation)
{
	scope_free char *path = path_join(explanation->folder, PYC_CACHE_DIR);
	scope_fd int fd = path ? openat2_fd(request->root_fd, path, O_RDONLY | O_DIRECTORY,
					    RESOLVE_IN_ROOT)
			       : -1;
	struct listing listing = {0};
	int r = path ? 0 : -ENOMEM;

	if (fd >= 0 && listing_read(&listing, fd) == -ENOMEM)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < listing.count; i++) {
		const char *name = listing.entries[i].name;
		scope_free char *pyc = NULL;

		if (!explain_is_of_stem(name, true, explanation->stem))
			continue;
		pyc = path_join(path, name);
		r = pyc ? explain_add_pyc(request, explanation, pyc) : -ENOMEM;
	}
	listing_fini(&listing);
	if (explanation->pyc_count > 0)
		qsort(explanation->pycs, explanation->pyc_count, sizeof(struct explain_pyc),
		      explain_compare_pycs);
	return r;
}

/* Adds those beside the source: Python 2 writes them there, Python 3 runs them without one.
 */
static int explain_add_beside(const struct explain_request *request,
			      struct explanation *explanation)
{
	static const char *const suffixes[] = {"c", "o"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(suffixes) && r == 0; i++) {
		scope_free char *path =
			explain_format("%s%s", explanation->path, suffixes[i]);

		if (!path)
			return -ENOMEM;
		if (explain_look_at(request, path) == 0)
			r = explain_add_pyc(request, explanation, path);
	}
	return r;
}

int explain_add_all(const struct explain_request *request, struct explanation *explanation)
{
	int r = explain_add_cached(request, explanation);

	return r < 0 ? r : explain_add_beside(request, explanation);
}
