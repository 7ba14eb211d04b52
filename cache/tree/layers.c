/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In which layer a file is; see layers.h.
 *
 * The overlay shows the file, so no whiteout and no opaque directory hides it: it is in the
 * first layer from above that has something of its name. overlayfs shows the times and the
 * size of the layer's file, so these tell whether it is the one.
 */
#include "cache/tree/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include "base/array.h"
#include "base/fdio.h"
#include "base/scope.h"

/* overlayfs looks at a layer in this way, too. */
#define RESOLVE_IN_LAYER \
	(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

int layers_add(struct layers *layers, int dir)
{
	int r = layers->count < LAYERS_MAX ? array_add(layers->dir, layers->count, dir)
					   : -E2BIG;

	if (r < 0)
		close_fd(&dir);
	return r;
}

void layers_fini(struct layers *layers)
{
	for (size_t i = 0; i < layers->count; i++)
		close_fd(&layers->dir[i]);
	free(layers->dir);
	*layers = (struct layers){.count = 0};
}

static bool layers_is_same_time(struct statx_timestamp a, struct statx_timestamp b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The numbers of inode and device are the overlay's own. */
static bool layers_is_same(const struct statx *a, const struct statx *b)
{
	return a->stx_mode == b->stx_mode && a->stx_size == b->stx_size &&
	       layers_is_same_time(a->stx_mtime, b->stx_mtime) &&
	       layers_is_same_time(a->stx_ctime, b->stx_ctime);
}

/* Has a layer the file? PYC_CHECK_BAD: it has nothing of its name. */
static enum pyc_check layers_has(int dir, const struct layers_file *file)
{
	scope_fd int fd =
		openat2_fd(dir, file->path, O_PATH | O_NOFOLLOW, RESOLVE_IN_LAYER);
	struct statx stx;

	if (fd < 0)
		return fd == -ENOENT ? PYC_CHECK_BAD : PYC_CHECK_UNKNOWN;
	if (statx_at(fd, "", &stx) < 0 || !layers_is_same(&stx, file->stx))
		return PYC_CHECK_UNKNOWN;
	return PYC_CHECK_OK;
}

/* Each layer from above is asked for both, until one has the bytecode. */
enum pyc_check layers_compare(const struct layers *layers, const struct layers_file *pyc,
			      const struct layers_file *source)
{
	bool is_source_above = false;

	for (size_t i = 0; i < layers->count; i++) {
		enum pyc_check has_pyc = layers_has(layers->dir[i], pyc);
		enum pyc_check has_source = PYC_CHECK_BAD;

		if (has_pyc == PYC_CHECK_OK)
			return is_source_above ? PYC_CHECK_BAD : PYC_CHECK_OK;
		if (!is_source_above)
			has_source = layers_has(layers->dir[i], source);
		if (has_pyc == PYC_CHECK_UNKNOWN || has_source == PYC_CHECK_UNKNOWN)
			return PYC_CHECK_UNKNOWN;
		is_source_above |= has_source == PYC_CHECK_OK;
	}
	return PYC_CHECK_UNKNOWN;
}
