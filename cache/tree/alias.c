/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links to bytecode; see alias.h.
 */
#include "cache/tree/alias.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/listing.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cache/tree/source.h"

struct alias_file {
	uint64_t device;
	uint64_t inode;
};

struct alias_set {
	pthread_rwlock_t lock; /* guards the rest; no i/o under it */
	void *files;	       /* of tsearch(3): struct alias_file */
};

/* ---- the set ---- */

struct alias_set *alias_set_new(void)
{
	struct alias_set *set = calloc(1, sizeof(*set));

	if (set)
		pthread_rwlock_init(&set->lock, NULL);
	return set;
}

void alias_set_free(struct alias_set *set)
{
	if (!set)
		return;
	pthread_rwlock_destroy(&set->lock);
	tdestroy(set->files, free);
	free(set);
}

static int alias_compare(const void *first, const void *second)
{
	const struct alias_file *a = first, *b = second;

	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	return (a->inode > b->inode) - (a->inode < b->inode);
}

bool alias_set_has(struct alias_set *set, uint64_t device, uint64_t inode)
{
	struct alias_file file = {.device = device, .inode = inode};
	bool has;

	pthread_rwlock_rdlock(&set->lock);
	has = tfind(&file, &set->files, alias_compare) != NULL;
	pthread_rwlock_unlock(&set->lock);
	return has;
}

static int alias_set_add(struct alias_set *set, const struct alias_file *file)
{
	struct alias_file *copy = malloc(sizeof(*copy));
	struct alias_file **found;

	if (!copy)
		return -ENOMEM;
	*copy = *file;
	pthread_rwlock_wrlock(&set->lock);
	found = tsearch(copy, &set->files, alias_compare);
	if (!found || *found != copy)
		free(copy);
	pthread_rwlock_unlock(&set->lock);
	return found ? 0 : -ENOMEM;
}

/* ---- links ---- */

/* What a check reports to. */
struct alias_report {
	struct alias_set *set;
	const struct tree *tree;
	alias_found_fn *found;
	void *context;
};

bool alias_is_link_name(const char *name)
{
	return strcmp(name, PYC_CACHE_DIR) == 0 || pyc_name_is_bytecode(name);
}

static struct alias_file alias_file_of(const struct statx *stx)
{
	return (struct alias_file){
		.device = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.inode = stx->stx_ino,
	};
}

static int alias_report_pyc(const struct alias_report *report, const struct statx *stx)
{
	struct alias_file file = alias_file_of(stx);
	int r = 0;

	if (alias_set_has(report->set, file.device, file.inode))
		return 0;
	if (report->found)
		r = report->found(report->context, file.device, file.inode);
	return r < 0 ? r : alias_set_add(report->set, &file);
}

/* Finds the source that pairs with the pyc at @path; a NULL path pairs with none. */
static int alias_find_pair(const struct tree *tree, const char *path,
			   struct source *ret_source)
{
	struct pyc_name name;
	char *source;
	int r = -ENOENT;

	*ret_source = (struct source){.state = PYC_SOURCE_NONE};
	if (path && pairing_name(path, &name) != PYC_PLACE_NONE)
		r = pairing_source(path, &name, &source);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	source_find(tree, source, ret_source);
	free(source);
	return 0;
}

static bool alias_is_one_file(const struct source *a, const struct source *b)
{
	struct alias_file file_a = alias_file_of(&a->stx);
	struct alias_file file_b = alias_file_of(&b->stx);

	return a->state == PYC_SOURCE_REGULAR && b->state == PYC_SOURCE_REGULAR &&
	       alias_compare(&file_a, &file_b) == 0;
}

/*
 * A reader looks for a pyc at @path and reaches the file @pyc, through links. Adds it if
 * the reader's source is another than the file's own.
 */
static int alias_check_pyc(const struct alias_report *report, const char *path,
			   const struct source *pyc)
{
	struct source readers, own;
	int r = alias_find_pair(report->tree, path, &readers);

	/* Without a source beside it, Python compares nothing. */
	if (r < 0 || readers.state == PYC_SOURCE_NONE) {
		source_fini(&readers);
		return r;
	}
	r = alias_find_pair(report->tree, pyc->path, &own);
	if (r == 0 && !alias_is_one_file(&readers, &own))
		r = alias_report_pyc(report, &pyc->stx);
	source_fini(&readers);
	source_fini(&own);
	return r;
}

/*
 * A link's end could not be looked at. After these errors it leads nowhere for its reader,
 * too, so that is no error here.
 */
static int alias_error_unless_nowhere(int error)
{
	return error == -ELOOP || error == -EACCES || error == -EXDEV ? 0 : error;
}

/* One name in the directory that a __pycache__ leads to. */
static int alias_check_name(const struct alias_report *report, const char *link,
			    const char *dir, const char *name)
{
	scope_free char *as_seen = path_join(link, name);
	scope_free char *target = path_join(dir, name);
	struct source pyc;
	int r = 0;

	if (!as_seen || !target)
		return -ENOMEM;
	source_find_for_all(report->tree, target, &pyc);
	if (pyc.state == PYC_SOURCE_REGULAR && pyc.path)
		r = alias_check_pyc(report, as_seen, &pyc);
	else if (pyc.state == PYC_SOURCE_UNKNOWN)
		r = alias_error_unless_nowhere(pyc.error);
	source_fini(&pyc);
	return r;
}

/* Every pyc in the directory @dir, to which the link @link leads. */
static int alias_check_dir(const struct alias_report *report, const char *link,
			   const char *dir)
{
	scope_fd int fd = tree_openat(report->tree, dir, O_RDONLY | O_DIRECTORY);
	struct listing listing = {0};
	int r = fd < 0 ? fd : listing_read(&listing, fd);

	for (size_t i = 0; r == 0 && i < listing.count; i++)
		if (pyc_name_is_bytecode(listing.entries[i].name))
			r = alias_check_name(report, link, dir, listing.entries[i].name);
	listing_fini(&listing);
	return r;
}

int alias_check(struct alias_set *set, const struct tree *tree, const char *path,
		alias_found_fn *found, void *context)
{
	struct alias_report report = {
		.set = set, .tree = tree, .found = found, .context = context};
	struct source target;
	int r = 0;

	source_find_for_all(tree, path, &target);
	if (target.path && target.state == PYC_SOURCE_REGULAR)
		r = alias_check_pyc(&report, path, &target);
	else if (target.path && S_ISDIR(target.stx.stx_mode) &&
		 strcmp(path_last(path), PYC_CACHE_DIR) == 0)
		r = alias_check_dir(&report, path, target.path);
	else if (target.state == PYC_SOURCE_UNKNOWN)
		r = alias_error_unless_nowhere(target.error);
	source_fini(&target);
	return r;
}
