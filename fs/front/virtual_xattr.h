/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes that bytecode files have in the mount only: what canonfs decided.
 *
 *	user.canonfs.verdict		"restamped"
 *	user.canonfs.reason		"canonical"
 *	user.canonfs.original-header	the header as it is on disk, in hexadecimal
 *
 * They are not listed, so that copies (cp -a, rsync -X, tar --xattrs) stay clean. An
 * attribute of such a name that the source itself has is hidden by them, on bytecode only.
 */
#ifndef CANONFS_FS_FRONT_VIRTUAL_XATTR_H
#define CANONFS_FS_FRONT_VIRTUAL_XATTR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/front/passthrough.h"

#define VIRTUAL_XATTR_MAX 64

/* Is it one of these names? */
bool virtual_xattr_is(const char *name);

/**
 * virtual_xattr_get() - the value for a node
 * @name:      virtual_xattr_is()
 * @ret_value: VIRTUAL_XATTR_MAX bytes; no terminator is part of the value
 * Return: its length; -ENODATA where the node is no bytecode file; another -errno.
 */
ssize_t virtual_xattr_get(struct passthrough *passthrough, uint64_t id, const char *name,
			  char *ret_value);

#endif
