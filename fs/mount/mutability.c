/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Judging whether a source can change; see mutability.h.
 */
#include "fs/mount/mutability.h"

#include <fcntl.h>
#include <regex.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/mount/mountinfo.h"
#include "fs/mount/ostree.h"
#include "fs/mount/overlay_layers.h"

/* The kernel allows an overlay over an overlay, and no third one. */
#define MUTABILITY_MAX_DEPTH 2

/* clang-format off */
static const struct {
	bool immutable;
	const char *name;
	const char *text;
} mutability_reasons[] = {
	[MUTABILITY_SAID_IMMUTABLE] = {true, "said-immutable",
		"never changes: -o immutable says so"},
	[MUTABILITY_READ_ONLY_FS] = {true, "read-only-fs",
		"never changes: its file system is read-only"},
	[MUTABILITY_OSTREE] = {true, "ostree",
		"never changes: it is an ostree deployment"},
	[MUTABILITY_COMPOSEFS] = {true, "composefs",
		"never changes: it is a composefs"},
	[MUTABILITY_CONTAINER_LAYERS] = {true, "container-layers",
		"never changes: it is made of a container engine's layers"},
	[MUTABILITY_READ_ONLY_LAYERS] = {true, "read-only-layers",
		"never changes: it is an overlay of read-only file systems"},
	[MUTABILITY_SAID_MUTABLE] = {false, "said-mutable",
		"may change: -o mutable says so"},
	[MUTABILITY_READ_WRITE] = {false, "read-write",
		"may change: it is mounted read-write"},
	[MUTABILITY_READ_ONLY_MOUNT] = {false, "read-only-mount",
		"may change: it is mounted read-only, but its file system is not"},
	[MUTABILITY_OTHER_FS] = {false, "other-fs",
		"may change: others may write to a file system of its type"},
	[MUTABILITY_UPPER_LAYER] = {false, "upper-layer",
		"may change: it is an overlay with an upper layer"},
	[MUTABILITY_OTHER_LAYERS] = {false, "other-layers",
		"may change: it is an overlay, and its layers may"},
	[MUTABILITY_UNKNOWN] = {false, "unknown",
		"may change: its mount cannot be looked at"},
};
/* clang-format on */

_Static_assert(ARRAY_SIZE(mutability_reasons) == MUTABILITY_REASONS,
	       "each reason has its words");

/*
 * With a read-only super block, nobody writes to these: they have their storage to
 * themselves. Not zfs: `zfs receive` writes to a read-only one.
 */
static const char *const mutability_local_types[] = {
	"squashfs", "erofs",  "iso9660", "cramfs", "romfs", "udf",   "ext2",
	"ext3",	    "ext4",   "xfs",	 "btrfs",  "f2fs",  "vfat",  "exfat",
	"jfs",	    "nilfs2", "ubifs",	 "ntfs3",  "tmpfs", "ramfs", "bcachefs",
};

static bool mutability_is_local(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(mutability_local_types); i++)
		if (strcmp(type, mutability_local_types[i]) == 0)
			return true;
	return false;
}

/*
 * The names of layers, of containers/storage and docker (the short links to layers, then
 * the layers; "empty" goes below a single one, "-init" is a container's own lowest) and of
 * containerd.
 */
#define MUTABILITY_LAYER                                 \
	"(^|/)l/[A-Z0-9]{26}$"                           \
	"|/overlay2?/[0-9a-f]{64}(-init)?/(diff|empty)$" \
	"|/io\\.containerd\\.snapshotter\\.v1\\.overlayfs/snapshots/[0-9]+/fs$"

/* An engine writes a layer when it pulls or commits it, and never again. */
static bool mutability_is_engine_layer(const char *path)
{
	regex_t pattern;
	bool matches;

	if (regcomp(&pattern, MUTABILITY_LAYER, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	matches = regexec(&pattern, path, 0, NULL, 0) == 0;
	regfree(&pattern);
	return matches;
}

static enum mutability_reason mutability_of_mount(const struct mountinfo *list,
						  const struct mount_entry *entry,
						  const char *path, int depth);

/*
 * A layer that is no engine's, by the mount that its name leads to. That may be the overlay
 * itself, if it lies over its layer: then the depth ends it.
 */
static bool mutability_is_fixed_layer(const struct mountinfo *list, const char *path,
				      int depth)
{
	scope_fd int fd = -1;
	const struct mount_entry *entry;

	/* A relative name begins where the overlay was made, and nobody knows where. */
	if (path[0] != '/' || depth > MUTABILITY_MAX_DEPTH)
		return false;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	entry = fd < 0 ? NULL : mountinfo_find(list, statx_mount_id(fd));
	return entry &&
	       mutability_reasons[mutability_of_mount(list, entry, path, depth)].immutable;
}

static enum mutability_reason mutability_of_overlay(const struct mountinfo *list,
						    const struct mount_entry *entry,
						    int depth)
{
	scope_overlay_layers struct overlay_layers layers = {.count = 0};
	enum mutability_reason reason = MUTABILITY_READ_ONLY_LAYERS;

	if (overlay_layers_of(entry, &layers) < 0 || layers.count == 0)
		return MUTABILITY_UNKNOWN;
	if (layers.upper)
		return MUTABILITY_UPPER_LAYER;
	/* libcomposefs names its mounts so; they were made from layers that are hidden now.
	 */
	if (layers.has_data && strncmp(entry->source, "composefs", 9) == 0)
		return MUTABILITY_COMPOSEFS;
	for (size_t i = 0; i < layers.count; i++) {
		const char *lower = layers.lower[i];

		if (mutability_is_engine_layer(lower))
			reason = MUTABILITY_CONTAINER_LAYERS;
		else if (!mutability_is_fixed_layer(list, lower, depth + 1))
			return MUTABILITY_OTHER_LAYERS;
	}
	return reason;
}

/* @path lies on the mount @entry; @depth: overlays above it. */
static enum mutability_reason mutability_of_mount(const struct mountinfo *list,
						  const struct mount_entry *entry,
						  const char *path, int depth)
{
	if (strcmp(entry->type, "overlay") == 0)
		return mutability_of_overlay(list, entry, depth);
	if (entry->fs_read_only)
		return mutability_is_local(entry->type) ? MUTABILITY_READ_ONLY_FS
							: MUTABILITY_OTHER_FS;
	if (!entry->read_only)
		return MUTABILITY_READ_WRITE;
	return ostree_is_deployed_usr(list, entry, path) ? MUTABILITY_OSTREE
							 : MUTABILITY_READ_ONLY_MOUNT;
}

static enum mutability_reason mutability_judge(const struct tree *tree, const char *path)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *entry =
		mountinfo_read(&list) < 0 ? NULL : mountinfo_find(&list, tree->mount_id);

	return entry ? mutability_of_mount(&list, entry, path, 0) : MUTABILITY_UNKNOWN;
}

struct mutability mutability_of(const struct tree *tree, const char *path,
				enum mutability_option said)
{
	enum mutability_reason reason = said == MUTABILITY_NEVER ? MUTABILITY_SAID_IMMUTABLE
					: said == MUTABILITY_ALWAYS
						? MUTABILITY_SAID_MUTABLE
						: mutability_judge(tree, path);

	return (struct mutability){
		.immutable = mutability_reasons[reason].immutable,
		.reason = reason,
	};
}

const char *mutability_name(enum mutability_reason reason)
{
	return mutability_reasons[reason].name;
}

const char *mutability_text(enum mutability_reason reason)
{
	return mutability_reasons[reason].text;
}

bool mutability_is_surprising(const struct mutability *mutability)
{
	return mutability->reason == MUTABILITY_READ_ONLY_MOUNT ||
	       mutability->reason == MUTABILITY_OTHER_FS ||
	       mutability->reason == MUTABILITY_OTHER_LAYERS;
}
