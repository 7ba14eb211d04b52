/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watching a mount; see trace.h.
 *
 * One loop waits for signals, and either for the reader or, when nothing is left to print,
 * for the server. So neither a slow reader nor a silent server keeps a signal waiting.
 */
#include "cli/trace/trace.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/print/json.h"
#include "cli/print/shown.h"
#include "fs/control/mounts.h"

/**
 * struct trace_watch - a running trace
 * @server_fd: the connection; -1 when the mount has ended
 * @signal_fd: readable when a signal asks us to end
 * @text, @len, @done: the lines to print, and how many bytes of them are printed
 */
struct trace_watch {
	const char *point;
	bool json;
	int server_fd;
	int signal_fd;
	char *text;
	size_t len;
	size_t done;
};

/* ---- the beginning ---- */

static struct known_mount *trace_find_mount(struct known_mounts *mounts, const char *path)
{
	int r = mounts_find(mounts);
	struct known_mount *mount;

	if (r < 0) {
		log_error("cannot list the mounts: %s", strerror(-r));
		return NULL;
	}
	mount = mounts_at(mounts, path);
	if (mount)
		return mount;
	/* Of a mount that mountinfo does not show, only the answer says where it is. */
	mounts_ask(mounts);
	mount = mounts_at(mounts, path);
	if (!mount)
		log_error("%s is not a canonfs mount, which canonfs status lists; a "
			  "command needs -- before it",
			  quoted(path));
	return mount;
}

/* Keeps a packet as lines to be printed. Return: 0, or an exit status with a line logged.
 */
static int trace_keep(struct trace_watch *watch, char *packet)
{
	bool understood = false;
	FILE *file;

	free(take_ptr(watch->text));
	watch->len = watch->done = 0;
	file = open_memstream(&watch->text, &watch->len);
	if (file)
		understood = trace_print(file, packet, watch->json);
	if (!file || fclose(file) != 0) {
		log_error("out of memory");
		return EX_OSERR;
	}
	if (understood)
		return EX_OK;
	/* Whoever sends only that would keep us busy for ever. */
	log_error("%s: its server sends what is no event", quoted(watch->point));
	return EX_UNAVAILABLE;
}

/* The server's answer; NULL if there is none in time. */
static char *trace_ask(int server_fd, bool all)
{
	const char *request = all ? "{\"command\": \"trace\", \"all\": true}"
				  : "{\"command\": \"trace\"}";
	struct pollfd fd = {.fd = server_fd, .events = POLLIN};
	char *answer;

	if (send(server_fd, request, strlen(request), MSG_NOSIGNAL) < 0 ||
	    poll(&fd, 1, MOUNTS_ANSWER_MS) <= 0 || mount_receive(server_fd, &answer) <= 0)
		return NULL;
	return answer;
}

static int trace_open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

/* ---- the loop ---- */

/* Turns the server's next packet into lines. Return: 0, or an exit status. */
static int trace_take_packet(struct trace_watch *watch)
{
	scope_free char *packet = NULL;
	ssize_t n = mount_receive(watch->server_fd, &packet);

	if (n == -EAGAIN || n == -EINTR)
		return EX_OK;
	if (n <= 0) {
		close_fd(&watch->server_fd);
		return EX_OK;
	}
	return trace_keep(watch, packet);
}

/* Prints a part of them. Return: 0, or an exit status; -EPIPE if the reader has gone. */
static int trace_print_some(struct trace_watch *watch)
{
	size_t left = watch->len - watch->done;
	ssize_t n;

	/* A pipe that poll(2) reports as ready takes that much at once. */
	if (left > PIPE_BUF)
		left = PIPE_BUF;
	n = write(STDOUT_FILENO, watch->text + watch->done, left);
	if (n >= 0) {
		watch->done += (size_t)n;
		return EX_OK;
	}
	if (errno == EAGAIN || errno == EINTR)
		return EX_OK;
	if (errno == EPIPE)
		return -EPIPE;
	log_error("cannot write to standard output: %s", strerror(errno));
	return EX_IOERR;
}

static void trace_say_end(const struct trace_watch *watch)
{
	static const char line[] = "{\"event\":\"end\"}\n";

	if (!watch->json)
		fprintf(stderr, "canonfs: the mount on %s has ended\n",
			quoted(watch->point));
	else if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		return; /* nobody waits for it */
}

static int trace_watch_loop(struct trace_watch *watch)
{
	enum { SIGNALS, SERVER, READER };
	int r = EX_OK;

	while (r == EX_OK) {
		bool has_text = watch->done < watch->len;
		struct pollfd fds[] = {
			[SIGNALS] = {.fd = watch->signal_fd, .events = POLLIN},
			[SERVER] = {.fd = has_text ? -1 : watch->server_fd,
				    .events = POLLIN},
			[READER] = {.fd = STDOUT_FILENO, .events = has_text ? POLLOUT : 0},
		};

		if (!has_text && watch->server_fd < 0) {
			trace_say_end(watch);
			return EX_OK;
		}
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[SIGNALS].revents)
			return EX_OK;
		if (has_text && fds[READER].revents)
			r = trace_print_some(watch);
		else if (fds[READER].revents & (POLLERR | POLLHUP))
			return EX_OK;
		else if (fds[SERVER].revents)
			r = trace_take_packet(watch);
	}
	return r == -EPIPE ? EX_OK : r;
}

/* Connects, and has the server begin. Return: 0, or an exit status with a line logged. */
static int trace_begin(struct trace_watch *watch, struct known_mount *mount, bool all)
{
	scope_free char *answer = NULL;
	struct json_object *object;
	const char *error;
	int status;

	if (!mount_connect(mount)) {
		log_error("%s: %s", quoted(mount->point), mount_state_text(mount->state));
		return mount_state_exit(mount->state);
	}
	watch->server_fd = take_fd(&mount->fd);
	answer = trace_ask(watch->server_fd, all);
	if (!answer) {
		log_error("%s: %s", quoted(mount->point), mount_state_text(MOUNT_SILENT));
		return EX_UNAVAILABLE;
	}
	object = json_tokener_parse(answer);
	error = json_member_text(object, "error", NULL);
	if (error)
		log_error("%s: its server refuses: %s", quoted(mount->point), shown(error));
	/* The answer is the first line of --json. */
	status = error ? EX_UNAVAILABLE : trace_keep(watch, answer);
	json_object_put(object);
	return status;
}

static int trace_watch_mount(struct known_mount *mount, bool all, bool json)
{
	struct trace_watch watch = {
		.point = mount->point,
		.json = json,
		.server_fd = -1,
		.signal_fd = -1,
	};
	int status = trace_begin(&watch, mount, all);

	if (status == EX_OK) {
		if (!json && isatty(STDERR_FILENO))
			fprintf(stderr, "canonfs: watching %s; Ctrl-C ends it\n",
				quoted(mount->point));
		watch.signal_fd = trace_open_signals();
		tzset();
		status = trace_watch_loop(&watch);
	}
	close_fd(&watch.server_fd);
	close_fd(&watch.signal_fd);
	free(watch.text);
	return status;
}

int trace_mount(const char *path, bool all, bool json)
{
	struct known_mounts mounts;
	struct known_mount *mount = trace_find_mount(&mounts, path);
	int status = EX_NOINPUT;

	if (mount)
		status = trace_watch_mount(mount, all, json);
	mounts_free(&mounts);
	return status;
}
