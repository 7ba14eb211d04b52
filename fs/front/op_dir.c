/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * OPENDIR, READDIR, READDIRPLUS.
 *
 * A listing has no state here: each request opens the directory again and seeks to the
 * lower file system's own cookie, which is what the kernel was given as offset.
 */
#include "config.h"

#include "fs/front/ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/scope.h"

#define DENTS_MAX 32768
#define DENTS_MIN 1024

/* A reply that is being filled. */
struct listing {
	fuse_req_t req;
	struct passthrough *passthrough;
	uint64_t id;
	int fd;
	const char *path;
	bool plus;
	char *buffer;
	size_t size;
	size_t used;
};

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	scope_fd int fd = -1;
	struct statx stx;

	if (front_may_keep(front_of(req))) {
		/* "Never ask again": listings are cached, there is no OPENDIR, no
		 * RELEASEDIR (fs/fuse/dir.c, no_opendir). */
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fd = passthrough_open(passthrough_of(req), ino, O_RDONLY | O_DIRECTORY, NULL, &stx);
	if (fd < 0)
		op_fail(req, -fd);
	else
		fuse_reply_open(req, fi);
}

static bool dir_is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool dir_is_bytecode_link(const struct dirent64 *dirent)
{
	return (dirent->d_type == DT_LNK || dirent->d_type == DT_UNKNOWN) &&
	       alias_is_link_name(dirent->d_name);
}

/* Adds a name with its attributes; false where it does not fit. */
static bool dir_add_plus(struct listing *listing, const struct dirent64 *dirent)
{
	struct passthrough *passthrough = listing->passthrough;
	struct fuse_entry_param param = {
		.attr = {.st_ino = dirent->d_ino, .st_mode = DTTOIF(dirent->d_type)},
	};
	size_t need;

	/*
	 * Where the lookup fails the name is listed all the same, with node id 0: the
	 * kernel then asks when somebody needs it. So it is with links to bytecode, which
	 * only op_lookup may show.
	 */
	if (!dir_is_dot(dirent->d_name) && !dir_is_bytecode_link(dirent))
		(void)passthrough_lookup(passthrough, listing->id, listing->fd,
					 listing->path, dirent->d_name, &param, NULL);
	need = fuse_add_direntry_plus(listing->req, listing->buffer + listing->used,
				      listing->size - listing->used, dirent->d_name, &param,
				      dirent->d_off);
	if (need > listing->size - listing->used) {
		if (param.ino)
			node_forget(passthrough->nodes, param.ino, 1);
		return false;
	}
	listing->used += need;
	return true;
}

static bool dir_add_plain(struct listing *listing, const struct dirent64 *dirent)
{
	struct stat st = {.st_ino = dirent->d_ino, .st_mode = DTTOIF(dirent->d_type)};
	size_t need = fuse_add_direntry(listing->req, listing->buffer + listing->used,
					listing->size - listing->used, dirent->d_name, &st,
					dirent->d_off);

	if (need > listing->size - listing->used)
		return false;
	listing->used += need;
	return true;
}

/* Adds what getdents64() returned; false when the reply is full. */
static bool dir_add_dents(struct listing *listing, const char *dents, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		const struct dirent64 *dirent = (const struct dirent64 *)(dents + at);

		at += dirent->d_reclen;
		if (dirent->d_type == DT_DIR && !dir_is_dot(dirent->d_name) &&
		    passthrough_hides(listing->passthrough, listing->fd, dirent->d_name))
			continue;
		if (!(listing->plus ? dir_add_plus : dir_add_plain)(listing, dirent))
			return false;
	}
	return true;
}

static int dir_fill(struct listing *listing, off_t offset)
{
	_Alignas(struct dirent64) char dents[DENTS_MAX];
	/* No more names at once than the reply will hold: the rest is read again. */
	size_t chunk = listing->plus ? listing->size / 4 : listing->size;
	ssize_t n;

	if (chunk > sizeof(dents))
		chunk = sizeof(dents);
	if (chunk < DENTS_MIN)
		chunk = DENTS_MIN;
	if (offset && lseek(listing->fd, offset, SEEK_SET) < 0)
		return -errno;
	while ((n = getdents64(listing->fd, dents, chunk)) > 0)
		if (!dir_add_dents(listing, dents, (size_t)n))
			return 0;
	/* An error after the first names is the next request's to report. */
	return n < 0 && listing->used == 0 ? -errno : 0;
}

static void dir_list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	struct listing listing = {
		.req = req,
		.passthrough = passthrough_of(req),
		.id = ino,
		.plus = plus,
		.size = size,
	};
	scope_free char *buffer = malloc(size);
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;
	int r;

	if (!buffer) {
		op_fail(req, ENOMEM);
		return;
	}
	fd = passthrough_open(listing.passthrough, ino, O_RDONLY | O_DIRECTORY, &path,
			      &stx);
	if (fd < 0) {
		op_fail(req, -fd);
		return;
	}
	listing.buffer = buffer;
	listing.path = path;
	listing.fd = fd;
	r = dir_fill(&listing, offset);
	if (r < 0)
		op_fail(req, -r);
	else
		fuse_reply_buf(req, buffer, listing.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	(void)fi;
	dir_list(req, ino, size, offset, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	(void)fi;
	dir_list(req, ino, size, offset, true);
}
