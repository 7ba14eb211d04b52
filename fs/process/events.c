/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's poll(2); see events.h.
 */
#include "fs/process/events.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"

int events_block_signals(struct events *events)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	events->stop_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGCHLD, SIG_DFL); /* where it was ignored, children leave no status */
	return events->stop_fd < 0 ? -errno : 0;
}

void events_close(struct events *events)
{
	close_fd(&events->stop_fd);
	close_fd(&events->ready_fd);
	close_fd(&events->report_fd);
	close_fd(&events->worker_fd);
	close_fd(&events->end_fd);
}

int events_watch_worker(struct events *events, pid_t worker)
{
	events->worker_fd = (int)syscall(SYS_pidfd_open, worker, 0);
	if (events->worker_fd < 0) {
		/* Before Linux 5.3. Any child that ends makes this one readable. */
		sigset_t child;

		sigemptyset(&child);
		sigaddset(&child, SIGCHLD);
		events->worker_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	}
	if (events->worker_fd < 0)
		return -errno;
	events->worker = worker;
	return 0;
}

static bool events_reap_worker(struct events *events)
{
	struct signalfd_siginfo child;

	if (waitpid(events->worker, &events->worker_status, WNOHANG) != events->worker) {
		/* Another child's. From a pidfd nothing can be read. */
		(void)!read(events->worker_fd, &child, sizeof(child));
		return false;
	}
	close_fd(&events->worker_fd);
	events->worker = 0;
	return true;
}

unsigned events_wait(struct events *events, unsigned wanted, int timeout_ms)
{
	const struct {
		unsigned event;
		int fd;
	} all[] = {
		{EVENT_STOP, events->stop_fd},	   {EVENT_STOP, events->ready_fd},
		{EVENT_REPORT, events->report_fd}, {EVENT_WORKER, events->worker_fd},
		{EVENT_END, events->end_fd},
	};
	int64_t until_ms = clock_ms() + timeout_ms;
	struct pollfd fds[ARRAY_SIZE(all)];
	unsigned came = 0;
	int n;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		fds[i] = (struct pollfd){.fd = wanted & all[i].event ? all[i].fd : -1,
					 .events = POLLIN};
	do {
		n = poll(fds, ARRAY_SIZE(fds),
			 timeout_ms < 0 ? -1 : clock_left_ms(until_ms));
		for (size_t i = 0; n > 0 && i < ARRAY_SIZE(all); i++)
			if (fds[i].revents &&
			    (all[i].event != EVENT_WORKER || events_reap_worker(events)))
				came |= all[i].event;
	} while (!came && n != 0);
	return came;
}
