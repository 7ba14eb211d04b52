/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file system tree is this, across mounts and boots? And do its inodes' times and
 * generations prove anything?
 *
 * Two images can agree in everything that a stat shows (erofs and squashfs with fixed
 * identifiers, read-only overlays). So an image only says where to look for stored rows;
 * each file decides whether its row is believed.
 */
#ifndef CANONFS_CACHE_TREE_IMAGE_H
#define CANONFS_CACHE_TREE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/tree/identity.h"

/**
 * struct image - a tree of a file system
 * @id:            a hash of the four below; positive, so that SQL can hold it
 * @fs_type:       statfs f_type
 * @fsid:          statfs f_fsid: from the UUID, or the device number, or 0
 * @root_inode, @root_btime_ns: of the tree's root directory
 * @device:        st_dev, of this mount
 * @mount_id:      identity_mount_id(), of this mount
 */
struct image {
	int64_t id;
	uint64_t fs_type;
	uint64_t fsid;
	uint64_t root_inode;
	int64_t root_btime_ns;
	uint64_t device;
	uint64_t mount_id;
};

/**
 * image_of() - the image that a directory is the root of
 * @root_fd: O_PATH is enough
 * Return: 0 or -errno.
 */
int image_of(int root_fd, struct image *ret_image);

/**
 * image_vouches() - does a stored identity prove by itself that the content is the same?
 *
 * It does where a live kernel keeps generation, birth and change times that nobody can set:
 * ext4, xfs, btrfs, f2fs. And the change time must have nanoseconds: image builders that
 * write file systems on their own set none. Elsewhere only the content's digest proves it.
 */
bool image_vouches(const struct image *image, const struct identity *identity);

#endif
