/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker tells about its mount.
 */
#ifndef CANONFS_FS_CONTROL_STATUS_H
#define CANONFS_FS_CONTROL_STATUS_H

#include <json-c/json.h>

#include "fs/control/socket.h"
#include "fs/front/front.h"
#include "fs/mount/mount_ends.h"
#include "fs/mount/options.h"
#include "fs/watch/trace.h"

/**
 * struct control_view - what there is to tell of; all borrowed
 */
struct control_view {
	const struct control *control;
	const struct mount_options *options;
	const struct mount_ends *ends;
	struct front *front;
};

/**
 * control_status() - the answer to "status"
 * Return: an object, the caller's; NULL when out of memory.
 */
struct json_object *control_status(const struct control_view *view);

/* One traced event; likewise. */
struct json_object *control_event(const struct trace_event *event);

#endif
