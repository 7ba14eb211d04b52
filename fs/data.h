/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data-only layer of a stacked mount: /.canonfs/PATH is the bytecode file at PATH in
 * the source, with the header that it is served with. Nothing else of the source is in it:
 * what has no stub (fs/stubs.h) does not exist here.
 *
 * It shares node table, resolver and most handlers with the passthrough front; overlayfs
 * alone sees it, and asks for nothing but names and contents.
 */
#ifndef CANONFS_FS_DATA_H
#define CANONFS_FS_DATA_H

#include "fs/ops.h"

/* The table for fuse_session_new() of a data layer. */
extern const struct fuse_lowlevel_ops data_ops;

/**
 * data_shows() - is a path of the layer one that exists?
 * @stubs_fd: the root of the stub layer
 * @path:     relative to the layer
 */
bool data_shows(int stubs_fd, const char *path);

/**
 * data_source() - where in the source the file is that a path of the layer stands for
 * Return: a part of @path, "." for the layer's directories above PATH.
 */
const char *data_source(const char *path);

#endif
