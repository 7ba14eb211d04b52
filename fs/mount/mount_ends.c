/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SOURCE and MOUNTPOINT before anything is mounted; see mount_ends.h.
 */
#include "fs/mount/mount_ends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/mountinfo.h"
#include "fs/mount/tree_layers.h"

/* @path as those see it whose root directory is @root; NULL where they do not. */
static const char *mount_ends_seen_from(const char *root, const char *path)
{
	const char *rest = path_below(path, root);

	return rest && !*rest ? "/" : rest;
}

/*
 * Opens the tree with the path at which its readers see it: the mount point, or, where
 * that is outside of their root, the source's own place in it, over which a container
 * runtime will bind the mount.
 */
static int mount_ends_open_source(struct mount_ends *ends, const char *given_root)
{
	scope_free char *root = realpath(given_root, NULL);
	const char *view;
	int r;

	if (!root) {
		r = -errno;
		log_error("cannot use root=%s: %s", quoted(given_root), strerror(-r));
		return r;
	}
	view = mount_ends_seen_from(root, ends->point);
	if (!view)
		view = mount_ends_seen_from(root, ends->source);
	if (!view) {
		log_error("neither MOUNTPOINT %s nor SOURCE %s is below root=%s",
			  quoted(ends->point), quoted(ends->source), quoted(given_root));
		return -EINVAL;
	}
	r = tree_open(&ends->tree, ends->source, root, view);
	if (r == -ENOTDIR)
		log_error("SOURCE %s is not a directory", quoted(ends->source));
	else if (r < 0)
		log_error("cannot open SOURCE %s: %s", quoted(ends->source), strerror(-r));
	return r;
}

/* One mount is shown: what is mounted below it must be hidden on purpose. */
static int mount_ends_refuse_submounts(const char *path)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *below;
	int r = mountinfo_read(&list);

	if (r < 0)
		log_error("cannot read '/proc/self/mountinfo': %s", strerror(-r));
	below = mountinfo_below(&list, path);
	if (!below)
		return r;
	log_error("another file system is mounted below SOURCE, on %s: canonfs shows one "
		  "only; hide it with -o xdev, or mount it by itself",
		  quoted(below->point));
	return -EXDEV;
}

static int mount_ends_check_point(struct mount_ends *ends, const char *point)
{
	struct statvfs statistics;
	struct stat st = {0};
	int r = realpath(point, ends->point) ? 0 : -errno;

	/* The kernel may remember what stat() tells of a server that is gone. */
	if (r == 0 && (stat(ends->point, &st) < 0 || statvfs(ends->point, &statistics) < 0))
		r = -errno;
	if (r == -ENOTCONN)
		log_error(
			"MOUNTPOINT %s has a FUSE mount whose server is gone; end it with "
			"canonfs umount %s",
			quoted(point), point);
	else if (r < 0)
		log_error("cannot use MOUNTPOINT %s: %s", quoted(point), strerror(-r));
	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode)) {
		log_error("MOUNTPOINT %s is not a directory", quoted(point));
		return -ENOTDIR;
	}
	/* Who has it as a root directory, we too, does not see what is mounted over it. */
	if (strcmp(ends->point, "/") == 0) {
		log_error("MOUNTPOINT is '/': a mount over it would not show");
		return -EINVAL;
	}
	if (mount_is_ours(ends->point, NULL)) {
		log_error("MOUNTPOINT %s already has a canonfs mount; end it with canonfs "
			  "umount %s",
			  quoted(point), point);
		return -EBUSY;
	}
	return 0;
}

static int mount_ends_check_source(struct mount_ends *ends, const char *source)
{
	int r;

	if (realpath(source, ends->source))
		return 0;
	r = -errno;
	log_error("cannot open SOURCE %s: %s", quoted(source), strerror(-r));
	return r;
}

/* Before the mount: its path may lead through the mount point. */
static void mount_ends_find_cache(struct mount_ends *ends,
				  const struct mount_options *options)
{
	struct reason why;
	int r;

	if (options->no_cache)
		return;
	r = store_place_open(&ends->cache, options->cache, &why);
	if (r == 0)
		return;
	proof_book_refuse(&ends->proofs, &ends->cache, r, &why);
	proof_book_warn(&ends->proofs, ends->cache.proofs);
	/* A user without a home has no cache; one that others can write is worth a word. */
	log_message(options->cache || r == -EPERM ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		    "cannot use the cache%s%s: %s; going on without",
		    options->cache ? " " : "", options->cache ? quoted(options->cache) : "",
		    why.text);
	store_place_close(&ends->cache);
}

/*
 * Can the source change? Where it is mounted read-only, and yet may, people have to know:
 * they may know better. The error of stack=on says so by itself.
 */
static void mount_ends_judge(struct mount_ends *ends, const struct mount_options *options)
{
	const char *text;

	ends->mutability = mutability_of(&ends->tree, ends->source, options->mutability);
	text = mutability_text(ends->mutability.reason);
	if (mutability_is_surprising(&ends->mutability) && options->stack != STACK_ON)
		log_warning(
			"the source %s %s; if it never does, -o immutable makes it faster",
			quoted(ends->source), text);
	else
		log_info("the source %s %s", quoted(ends->source), text);
}

int mount_ends_open(struct mount_ends *ends, const struct mount_options *options,
		    const char *source, const char *point)
{
	int r;

	*ends = (struct mount_ends){
		.tree = {.root_fd = -1, .host_fd = -1},
		.cache = {.dir_fd = -1},
	};
	r = mount_ends_check_source(ends, source);
	if (r == 0)
		r = mount_ends_check_point(ends, point);
	if (r == 0 && !options->xdev)
		r = mount_ends_refuse_submounts(ends->source);
	if (r == 0)
		r = mount_ends_open_source(ends, options->root ? options->root : "/");
	if (r < 0)
		return r;
	mount_ends_judge(ends, options);
	tree_layers_find(&ends->tree, ends->source);
	mount_ends_find_cache(ends, options);
	return 0;
}

unsigned long mount_ends_flags(const struct mount_ends *ends)
{
	struct statvfs statistics;

	/* The ST_ flags have the values of their MS_ flags. */
	return fstatvfs(ends->tree.root_fd, &statistics) < 0
		       ? MS_NOSUID | MS_NODEV
		       : statistics.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

void mount_ends_close(struct mount_ends *ends)
{
	tree_close(&ends->tree);
	store_place_close(&ends->cache);
}
