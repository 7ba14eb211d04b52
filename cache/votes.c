/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytecode files of one source, and what they embed; see votes.h.
 */
#include "cache/votes.h"

#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"

/* Different embedded times that one source's pycs can have; more do not vote. */
#define VOTES_MAX 32

struct votes {
	votes_ask_fn *ask;
	void *context;
	struct pyc_vote votes[VOTES_MAX];
	size_t count;
};

/* Takes @path. */
static void votes_ask(struct votes *votes, char *path)
{
	bool has_vote;
	uint32_t mtime;
	size_t i = 0;

	has_vote = votes->ask(votes->context, path, &mtime);
	free(path);
	while (has_vote && i < votes->count && votes->votes[i].mtime != mtime)
		i++;
	if (!has_vote || i == VOTES_MAX)
		return;
	votes->count += i == votes->count;
	votes->votes[i].mtime = mtime;
	votes->votes[i].count++;
}

/* Levels of python -O, and none. */
static const char *const opt_suffixes[] = {"", ".opt-1", ".opt-2"};

/* Is this the first magic of its tag? The table is sorted, so equal tags are neighbours. */
static bool votes_begins_tag(size_t index)
{
	const struct pyc_magic *magic = &pyc_magic_table[index];

	return magic->tag[0] && !magic->tag_is_prefix &&
	       (index == 0 || strcmp(magic[-1].tag, magic->tag) != 0);
}

/* Asks the pycs in @dir/__pycache__; @dir is empty or ends with a slash. */
static void votes_ask_cache_dir(struct votes *votes, const char *dir, const char *stem)
{
	for (size_t i = 0; i < pyc_magic_count; i++) {
		for (size_t opt = 0; votes_begins_tag(i) && opt < ARRAY_SIZE(opt_suffixes);
		     opt++) {
			char *path;

			if (asprintf(&path, "%s" PYC_CACHE_DIR "/%s.%s%s.pyc", dir, stem,
				     pyc_magic_table[i].tag, opt_suffixes[opt]) >= 0)
				votes_ask(votes, path);
		}
	}
}

/* Asks Python 2's, beside the source. */
static void votes_ask_beside(struct votes *votes, const char *dir, const char *stem)
{
	static const char *const suffixes[] = {"pyc", "pyo"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char *path;

		if (asprintf(&path, "%s%s.%s", dir, stem, suffixes[i]) >= 0)
			votes_ask(votes, path);
	}
}

/* Most directories have no __pycache__, and then nothing in it is asked. */
static bool votes_has_cache_dir(const struct tree *tree, const char *dir)
{
	scope_free char *path = NULL;
	struct statx stx;

	if (asprintf(&path, "%s" PYC_CACHE_DIR, dir) < 0) {
		path = NULL;
		return false;
	}
	return tree_stat(tree, path, &stx) == 0 && S_ISDIR(stx.stx_mode);
}

struct timespec votes_mtime(const struct tree *tree, const struct pyc_policy *policy,
			    const char *path, struct timespec own, votes_ask_fn *ask,
			    void *context)
{
	struct votes votes = {.ask = ask, .context = context};
	const char *name = path_last(path);
	scope_free char *stem = strndup(name, strlen(name) - strlen(".py"));
	scope_free char *dir = strndup(path, (size_t)(name - path)); /* with its slash */

	if (!stem || !dir)
		return own;
	if (votes_has_cache_dir(tree, dir))
		votes_ask_cache_dir(&votes, dir, stem);
	votes_ask_beside(&votes, dir, stem);
	return pyc_view_mtime(policy, own, votes.votes, votes.count);
}
