/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leaving the mounts that a worker has no use for, its own above all.
 */
#ifndef CANONFS_FS_PROCESS_LEAVE_H
#define CANONFS_FS_PROCESS_LEAVE_H

/**
 * leave_mounts() - move to a mount namespace without our own mount, and without all others
 * that the worker has no use for: a file system that the host unmounts later would live on
 * @cache: path of the cache, by which it is reached later; may be NULL
 *
 * The tree and the readers' root are open already. /proc stays for extended attributes,
 * /dev and /run for syslog. Not possible without CAP_SYS_ADMIN; cache/tree/source.c stays
 * out of the mount by itself.
 */
void leave_mounts(const char *cache);

#endif
