/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the fork to the exit; see worker.h and supervisor.h.
 */
#include "fs/process/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "cache/recall.h"
#include "fs/control/server.h"
#include "fs/front/ops.h"
#include "fs/front/passthrough.h"
#include "fs/mount/mountinfo.h"
#include "fs/process/layer.h"
#include "fs/process/leave.h"
#include "fs/process/serve.h"
#include "fs/stack/data.h"

/* Does a path lead through a canonfs mount? Where it cannot be told, it may. */
static bool worker_is_cache_covered(const char *path)
{
	scope_mountinfo struct mountinfo list = {.count = 0};

	return mountinfo_read(&list) < 0 || mountinfo_leads_through_ours(&list, path);
}

/* Begins to load what is known from earlier; NULL where there is nothing. */
static struct recall *worker_start_recall(const struct worker_task *task,
					  struct front *front)
{
	const struct store_place *cache = &task->ends->cache;
	struct recall *recall;
	bool is_covered;

	front->proofs = task->ends->proofs;
	if (!cache->path)
		return NULL;
	is_covered = worker_is_cache_covered(cache->path);
	if (is_covered)
		/* Opening it could wait for us to answer. The proofs are opened from a
		 * directory that was opened before the mount. */
		log_warning(
			"cannot use the cache %s: it lies under a canonfs mount; going on "
			"without",
			quoted(cache->path));
	recall = recall_start(cache, task->ends->tree.root_fd, task->options->cache_size,
			      is_covered);
	if (!recall) {
		front->proofs.state = PROOFS_UNREAD;
		reason_set(&front->proofs.why, 0, "out of memory");
		proof_book_warn(&front->proofs, cache->proofs);
	}
	return recall;
}

/* Serves until the mount ends. Return: an exit status. */
static int worker_serve(const struct worker_task *task, struct front *front)
{
	const char *point = task->ends->point;
	struct control_server *server;
	int status;

	if (task->background)
		log_to_syslog();
	if (!front->immutable && front->told)
		log_info("%s: the kernel tells its changes", quoted(point));
	else if (!front->immutable)
		log_info("%s: its changes are asked for each second: %s", quoted(point),
			 front->why_asked.text);
	server = control_start(&(struct control_view){.control = task->control,
						      .options = task->options,
						      .ends = task->ends,
						      .front = front});
	status = serve_front(front, task->fuse_fd);
	control_stop(server);
	return status;
}

/* Says why nothing can be served, and returns the exit status. */
static int worker_cannot_serve(const struct worker_task *task, int error)
{
	log_error("cannot serve %s: %s", quoted(task->ends->point), strerror(-error));
	return 1;
}

static int worker_run_passthrough(const struct worker_task *task)
{
	struct passthrough passthrough;
	struct front *front = &passthrough.front;
	int r = passthrough_init(&passthrough, &task->ends->tree,
				 task->ends->mutability.immutable, task->control->stats);
	int status;

	if (r == 0)
		r = front_load(front, &task->options->policy,
			       worker_start_recall(task, front));
	status = r < 0 ? worker_cannot_serve(task, r) : worker_serve(task, front);
	passthrough_fini(&passthrough);
	return status;
}

/* A failure to prepare is reported to the supervisor, which says so. */
static int worker_run_layer(const struct worker_task *task)
{
	struct data_layer layer;
	int r = data_layer_init(&layer, &task->ends->tree, task->control->stats);
	int status;

	if (r < 0) {
		status = worker_cannot_serve(task, r);
	} else {
		r = layer_prepare(task, &layer, worker_start_recall(task, &layer.front));
		status = r > 0 ? worker_serve(task, &layer.front) : r < 0;
	}
	data_layer_fini(&layer);
	return status;
}

int worker_run(const struct worker_task *task)
{
	prctl(PR_SET_NAME, "canonfs-worker");
	if (task->stack)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	leave_mounts(task->ends->cache.path);
	return task->stack ? worker_run_layer(task) : worker_run_passthrough(task);
}
