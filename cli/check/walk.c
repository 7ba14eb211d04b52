/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: the walk over the trees; see check.h.
 *
 * A link beside another source makes a file ambiguous, wherever the link is. So all links
 * have to be known before the first file is judged. With --list, and where the progress is
 * shown, a first pass reads the links and counts the files; it opens none. Otherwise one
 * pass reads links and judges files. If a link made a file ambiguous, which is rare, a
 * second pass judges everything again; the contents are known by then.
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

	pthread_mutex_lock(&check->lock);
	progress_end(&check->progress);
	if (check->unreadable++ < MESSAGES_MAX && !check->again)
		log_error("cannot look at %s: %s", quoted(whole ? whole : path),
			  strerror(-error));
	pthread_mutex_unlock(&check->lock);
}

/* What a mount leaves out and what is gone are no failures. A survey says nothing: the pass
 * that judges meets the same error. */
static void check_take_error(void *context, const char *path, int error)
{
	struct check_pass *pass = context;
	bool gone = error == -ENOENT || error == -ENOTDIR || error == -ELOOP;

	if (error != -EXDEV && !gone && pass->kind != SURVEY)
		check_unreadable(pass, path, error);
}

static void check_tick(void *context)
{
	struct check *check = ((struct check_pass *)context)->check;

	pthread_mutex_lock(&check->lock);
	progress_update(
		&check->progress, atomic_load_explicit(&check->done, memory_order_relaxed),
		atomic_load_explicit(&check->expected, memory_order_relaxed), "files");
	pthread_mutex_unlock(&check->lock);
}

/* ---- links and the number of files ---- */

static int check_count_ambiguous(void *context, uint64_t device, uint64_t inode)
{
	struct check *check = context;

	(void)device;
	(void)inode;
	atomic_fetch_add_explicit(&check->ambiguous, 1, memory_order_relaxed);
	return 0;
}

static void check_take_link(struct check_pass *pass, const struct walk_dir *listing,
			    const char *name)
{
	scope_free char *path = path_join(listing->path, name);
	int r = path ? resolve_link(pass->tree->resolver, path, check_count_ambiguous,
				    pass->check)
		     : -ENOMEM;

	if (r < 0 && r != -ENOENT)
		check_unreadable(pass, path ? path : name, r);
}

static void check_survey(struct check_pass *pass, const struct walk_dir *listing)
{
	uint64_t files = 0;

	for (size_t i = 0; i < listing->count; i++) {
		const struct listing_entry *entry = &listing->entries[i];

		if (entry->type != DT_LNK &&
		    (entry->type != DT_REG || pass->kind != SURVEY))
			continue;
		if (!alias_is_link_name(entry->name))
			continue;
		if (entry->type == DT_LNK)
			check_take_link(pass, listing, entry->name);
		else
			files++;
	}
	atomic_fetch_add_explicit(&pass->check->expected, files, memory_order_relaxed);
}

/* ---- the files ---- */

static int check_visit(void *context, unsigned worker, const struct walk_dir *dir,
		       const struct walk_dir *cache)
{
	struct check_pass *pass = context;

	(void)worker;
	if (pass->kind != JUDGE) {
		check_survey(pass, dir);
		check_survey(pass, cache);
	}
	if (pass->kind != SURVEY)
		check_judge(pass, dir, cache);
	return 0;
}

static int check_run_pass(struct check *check, enum check_pass_kind kind)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < check->tree_count; i++) {
		const struct check_tree *tree = &check->tree[i];
		struct check_pass pass = {.check = check, .tree = &tree->set, .kind = kind};
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

/* Forgets all counts before a second pass. */
static void check_reset(struct check *check)
{
	struct check_reader *reader = check->tally.reader;

	free(check->tally.example);
	memset(reader, 0, (pyc_magic_count + 1) * sizeof(*reader));
	check->tally = (struct check_tally){.reader = reader};
	if (check->groups)
		groups_clear(check->groups);
	check->again = true;
}

static int check_judge_all(struct check *check)
{
	bool listing = check->request->list != LIST_NOTHING;
	uint64_t unreadable = check->unreadable;
	int r;

	if (listing || check->progress.wanted) {
		r = check_run_pass(check, SURVEY);
		return r < 0 ? r : check_run_pass(check, JUDGE);
	}
	r = check_run_pass(check, JUDGE_FIRST);
	if (r < 0 || check->ambiguous == 0)
		return r;
	check_reset(check);
	check->unreadable = unreadable;
	return check_run_pass(check, JUDGE_FIRST);
}

int check_walk(struct check *check)
{
	int r;

	progress_begin(&check->progress, "checking");
	if (check->request->quiet || (check->request->list && isatty(STDOUT_FILENO)))
		check->progress.wanted = false;
	r = check_judge_all(check);
	progress_end(&check->progress);
	for (size_t i = 0; i < check->tree_count; i++)
		check->submounts += check_count_submounts(check->tree[i].set.path);
	if (check->unreadable > MESSAGES_MAX)
		log_error("%" PRIu64 " more cannot be looked at",
			  check->unreadable - MESSAGES_MAX);
	return r;
}
