/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Indices of records; see records.h.
 */
#include "cache/tree/records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/listing.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/digest.h"
#include "cache/tree/record_text.h"

/* The largest known RECORD has 4 MB. More than all of these is no record of ours. */
#define RECORD_BYTES_MAX   (16 << 20)
#define RECORD_ENTRIES_MAX 500000
#define RECORD_DIRS_MAX	   65536

/**
 * struct record_entry - one line
 * @path:   digest of the path
 * @record: index of the record that it is in
 */
struct record_entry {
	struct digest path;
	uint8_t hash[RECORD_HASH_MAX];
	enum record_kind kind;
	size_t record;
};

/**
 * struct record_index - the lines of some records
 * @entries: sorted by path
 * @names:   of the records, as readers know them; owned
 * @unread:  index of one that could not be read, or all of them; negative for none
 */
struct record_index {
	struct record_entry *entries;
	size_t count;
	char **names;
	size_t name_count;
	ptrdiff_t unread;
};

/**
 * struct record_dir - a directory of the tree
 * @path:  relative to the tree; the key
 * @index: of its own RECORDs; paths in it are relative to it
 * @above: the closest directory above it that has RECORDs; NULL for none
 */
struct record_dir {
	char *path;
	struct record_index index;
	struct record_dir *above;
};

/* The md5sums, which a thread reads, or gave up reading. It frees what nobody waits for. */
struct record_load {
	pthread_mutex_t lock; /* of the two switches */
	pthread_cond_t ready;
	bool is_ready;
	bool is_abandoned;
	struct record_index index;
	int host_fd;	 /* its own */
	char *view_path; /* the tree's */
	struct digest *diverted;
	size_t diverted_count;
};

struct records {
	const struct tree *tree;
	pthread_mutex_t lock; /* of all below, with i/o in the tree, and one wait */
	void *dirs;	      /* tsearch(3), of struct record_dir */
	size_t dir_count;
	bool has_image;
	struct record_index image; /* constant once has_image */
};

/* ---- an index ---- */

static void record_index_fini(struct record_index *index)
{
	for (size_t i = 0; i < index->name_count; i++)
		free(index->names[i]);
	free(index->names);
	free(index->entries);
}

static int record_compare_digests(const struct digest *a, const struct digest *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return (a->low > b->low) - (a->low < b->low);
}

static int record_compare_entries(const void *a, const void *b)
{
	return record_compare_digests(&((const struct record_entry *)a)->path,
				      &((const struct record_entry *)b)->path);
}

static void record_index_sort(struct record_index *index)
{
	if (index->count > 0)
		qsort(index->entries, index->count, sizeof(*index->entries),
		      record_compare_entries);
}

/* Takes @name, NULL where there was no memory for it. Return: -ENOMEM. */
static int record_index_add_name(struct record_index *index, char *name)
{
	int r = name ? array_add(index->names, index->name_count, name) : -ENOMEM;

	if (r < 0)
		free(name);
	return r;
}

static void record_index_add(struct record_index *index, struct digest path,
			     enum record_kind kind, const uint8_t *hash)
{
	struct record_entry entry = {
		.path = path, .kind = kind, .record = index->name_count - 1};

	memcpy(entry.hash, hash, kind == RECORD_MD5 ? MD5_DIGEST_SIZE : SHA256_DIGEST_SIZE);
	if (index->count == RECORD_ENTRIES_MAX ||
	    array_add(index->entries, index->count, entry) < 0)
		index->unread = (ptrdiff_t)index->name_count - 1;
}

/* @fd: an open record, or the -errno of opening it */
static int record_read_text(int fd, char **ret_text, size_t *ret_len)
{
	return fd < 0 ? fd : read_file(fd, RECORD_BYTES_MAX, ret_text, ret_len);
}

/* ---- RECORD ---- */

static void record_take_pip(void *context, const char *path, size_t len,
			    enum record_kind kind, const uint8_t *hash)
{
	record_index_add(context, digest_of((const uint8_t *)path, len), kind, hash);
}

static bool record_is_dist_info(const struct listing_entry *entry)
{
	static const char suffix[] = ".dist-info";
	size_t len = strlen(entry->name);

	return (entry->type == DT_DIR || entry->type == DT_UNKNOWN) &&
	       len > sizeof(suffix) - 1 &&
	       strcmp(entry->name + len - (sizeof(suffix) - 1), suffix) == 0;
}

static void record_read_pip(const struct records *records, const char *dir,
			    const char *dist_info, struct record_index *index)
{
	scope_free char *info = path_join(dir, dist_info);
	scope_free char *path = info ? path_join(info, "RECORD") : NULL;
	scope_free char *text = NULL;
	scope_fd int fd = -1;
	size_t len = 0;
	int r = -ENOMEM;

	if (path) {
		fd = tree_openat(records->tree, path, O_RDONLY | O_NONBLOCK);
		r = record_read_text(fd, &text, &len);
	}
	/* Debian's packages have no RECORD. */
	if (r == -ENOENT || r == -ENOTDIR)
		return;
	if (record_index_add_name(index, path ? path_join(records->tree->view_path, path)
					      : NULL) < 0 ||
	    r < 0)
		index->unread = (ptrdiff_t)index->name_count - (index->name_count > 0);
	else
		record_parse_pip(text, len, record_take_pip, index);
}

static void record_list_dir(const struct records *records, const char *dir,
			    struct record_index *index)
{
	scope_fd int fd = tree_openat(records->tree, dir, O_RDONLY | O_DIRECTORY);
	struct listing listing = {.count = 0};

	if (fd >= 0 && listing_read(&listing, fd) == 0)
		for (size_t i = 0; i < listing.count; i++)
			if (record_is_dist_info(&listing.entries[i]))
				record_read_pip(records, dir, listing.entries[i].name,
						index);
	listing_fini(&listing);
	record_index_sort(index);
}

static int record_compare_dirs(const void *a, const void *b)
{
	return strcmp(((const struct record_dir *)a)->path,
		      ((const struct record_dir *)b)->path);
}

static void record_dir_free(void *dir)
{
	struct record_dir *self = dir;

	record_index_fini(&self->index);
	free(self->path);
	free(self);
}

static bool record_dir_has_any(const struct record_dir *dir)
{
	return dir->index.name_count > 0 || dir->index.unread >= 0;
}

/* Takes @path. Return: NULL when out of memory, or there are too many. */
static struct record_dir *record_dir_new(struct records *records, char *path,
					 struct record_dir *above)
{
	struct record_dir *dir = calloc(1, sizeof(*dir));

	if (!dir || records->dir_count == RECORD_DIRS_MAX) {
		free(path);
		free(dir);
		return NULL;
	}
	dir->path = path;
	dir->index.unread = -1;
	dir->above = above && !record_dir_has_any(above) ? above->above : above;
	record_list_dir(records, path, &dir->index);
	if (!tsearch(dir, &records->dirs, record_compare_dirs)) {
		record_dir_free(dir);
		return NULL;
	}
	records->dir_count++;
	return dir;
}

/* Return: NULL when out of memory, or there are too many. */
static struct record_dir *record_dir_get_locked(struct records *records, const char *path)
{
	scope_free char *copy = strdup(path);
	scope_free char *parent = path_parent(path);
	const struct record_dir key = {.path = copy};
	struct record_dir **known, *above = NULL;

	if (!copy || !parent)
		return NULL;
	known = tfind(&key, &records->dirs, record_compare_dirs);
	if (known)
		return *known;
	if (strcmp(path, ".") != 0) {
		above = record_dir_get_locked(records, parent);
		if (!above)
			return NULL;
	}
	return record_dir_new(records, take_ptr(copy), above);
}

/* ---- md5sums ---- */

/* The part of a path of the image that is below the tree; NULL for none. */
static const char *record_below_tree(const struct record_load *load, const char *path,
				     size_t *len)
{
	/* The path has no slash at its beginning. */
	const char *view = load->view_path + 1;
	size_t view_len = strlen(view);

	if (view_len == 0)
		return path;
	if (*len <= view_len + 1 || memcmp(path, view, view_len) != 0 ||
	    path[view_len] != '/')
		return NULL;
	*len -= view_len + 1;
	return path + view_len + 1;
}

static void record_take_dpkg(void *context, const char *path, size_t len,
			     enum record_kind kind, const uint8_t *hash)
{
	struct record_load *load = context;
	const char *below = record_below_tree(load, path, &len);
	struct digest digest;

	if (!below)
		return;
	digest = digest_of((const uint8_t *)below, len);
	for (size_t i = 0; i < load->diverted_count; i++)
		if (digest_equal(load->diverted[i], digest))
			return;
	record_index_add(&load->index, digest, kind, hash);
}

static bool record_is_md5sums(const struct listing_entry *entry)
{
	static const char suffix[] = ".md5sums";
	size_t len = strlen(entry->name);

	return len > sizeof(suffix) - 1 &&
	       strcmp(entry->name + len - (sizeof(suffix) - 1), suffix) == 0;
}

#define DPKG_DIR "/var/lib/dpkg"

static void record_read_dpkg(struct record_load *load, int dir, const char *name)
{
	scope_fd int fd =
		openat2_fd(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, RESOLVE_BENEATH);
	scope_free char *text = NULL;
	size_t len = 0;
	int r = record_read_text(fd, &text, &len);

	if (record_index_add_name(&load->index, path_join(DPKG_DIR "/info", name)) < 0 ||
	    r < 0)
		load->index.unread =
			(ptrdiff_t)load->index.name_count - (load->index.name_count > 0);
	else
		record_parse_dpkg(text, len, record_take_dpkg, load);
}

/*
 * Three lines for each diversion: the path, the other path, the package. What is at such a
 * path is of whoever has it now.
 */
static void record_read_diversions(struct record_load *load)
{
	scope_fd int fd = openat2_fd(load->host_fd, DPKG_DIR "/diversions",
				     O_RDONLY | O_NONBLOCK, RESOLVE_IN_ROOT);
	scope_free char *text = NULL;
	size_t len = 0;
	char *rest, *line;

	if (record_read_text(fd, &text, &len) < 0 || !text)
		return;
	rest = text;
	for (int number = 0; (line = strsep(&rest, "\n")); number = (number + 1) % 3) {
		size_t line_len = strlen(line);
		const char *below;

		if (number == 2 || line[0] != '/')
			continue;
		line_len--;
		below = record_below_tree(load, line + 1, &line_len);
		if (below && load->diverted_count < RECORD_DIRS_MAX)
			(void)array_add(load->diverted, load->diverted_count,
					digest_of((const uint8_t *)below, line_len));
	}
}

static void record_load_all(struct record_load *load)
{
	scope_fd int dir = openat2_fd(load->host_fd, DPKG_DIR "/info",
				      O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
	struct listing listing = {.count = 0};

	if (dir < 0)
		return;
	record_read_diversions(load);
	if (listing_read(&listing, dir) == 0)
		for (size_t i = 0; i < listing.count; i++)
			if (record_is_md5sums(&listing.entries[i]))
				record_read_dpkg(load, dir, listing.entries[i].name);
	listing_fini(&listing);
	record_index_sort(&load->index);
}

static void record_load_free(struct record_load *load)
{
	pthread_cond_destroy(&load->ready);
	pthread_mutex_destroy(&load->lock);
	record_index_fini(&load->index);
	close_fd(&load->host_fd);
	free(load->view_path);
	free(load->diverted);
	free(load);
}

static void *record_load_run(void *closure)
{
	struct record_load *load = closure;
	bool is_abandoned;

	record_load_all(load);
	pthread_mutex_lock(&load->lock);
	load->is_ready = true;
	is_abandoned = load->is_abandoned;
	pthread_cond_signal(&load->ready);
	pthread_mutex_unlock(&load->lock);
	if (is_abandoned)
		record_load_free(load);
	return NULL;
}

static struct record_load *record_load_start(const struct tree *tree)
{
	struct record_load *load = calloc(1, sizeof(*load));
	pthread_t thread;

	if (!load)
		return NULL;
	load->index.unread = -1;
	load->view_path = strdup(tree->view_path);
	load->host_fd = fcntl(tree->host_fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_init(&load->lock, NULL);
	clock_condition_init(&load->ready);
	if (!load->view_path || load->host_fd < 0 ||
	    pthread_create(&thread, NULL, record_load_run, load) != 0) {
		record_load_free(load);
		return NULL;
	}
	pthread_detach(thread);
	return load;
}

/* Takes the index of a load that is ready in time; the thread frees any other. */
static bool record_load_await(struct record_load *load, struct record_index *ret_index)
{
	struct timespec until = clock_deadline(RECORDS_WAIT_MS);
	bool is_ready;

	pthread_mutex_lock(&load->lock);
	while (!load->is_ready &&
	       pthread_cond_timedwait(&load->ready, &load->lock, &until) == 0)
		;
	is_ready = load->is_ready;
	load->is_abandoned = !is_ready;
	pthread_mutex_unlock(&load->lock);
	if (!is_ready)
		return false;
	*ret_index = load->index;
	load->index = (struct record_index){.unread = -1};
	record_load_free(load);
	return true;
}

/* The image's files cannot be waited for without a bound: they lie outside of the tree. */
static void records_load_image_locked(struct records *records)
{
	struct record_load *load;

	if (records->has_image)
		return;
	records->has_image = true;
	load = record_load_start(records->tree);
	if (!load || !record_load_await(load, &records->image))
		records->image = (struct record_index){.unread = 0};
}

/* ---- all of them ---- */

struct records *records_new(const struct tree *tree)
{
	struct records *records = calloc(1, sizeof(*records));

	if (!records)
		return NULL;
	records->tree = tree;
	pthread_mutex_init(&records->lock, NULL);
	return records;
}

void records_free(struct records *records)
{
	if (!records)
		return;
	tdestroy(records->dirs, record_dir_free);
	record_index_fini(&records->image);
	pthread_mutex_destroy(&records->lock);
	free(records);
}

static void record_index_find(const struct record_index *index, const char *path,
			      struct record_claims *claims)
{
	const struct record_entry key = {
		.path = digest_of((const uint8_t *)path, strlen(path))};
	const struct record_entry *found = NULL;

	if (index->count > 0)
		found = bsearch(&key, index->entries, index->count, sizeof(key),
				record_compare_entries);
	while (found && found > index->entries &&
	       record_compare_entries(found - 1, &key) == 0)
		found--;
	for (; found && found < index->entries + index->count &&
	       record_compare_entries(found, &key) == 0;
	     found++) {
		if (claims->count < RECORD_CLAIMS_MAX)
			claims->entries[claims->count++] = found;
		if (!claims->record)
			claims->record = index->names[found->record];
	}
	claims->is_unread |= index->unread >= 0;
}

/* Of those that could not be read, for messages. */
static const char *record_unread_name(const struct record_index *index)
{
	if (index->unread < 0)
		return NULL;
	return (size_t)index->unread < index->name_count ? index->names[index->unread]
							 : DPKG_DIR "/info";
}

static bool records_find_pip_locked(struct records *records, const char *path,
				    struct record_claims *claims)
{
	scope_free char *parent = path_parent(path);
	struct record_dir *dir = parent ? record_dir_get_locked(records, parent) : NULL;

	if (!dir)
		return false;
	for (; dir; dir = dir->above) {
		size_t prefix = strcmp(dir->path, ".") == 0 ? 0 : strlen(dir->path) + 1;

		record_index_find(&dir->index, path + prefix, claims);
		if (!claims->record)
			claims->record = record_unread_name(&dir->index);
	}
	return true;
}

bool records_find(struct records *records, const char *path, struct record_claims *ret)
{
	*ret = (struct record_claims){.count = 0};
	pthread_mutex_lock(&records->lock);
	if (!records_find_pip_locked(records, path, ret))
		ret->is_unread = true;
	records_load_image_locked(records);
	pthread_mutex_unlock(&records->lock);
	record_index_find(&records->image, path, ret);
	if (!ret->record)
		ret->record = record_unread_name(&records->image);
	/* One that says something of the source is enough. */
	if (ret->count > 0)
		ret->is_unread = false;
	return ret->count > 0 || ret->is_unread;
}

enum pyc_check record_claims_check(const struct record_claims *claims, const uint8_t *data,
				   size_t len)
{
	uint8_t hashes[2][RECORD_HASH_MAX];
	static const size_t sizes[] = {
		[RECORD_SHA256] = SHA256_DIGEST_SIZE, [RECORD_MD5] = MD5_DIGEST_SIZE};
	bool has[2] = {false, false};

	for (size_t i = 0; i < claims->count; i++) {
		enum record_kind kind = claims->entries[i]->kind;

		if (!has[kind] && kind == RECORD_MD5) {
			struct md5_ctx md5;

			md5_init(&md5);
			md5_update(&md5, len, data);
			md5_digest(&md5, MD5_DIGEST_SIZE, hashes[kind]);
		} else if (!has[kind]) {
			struct sha256_ctx sha256;

			sha256_init(&sha256);
			sha256_update(&sha256, len, data);
			sha256_digest(&sha256, SHA256_DIGEST_SIZE, hashes[kind]);
		}
		has[kind] = true;
		if (memcmp(hashes[kind], claims->entries[i]->hash, sizes[kind]) == 0)
			return PYC_CHECK_OK;
	}
	return PYC_CHECK_BAD;
}
