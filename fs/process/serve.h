/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop of a FUSE connection.
 */
#ifndef CANONFS_FS_PROCESS_SERVE_H
#define CANONFS_FS_PROCESS_SERVE_H

#include "fs/front/front.h"

/**
 * serve_front() - answer requests with several threads until the connection ends
 * @fuse_fd: the open /dev/fuse; taken
 * Return: an exit status: 0; 1 with a line logged.
 */
int serve_front(struct front *front, int fuse_fd);

#endif
