/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check: the walk over the trees; see check.h.
 *
 * Two passes over the directories. A link beside another source makes a file ambiguous,
 * wherever the link is, so all links are known before the first file is judged; and the
 * number of files, for the progress. The first pass opens no file.
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
#include "cli/check.h"
#include "fs/mountinfo.h"

/* Lines about what could not be looked at; more are counted. */
#define MESSAGES_MAX 10

/* One tree, for the callbacks of a scan. */
struct pass {
	struct check *check;
	const struct inspection *tree;
};

static char *join_absolute(const char *dir, const char *path)
{
	if (strcmp(path, ".") == 0)
		return strdup(dir);
	return scan_join(strcmp(dir, "/") == 0 ? "" : dir, path);
}

char *check_path(const struct inspection *tree, const char *path)
{
	return join_absolute(tree->path, path);
}

char *check_view_path(const struct inspection *tree, const char *path)
{
	return join_absolute(tree->tree.view_path, path);
}

void check_unreadable(struct check *check, const struct inspection *tree, const char *path,
		      int error)
{
	scope_free char *whole = check_path(tree, path);

	pthread_mutex_lock(&check->message_lock);
	progress_end(&check->progress);
	if (check->unreadable++ < MESSAGES_MAX)
		log_error("cannot look at %s: %s", quoted(whole ? whole : path),
			  strerror(-error));
	pthread_mutex_unlock(&check->message_lock);
}

/* What a mount leaves out is no failure. */
static void take_error(void *context, const char *path, int error)
{
	struct pass *pass = context;

	if (error != -EXDEV)
		check_unreadable(pass->check, pass->tree, path, error);
}

/* The first pass has its own errors: the second says them, too. */
static void forget_error(void *context, const char *path, int error)
{
	(void)context;
	(void)path;
	(void)error;
}

static void tick(void *context)
{
	struct check *check = ((struct pass *)context)->check;

	pthread_mutex_lock(&check->message_lock);
	progress_update(
		&check->progress, atomic_load_explicit(&check->done, memory_order_relaxed),
		atomic_load_explicit(&check->expected, memory_order_relaxed), "files");
	pthread_mutex_unlock(&check->message_lock);
}

/* ---- links and the number of files ---- */

static int nothing_to_forget(void *context, uint64_t device, uint64_t inode)
{
	(void)context;
	(void)device;
	(void)inode;
	return 0;
}

static void take_link(struct pass *pass, const struct scan_listing *listing,
		      const char *name)
{
	scope_free char *path = scan_join(listing->path, name);
	int r = path ? resolve_link(pass->tree->resolver, path, nothing_to_forget, NULL)
		     : -ENOMEM;

	if (r < 0 && r != -ENOENT)
		check_unreadable(pass->check, pass->tree, path ? path : name, r);
}

static uint64_t survey_listing(struct pass *pass, const struct scan_listing *listing)
{
	uint64_t files = 0;

	for (size_t i = 0; i < listing->count; i++) {
		const struct scan_entry *entry = &listing->entries[i];

		if (entry->type != DT_REG && entry->type != DT_LNK)
			continue;
		if (!alias_is_link_name(entry->name))
			continue;
		if (entry->type == DT_LNK)
			take_link(pass, listing, entry->name);
		else
			files++;
	}
	return files;
}

static void survey(void *context, unsigned worker, const struct scan_listing *dir,
		   const struct scan_listing *cache)
{
	struct pass *pass = context;
	uint64_t files = survey_listing(pass, dir) + survey_listing(pass, cache);

	(void)worker;
	atomic_fetch_add_explicit(&pass->check->expected, files, memory_order_relaxed);
}

/* ---- the files ---- */

static void judge(void *context, unsigned worker, const struct scan_listing *dir,
		  const struct scan_listing *cache)
{
	struct pass *pass = context;
	const struct check_place place = {
		.check = pass->check,
		.tree = pass->tree,
		.tally = &pass->check->tally[worker],
	};

	check_judge(&place, dir, cache);
}

static int run_pass(struct check *check, const struct check_tree *tree, bool judging)
{
	struct pass pass = {.check = check, .tree = &tree->inspection};
	const struct scan scan = {
		.tree = &tree->inspection.tree,
		.threads = check->threads,
		.visit = judging ? judge : survey,
		.error = judging ? take_error : forget_error,
		.tick = judging ? tick : NULL,
		.context = &pass,
	};
	int r = scan_run(&scan, tree->start);

	if (r < 0)
		log_error("cannot walk %s: %s", quoted(tree->inspection.path),
			  strerror(-r));
	return r;
}

/* ---- the sum ---- */

static void add_reader(struct check_reader *sum, const struct check_reader *reader)
{
	for (size_t i = 0; i < PYC_OUTCOMES; i++)
		sum->outcome[i] += reader->outcome[i];
	sum->bytes += reader->bytes;
}

static void add_tally(struct check_tally *sum, const struct check_tally *tally)
{
	sum->files += tally->files;
	sum->file_bytes += tally->file_bytes;
	for (size_t i = 0; i < PYC_REASONS; i++)
		sum->reason[i] += tally->reason[i];
	sum->stale += tally->stale;
	sum->helped += tally->helped;
	sum->stale_bytes += tally->stale_bytes;
	sum->damaged += tally->damaged;
	sum->hopeless += tally->hopeless;
	sum->sources += tally->sources;
	sum->uncached += tally->uncached;
	sum->uncached_bytes += tally->uncached_bytes;
	sum->links += tally->links;
	sum->directories += tally->directories;
	sum->vanished += tally->vanished;
	for (size_t i = 0; i <= pyc_magic_count; i++)
		add_reader(&sum->reader[i], &tally->reader[i]);
}

/* A mount would not serve what is mounted below its source. */
static uint64_t count_submounts(const char *path)
{
	struct mountinfo list;
	struct mount_entry entry;
	uint64_t count = 0;

	if (mountinfo_open(&list) < 0)
		return 0;
	while (mountinfo_next(&list, &entry)) {
		const char *rest = path_below(entry.point, path);

		count += rest && rest[0] == '/' && rest[1];
	}
	mountinfo_close(&list);
	return count;
}

int check_walk(struct check *check)
{
	int r = 0;

	progress_begin(&check->progress, "checking");
	if (check->request->quiet || (check->request->list && isatty(STDOUT_FILENO)))
		check->progress.wanted = false;
	for (size_t i = 0; r == 0 && i < check->tree_count; i++)
		r = run_pass(check, &check->tree[i], false);
	for (size_t i = 0; r == 0 && i < check->tree_count; i++) {
		r = run_pass(check, &check->tree[i], true);
		check->submounts += count_submounts(check->tree[i].inspection.path);
	}
	progress_end(&check->progress);
	for (unsigned i = 1; i < check->threads; i++)
		add_tally(&check->tally[0], &check->tally[i]);
	if (check->unreadable > MESSAGES_MAX)
		log_error("%" PRIu64 " more cannot be looked at",
			  check->unreadable - MESSAGES_MAX);
	return r;
}
