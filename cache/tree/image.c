/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images and what their inodes are worth; see image.h.
 */
#include "cache/tree/image.h"

#include <errno.h>
#include <string.h>
#include <sys/vfs.h>
#include <xxhash.h>

#include "base/fdio.h"
#include "base/scope.h"

/* <linux/magic.h> lacks the one of xfs. */
#define EXT_MAGIC   0xef53u /* ext2, ext3, ext4 */
#define XFS_MAGIC   0x58465342u
#define BTRFS_MAGIC 0x9123683eu
#define F2FS_MAGIC  0xf2f52010u

#define NS_PER_S INT64_C(1000000000)

static int64_t image_id(const struct image *image)
{
	const uint64_t key[] = {image->fs_type, image->fsid, image->root_inode,
				(uint64_t)image->root_btime_ns};

	return (int64_t)(XXH3_64bits(key, sizeof(key)) >> 1);
}

int image_of(int root_fd, struct image *ret_image)
{
	struct identity root;
	struct statfs fs;
	struct statx stx;
	int r;

	if (fstatfs(root_fd, &fs) < 0)
		return -errno;
	r = statx_at(root_fd, "", &stx);
	if (r < 0)
		return r;
	root = identity_of(&stx, identity_mount_id(root_fd));
	*ret_image = (struct image){
		.fs_type = (uint32_t)fs.f_type,
		.root_inode = root.inode,
		.root_btime_ns = root.btime_ns,
		.device = root.device,
		.mount_id = root.mount_id,
	};
	_Static_assert(sizeof(fs.f_fsid) == sizeof(ret_image->fsid), "f_fsid is 64 bits");
	memcpy(&ret_image->fsid, &fs.f_fsid, sizeof(ret_image->fsid));
	ret_image->id = image_id(ret_image);
	return 0;
}

static bool image_has_sound_inodes(uint64_t fs_type)
{
	return fs_type == EXT_MAGIC || fs_type == XFS_MAGIC || fs_type == BTRFS_MAGIC ||
	       fs_type == F2FS_MAGIC;
}

bool image_vouches(const struct image *image, const struct identity *identity)
{
	return image_has_sound_inodes(image->fs_type) && identity->generation != 0 &&
	       identity->btime_ns != 0 && identity->ctime_ns % NS_PER_S != 0;
}
