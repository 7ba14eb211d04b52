/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor; see server.h.
 */
#include "fs/process/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "fs/control/socket.h"
#include "fs/mount/attach.h"
#include "fs/mount/mount_ends.h"
#include "fs/mount/mountinfo.h"
#include "fs/process/worker.h"
#include "fs/stack/stack.h"

/* How long a mount that was told to end may wait for its last users. */
#define DRAIN_S 3

/* How long after its connection a mount that ends is there at most. */
#define CUT_OFF_MS 1000

/**
 * struct server - one mount
 * @device: st_dev of the mount, once it is there
 * @control: its control socket and counters
 * @mode: how it shows the source
 * @worker: pid; 0 where nothing is served: none is needed, or a stacked mount lost it
 * @ready_fd: in the background: a pipe to the process that the user started; else -1
 * @end_fd: see watch_end(); -1: none
 * @signals: what the supervisor waits for; blocked in all of its processes
 */
struct server {
	const struct mount_options *options;
	struct mount_ends ends;
	uint64_t device;
	struct control control;
	struct mount_mode mode;
	pid_t worker;
	int ready_fd;
	int end_fd;
	sigset_t signals;
};

/* ---- the end of the mount ---- */

/* Is our mount the one that an unmount of its mount point would end? */
static bool on_top(const struct server *server)
{
	uint64_t device;

	return mount_is_ours(server->ends.point, &device) && device == server->device;
}

/* Unmounts, lazily if there are users. */
static void end_mount(const struct server *server)
{
	int r;

	if (!on_top(server))
		return;
	r = detach(server->ends.point, false);
	if (r == -EBUSY)
		r = detach(server->ends.point, true);
	if (r < 0)
		log_error("cannot unmount %s: %s", quoted(server->ends.point),
			  strerror(-r));
}

/* Waits for the worker, but not longer than DRAIN_S; then kills it. */
static void end_worker(const struct server *server)
{
	struct timespec timeout = {.tv_sec = DRAIN_S};
	sigset_t child;

	if (server->worker == 0)
		return;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (waitpid(server->worker, NULL, WNOHANG) == 0) {
		if (sigtimedwait(&child, NULL, &timeout) < 0 && errno == EAGAIN)
			kill(server->worker, SIGKILL);
	}
}

/*
 * An inotify of the mount: it is readable when the mount has ended for everybody. No
 * number says so, those of mounts and devices are given to the next ones at once.
 * Return: a descriptor; -1 where there is none to be had.
 */
static int watch_end(const char *point)
{
	scope_fd int fd = inotify_init1(IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, point, IN_DELETE_SELF | IN_ONLYDIR) < 0)
		return -1;
	return take_fd(&fd);
}

/* Is the mount still there? 1, 0, or -errno. */
static int is_mounted(const struct server *server)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	int r = mountinfo_read(&list);

	for (size_t i = 0; i < list.count; i++)
		if (list.entry[i].device == server->device)
			return 1;
	return r;
}

/*
 * The worker ends in peace, too, where its connection was aborted: by umount -f, which
 * then finds the mount busy, or by the kernel (fs.fuse.max_request_timeout). The mount is
 * still there, and fails all requests.
 */
static bool was_cut_off(const struct server *server)
{
	/* An ordinary end of the connection comes just before that of the mount. */
	struct pollfd end = {.fd = server->end_fd, .events = POLLIN};

	return end.fd >= 0 && poll(&end, 1, CUT_OFF_MS) == 0 && is_mounted(server) > 0;
}

/* Did the worker end? Its exit status, -1 where it goes on. */
static int worker_status(const struct server *server)
{
	char how[32] = "was cut off";
	int status;

	if (server->worker == 0 ||
	    waitpid(server->worker, &status, WNOHANG) != server->worker)
		return -1;
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0 || !was_cut_off(server))
		return WEXITSTATUS(status);
	log_error("the server of %s %s; %s", quoted(server->ends.point), how,
		  server->mode.stacked
			  ? "bytecode that was not read yet is compiled again, until this "
			    "is mounted anew"
			  : "unmounting, so that the bare source shows");
	return EXIT_MOUNT_FAILURE;
}

/*
 * The worker ended before its mount. A passthrough mount fails all requests from now on,
 * so it is taken away. A stacked one shows the source by itself: it stays.
 * Return: the supervisor's exit status, -1 to go on.
 */
static int lose_worker(struct server *server, int status)
{
	server->worker = 0;
	if (server->mode.stacked) {
		close_fd(&server->control.listen_fd); /* nobody answers any more */
		return -1;
	}
	end_mount(server);
	return status;
}

/* Waits for a signal; without a worker, which tells the end of the mount, for 1 s. */
static int wait_for_signal(const struct server *server)
{
	const struct timespec second = {.tv_sec = 1};

	return server->worker ? sigwaitinfo(&server->signals, NULL)
			      : sigtimedwait(&server->signals, NULL, &second);
}

static int supervise(struct server *server)
{
	int status = -1;

	while (status < 0) {
		int signal = wait_for_signal(server);

		if (signal == SIGCHLD) {
			status = worker_status(server);
			if (status > 0)
				status = lose_worker(server, status);
		} else if (signal > 0) {
			end_mount(server);
			end_worker(server);
			status = 0;
		} else if (errno == EAGAIN && is_mounted(server) == 0) {
			status = 0;
		}
	}
	return status;
}

/* ---- its beginning ---- */

static void block_signals(struct server *server)
{
	sigemptyset(&server->signals);
	sigaddset(&server->signals, SIGTERM);
	sigaddset(&server->signals, SIGINT);
	sigaddset(&server->signals, SIGHUP);
	sigaddset(&server->signals, SIGQUIT);
	sigaddset(&server->signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &server->signals, NULL);
	/* Errors of write(2), not ends: nobody may wait for us, and files may be limited.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/**
 * start_worker() - start the process that serves
 * @stack:     the layers if the mount is stacked; NULL if not
 * @report_fd: for the worker's report; -1 if not stacked
 */
static int start_worker(struct server *server, struct stack *stack, int fuse_fd,
			int report_fd)
{
	pid_t pid = fork();

	if (pid < 0) {
		log_error("cannot start the server of %s: %s", quoted(server->ends.point),
			  strerror(errno));
		return -EAGAIN;
	}
	if (pid == 0) {
		const struct worker_task task = {
			.options = server->options,
			.ends = &server->ends,
			.control = &server->control,
			.stack = stack,
			.report_fd = report_fd,
			.fuse_fd = fuse_fd,
			.background = server->ready_fd >= 0,
		};

		close_fd(&server->ready_fd);
		close_fd(&server->control.dir_fd);
		if (stack)
			close_fd(&stack->fuse_mount); /* or it would outlive its users */
		_exit(worker_run(&task));
	}
	server->worker = pid;
	return 0;
}

/* Readable when a signal came that ends the mount. */
static int open_end_signals(const struct server *server)
{
	sigset_t signals = server->signals;

	sigdelset(&signals, SIGCHLD);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

/*
 * Waits for the worker's report, which may take long. Return: 0 or -errno; -ECANCELED
 * where a signal came first, which ends a mount that is not there yet, too, or where the
 * user ended the process that waits for us.
 */
static int wait_for_report(const struct server *server, int report_fd, int signal_fd,
			   struct worker_report *ret_report)
{
	struct pollfd fds[] = {{.fd = report_fd, .events = POLLIN},
			       {.fd = signal_fd, .events = POLLIN},
			       {.fd = server->ready_fd}};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	if (fds[1].revents || fds[2].revents) {
		return reason_set(&ret_report->why, -ECANCELED, "ended by a signal");
	}
	if (read(report_fd, ret_report, sizeof(*ret_report)) != sizeof(*ret_report)) {
		return reason_set(&ret_report->why, -EIO,
				  "the server died while it read the source");
	}
	return ret_report->error;
}

/* Has a worker write the stubs; on success it goes on serving the data layer, if needed. */
static int prepare_stack(struct server *server, struct stack *stack, int signal_fd)
{
	struct worker_report report = {.why = {"cannot start a process"}};
	int pipe_fds[2];
	int r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	r = start_worker(server, stack, stack->fuse_fd, pipe_fds[1]);
	close(pipe_fds[1]);
	close_fd(&stack->fuse_fd); /* as in start_passthrough() */
	if (r == 0)
		r = wait_for_report(server, pipe_fds[0], signal_fd, &report);
	close(pipe_fds[0]);
	if (r < 0)
		server->mode.why_not = report.why;
	else if (report.serverless)
		stack_drop_data(stack);
	return r;
}

/* Ends a worker whose mount did not come about, or that had stubs to write only. */
static void reap_worker(struct server *server, bool in_peace)
{
	if (server->worker == 0)
		return;
	if (!in_peace)
		kill(server->worker, SIGKILL);
	while (waitpid(server->worker, NULL, 0) < 0 && errno == EINTR)
		;
	server->worker = 0;
}

/*
 * The control socket is made before the worker, which inherits it, and gets its name when
 * the mount has a device. Return: 0; -errno with the reason in server->mode, and nothing
 * is left.
 */
static int start_stacked(struct server *server)
{
	struct mount_mode *mode = &server->mode;
	struct stack stack;
	scope_fd int signal_fd = open_end_signals(server);
	int r = stack_open(&stack, server->options, &server->ends, &mode->why_not);

	mode->stacked = r == 0;
	if (r == 0) {
		control_set_mode(&server->control, "stacked",
				 "overlayfs shows the source itself");
		control_prepare(&server->control);
		r = prepare_stack(server, &stack, signal_fd);
	}
	if (r == 0)
		r = stack_attach(&stack, server->options, &server->ends, signal_fd,
				 &mode->why_not);
	if (r < 0 || stack.fuse_mount < 0)
		reap_worker(server, r == 0);
	mode->stacked = r == 0;
	stack_close(&stack);
	if (server->worker == 0)
		control_close(&server->control);
	if (r == 0 && mount_is_ours(server->ends.point, &server->device))
		control_publish(&server->control, server->device);
	return r;
}

/* Mounts and starts the worker; on success the mount answers. */
static int start_passthrough(struct server *server)
{
	scope_fd int fuse_fd = -1;
	struct stat st;
	int r = attach(server->options, server->ends.source, server->ends.point, &fuse_fd);

	if (r < 0)
		return r;
	control_set_mode(&server->control, "passthrough", server->mode.why_not.text);
	/* Not by stat(2): nobody answers yet. */
	if (mount_is_ours(server->ends.point, &server->device))
		control_open(&server->control, server->device);
	r = start_worker(server, NULL, fuse_fd, -1);
	/* The worker's is the only one now: if it dies, requests fail and do not hang. */
	close_fd(&fuse_fd);
	if (r == 0 && stat(server->ends.point, &st) == 0) {
		server->device = st.st_dev;
		return 0;
	}
	log_error("the mount on %s does not answer", quoted(server->ends.point));
	detach(server->ends.point, true);
	return r < 0 ? r : -EIO;
}

static int start(struct server *server)
{
	const char *point = server->ends.point;
	int r;

	if (server->options->stack == STACK_OFF) {
		reason_set(&server->mode.why_not, 0, "stack=off");
		return start_passthrough(server);
	}
	r = start_stacked(server);
	if (r == 0) {
		log_info("%s: stacked: overlayfs shows the source itself", quoted(point));
		return 0;
	}
	if (server->options->stack == STACK_ON || r == -ECANCELED) {
		log_error("cannot stack the mount on %s: %s", quoted(point),
			  server->mode.why_not.text);
		return r;
	}
	log_info("%s: not stacked: %s", quoted(point), server->mode.why_not.text);
	return start_passthrough(server);
}

/* Tells the process that the user started that the mount is usable. */
static void go_to_background(int ready_fd)
{
	static const char ok = 0;

	log_to_syslog();
	if (write(ready_fd, &ok, 1) < 0)
		log_warning("nobody waited for the mount");
	close(ready_fd);
}

static int run(struct server *server)
{
	int status = EXIT_MOUNT_FAILURE;

	block_signals(server);
	if (control_init(&server->control) < 0)
		log_error("cannot serve %s: out of memory", quoted(server->ends.point));
	else if (chdir("/") == 0 && start(server) == 0) {
		mount_ends_close(&server->ends);
		server->end_fd = watch_end(server->ends.point);
		if (server->ready_fd >= 0)
			go_to_background(server->ready_fd);
		/* Nothing to serve: who waits in the foreground sees the end. */
		status = server->ready_fd >= 0 && server->worker == 0 ? 0
								      : supervise(server);
	}
	close_fd(&server->end_fd);
	control_fini(&server->control);
	return status;
}

/* Runs the supervisor in a session of its own; returns when the mount is usable. */
static int run_in_background(struct server *server)
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
		setsid();
		server->ready_fd = ready[1];
		_exit(run(server));
	}
	close(ready[1]);
	if (read(ready[0], &status, 1) != 1)
		status = EXIT_MOUNT_FAILURE; /* it has said why */
	close(ready[0]);
	return status;
}

int server_run(const struct mount_options *options, const char *source, const char *point,
	       bool foreground)
{
	struct mount_options all = *options;
	struct server server = {.options = &all, .ready_fd = -1, .end_fd = -1};
	int status = EXIT_MOUNT_FAILURE;
	int r = mount_ends_open(&server.ends, options, source, point);

	/* What programs and devices may not do in the source, they may not do here. */
	if (r == 0)
		all.set_flags |= mount_ends_flags(&server.ends);
	if (r == 0)
		status = foreground ? run(&server) : run_in_background(&server);
	mount_ends_close(&server.ends);
	return status;
}
