/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stubs and their directories; see stubs.h.
 */
#include "fs/stack/stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/mount/mount_calls.h"
#include "fs/stack/data_table.h"

#define RESOLVE_IN_STUBS (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)

/* What the kernel shows for a user or group that a namespace does not have. */
static unsigned read_overflow_id(const char *setting)
{
	scope_fd int fd = open(setting, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	return n > 0 ? (unsigned)strtoul(text, NULL, 10) : 65534;
}

void stubs_init(struct stubs *stubs, int root_fd, const struct tree *tree,
		struct data_table *data, bool in_userns)
{
	*stubs = (struct stubs){
		.root_fd = root_fd, .tree = tree, .data = data, .in_userns = in_userns};
	if (in_userns) {
		stubs->overflow_uid = read_overflow_id("/proc/sys/kernel/overflowuid");
		stubs->overflow_gid = read_overflow_id("/proc/sys/kernel/overflowgid");
	}
	pthread_mutex_init(&stubs->lock, NULL);
}

void stubs_fini(struct stubs *stubs)
{
	for (size_t i = 0; i < stubs->dir_count; i++)
		free(stubs->dirs[i]);
	free(stubs->dirs);
	pthread_mutex_destroy(&stubs->lock);
}

int stubs_mount(void)
{
	char inodes[32];
	/* tmpfs counts the attributes of its files as inodes, by their size. */
	const char *const options[] = {"source=canonfs-stubs", "size=1M", inodes,
				       "mode=0700", NULL};

	snprintf(inodes, sizeof(inodes), "nr_inodes=%d", 2 * STUBS_MAX);
	return mount_detached("tmpfs", options);
}

/* ---- attributes ---- */

/* Attributes that are overlayfs's own: of other layers than ours, and not to be seen. */
static bool is_overlay_private(const char *name)
{
	return strncmp(name, "trusted.overlay.", 16) == 0 ||
	       strncmp(name, "user.overlay.", 13) == 0;
}

/* Settings of a file system for itself; they mean nothing on another one. */
static bool is_setting(const char *name)
{
	return strncmp(name, "btrfs.", 6) == 0;
}

static int copy_xattr(int from, int to, const char *name)
{
	struct proc_path path = proc_path(from);
	scope_free char *value = NULL;
	ssize_t len = getxattr(path.text, name, NULL, 0);

	if (len < 0)
		return -errno;
	value = malloc((size_t)len + 1);
	if (!value)
		return -ENOMEM;
	len = getxattr(path.text, name, value, (size_t)len);
	if (len < 0)
		return -errno;
	return fsetxattr(to, name, value, (size_t)len, 0) < 0 ? -errno : 0;
}

/* The call of its own is the faster one, but takes no O_PATH descriptor. */
static ssize_t list_xattrs(int fd, char *names, size_t size)
{
	ssize_t len = flistxattr(fd, names, size);

	if (len < 0 && errno == EBADF) {
		struct proc_path path = proc_path(fd);

		len = listxattr(path.text, names, size);
	}
	return len;
}

/* Return: bytes of the names in @ret_names, which is the caller's; -errno. */
static ssize_t get_names(int fd, char **ret_names)
{
	scope_free char *names = NULL;
	ssize_t len = list_xattrs(fd, NULL, 0);

	if (len <= 0)
		return len < 0 && errno != EOPNOTSUPP ? -errno : 0;
	names = malloc((size_t)len);
	if (!names)
		return -ENOMEM;
	len = list_xattrs(fd, names, (size_t)len);
	if (len < 0)
		return -errno;
	*ret_names = take_ptr(names);
	return len;
}

int stubs_has_overlay_xattr(int fd)
{
	scope_free char *names = NULL;
	ssize_t len = get_names(fd, &names);

	for (const char *name = names; len > 0 && name < names + len;
	     name += strlen(name) + 1)
		if (is_overlay_private(name))
			return 1;
	return len < 0 ? (int)len : 0;
}

static int copy_xattrs(int from, int to)
{
	scope_free char *names = NULL;
	ssize_t len = get_names(from, &names);

	if (len <= 0)
		return (int)len;
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		int r = is_overlay_private(name) || is_setting(name)
				? 0
				: copy_xattr(from, to, name);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Owner, mode and extended attributes, in the order in which none undoes another. */
static int copy_attributes(const struct stubs *stubs, int from, const struct statx *stx,
			   int to)
{
	struct stat st;

	/* Anybody outside may be behind that id, and they cannot own anything of ours. */
	if (stubs->in_userns &&
	    (stx->stx_uid == stubs->overflow_uid || stx->stx_gid == stubs->overflow_gid))
		return -EOVERFLOW;
	if (fstat(to, &st) < 0)
		return -errno;
	/* A new owner takes set-user-ID and set-group-ID away. */
	if ((st.st_uid != stx->stx_uid || st.st_gid != stx->stx_gid) &&
	    (fchown(to, stx->stx_uid, stx->stx_gid) < 0 || fstat(to, &st) < 0))
		return -errno;
	if (st.st_mode != stx->stx_mode && fchmod(to, stx->stx_mode & 07777) < 0)
		return -errno;
	return copy_xattrs(from, to);
}

/* ---- directories ---- */

/* Remembers a directory; takes ownership of @path. */
static int remember_dir(struct stubs *stubs, char *path)
{
	int r;

	pthread_mutex_lock(&stubs->lock);
	r = array_add(stubs->dirs, stubs->dir_count, path);
	pthread_mutex_unlock(&stubs->lock);
	if (r < 0)
		free(path);
	return r;
}

static int open_stub(const struct stubs *stubs, const char *path, uint64_t flags)
{
	return openat2_fd(stubs->root_fd, path, flags | O_NOFOLLOW, RESOLVE_IN_STUBS);
}

/* Gives the new directory at @path, the stub of one in the tree, its attributes. */
static int dress_dir(struct stubs *stubs, const char *path)
{
	scope_fd int from = -1;
	scope_fd int to = -1;
	struct statx stx;
	char *copy;
	int r;

	from = tree_openat(stubs->tree, path, O_PATH | O_DIRECTORY);
	if (from < 0)
		return from;
	to = open_stub(stubs, path, O_RDONLY | O_DIRECTORY);
	if (to < 0)
		return to;
	r = statx_at(from, "", &stx);
	if (r == 0)
		r = copy_attributes(stubs, from, &stx, to);
	if (r < 0)
		return r;
	copy = strdup(path);
	return copy ? remember_dir(stubs, copy) : -ENOMEM;
}

static int add_dir(struct stubs *stubs, const char *path);

/* The directory above @path; the root is there from the beginning. */
static int add_parent(struct stubs *stubs, const char *path)
{
	scope_free char *parent = path_parent(path);

	return parent ? add_dir(stubs, parent) : -ENOMEM;
}

/* Whoever makes a directory dresses it; others may go on with stubs in it meanwhile. */
static int add_dir(struct stubs *stubs, const char *path)
{
	int r;

	if (mkdirat(stubs->root_fd, path, 0700) == 0)
		return dress_dir(stubs, path);
	if (errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	r = add_parent(stubs, path);
	return r < 0 ? r : add_dir(stubs, path);
}

int stubs_add_root(struct stubs *stubs)
{
	return dress_dir(stubs, ".");
}

static int set_dir_times(const struct stubs *stubs, const char *path)
{
	struct timespec times[2];
	struct statx stx;
	int r = tree_stat(stubs->tree, path, &stx);

	if (r < 0)
		return r;
	times[0] = statx_time(stx.stx_atime);
	times[1] = statx_time(stx.stx_mtime);
	return utimensat(stubs->root_fd, path, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int stubs_finish(struct stubs *stubs)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < stubs->dir_count; i++)
		r = set_dir_times(stubs, stubs->dirs[i]);
	return r;
}

/* ---- files ---- */

const char *stubs_metacopy(const struct stubs *stubs)
{
	return stubs->in_userns ? "user.overlay.metacopy" : "trusted.overlay.metacopy";
}

/* Where the FUSE layer has the file's data. */
static int data_place(struct stubs *stubs, const struct stub_file *file,
		      char place[PATH_MAX])
{
	uint64_t number;
	int r = data_table_add(stubs->data, file->path, file->stx, &number);

	return r < 0 ? r : snprintf(place, PATH_MAX, "/" DATA_DIR "/%" PRIu64, number);
}

/* Says that the file has no data of its own, and where it is. */
static int mark(struct stubs *stubs, int fd, const struct stub_file *file)
{
	const char *redirect =
		stubs->in_userns ? "user.overlay.redirect" : "trusted.overlay.redirect";
	char place[PATH_MAX];
	int len;

	if (fsetxattr(fd, stubs_metacopy(stubs), "", 0, 0) < 0)
		return -errno;
	if (!file->is_data && !stubs->in_userns)
		return 0; /* the same path in the next layer, the source */
	len = file->is_data ? data_place(stubs, file, place)
			    : snprintf(place, sizeof(place), "/%s", file->path);
	if (len < 0)
		return len;
	return fsetxattr(fd, redirect, place, (size_t)len, 0) < 0 ? -errno : 0;
}

static int fill_stub(struct stubs *stubs, int fd, const struct stub_file *file)
{
	const struct timespec times[] = {statx_time(file->stx->stx_atime), file->mtime};
	int r;

	if (ftruncate(fd, (off_t)file->stx->stx_size) < 0)
		return -errno;
	r = mark(stubs, fd, file);
	if (r == 0)
		r = copy_attributes(stubs, file->fd, file->stx, fd);
	if (r == 0 && futimens(fd, times) < 0)
		r = -errno;
	return r;
}

static int create(const struct stubs *stubs, const struct stub_file *file)
{
	int fd = openat(stubs->root_fd, file->path,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			file->stx->stx_mode & 0777);

	return fd < 0 ? -errno : fd;
}

int stubs_add(struct stubs *stubs, const struct stub_file *file)
{
	scope_fd int fd = -1;
	int r;

	/* Before anything is made: a stub without its data would hide the file. */
	if (strlen(file->path) + (file->is_data ? 0 : strlen("/")) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = create(stubs, file);
	if (fd == -ENOENT) {
		r = add_parent(stubs, file->path);
		if (r < 0)
			return r;
		fd = create(stubs, file);
	}
	return fd < 0 ? fd : fill_stub(stubs, fd, file);
}

int stubs_link(struct stubs *stubs, const char *path, const char *twin)
{
	int r;

	if (linkat(stubs->root_fd, twin, stubs->root_fd, path, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	r = add_parent(stubs, path);
	if (r < 0)
		return r;
	return linkat(stubs->root_fd, twin, stubs->root_fd, path, 0) < 0 ? -errno : 0;
}
