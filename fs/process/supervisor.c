/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a mount, phase by phase; see supervisor.h. Whatever takes time is waited for
 * in events_wait(), so a signal ends each phase.
 */
#include "fs/process/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "fs/control/socket.h"
#include "fs/mount/attach.h"
#include "fs/mount/mount_ends.h"
#include "fs/mount/mountinfo.h"
#include "fs/process/events.h"
#include "fs/process/worker.h"
#include "fs/stack/stack.h"

/* How long a mount that was told to end may wait for its last users. */
#define DRAIN_MS 3000

/* How long after its connection a mount that ends is there at most. */
#define CUT_OFF_MS 1000

/**
 * struct supervisor - one mount
 * @device:  st_dev of the mount, once it is there
 * @control: its control socket and counters
 * @mode:    how it shows the source
 * @events:  what is waited for, with the worker. There is none where nothing is served:
 *           none is needed, or a stacked mount lost it
 */
struct supervisor {
	const struct mount_options *options;
	struct mount_ends ends;
	uint64_t device;
	struct control control;
	struct mount_mode mode;
	struct events events;
};

/* ---- the end of the mount ---- */

/* Is our mount the one that an unmount of its mount point would end? */
static bool supervisor_is_on_top(const struct supervisor *supervisor)
{
	uint64_t device;

	return mount_is_ours(supervisor->ends.point, &device) &&
	       device == supervisor->device;
}

/* Unmounts, lazily if there are users. */
static void supervisor_unmount(const struct supervisor *supervisor)
{
	const char *point = supervisor->ends.point;
	int r;

	if (!supervisor_is_on_top(supervisor))
		return;
	r = detach(point, false);
	if (r == -EBUSY)
		r = detach(point, true);
	if (r < 0)
		log_error("cannot unmount %s: %s", quoted(point), strerror(-r));
}

/* Waits for the worker's end, but kills it after @grace_ms; -1: never. */
static void supervisor_end_worker(struct supervisor *supervisor, int grace_ms)
{
	struct events *events = &supervisor->events;

	if (events->worker == 0 || events_wait(events, EVENT_WORKER, grace_ms))
		return;
	kill(events->worker, SIGKILL);
	events_wait(events, EVENT_WORKER, -1);
}

/* Ends the mount, although it may have users. */
static void supervisor_end(struct supervisor *supervisor)
{
	supervisor_unmount(supervisor);
	supervisor_end_worker(supervisor, DRAIN_MS);
}

/* Is the mount somewhere, though it be hidden? Where it cannot be told, it may. */
static bool supervisor_is_mounted(const struct supervisor *supervisor)
{
	scope_mountinfo struct mountinfo list = {.count = 0};

	if (mountinfo_read(&list) < 0)
		return true;
	for (size_t i = 0; i < list.count; i++)
		if (list.entry[i].device == supervisor->device)
			return true;
	return false;
}

/*
 * The worker ends in peace, too, where its connection was aborted: by umount -f, which
 * then finds the mount busy, or by the kernel (fs.fuse.max_request_timeout). The mount is
 * still there, and fails all requests.
 */
static bool supervisor_was_cut_off(struct supervisor *supervisor)
{
	/* An ordinary end of the connection comes just before that of the mount. */
	return supervisor->events.end_fd >= 0 &&
	       !events_wait(&supervisor->events, EVENT_END, CUT_OFF_MS) &&
	       supervisor_is_mounted(supervisor);
}

/*
 * The worker ended. If its mount did not, a passthrough one fails all requests from now on,
 * so it is taken away. A stacked one shows the source by itself: it stays.
 * Return: the supervisor's exit status, -1 to go on.
 */
static int supervisor_lose_worker(struct supervisor *supervisor)
{
	int status = supervisor->events.worker_status;
	bool failed = WIFEXITED(status) && WEXITSTATUS(status) != 0;
	char how[32] = "was cut off";

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d", WTERMSIG(status));
	else if (!failed && !supervisor_was_cut_off(supervisor))
		return 0;
	if (!failed) /* else it has said why */
		log_error(
			"the server of %s %s; %s", quoted(supervisor->ends.point), how,
			supervisor->mode.stacked
				? "bytecode that was not read yet is compiled again, until "
				  "this is mounted anew"
				: "unmounting, so that the bare source shows");
	if (supervisor->mode.stacked) {
		close_fd(&supervisor->control.listen_fd); /* nobody answers any more */
		return -1;
	}
	supervisor_unmount(supervisor);
	return failed ? WEXITSTATUS(status) : EXIT_MOUNT_FAILURE;
}

/* Waits for the end of a mount that is usable. Return: the exit status. */
static int supervisor_watch(struct supervisor *supervisor)
{
	struct events *events = &supervisor->events;
	int status = -1;

	/* Where nobody will tell the end, it may have been. */
	while (status < 0 && (events->worker || events->end_fd >= 0 ||
			      supervisor_is_mounted(supervisor))) {
		/* A worker ends with its mount. */
		unsigned came = events_wait(
			events, EVENT_STOP | (events->worker ? EVENT_WORKER : EVENT_END),
			-1);

		if (came & EVENT_STOP)
			supervisor_end(supervisor);
		status = came == EVENT_WORKER ? supervisor_lose_worker(supervisor) : 0;
	}
	return status < 0 ? 0 : status;
}

/* ---- its beginning ---- */

/* The child's part of supervisor_start_worker(). */
static void supervisor_become_worker(struct supervisor *supervisor, struct stack *stack,
				     int fuse_fd, int report_fd)
{
	const struct worker_task task = {
		.options = supervisor->options,
		.ends = &supervisor->ends,
		.control = &supervisor->control,
		.stack = stack,
		.report_fd = report_fd,
		.fuse_fd = fuse_fd,
		.background = supervisor->events.ready_fd >= 0,
	};

	events_close(&supervisor->events);
	close_fd(&supervisor->control.dir_fd);
	supervisor->control.mode = stack ? "stacked" : "passthrough";
	supervisor->control.mode_reason =
		stack ? "overlayfs shows the source itself" : supervisor->mode.why_not.text;
	if (stack)
		close_fd(&stack->fuse_mount); /* or it would outlive its users */
	_exit(worker_run(&task));
}

/**
 * supervisor_start_worker() - start the process that serves
 * @stack:     the layers if the mount is stacked; NULL if not
 * @report_fd: for the worker's report; -1 if not stacked
 */
static int supervisor_start_worker(struct supervisor *supervisor, struct stack *stack,
				   int fuse_fd, int report_fd)
{
	pid_t pid = fork();
	int r = pid < 0 ? -errno : 0;

	if (pid == 0)
		supervisor_become_worker(supervisor, stack, fuse_fd, report_fd);
	if (r == 0)
		r = events_watch_worker(&supervisor->events, pid);
	if (r < 0)
		log_error("cannot start the server of %s: %s",
			  quoted(supervisor->ends.point), strerror(-r));
	if (r < 0 && pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return r;
}

/*
 * Waits for the worker's report, which may take long. Return: 0 or -errno; -ECANCELED
 * where a signal came first, which ends a mount that is not there yet, too, or where the
 * user ended the process that waits for us.
 */
static int supervisor_hear_report(struct supervisor *supervisor,
				  struct worker_report *ret_report)
{
	struct events *events = &supervisor->events;

	if (events_wait(events, EVENT_STOP | EVENT_REPORT, -1) & EVENT_STOP)
		return reason_set(&ret_report->why, -ECANCELED, "ended by a signal");
	if (read(events->report_fd, ret_report, sizeof(*ret_report)) != sizeof(*ret_report))
		return reason_set(&ret_report->why, -EIO,
				  "the server died while it read the source");
	return ret_report->error;
}

/* Has a worker write the stubs; on success it goes on serving the data layer, if needed. */
static int supervisor_write_stubs(struct supervisor *supervisor, struct stack *stack)
{
	struct worker_report report = {.why = {"cannot start a process"}};
	int pipe_fds[2];
	int r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return reason_set_errno(&supervisor->mode.why_not, -errno,
					"cannot start a process");
	supervisor->events.report_fd = pipe_fds[0];
	r = supervisor_start_worker(supervisor, stack, stack->fuse_fd, pipe_fds[1]);
	close(pipe_fds[1]);
	close_fd(&stack->fuse_fd); /* as in supervisor_start_passthrough() */
	if (r == 0)
		r = supervisor_hear_report(supervisor, &report);
	close_fd(&supervisor->events.report_fd);
	if (r < 0)
		supervisor->mode.why_not = report.why;
	else if (report.serverless)
		stack_drop_data(stack);
	return r;
}

/*
 * The control socket is made before the worker, which inherits it, and gets its name when
 * the mount has a device. Return: 0; -errno with the reason in .mode, and nothing is left.
 */
static int supervisor_start_stacked(struct supervisor *supervisor)
{
	const struct mount_options *options = supervisor->options;
	int stop_fd = supervisor->events.stop_fd;
	struct mount_mode *mode = &supervisor->mode;
	struct stack stack;
	int r = stack_open(&stack, options, &supervisor->ends, stop_fd, &mode->why_not);

	mode->stacked = r == 0;
	if (r == 0) {
		control_open(&supervisor->control);
		r = supervisor_write_stubs(supervisor, &stack);
	}
	if (r == 0)
		r = stack_attach(&stack, options, &supervisor->ends, stop_fd,
				 &mode->why_not);
	if (r < 0 ||
	    stack.fuse_mount < 0) /* where all is in the stubs, it ends by itself */
		supervisor_end_worker(supervisor, r < 0 ? 0 : -1);
	mode->stacked = r == 0;
	stack_close(&stack);
	if (supervisor->events.worker == 0)
		control_close(&supervisor->control);
	if (r == 0 && mount_is_ours(supervisor->ends.point, &supervisor->device))
		control_publish(&supervisor->control, supervisor->device);
	return r;
}

/* Mounts and starts the worker. */
static int supervisor_start_passthrough(struct supervisor *supervisor)
{
	const char *point = supervisor->ends.point;
	scope_fd int fuse_fd = -1;
	int r = attach(supervisor->options, supervisor->ends.source, point, &fuse_fd);

	if (r < 0)
		return r;
	if (mount_is_ours(point, &supervisor->device)) {
		control_open(&supervisor->control);
		control_publish(&supervisor->control, supervisor->device);
	}
	/* The worker's is the only one then: if it dies, requests fail and do not hang. */
	r = supervisor_start_worker(supervisor, NULL, fuse_fd, -1);
	if (r < 0)
		detach(point, true);
	return r;
}

static int supervisor_start(struct supervisor *supervisor)
{
	const char *point = supervisor->ends.point;
	const char *why_not = supervisor->mode.why_not.text;
	int r;

	if (supervisor->options->stack == STACK_OFF) {
		reason_set(&supervisor->mode.why_not, 0, "stack=off");
		return supervisor_start_passthrough(supervisor);
	}
	r = supervisor_start_stacked(supervisor);
	if (r == 0) {
		log_info("%s: stacked: overlayfs shows the source itself", quoted(point));
		return 0;
	}
	if (supervisor->options->stack == STACK_ON || r == -ECANCELED) {
		log_error("cannot stack the mount on %s: %s", quoted(point), why_not);
		return r;
	}
	log_info("%s: not stacked: %s", quoted(point), why_not);
	return supervisor_start_passthrough(supervisor);
}

/**
 * struct first_look - a look at the mount, by a thread: it waits for the worker
 * @end_fd:    what is to watch for the end of the mount; -1: nothing
 * @report_fd: readable when @error is known
 */
struct first_look {
	const char *point;
	int end_fd;
	int report_fd;
	int error;
};

static void *first_look_take(void *context)
{
	struct first_look *look = context;
	struct stat st;

	look->error = stat(look->point, &st) < 0 ? -errno : 0;
	/* No number tells the end: those of mounts and devices are used again at once. */
	if (look->error == 0 && look->end_fd >= 0 &&
	    inotify_add_watch(look->end_fd, look->point, IN_DELETE_SELF | IN_ONLYDIR) < 0)
		log_info("cannot watch for the end of the mount on %s: %s",
			 quoted(look->point), strerror(errno));
	eventfd_write(look->report_fd, 1);
	return NULL;
}

/* Waits until the mount answers. Return: -1 if it does; else an exit status. */
static int supervisor_await_mount(struct supervisor *supervisor)
{
	const char *point = supervisor->ends.point;
	struct events *events = &supervisor->events;
	struct first_look look = {.point = point, .error = -EAGAIN};
	int status = -1;
	pthread_t thread;

	look.end_fd = events->end_fd = inotify_init1(IN_CLOEXEC);
	look.report_fd = events->report_fd = eventfd(0, EFD_CLOEXEC);
	if (look.report_fd >= 0 &&
	    pthread_create(&thread, NULL, first_look_take, &look) == 0) {
		if (!(events_wait(events, EVENT_STOP | EVENT_REPORT, -1) & EVENT_REPORT)) {
			supervisor_end(supervisor); /* and with it what keeps the thread */
			status = 0;
		}
		pthread_join(thread, NULL);
	}
	close_fd(&events->report_fd);
	if (status < 0 && look.error < 0) {
		log_error("the mount on %s does not answer", quoted(point));
		detach(point, true);
		supervisor_end_worker(supervisor, 0);
		status = EXIT_MOUNT_FAILURE;
	} else if (!supervisor_is_on_top(supervisor)) {
		/* Something else is watched: the mount has ended already, or is covered. */
		close_fd(&events->end_fd);
	}
	return status;
}

/*
 * Leaves the user's session, and tells the process that the user started that the mount is
 * usable. Not earlier: autofs knows by their process group who makes a mount for it. All
 * others who look at the mount point wait for that mount.
 */
static void supervisor_go_to_background(struct supervisor *supervisor)
{
	static const char ok = 0;

	/* The terminal's signals are for its foreground group. */
	if (supervisor->events.worker > 0)
		(void)setpgid(supervisor->events.worker, 0);
	setsid();
	log_to_syslog();
	if (write(supervisor->events.ready_fd, &ok, 1) < 0)
		log_warning("nobody waited for the mount");
	close_fd(&supervisor->events.ready_fd);
}

/* From the beginning to the end. Return: the exit status. */
static int supervisor_live(struct supervisor *supervisor)
{
	bool background = supervisor->events.ready_fd >= 0;
	int status;

	if (chdir("/") < 0 || supervisor_start(supervisor) < 0)
		return EXIT_MOUNT_FAILURE;
	status = supervisor_await_mount(supervisor);
	if (status >= 0)
		return status;
	mount_ends_close(&supervisor->ends);
	if (background)
		supervisor_go_to_background(supervisor);
	/* Nothing to serve: who waits in the foreground sees the end. */
	return background && supervisor->events.worker == 0 ? 0
							    : supervisor_watch(supervisor);
}

/* In a process that is the supervisor's alone. */
static int supervisor_process(struct supervisor *supervisor)
{
	int status = EXIT_MOUNT_FAILURE;

	/* Errors of write(2), not ends: nobody may wait for us, and files may be limited.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (control_init(&supervisor->control) < 0 ||
	    events_block_signals(&supervisor->events) < 0)
		log_error("cannot serve %s: out of memory", quoted(supervisor->ends.point));
	else
		status = supervisor_live(supervisor);
	events_close(&supervisor->events);
	control_fini(&supervisor->control);
	return status;
}

/* Runs the supervisor in the background; returns when the mount is usable. */
static int supervisor_run_in_background(struct supervisor *supervisor)
{
	char status = EXIT_MOUNT_FAILURE;
	int ready[2];
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		log_error("cannot start a process: %s", strerror(errno));
		return EXIT_MOUNT_FAILURE;
	}
	if (pid == 0) {
		close(ready[0]);
		supervisor->events.ready_fd = ready[1];
		_exit(supervisor_process(supervisor));
	}
	close(ready[1]);
	if (read(ready[0], &status, 1) != 1)
		status = EXIT_MOUNT_FAILURE; /* it has said why */
	close(ready[0]);
	return status;
}

int supervisor_run(const struct mount_options *options, const char *source,
		   const char *point, bool foreground)
{
	struct mount_options all = *options;
	struct supervisor supervisor = {.options = &all, .events = EVENTS_NONE};
	int status = EXIT_MOUNT_FAILURE;
	int r = mount_ends_open(&supervisor.ends, options, source, point);

	/* What programs and devices may not do in the source, they may not do here. */
	if (r == 0)
		all.set_flags |= mount_ends_flags(&supervisor.ends);
	if (r == 0)
		status = foreground ? supervisor_process(&supervisor)
				    : supervisor_run_in_background(&supervisor);
	mount_ends_close(&supervisor.ends);
	return status;
}
