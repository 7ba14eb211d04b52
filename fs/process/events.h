/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a supervisor waits for, from the beginning of a mount to its end: one poll(2), of
 * which each phase says what it can do something about.
 */
#ifndef CANONFS_FS_PROCESS_EVENTS_H
#define CANONFS_FS_PROCESS_EVENTS_H

#include <sys/types.h>

enum {
	EVENT_STOP = 1 << 0,   /* a signal ends the mount, or who waits for it has gone */
	EVENT_REPORT = 1 << 1, /* who was asked has answered, or ended */
	EVENT_WORKER = 1 << 2, /* the worker ended, and is reaped */
	EVENT_END = 1 << 3,    /* the mount ended, for everybody */
};

/**
 * struct events - where they come from; all descriptors are owned, -1 is none
 * @stop_fd:   a signalfd. A signal stays in it: it is seen by every later wait, too
 * @ready_fd:  the pipe to the process that the user started, while that waits
 * @report_fd: a pipe or an eventfd of who was asked
 * @worker_fd: readable when @worker has ended
 * @end_fd:    an inotify that has the root of the mount
 * @worker:    pid; 0: there is none
 * @worker_status: of the last one, as waitpid(2) has it
 */
struct events {
	int stop_fd;
	int ready_fd;
	int report_fd;
	int worker_fd;
	int end_fd;
	pid_t worker;
	int worker_status;
};

/* A struct that has nothing yet. */
#define EVENTS_NONE                       \
	((struct events){.stop_fd = -1,   \
			 .ready_fd = -1,  \
			 .report_fd = -1, \
			 .worker_fd = -1, \
			 .end_fd = -1})

/**
 * events_block_signals() - from now on signals come as events, in this process and in its
 * children
 * Return: 0 or -errno.
 */
int events_block_signals(struct events *events);

/* Closes everything; a worker that is there goes on. */
void events_close(struct events *events);

/**
 * events_watch_worker() - wait for a child's end, too
 * Return: 0 or -errno.
 */
int events_watch_worker(struct events *events, pid_t worker);

/**
 * events_wait() - wait for one or more events
 * @wanted:     EVENT_ flags
 * @timeout_ms: -1: none
 * Return: those that came; 0 after the time.
 */
unsigned events_wait(struct events *events, unsigned wanted, int timeout_ms);

#endif
