/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytecode files of a tree, and what of them can be verified; see verify.h.
 */
#include "cli/verify/verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/content.h"
#include "cache/tree/pairing.h"
#include "cache/tree/source.h"
#include "cache/tree/walk.h"
#include "pyc/mtime.h"

/* ---- bytes ---- */

/* Reads all of a file. It asks for one byte more, to notice a file that grew. */
static int verify_read_file(int fd, uint8_t **ret_data, size_t *ret_len)
{
	scope_free uint8_t *data = NULL;
	struct statx stx;
	ssize_t n;
	int r = statx_at(fd, "", &stx);

	if (r < 0)
		return r;
	if (!S_ISREG(stx.stx_mode))
		return -EINVAL;
	if (stx.stx_size > CONTENT_MAX_BYTES)
		return -EFBIG;
	data = malloc(stx.stx_size + 1);
	if (!data)
		return -ENOMEM;
	n = pread_full(fd, data, stx.stx_size + 1, 0);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n != stx.stx_size)
		return -ESTALE;
	*ret_data = take_ptr(data);
	*ret_len = (size_t)n;
	return 0;
}

static int verify_read_pyc(const struct verify_file *file, struct verify_bytes *bytes)
{
	scope_fd int fd = tree_openat(&file->set->tree, file->path, O_RDONLY | O_NONBLOCK);

	return fd < 0 ? fd : verify_read_file(fd, &bytes->pyc, &bytes->pyc_len);
}

static int verify_read_source(const struct verify_file *file, struct verify_bytes *bytes)
{
	const struct tree *tree = &file->set->tree;
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct source source;
	int r = pairing_source(file->path, &file->name, &path);

	if (r < 0)
		return r;
	source_find(tree, path, &source);
	fd = source.state == PYC_SOURCE_REGULAR ? source_open(tree, path, &source)
						: -ENOENT;
	source_fini(&source);
	return fd < 0 ? fd : verify_read_file(fd, &bytes->source, &bytes->source_len);
}

int verify_read(const struct verify_file *file, struct verify_bytes *ret_bytes)
{
	int r;

	*ret_bytes = (struct verify_bytes){.pyc = NULL};
	r = verify_read_pyc(file, ret_bytes);
	return r < 0 ? r : verify_read_source(file, ret_bytes);
}

void verify_bytes_fini(struct verify_bytes *bytes)
{
	free(bytes->pyc);
	free(bytes->source);
}

/* ---- one file ---- */

/* Why there is nothing to be verified; PYC_REASONS where there is. */
static enum pyc_reason reason_not_to(const struct resolution *resolution)
{
	const struct pyc_facts *facts = &resolution->facts;

	switch (resolution->decision.verdict) {
	case PYC_FOREIGN:
	case PYC_ORPHAN:
	case PYC_SOURCELESS:
	case PYC_CORRUPT:
		return resolution->decision.reason;
	default:
		break;
	}
	if (facts->source != PYC_SOURCE_REGULAR)
		return PYC_R_SOURCE_UNKNOWN;
	if (facts->header.kind == PYC_KIND_UNKNOWN_FLAGS)
		return PYC_R_UNKNOWN_FLAGS;
	if (facts->header.kind == PYC_KIND_TIMESTAMP &&
	    !pyc_size_matches(&facts->header, facts->source_size))
		return PYC_R_SIZE;
	if (facts->body != PYC_CHECK_OK)
		return facts->body == PYC_CHECK_BAD ? PYC_R_BODY : PYC_R_BODY_UNKNOWN;
	return PYC_REASONS;
}

static void verify_digest_file(struct verify_file *file)
{
	struct verify_bytes bytes;
	size_t header = file->magic->header_size;

	if (verify_read(file, &bytes) < 0 || bytes.pyc_len < header) {
		file->why = VERIFY_UNREADABLE;
	} else {
		file->source = digest_of(bytes.source, bytes.source_len);
		file->body = digest_of(bytes.pyc + header, bytes.pyc_len - header);
	}
	verify_bytes_fini(&bytes);
}

static void verify_classify(struct verify_file *file, const struct resolution *resolution)
{
	if (resolution->facts.header_status == PYC_HEADER_OK)
		file->magic = resolution->facts.header.magic;
	file->reason = reason_not_to(resolution);
	if (file->reason != PYC_REASONS) {
		file->why = VERIFY_NOT_VERIFIED;
		return;
	}
	file->level = pyc_name_level(&file->name, file->magic);
	if (file->level < 0)
		file->why = VERIFY_NO_LEVEL;
	else
		verify_digest_file(file);
}

static void verify_look_at(struct verify_file *file, int fd, const struct statx *stx)
{
	const struct pyc_question question = {.path = file->path,
					      .fd = fd,
					      .stx = stx,
					      .source_dir = -1,
					      .depth = PYC_DEPTH_WHOLE};
	struct resolution resolution;

	if (resolve_pyc(file->set->resolver, &question, &resolution) < 0)
		file->why = VERIFY_UNREADABLE;
	else
		verify_classify(file, &resolution);
}

/* ---- all of them ---- */

/* Takes ownership of @path. */
static struct verify_file *verify_add_file(struct verify_list *list,
					   const struct tree_set *set, char *path)
{
	struct verify_file file = {.set = set, .path = path};

	pairing_name(path, &file.name);
	if (array_add(list->files, list->count, file) == 0)
		return &list->files[list->count - 1];
	free(path);
	return NULL;
}

/* For the callbacks of a walk. */
struct verify_collection {
	const struct tree_set *set;
	struct verify_list *list;
	const char *start;
	int start_error; /* why @start could not be listed; 0 if it was */
};

/* A file by a name that could be a bytecode file's. */
static int verify_collect_file(const struct tree_set *set, const char *path,
			       struct verify_list *list)
{
	scope_fd int fd = -1;
	struct verify_file *file;
	struct statx stx;
	char *copy;
	int r = tree_stat(&set->tree, path, &stx);

	if (r < 0 || !S_ISREG(stx.stx_mode))
		return r < 0 ? r : -EINVAL;
	copy = strdup(path);
	file = copy ? verify_add_file(list, set, copy) : NULL;
	if (!file)
		return -ENOMEM;
	fd = tree_openat(&set->tree, path, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || statx_at(fd, "", &stx) < 0)
		file->why = VERIFY_UNREADABLE;
	else
		verify_look_at(file, fd, &stx);
	return 0;
}

/* Files that cannot be looked at are left out, as Python leaves them out. */
static int verify_collect_dir(void *context, unsigned worker, const struct walk_dir *dir,
			      const struct walk_dir *cache)
{
	const struct verify_collection *collection = context;
	int r = 0;

	(void)worker;
	(void)cache;
	for (size_t i = 0; r != -ENOMEM && i < dir->count; i++) {
		const struct listing_entry *entry = &dir->entries[i];
		scope_free char *path = NULL;

		if (entry->type != DT_REG || !pyc_name_is_bytecode(entry->name))
			continue;
		path = path_join(dir->path, entry->name);
		r = path ? verify_collect_file(collection->set, path, collection->list)
			 : -ENOMEM;
	}
	return r == -ENOMEM ? r : 0;
}

static void verify_collect_error(void *context, const char *path, int error)
{
	struct verify_collection *collection = context;

	if (strcmp(path, collection->start) == 0)
		collection->start_error = error;
}

int verify_collect(const struct tree_set *set, const char *path, struct verify_list *list)
{
	struct verify_collection collection = {.set = set, .list = list, .start = path};
	const struct walk walk = {
		.tree = &set->tree,
		.threads = 1,
		.order = WALK_SORTED,
		.visit = verify_collect_dir,
		.error = verify_collect_error,
		.context = &collection,
	};
	int r = walk_run(&walk, path);

	if (collection.start_error == -ENOTDIR)
		return verify_collect_file(set, path, list);
	return r < 0 ? r : collection.start_error;
}

void verify_list_fini(struct verify_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->files[i].path);
		free(list->files[i].error);
	}
	free(list->files);
	*list = (struct verify_list){.files = NULL};
}

char *verify_file_path(const struct verify_file *file)
{
	return path_join(file->set->tree.view_path, file->path);
}
