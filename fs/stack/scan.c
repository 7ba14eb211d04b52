/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A parallel walk, then parallel verdicts; see scan.h.
 *
 * Passes, since a link to bytecode anywhere can make a verdict elsewhere another
 * (cache/tree/alias.h): the names of the whole tree; the links; then, folder by folder, the
 * bytecode and the sources.
 */
#include "fs/stack/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/digest.h"
#include "cache/tree/walk.h"
#include "fs/stack/twins.h"
#include "fs/watch/stats.h"
#include "pyc/names.h"

#define MIN_THREADS 2
#define MAX_THREADS 16

/**
 * struct folder - a directory of the tree
 * @path:  relative to the tree
 * @names: of the files in it that may need a stub; @count of them
 */
struct folder {
	char *path;
	char **names;
	size_t count;
};

/* Things that threads find and that are worked on later. */
struct list {
	void **item;
	size_t count;
};

struct scan {
	struct resolver *resolver;
	struct stats *stats;
	const struct tree *tree;
	struct stubs *stubs;
	struct twins *twins;
	bool all_sources;
	uint64_t device;    /* of the root */
	bool one_device;    /* has to be checked */
	struct reason *why; /* written by whoever sets error first */
	_Atomic int error;

	bool entered[MAX_THREADS]; /* a worker of the walk has a working directory */

	pthread_mutex_t lock; /* guards the rest; no i/o under it */
	struct list folders;  /* with files that may need a stub */
	struct list links;    /* paths of links to bytecode */
	_Atomic size_t next;  /* of the list that is being worked on */
};

/* ---- failure ---- */

static void fail(struct scan *scan, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The first failure is the one that is told. */
static void fail(struct scan *scan, int error, const char *format, ...)
{
	va_list arguments;
	int none = 0;

	if (!atomic_compare_exchange_strong(&scan->error, &none, error))
		return;
	va_start(arguments, format);
	vsnprintf(scan->why->text, REASON_MAX, format, arguments);
	va_end(arguments);
}

static void fail_at(struct scan *scan, int error, const char *what, const char *path)
{
	char quoted_path[REASON_MAX / 2];

	quote_path(path, quoted_path, sizeof(quoted_path));
	fail(scan, error, "%s %s: %s", what, quoted_path, strerror(-error));
}

/* ---- threads ---- */

typedef void *scan_thread(void *scan);

/* More than there are processors: a cold tree is read from a disk. */
static unsigned thread_count(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors < MIN_THREADS)
		processors = MIN_THREADS;
	return processors > MAX_THREADS / 2 ? MAX_THREADS : 2 * (unsigned)processors;
}

/* Runs a function in several threads; returns when all have ended. */
static void run_threads(struct scan *scan, scan_thread *run)
{
	pthread_t thread[MAX_THREADS];
	unsigned threads = thread_count();
	unsigned started = 0;

	while (started < threads && pthread_create(&thread[started], NULL, run, scan) == 0)
		started++;
	if (started == 0)
		run(scan);
	for (unsigned i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
}

/* Return: false when out of memory, which is a failure of the scan. */
static bool list_add_locked(struct scan *scan, struct list *list, void *item)
{
	if (array_add(list->item, list->count, item) == 0)
		return true;
	fail(scan, -ENOMEM, "out of memory");
	return false;
}

static void folder_free(struct folder *folder)
{
	if (!folder)
		return;
	for (size_t i = 0; i < folder->count; i++)
		free(folder->names[i]);
	free(folder->path);
	free(folder->names);
	free(folder);
}

/* ---- names ---- */

static void add_link(struct scan *scan, const char *folder, const char *name)
{
	char *path = path_join(folder, name);
	bool added = false;

	pthread_mutex_lock(&scan->lock);
	if (path)
		added = list_add_locked(scan, &scan->links, path);
	else
		fail(scan, -ENOMEM, "out of memory");
	pthread_mutex_unlock(&scan->lock);
	if (!added)
		free(path);
}

static void add_file(struct scan *scan, struct folder *folder, const char *name)
{
	char *copy = strdup(name);

	if (copy && array_add(folder->names, folder->count, copy) == 0)
		return;
	free(copy);
	fail(scan, -ENOMEM, "out of memory");
}

/* overlayfs takes a device 0:0 for a file that was deleted, and does not show it. */
static void check_whiteout(struct scan *scan, const struct walk_dir *dir, const char *name)
{
	scope_free char *path = path_join(dir->path, name);
	struct statx stx;
	int r = statx_at(dir->fd, name, &stx);

	if (r < 0 || !path)
		fail_at(scan, r < 0 ? r : -ENOMEM, "cannot look at", path ? path : name);
	else if (stx.stx_rdev_major == 0 && stx.stx_rdev_minor == 0)
		fail_at(scan, -EOPNOTSUPP, "overlayfs would hide the device", path);
}

/*
 * On a source of several devices (btrfs subvolumes, overlayfs over several file systems)
 * inode numbers collide, and overlayfs would show one st_dev for all: two files for one.
 */
static void check_number(struct scan *scan, const struct walk_dir *dir, const char *name)
{
	struct statx stx;
	int r = statx_at(dir->fd, name, &stx);

	if (r < 0)
		fail_at(scan, r, "cannot look at", name);
	else if (makedev(stx.stx_dev_major, stx.stx_dev_minor) != scan->device)
		fail_at(scan, -EXDEV,
			"the source has several devices, whose inode numbers collide:",
			dir->path);
}

static bool is_cache(const struct folder *folder)
{
	return strcmp(path_last(folder->path), PYC_CACHE_DIR) == 0;
}

/*
 * A file that says that its data is elsewhere: copied from such a layer, so its directory
 * says nothing. overlayfs would not find it.
 * @value_len: what getxattr(2) said of the attribute, with errno
 */
static void check_metacopy(struct scan *scan, const char *folder, const char *name,
			   ssize_t value_len)
{
	scope_free char *path = NULL;
	int error = value_len < 0 ? errno : 0;

	if (error == ENODATA || error == EOPNOTSUPP)
		return;
	path = path_join(folder, name);
	if (error || !path)
		fail_at(scan, error ? -error : -ENOMEM, "cannot look at the attributes of",
			path ? path : name);
	else
		fail_at(scan, -EOPNOTSUPP,
			"a file is marked as one of another overlay's:", path);
}

/* @name: in the working directory */
static void take_file(struct scan *scan, struct folder *folder, const char *name)
{
	bool pyc = pyc_name_is_bytecode(name);

	/* Most bytecode will be hidden by its stub; where not, add_pyc() looks. */
	if (!pyc)
		check_metacopy(scan, folder->path, name,
			       lgetxattr(name, stubs_metacopy(scan->stubs), NULL, 0));
	if (pyc || (scan->all_sources && pyc_name_is_source(name)))
		add_file(scan, folder, name);
}

static void take_name(struct scan *scan, struct folder *folder, const struct walk_dir *dir,
		      const struct listing_entry *entry)
{
	switch (entry->type) {
	case DT_LNK:
		if (alias_is_link_name(entry->name))
			add_link(scan, dir->path, entry->name);
		break;
	case DT_REG:
		take_file(scan, folder, entry->name);
		break;
	case DT_CHR:
		check_whiteout(scan, dir, entry->name);
		break;
	case DT_UNKNOWN:
		fail_at(scan, -EIO, "cannot look at", entry->name);
		break;
	default:
		break;
	}
}

/* The kernel marks the directories of a layer in which overlayfs wrote. */
static void check_layer(struct scan *scan, const struct walk_dir *dir)
{
	int r = stubs_has_overlay_xattr(dir->fd);

	if (r < 0)
		fail_at(scan, r, "cannot list the attributes of", dir->path);
	else if (r > 0)
		fail_at(scan, -EOPNOTSUPP,
			"the source is a layer of another overlay:", dir->path);
}

/* Attributes are asked for by names relative to it. Each thread has its own. */
static void enter_dir(struct scan *scan, unsigned worker, const struct walk_dir *dir)
{
	if (!scan->entered[worker] && unshare(CLONE_FS) < 0)
		fail(scan, -errno, "cannot have a working directory: %s", strerror(errno));
	scan->entered[worker] = true;
	if (fchdir(dir->fd) < 0)
		fail_at(scan, -errno, "cannot enter", dir->path);
}

/* A folder that was read is kept if there is something in it; takes ownership. */
static void keep_folder(struct scan *scan, struct folder *folder)
{
	bool kept = false;

	if (folder->count > 0) {
		pthread_mutex_lock(&scan->lock);
		kept = list_add_locked(scan, &scan->folders, folder);
		pthread_mutex_unlock(&scan->lock);
	}
	if (!kept)
		folder_free(folder);
}

static int read_dir(void *closure, unsigned worker, const struct walk_dir *dir,
		    const struct walk_dir *cache)
{
	struct folder *folder = calloc(1, sizeof(*folder));
	struct scan *scan = closure;

	(void)cache;
	if (folder)
		folder->path = strdup(dir->path);
	if (!folder || !folder->path) {
		fail(scan, -ENOMEM, "out of memory");
		folder_free(folder);
		return -ENOMEM;
	}
	check_layer(scan, dir);
	enter_dir(scan, worker, dir);
	if (scan->one_device)
		check_number(scan, dir, "");
	for (size_t i = 0; i < dir->count && !scan->error; i++) {
		take_name(scan, folder, dir, &dir->entries[i]);
		if (scan->one_device)
			check_number(scan, dir, dir->entries[i].name);
	}
	keep_folder(scan, folder);
	return scan->error;
}

static void fail_dir(void *closure, const char *path, int error)
{
	fail_at(closure, error, "cannot list", path);
}

/* ---- links ---- */

static void *check_links(void *closure)
{
	struct scan *scan = closure;
	size_t i;

	while (!scan->error && (i = scan->next++) < scan->links.count) {
		const char *path = scan->links.item[i];
		int r = resolve_link(scan->resolver, path, NULL, NULL);

		if (r < 0)
			fail_at(scan, r,
				"cannot tell where this link to bytecode leads:", path);
	}
	return NULL;
}

/* ---- bytecode and sources ---- */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The stub of a file of several names, @shows: what it shows; or one more name of it. */
static int add_twin(struct scan *scan, const struct stub_file *file, const void *shows,
		    size_t bytes)
{
	struct twin_key key = {
		.device = makedev(file->stx->stx_dev_major, file->stx->stx_dev_minor),
		.inode = file->stx->stx_ino,
	};
	const char *twin;
	int r, end_r;

	_Static_assert(sizeof(struct timespec) <= sizeof(key.shows), "a time fits");
	memcpy(key.shows, shows, bytes);
	twin = twins_begin(scan->twins, &key);
	r = twin ? stubs_link(scan->stubs, file->path, twin) : stubs_add(scan->stubs, file);
	end_r = twins_end(scan->twins, &key, r == 0 && !twin ? file->path : NULL);
	return r < 0 ? r : end_r;
}

static int add_stub(struct scan *scan, const struct stub_file *file, const void *shows,
		    size_t bytes)
{
	return file->stx->stx_nlink > 1 ? add_twin(scan, file, shows, bytes)
					: stubs_add(scan->stubs, file);
}

/**
 * struct place - where a file is
 * @path:       relative to the tree
 * @dir:        its directory, open; borrowed
 * @source_dir: that of the sources of bytecode in @dir, open; -1: not open; borrowed
 */
struct place {
	const char *path;
	int dir;
	int source_dir;
};

static int open_file(const struct place *place, uint64_t flags)
{
	return tree_open_in(place->dir, path_last(place->path), flags);
}

static int add_source(struct scan *scan, const struct place *place)
{
	struct stub_file file = {.path = place->path};
	scope_fd int fd = open_file(place, O_PATH);
	struct statx stx;
	int r = fd < 0 ? fd : statx_at(fd, "", &stx);

	if (r < 0)
		return r;
	file.mtime = resolve_mtime(scan->resolver, place->path, &stx);
	if (same_time(file.mtime, statx_time(stx.stx_mtime)))
		return 0;
	file.fd = fd;
	file.stx = &stx;
	return add_stub(scan, &file, &file.mtime, sizeof(file.mtime));
}

/*
 * Without its stub a pyc shows as it is on disk. That is safe if it was to be vouched for,
 * and else if nothing else shows another time than on disk.
 */
static bool may_go_without(const struct scan *scan, int error,
			   const struct pyc_decision *decision)
{
	return error == -ENAMETOOLONG && decision->vouched && !scan->all_sources;
}

/*
 * What names of one file have to have in common: the header. The reader of a file decides
 * once more, and by the source of one of its names. So if a source may turn out to be
 * edited, the names have to have that in common as well.
 */
static void what_shows(const struct resolution *resolution, uint8_t shows[PYC_HEADER_MAX])
{
	const uint64_t source[] = {resolution->source.device, resolution->source.inode};
	uint8_t all[PYC_HEADER_MAX + sizeof(source)];
	struct digest digest;

	_Static_assert(sizeof(digest) == PYC_HEADER_MAX, "a digest fits");
	memcpy(shows, resolution->decision.header.raw, PYC_HEADER_MAX);
	if (!resolution->record)
		return;
	memcpy(all, shows, PYC_HEADER_MAX);
	memcpy(all + PYC_HEADER_MAX, source, sizeof(source));
	digest = digest_of(all, sizeof(all));
	memcpy(shows, &digest, sizeof(digest));
}

static int add_pyc(struct scan *scan, const struct place *place)
{
	scope_fd int fd = open_file(place, O_RDONLY | O_NONBLOCK);
	struct stub_file file = {.path = place->path, .fd = fd, .is_data = true};
	struct statx stx;
	const struct pyc_question question = {
		.path = place->path,
		.fd = fd,
		.stx = &stx,
		.source_dir = place->source_dir,
		/* Where sources show another time, the
		   stubs tell which bytecode is right. */
		.depth = scan->all_sources ? PYC_DEPTH_VERDICT : PYC_DEPTH_SURVEY};
	uint8_t shows[PYC_HEADER_MAX];
	struct resolution resolution;
	int r = fd < 0 ? fd : statx_at(fd, "", &stx);

	if (r < 0)
		return r;
	r = resolve_pyc(scan->resolver, &question, &resolution);
	if (r < 0)
		return r;
	stats_evidence(scan->stats, &resolution.decision);
	file.mtime = statx_time(stx.stx_mtime);
	file.stx = &stx;
	if (resolution.decision.changed) {
		what_shows(&resolution, shows);
		r = add_stub(scan, &file, shows, sizeof(shows));
		if (!may_go_without(scan, r, &resolution.decision))
			return r;
	}
	check_metacopy(scan, ".", place->path,
		       fgetxattr(fd, stubs_metacopy(scan->stubs), NULL, 0));
	return 0;
}

/* The owner may be anybody outside of it, so a stub can have no such owner. */
static void fail_owner(struct scan *scan, const char *path)
{
	char quoted_path[REASON_MAX / 2];

	quote_path(path, quoted_path, sizeof(quoted_path));
	fail(scan, -EOVERFLOW,
	     "the user namespace has no id (uid_map, gid_map) for the owner of %s, or of a "
	     "directory above it",
	     quoted_path);
}

static void fail_stub(struct scan *scan, int error, const char *path)
{
	if (error == -ENOSPC)
		fail(scan, error, "too many files differ");
	else if (error == -EOVERFLOW)
		fail_owner(scan, path);
	else
		fail_at(scan, error, "cannot make a stub of", path);
}

static int add_file_stub(struct scan *scan, const struct place *place)
{
	return pyc_name_is_source(path_last(place->path)) ? add_source(scan, place)
							  : add_pyc(scan, place);
}

static void add_name(struct scan *scan, const struct folder *folder, const char *name,
		     int dir, int source_dir)
{
	scope_free char *path = path_join(folder->path, name);
	const struct place place = {path, dir, source_dir};
	int r = path ? add_file_stub(scan, &place) : -ENOMEM;

	if (r < 0)
		fail_stub(scan, r, path ? path : name);
}

static int open_folder(const struct scan *scan, const char *path)
{
	return tree_openat(scan->tree, path, O_PATH | O_DIRECTORY);
}

/* Where the sources of the bytecode in a __pycache__ are; -1 where that cannot be opened.
 */
static int open_above(const struct scan *scan, const char *path)
{
	scope_free char *above = path_parent(path);
	int fd = above ? open_folder(scan, above) : -ENOMEM;

	return fd < 0 ? -1 : fd;
}

static void add_stubs(struct scan *scan, const struct folder *folder)
{
	scope_fd int dir = open_folder(scan, folder->path);
	scope_fd int above = is_cache(folder) ? open_above(scan, folder->path) : -1;
	int source_dir = is_cache(folder) ? above : dir;

	if (dir < 0)
		fail_at(scan, dir, "cannot open", folder->path);
	for (size_t i = 0; i < folder->count && !scan->error; i++)
		add_name(scan, folder, folder->names[i], dir, source_dir);
}

static void *judge(void *closure)
{
	struct scan *scan = closure;
	size_t i;

	/* Stubs get their modes when they are made; the mask of other threads stays. */
	unshare(CLONE_FS);
	umask(0);
	while (!scan->error && (i = scan->next++) < scan->folders.count)
		add_stubs(scan, scan->folders.item[i]);
	return NULL;
}

void scan_free(struct scan *scan)
{
	if (!scan)
		return;
	for (size_t i = 0; i < scan->folders.count; i++)
		folder_free(scan->folders.item[i]);
	for (size_t i = 0; i < scan->links.count; i++)
		free(scan->links.item[i]);
	free(scan->folders.item);
	free(scan->links.item);
	twins_free(scan->twins);
	pthread_mutex_destroy(&scan->lock);
	free(scan);
}

/* What all files have to have in common, if the file system may hold several devices. */
static int find_device(struct scan *scan)
{
	struct statx stx;
	int r = statx_at(scan->tree->root_fd, "", &stx);

	if (r < 0)
		return r;
	scan->device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	scan->one_device = tree_has_many_devices(scan->tree);
	return 0;
}

struct scan *scan_new(const struct tree *tree, bool all_sources, struct stubs *stubs,
		      struct reason *ret_why)
{
	struct scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return NULL;
	scan->twins = twins_new();
	if (!scan->twins) {
		free(scan);
		return NULL;
	}
	scan->tree = tree;
	scan->all_sources = all_sources;
	scan->stubs = stubs;
	scan->why = ret_why;
	pthread_mutex_init(&scan->lock, NULL);
	return scan;
}

int scan_names(struct scan *scan)
{
	const struct walk walk = {
		.tree = scan->tree,
		.threads = thread_count(),
		.visit = read_dir,
		.error = fail_dir,
		.context = scan,
	};
	int r = find_device(scan);

	if (r < 0)
		fail_at(scan, r, "cannot look at", ".");
	r = walk_run(&walk, ".");
	if (r < 0)
		fail(scan, r, "%s", strerror(-r));
	return scan->error;
}

int scan_stubs(struct scan *scan, struct resolver *resolver, struct stats *stats)
{
	int r = stubs_add_root(scan->stubs);

	scan->resolver = resolver;
	scan->stats = stats;
	if (r < 0)
		fail_stub(scan, r, ".");
	run_threads(scan, check_links);
	scan->next = 0;
	run_threads(scan, judge);
	r = scan->error ? 0 : stubs_finish(scan->stubs);
	if (r < 0)
		fail(scan, r, "cannot set times: %s", strerror(-r));
	return scan->error;
}
