/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor; see server.h.
 */
#include "fs/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "fs/attach.h"
#include "fs/control.h"
#include "fs/mountinfo.h"
#include "fs/places.h"
#include "fs/worker.h"

/* How long a mount that was told to end may wait for its last users. */
#define DRAIN_S 3

/**
 * struct server - one mount
 * @device: st_dev of the mount, once it is there
 * @control: its control socket and counters
 * @worker: pid
 * @ready_fd: in the background: a pipe to the process that the user started; else -1
 * @signals: what the supervisor waits for; blocked in all of its processes
 */
struct server {
	const struct mount_options *options;
	struct places places;
	uint64_t device;
	struct control control;
	pid_t worker;
	int ready_fd;
	sigset_t signals;
};

/* ---- the end of the mount ---- */

/* Is our mount the one that an unmount of its mount point would end? */
static bool on_top(const struct server *server)
{
	uint64_t device;
	bool ours;

	return mountinfo_top(server->places.point, &device, &ours) > 0 &&
	       device == server->device;
}

/* Unmounts, lazily if there are users. */
static void end_mount(const struct server *server)
{
	int r;

	if (!on_top(server))
		return;
	r = detach(server->places.point, false);
	if (r == -EBUSY)
		r = detach(server->places.point, true);
	if (r < 0)
		log_error("cannot unmount %s: %s", quoted(server->places.point),
			  strerror(-r));
}

/* Waits for the worker, but not longer than DRAIN_S; then kills it. */
static void end_worker(const struct server *server)
{
	struct timespec timeout = {.tv_sec = DRAIN_S};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (waitpid(server->worker, NULL, WNOHANG) == 0) {
		if (sigtimedwait(&child, NULL, &timeout) < 0 && errno == EAGAIN)
			kill(server->worker, SIGKILL);
	}
}

/* Did the worker end? Its exit status, -1 where it goes on. */
static int worker_status(const struct server *server)
{
	int status;

	if (waitpid(server->worker, &status, WNOHANG) != server->worker)
		return -1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	log_error("the server of %s was killed by signal %d; unmounting, so that the bare "
		  "source shows",
		  quoted(server->places.point), WTERMSIG(status));
	return EXIT_MOUNT_FAILURE;
}

static int supervise(struct server *server)
{
	int status = -1;

	while (status < 0) {
		int signal = sigwaitinfo(&server->signals, NULL);

		if (signal == SIGCHLD) {
			status = worker_status(server);
			if (status > 0)
				end_mount(server);
		} else if (signal > 0) {
			end_mount(server);
			end_worker(server);
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

static int start_worker(struct server *server, int fuse_fd)
{
	server->worker = fork();
	if (server->worker < 0) {
		log_error("cannot start the server of %s: %s", quoted(server->places.point),
			  strerror(errno));
		return -EAGAIN;
	}
	if (server->worker == 0) {
		bool background = server->ready_fd >= 0;

		if (background)
			close(server->ready_fd);
		close_fd(&server->control.dir_fd);
		_exit(worker_run(server->options, &server->places, &server->control,
				 fuse_fd, background));
	}
	return 0;
}

/* Mounts and starts the worker; on success the mount answers. */
static int start(struct server *server)
{
	scope_fd int fuse_fd = -1;
	struct stat st;
	bool ours;
	int r = attach(server->options, server->places.source, server->places.point,
		       &fuse_fd);

	if (r < 0)
		return r;
	/* Not by stat(2): nobody answers yet. */
	if (mountinfo_top(server->places.point, &server->device, &ours) > 0)
		control_open(&server->control, server->device);
	r = start_worker(server, fuse_fd);
	/* The worker's is the only one now: if it dies, requests fail and do not hang. */
	close_fd(&fuse_fd);
	if (r == 0 && stat(server->places.point, &st) == 0) {
		server->device = st.st_dev;
		return 0;
	}
	log_error("the mount on %s does not answer", quoted(server->places.point));
	detach(server->places.point, true);
	return r < 0 ? r : -EIO;
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
		log_error("cannot serve %s: out of memory", quoted(server->places.point));
	else if (chdir("/") == 0 && start(server) == 0) {
		places_close(&server->places);
		if (server->ready_fd >= 0)
			go_to_background(server->ready_fd);
		status = supervise(server);
	}
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
	struct server server = {.options = options, .ready_fd = -1};
	int status = EXIT_MOUNT_FAILURE;

	if (places_open(&server.places, options, source, point) == 0)
		status = foreground ? run(&server) : run_in_background(&server);
	places_close(&server.places);
	return status;
}
