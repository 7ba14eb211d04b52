/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layers of a stacked mount, filled by its worker.
 */
#ifndef CANONFS_FS_PROCESS_LAYER_H
#define CANONFS_FS_PROCESS_LAYER_H

#include "cache/store/store.h"
#include "fs/process/worker.h"
#include "fs/stack/data.h"

/**
 * layer_prepare() - write the stubs, and report it to the supervisor, which makes the
 * overlay
 * @layer: knows afterwards what it has to serve
 * @start: of the store; taken
 *
 * Until the report the worker ends with the supervisor.
 * Return: 1; 0 if nothing has to be served; -errno, which the supervisor logs.
 */
int layer_prepare(const struct worker_task *task, struct data_layer *layer,
		  struct recall *start);

#endif
