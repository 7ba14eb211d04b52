/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that answer requests; see worker.h and supervisor.h.
 *
 * The loop is our own: libfuse's ends its threads with pthread_cancel(), which opens
 * libgcc_s.so.1, which may lie under this very mount.
 */
#include "config.h"

#include "fs/process/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/scope.h"
#include "cache/store/store.h"
#include "fs/control/server.h"
#include "fs/front/alias_reply.h"
#include "fs/front/observe.h"
#include "fs/front/ops.h"
#include "fs/mount/mountinfo.h"
#include "fs/process/leave.h"
#include "fs/stack/data.h"
#include "fs/stack/scan.h"

#define MIN_THREADS 4
#define MAX_THREADS 16

/* Does a path lead through a canonfs mount? Where it cannot be told, it may. */
static bool is_covered(const char *path)
{
	scope_mountinfo struct mountinfo list = {.count = 0};

	return mountinfo_read(&list) < 0 || mountinfo_leads_through_ours(&list, path);
}

/* Begins to load what earlier mounts learned; NULL where there is nothing. */
static struct store_start *start_store(const struct mount_options *options,
				       const struct mount_ends *ends)
{
	const struct store_place *cache = &ends->cache;

	if (!cache->path)
		return NULL;
	if (is_covered(cache->path)) {
		/* Opening it could wait for us to answer. */
		log_warning(
			"cannot use the cache %s: it lies under a canonfs mount; going on "
			"without",
			quoted(cache->path));
		return NULL;
	}
	return store_start(cache, ends->tree.root_fd, options->cache_size);
}

static void *serve_in_thread(void *context)
{
	struct front *front = context;
	struct fuse_session *session = front->session;
	struct fuse_buf buffer = {.mem = NULL};

	while (!fuse_session_exited(session)) {
		int n = fuse_session_receive_buf(session, &buffer);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		/* Never spliced: FUSE_CAP_SPLICE_READ is not wanted (op_init()). */
		if (!(buffer.flags & FUSE_BUF_IS_FD))
			observe_request(front, buffer.mem, buffer.size);
		fuse_session_process_buf(session, &buffer);
	}
	free(buffer.mem);
	return NULL;
}

/* Serves with several threads; returns when the mount ended. */
static int serve_all(struct front *front)
{
	long threads = 2 * sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread[MAX_THREADS];
	int started = 0;

	if (threads < MIN_THREADS)
		threads = MIN_THREADS;
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	while (started < threads &&
	       pthread_create(&thread[started], NULL, serve_in_thread, front) == 0)
		started++;
	if (started == 0) {
		log_error("cannot start a thread: out of memory");
		return 1;
	}
	for (int i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

static int serve_front(struct front *front, int fuse_fd)
{
	char name[] = "canonfs";
	char *argv[] = {name, NULL};
	struct fuse_args arguments = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session = fuse_session_new(&arguments, front->kind->ops,
							sizeof(*front->kind->ops), front);
	char fd_path[32];
	int status = 1;

	fuse_opt_free_args(&arguments);
	if (!session) {
		log_error("cannot make a FUSE session");
		return 1;
	}
	front->session = session;
	snprintf(fd_path, sizeof(fd_path), "/dev/fd/%d", fuse_fd);
	if (fuse_session_mount(session, fd_path) == 0)
		status = serve_all(front);
	fuse_session_destroy(session); /* closes fuse_fd */
	return status;
}

/* ---- the stubs of a stacked mount ---- */

static int write_stubs(const struct worker_task *task, struct data_layer *layer,
		       struct scan *scan, struct worker_report *report)
{
	int r = scan_stubs(scan, layer->front.resolver);

	/* Bytecode keeps its bytes, but where several embed different times. */
	report->serverless = task->options->policy.view == PYC_VIEW_EMBEDDED &&
			     data_table_stats(layer->table).nodes == 0;
	if (r == 0 && !report->serverless && task->fuse_fd < 0) {
		r = reason_set(&report->why, -ENODEV, "'/dev/fuse' cannot be used");
	}
	return r;
}

/* Names are read while the store is loaded. Takes @start. */
static int scan_source(const struct worker_task *task, struct data_layer *layer,
		       struct store_start *start, struct worker_report *report)
{
	bool all_sources = task->options->policy.view != PYC_VIEW_SOURCE;
	struct stubs stubs;
	struct scan *scan;
	int names_r;
	int r;

	stubs_init(&stubs, task->stack->stubs_fd, layer->front.tree, layer->table,
		   task->stack->in_userns);
	scan = scan_new(layer->front.tree, all_sources, &stubs, &report->why);
	names_r = scan ? scan_names(scan) : -ENOMEM;
	r = front_load(&layer->front, &task->options->policy, start);
	if (!scan || r < 0) {
		r = reason_set(&report->why, -ENOMEM, "out of memory");
	} else {
		r = names_r < 0 ? names_r : write_stubs(task, layer, scan, report);
	}
	scan_free(scan);
	stubs_fini(&stubs);
	return r;
}

/*
 * Writes the stubs and says so to the supervisor, which makes the overlay. Until then this
 * process is nothing without it. Takes @start.
 * Return: 1; 0 if nothing has to be served; -errno.
 */
static int prepare_stack(const struct worker_task *task, struct data_layer *layer,
			 struct store_start *start)
{
	struct worker_report report = {.error = 0};
	int report_fd = task->report_fd;

	report.error = scan_source(task, layer, start, &report);
	prctl(PR_SET_PDEATHSIG, 0);
	if (write(report_fd, &report, sizeof(report)) < 0)
		report.error = -errno;
	close(report_fd);
	return report.error < 0 ? report.error : !report.serverless;
}

/* ---- the process ---- */

/* Serves until the mount ends. Return: an exit status. */
static int serve(const struct worker_task *task, struct front *front)
{
	const char *point = task->ends->point;
	struct control_server *server;
	int status;

	if (task->background)
		log_to_syslog();
	log_info("%s: the source is %s", quoted(point),
		 front->immutable ? "immutable"
				  : "mutable: names and attributes hold for 1 s");
	server = control_start(&(struct control_view){.control = task->control,
						      .options = task->options,
						      .ends = task->ends,
						      .front = front});
	status = serve_front(front, task->fuse_fd);
	control_stop(server);
	return status;
}

/* Says why nothing can be served, and returns the exit status. */
static int cannot_serve(const struct worker_task *task, int error)
{
	log_error("cannot serve %s: %s", quoted(task->ends->point), strerror(-error));
	return 1;
}

static int run_passthrough(const struct worker_task *task)
{
	struct passthrough passthrough;
	struct front *front = &passthrough.front;
	int r = passthrough_init(&passthrough, &task->ends->tree,
				 mount_ends_immutable(task->ends, task->options),
				 task->control->stats);
	int status;

	if (r == 0)
		r = front_load(front, &task->options->policy,
			       start_store(task->options, task->ends));
	status = r < 0 ? cannot_serve(task, r) : serve(task, front);
	passthrough_fini(&passthrough);
	return status;
}

/* A failure to prepare is reported to the supervisor, which says so. */
static int run_data_layer(const struct worker_task *task)
{
	struct data_layer layer;
	int r = data_layer_init(&layer, &task->ends->tree, task->control->stats);
	int status;

	if (r < 0) {
		status = cannot_serve(task, r);
	} else {
		r = prepare_stack(task, &layer, start_store(task->options, task->ends));
		status = r > 0 ? serve(task, &layer.front) : r < 0;
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
	return task->stack ? run_data_layer(task) : run_passthrough(task);
}
