/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: the walk over the trees; see check.h.
 *
 * A link beside another source makes a file ambiguous, wherever the link is. So all links
 * have to be known before the first file is judged. So a first pass reads the links and
 * counts the files. It opens none, and takes about a tenth of the second pass's time.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/check/check.h"
#include "fs/mount/mountinfo.h"

/* Lines about what could not be looked at; more are counted. */
#define MESSAGES_MAX 10

static char *join_absolute(const char *dir, const char *path)
{
	return strcmp(path, ".") == 0 ? strdup(dir) : path_join(dir, path);
}

char *check_path(const struct tree_set *tree, const char *path)
{
	return join_absolute(tree->path, path);
}

char *check_view_path(const struct tree_set *tree, const char *path)
{
	return join_absolute(tree->tree.view_path, path);
}

void check_unreadable(const struct check_pass *pass, const char *path, int error)
{
	struct check *check = pass->check;
	scope_free char *whole = check_path(pass->tree, path);
	bool is_said;

	pthread_mutex_lock(&check->lock);
	is_said = check->unreadable++ < MESSAGES_MAX;
	pthread_mutex_unlock(&check->lock);
	if (!is_said)
		return;
	pthread_mutex_lock(&check->terminal);
	progress_end(&check->progress);
	log_error("cannot look at %s: %s", quoted(whole ? whole : path), strerror(-error));
	pthread_mutex_unlock(&check->terminal);
}

/* What a mount leaves out and what is gone are no failures. A survey says nothing: the pass
 * that judges meets the same error. */
static void check_take_error(void *context, const char *path, int error)
{
	struct check_pass *pass = context;
	bool gone = error == -ENOENT || error == -ENOTDIR || error == -ELOOP;

	if (error != -EXDEV && !gone && !pass->is_survey)
		check_unreadable(pass, path, error);
}

static void check_tick(void *context)
{
	struct check *check = ((struct check_pass *)context)->check;

	pthread_mutex_lock(&check->terminal);
	progress_update(
		&check->progress, atomic_load_explicit(&check->done, memory_order_relaxed),
		atomic_load_explicit(&check->expected, memory_order_relaxed), "files");
	pthread_mutex_unlock(&check->terminal);
}

/* ---- links and the number of files ---- */

static void check_take_link(struct check_pass *pass, const struct walk_dir *listing,
			    const char *name)
{
	scope_free char *path = path_join(listing->path, name);
	int r = path ? resolve_link(pass->tree->resolver, path, NULL, NULL) : -ENOMEM;

	if (r < 0 && r != -ENOENT)
		check_unreadable(pass, path ? path : name, r);
}

static void check_survey(struct check_pass *pass, const struct walk_dir *listing)
{
	uint64_t files = 0;

	for (size_t i = 0; i < listing->count; i++) {
		const struct listing_entry *entry = &listing->entries[i];

		if (!alias_is_link_name(entry->name))
			continue;
		files += entry->type == DT_REG;
		if (entry->type == DT_LNK)
			check_take_link(pass, listing, entry->name);
	}
	atomic_fetch_add_explicit(&pass->check->expected, files, memory_order_relaxed);
}

/* ---- the files ---- */

static int check_visit(void *context, unsigned worker, const struct walk_dir *dir,
		       const struct walk_dir *cache)
{
	struct check_pass *pass = context;

	(void)worker;
	if (pass->is_survey) {
		check_survey(pass, dir);
		check_survey(pass, cache);
	} else {
		check_judge(pass, dir, cache);
	}
	return 0;
}

static int check_run_pass(struct check *check, bool is_survey)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < check->tree_count; i++) {
		const struct check_tree *tree = &check->tree[i];
		struct check_pass pass = {
			.check = check, .tree = &tree->set, .is_survey = is_survey};
		const struct walk walk = {
			.tree = &tree->set.tree,
			.threads = check->threads,
			.with_cache = true,
			.visit = check_visit,
			.error = check_take_error,
			.tick = check_tick,
			.context = &pass,
		};

		r = walk_run(&walk, tree->start);
		if (r < 0)
			log_error("cannot walk %s: %s", quoted(tree->set.path),
				  strerror(-r));
	}
	return r;
}

/* ---- all of it ---- */

/* A mount would not serve what is mounted below its source. */
static uint64_t check_count_submounts(const char *path)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	uint64_t count = 0;

	mountinfo_read(&list);
	for (size_t i = 0; i < list.count; i++) {
		const char *rest = path_below(list.entry[i].point, path);

		count += rest && rest[0] == '/' && rest[1];
	}
	return count;
}

int check_walk(struct check *check)
{
	int r;

	progress_begin(&check->progress, "checking");
	if (check->request->quiet || (check->request->list && isatty(STDOUT_FILENO)))
		check->progress.wanted = false;
	r = check_run_pass(check, true);
	if (r == 0)
		r = check_run_pass(check, false);
	progress_end(&check->progress);
	for (size_t i = 0; i < check->tree_count; i++)
		check->submounts += check_count_submounts(check->tree[i].set.path);
	if (check->unreadable > MESSAGES_MAX)
		log_error("%" PRIu64 " more cannot be looked at",
			  check->unreadable - MESSAGES_MAX);
	return r;
}
