/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: one directory with its __pycache__; see check.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/check/check.h"

/* The stem of the name of a bytecode file. */
struct check_stem {
	const char *text;
	size_t len;
};

/**
 * struct check_dir - one directory
 * @owner_path: absolute; what owner_of() wants to know
 * @stem:       of all bytecode that was seen; there is room for one of each name
 * @incomplete: there may be more of them
 */
struct check_dir {
	const struct check_pass *pass;
	const struct walk_dir *dir;
	char *owner_path;
	struct check_stem *stem;
	size_t stem_count;
	bool incomplete;
};

static bool is_cache_dir(const char *path)
{
	return strcmp(path_last(path), PYC_CACHE_DIR) == 0;
}

static void check_add(struct check *check, uint64_t *counter, uint64_t amount)
{
	pthread_mutex_lock(&check->lock);
	*counter += amount;
	pthread_mutex_unlock(&check->lock);
}

/* ---- which interpreter? ---- */

/* Is it a file of -O? A start without -O does not read it. */
static bool is_optimised(const struct pyc_name *name)
{
	return pyc_name_level(name, NULL) != 0;
}

static void check_count_outcome(struct check_reader *reader, const struct pyc_facts *facts,
				enum pyc_outcome outcome)
{
	reader->files++;
	reader->outcome[outcome]++;
	if (outcome == PYC_COMPILES && !is_optimised(&facts->name))
		reader->bytes += (uint64_t)facts->source_size;
}

/* Is a file meant for a version? By its name, or where that does not tell, its magic. */
static bool is_meant_for(const struct pyc_facts *facts, const struct pyc_magic *magic)
{
	if (facts->name.placement == PYC_PLACE_CACHE)
		return pyc_name_tag_agrees(&facts->name, magic);
	return facts->name.placement == PYC_PLACE_LEGACY &&
	       facts->header_status == PYC_HEADER_OK && facts->header.magic == magic;
}

static void check_count_readers_locked(struct check *check, const struct pyc_facts *facts,
				       enum pyc_outcome own)
{
	struct check_reader *reader = check->tally.reader;
	bool has_reader = false;
	size_t index = pyc_magic_count;

	for (size_t i = 0; i < pyc_magic_count; i++) {
		const struct pyc_magic *magic = &pyc_magic_table[i];

		if (!reader[i].installed || !is_meant_for(facts, magic))
			continue;
		check_count_outcome(&reader[i], facts,
				    pyc_outcome(facts, facts->source_mtime, magic));
		has_reader = true;
	}
	if (has_reader)
		return;
	if (facts->header_status == PYC_HEADER_OK &&
	    is_meant_for(facts, facts->header.magic))
		index = (size_t)(facts->header.magic - pyc_magic_table);
	check_count_outcome(&reader[index], facts, own);
}

/* ---- how bad is it? ---- */

/* A foreign file is not stale: no interpreter looks at it. */
static bool is_stale(const struct resolution *resolution, enum pyc_outcome outcome)
{
	return outcome == PYC_COMPILES && resolution->decision.verdict != PYC_FOREIGN;
}

static bool is_hopeless(const struct resolution *resolution, enum pyc_outcome outcome)
{
	const struct pyc_decision *decision = &resolution->decision;

	switch (decision->verdict) {
	case PYC_STALE:
		/* The file fits its own source; a link leads to it from another one. */
		return outcome != PYC_IGNORES &&
		       !(decision->reason == PYC_R_ALIASED && outcome != PYC_COMPILES);
	case PYC_CORRUPT:
		return outcome != PYC_IGNORES;
	default:
		return outcome == PYC_FAILS ||
		       (is_stale(resolution, outcome) && !decision->vouched);
	}
}

/* Makes a file the example, if it is a better one; out of memory, it does not. */
static void check_propose_locked(struct check_tally *tally, const struct tree_set *tree,
				 const char *path, bool hopeless)
{
	char *copy;

	if (tally->example &&
	    (tally->example_hopeless != hopeless ? tally->example_hopeless
						 : strcmp(tally->example, path) <= 0))
		return;
	copy = strdup(path);
	if (!copy)
		return;
	free(tally->example);
	tally->example = copy;
	tally->example_tree = tree;
	tally->example_hopeless = hopeless;
}

static void check_count_group(struct check_dir *visit, const struct pyc_facts *facts,
			      const struct group_counts *counts)
{
	struct check *check = visit->pass->check;
	char source[PYC_NAME_MAX + 1];
	struct owner owner;
	char last;

	if (!pyc_name_source(&facts->name, source))
		source[0] = '\0';
	owner = owner_of(check->owners, visit->owner_path, source);
	last = visit->owner_path[owner.path_len];
	visit->owner_path[owner.path_len] = '\0';
	pthread_mutex_lock(&check->lock);
	groups_add(check->groups, owner.name, visit->owner_path, counts);
	pthread_mutex_unlock(&check->lock);
	visit->owner_path[owner.path_len] = last;
}

static void check_count_file(struct check_dir *visit, const char *path,
			     const struct resolution *resolution, enum pyc_outcome outcome)
{
	struct check *check = visit->pass->check;
	struct check_tally *tally = &check->tally;
	const struct pyc_facts *facts = &resolution->facts;
	enum pyc_reason reason = resolution->decision.reason;
	bool stale = is_stale(resolution, outcome);
	struct group_counts counts = {
		.files = 1,
		.stale = stale,
		.hopeless = is_hopeless(resolution, outcome),
		.bytes = stale && !is_optimised(&facts->name) ? (uint64_t)facts->source_size
							      : 0,
	};

	pthread_mutex_lock(&check->lock);
	tally->files++;
	tally->file_bytes += (uint64_t)resolution->pyc.size;
	tally->reason[reason]++;
	tally->verdict[pyc_reason_verdict(reason)]++;
	tally->evidence[resolution->decision.evidence]++;
	if (check->times)
		times_add(check->times, facts, &resolution->decision,
			  resolver_policy(visit->pass->tree->resolver));
	tally->stale += stale;
	tally->helped += stale && resolution->decision.vouched;
	tally->stale_bytes += counts.bytes;
	tally->damaged += outcome == PYC_FAILS;
	tally->hopeless += counts.hopeless;
	if (counts.stale || counts.hopeless)
		check_propose_locked(tally, visit->pass->tree, path, counts.hopeless);
	check_count_readers_locked(check, facts, outcome);
	pthread_mutex_unlock(&check->lock);
	if (check->groups && visit->owner_path)
		check_count_group(visit, facts, &counts);
}

/* ---- bytecode ---- */

static bool is_gone(int error)
{
	return error == -ENOENT || error == -ESTALE || error == -ELOOP || error == -EINVAL;
}

/* Opens one name; no link, no other mount, no waiting for a fifo. */
static int check_open_file(int dir, const char *name, struct statx *ret_stx)
{
	scope_fd int fd = openat2_fd(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW,
				     RESOLVE_BENEATH | RESOLVE_NO_XDEV);
	int r;

	if (fd < 0)
		return fd;
	r = statx_at(fd, "", ret_stx);
	return r < 0 ? r : take_fd(&fd);
}

/* The directory of the sources; -1 for a __pycache__ that is visited without its parent. */
static int check_source_dir(const struct check_dir *visit, const struct walk_dir *listing)
{
	return listing == visit->dir && is_cache_dir(listing->path) ? -1 : visit->dir->fd;
}

static int check_judge_file(struct check_dir *visit, const struct walk_dir *listing,
			    const char *name)
{
	const struct check_pass *pass = visit->pass;
	scope_free char *path = path_join(listing->path, name);
	struct statx stx;
	struct pyc_question question = {.path = path,
					.stx = &stx,
					.source_dir = check_source_dir(visit, listing),
					.depth = PYC_DEPTH_OUTCOME};
	struct resolution resolution;
	enum pyc_outcome outcome;
	scope_fd int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	question.fd = fd = check_open_file(listing->fd, name, &stx);
	if (fd < 0)
		return fd;
	r = resolve_pyc(pass->tree->resolver, &question, &resolution);
	if (r < 0)
		return r;
	outcome = pyc_outcome(&resolution.facts, resolution.facts.source_mtime, NULL);
	check_count_file(visit, path, &resolution, outcome);
	check_note_edited(pass, path, &resolution);
	if (pass->check->request->list != LIST_NOTHING)
		check_list_line(pass, path, &resolution, outcome);
	return 0;
}

static void check_judge_or_say(struct check_dir *visit, const struct walk_dir *listing,
			       const char *name)
{
	struct check *check = visit->pass->check;
	scope_free char *path = NULL;
	int r = check_judge_file(visit, listing, name);

	atomic_fetch_add_explicit(&check->done, 1, memory_order_relaxed);
	if (is_gone(r)) {
		check_add(check, &check->tally.vanished, 1);
	} else if (r < 0 && r != -EXDEV) {
		path = path_join(listing->path, name);
		check_unreadable(visit->pass, path ? path : name, r);
	}
}

static void check_judge_listing(struct check_dir *visit, const struct walk_dir *listing,
				bool in_cache)
{
	for (size_t i = 0; i < listing->count; i++) {
		const struct listing_entry *entry = &listing->entries[i];
		struct pyc_name name;

		if (entry->type == DT_DIR ||
		    pyc_name_parse(entry->name, in_cache, &name) == PYC_PLACE_NONE)
			continue;
		if (name.stem && visit->stem)
			visit->stem[visit->stem_count++] =
				(struct check_stem){name.stem, name.stem_len};
		if (entry->type == DT_REG)
			check_judge_or_say(visit, listing, entry->name);
		else if (entry->type == DT_LNK)
			check_add(visit->pass->check, &visit->pass->check->tally.links, 1);
	}
}

/* ---- sources without bytecode ---- */

static int compare_stems(const void *a, const void *b)
{
	const struct check_stem *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int order = memcmp(x->text, y->text, len);

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static bool has_stem(const struct check_dir *visit, const char *source)
{
	struct check_stem key = {source, strlen(source) - strlen(".py")};

	return visit->stem_count && bsearch(&key, visit->stem, visit->stem_count,
					    sizeof(*visit->stem), compare_stems);
}

static void check_count_uncached(struct check_dir *visit, const char *name)
{
	const struct check_pass *pass = visit->pass;
	struct statx stx;

	if (statx_at(visit->dir->fd, name, &stx) < 0 || !S_ISREG(stx.stx_mode))
		return;
	check_add(pass->check, &pass->check->tally.uncached, 1);
	check_add(pass->check, &pass->check->tally.uncached_bytes, stx.stx_size);
	if (pass->check->request->list == LIST_UNCACHED) {
		scope_free char *path = path_join(visit->dir->path, name);

		if (path)
			check_list_line(pass, path, NULL, PYC_COMPILES);
	}
}

static void check_look_at_sources(struct check_dir *visit)
{
	struct check *check = visit->pass->check;
	uint64_t sources = 0;

	if (visit->stem_count)
		qsort(visit->stem, visit->stem_count, sizeof(*visit->stem), compare_stems);
	for (size_t i = 0; i < visit->dir->count; i++) {
		const struct listing_entry *entry = &visit->dir->entries[i];

		if (entry->type != DT_REG || !pyc_name_is_source(entry->name))
			continue;
		sources++;
		if (!visit->incomplete && !has_stem(visit, entry->name))
			check_count_uncached(visit, entry->name);
	}
	check_add(check, &check->tally.sources, sources);
}

/* ---- a directory ---- */

/* Is there a __pycache__ that could not be listed: a link, or one that we may not read? */
static bool has_unseen_cache(const struct walk_dir *dir, const struct walk_dir *cache)
{
	for (size_t i = 0; cache->fd < 0 && i < dir->count; i++)
		if (strcmp(dir->entries[i].name, PYC_CACHE_DIR) == 0)
			return true;
	return false;
}

/* The directory of the sources, as a reader in the root calls it. */
static char *check_owner_path(const struct check_pass *pass, const struct walk_dir *dir)
{
	char *path;
	char *end;

	if (!pass->check->groups)
		return NULL;
	path = check_view_path(pass->tree, dir->path);
	if (!path || !is_cache_dir(dir->path))
		return path;
	end = strrchr(path, '/');
	*end = '\0';
	return path;
}

void check_judge(const struct check_pass *pass, const struct walk_dir *dir,
		 const struct walk_dir *cache)
{
	struct check_dir visit = {
		.pass = pass,
		.dir = dir,
		.owner_path = check_owner_path(pass, dir),
		.stem = calloc(dir->count + cache->count + 1, sizeof(struct check_stem)),
	};

	visit.incomplete = !visit.stem || has_unseen_cache(dir, cache);
	check_add(pass->check, &pass->check->tally.directories, 1 + (cache->fd >= 0));
	if (visit.owner_path)
		owners_learn(pass->check->owners, &pass->tree->tree, dir, visit.owner_path);
	check_judge_listing(&visit, dir, is_cache_dir(dir->path));
	check_judge_listing(&visit, cache, true);
	check_look_at_sources(&visit);
	free(visit.stem);
	free(visit.owner_path);
}
