/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting and telling; see observe.h.
 */
#include "fs/watch/observe.h"

#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/stack/data.h"
#include "fs/watch/stats.h"
#include "fs/watch/trace.h"

/* The name that follows the header and @offset more bytes, where it is one. */
static char *name_in(const void *message, size_t size, size_t offset)
{
	const char *name = (const char *)message + sizeof(struct fuse_in_header) + offset;
	size_t used = sizeof(struct fuse_in_header) + offset;

	return used < size && memchr(name, '\0', size - used) ? strdup(name) : NULL;
}

/* The path of a node, as readers know it; NULL where there is none. */
static char *path_of(struct front *front, uint64_t id)
{
	const char *file;
	char *path;

	if (!front->data)
		return node_path(front->nodes, id, &path, NULL) < 0 ? NULL : path;
	file = data_path(front->data, id);
	return file ? strdup(file) : NULL;
}

/* A name in the data layer is a number: says which file's. */
static void name_file(const struct front *front, uint64_t parent, struct trace_event *event)
{
	uint64_t id = event->name ? data_lookup_name(front->data, parent, event->name) : 0;

	if (id == 0)
		return;
	free(event->path);
	free(event->name);
	event->path = strdup(data_path(front->data, id));
	event->name = NULL;
}

static void tell_request(struct front *front, const void *message, size_t size)
{
	const struct fuse_in_header *in = message;
	struct trace_event event = {
		.kind = TRACE_REQUEST,
		.opcode = in->opcode,
		.path = path_of(front, in->nodeid),
	};

	if (in->opcode == FUSE_LOOKUP)
		event.name = name_in(message, size, 0);
	else if (in->opcode == FUSE_GETXATTR)
		event.name = name_in(message, size, sizeof(struct fuse_getxattr_in));
	if (in->opcode == FUSE_LOOKUP && front->data)
		name_file(front, in->nodeid, &event);
	trace_put(&front->trace, &event, (pid_t)in->pid);
}

void observe_request(struct front *front, const void *message, size_t size)
{
	const struct fuse_in_header *in = message;
	struct timespec now;

	if (size < sizeof(*in))
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	stats_request(front->stats, in->opcode, (uint32_t)now.tv_sec);
	if (trace_wanted(&front->trace, TRACE_REQUEST))
		tell_request(front, message, size);
}

static void tell_decision(struct front *front, const char *path, pid_t tid,
			  const struct pyc_decision *decision)
{
	struct trace_event event = {
		.kind = TRACE_DECISION,
		.path = strdup(path),
		.verdict = decision->verdict,
		.reason = decision->reason,
		.changed = decision->changed,
	};

	trace_put(&front->trace, &event, tid);
}

void observe_decision(struct front *front, const char *path, pid_t tid,
		      const struct pyc_decision *decision)
{
	stats_decision(front->stats, decision);
	if (decision && trace_wanted(&front->trace, TRACE_DECISION))
		tell_decision(front, path, tid, decision);
}
