/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting and telling; see observe.h.
 */
#include "fs/front/observe.h"

#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fs/watch/stats.h"
#include "fs/watch/trace.h"

/* The name that follows the header and @offset more bytes, where it is one. */
static char *observe_name(const void *message, size_t size, size_t offset)
{
	const char *name = (const char *)message + sizeof(struct fuse_in_header) + offset;
	size_t used = sizeof(struct fuse_in_header) + offset;

	return used < size && memchr(name, '\0', size - used) ? strdup(name) : NULL;
}

static void observe_tell_request(struct front *front, const void *message, size_t size)
{
	const struct fuse_in_header *in = message;
	struct trace_event event = {
		.kind = TRACE_REQUEST,
		.opcode = in->opcode,
	};

	if (in->opcode == FUSE_LOOKUP)
		event.name = observe_name(message, size, 0);
	else if (in->opcode == FUSE_GETXATTR)
		event.name = observe_name(message, size, sizeof(struct fuse_getxattr_in));
	front->kind->describe(front, in->nodeid, &event);
	trace_put(&front->trace, &event, (pid_t)in->pid);
}

void observe_request(struct front *front, const void *message, size_t size)
{
	const struct fuse_in_header *in = message;

	if (size < sizeof(*in))
		return;
	stats_request(front->stats, in->opcode, (uint32_t)clock_coarse_s());
	if (trace_wanted(&front->trace, TRACE_REQUEST))
		observe_tell_request(front, message, size);
}

static void observe_tell_decision(struct front *front, const char *path, pid_t tid,
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
	if (decision && !front->kind->scanned)
		stats_evidence(front->stats, decision);
	if (decision && trace_wanted(&front->trace, TRACE_DECISION))
		observe_tell_decision(front, path, tid, decision);
}
