/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a directory the /usr of an ostree deployment? ostree makes one with each upgrade and
 * never writes to it again (ostree "Deployments"); `ostree admin unlock` mounts an overlay
 * over it instead.
 */
#ifndef CANONFS_FS_MOUNT_OSTREE_H
#define CANONFS_FS_MOUNT_OSTREE_H

#include <stdbool.h>

#include "fs/mount/mountinfo.h"

/**
 * ostree_is_deployed_usr() - does a directory lie in the /usr of a deployment?
 * @list:  the mounts, among them one that shows what lies beside the deployment (/sysroot)
 * @entry: the mount that the directory lies on
 * @path:  of the directory, absolute, without symlinks
 * Return: false in doubt.
 */
bool ostree_is_deployed_usr(const struct mountinfo *list, const struct mount_entry *entry,
			    const char *path);

#endif
