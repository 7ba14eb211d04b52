/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the tracer share; see syscall_watch.h.
 */
#ifndef CANONFS_CLI_TRACE_WATCH_PRIVATE_H
#define CANONFS_CLI_TRACE_WATCH_PRIVATE_H

#include <signal.h>

#include "cli/trace/syscall_watch.h"

#define WATCH_BUCKETS 256

/*
 * Which call it was; the filter answers with that. Only libseccomp needs the numbers of the
 * calls, which differ between architectures.
 */
enum watched_call { CALL_OPEN = 1, CALL_OPENAT, CALL_OPENAT2 };

/* A thread group; @data is the watcher's. */
struct watch_process {
	pid_t pid;
	unsigned threads;
	void *data;
};

/* @next: in the same bucket; @name: of an open that is under way; NULL for none */
struct watch_thread {
	pid_t tid;
	struct watch_process *process;
	void *data;
	struct watch_thread *next;
	char *name;
	int dir;
	int flags;
};

/* @told: we have said that we wait for what the command left behind */
struct watch {
	const struct watch_events *events;
	void *context;
	struct watch_thread *threads[WATCH_BUCKETS];
	pid_t command;
	bool started;
	bool ended;
	bool told;
	int status;
	sigset_t signals;
};

/* NULL if the thread is gone, or when out of memory. */
struct watch_thread *watch_get_thread(struct watch *watch, pid_t tid);

void watch_end_thread(struct watch *watch, pid_t tid);

/* Calls @visit for each thread; it may end the one that it is given. */
void watch_each_thread(struct watch *watch,
		       void (*visit)(struct watch *watch, struct watch_thread *thread,
				     int number),
		       int number);

/* After exec: the leader is the only thread left, and runs another program. */
void watch_begin_program(struct watch *watch, struct watch_thread *leader);

/* At the stop before an open. Return: whether to stop after it, too. */
bool watch_enter_open(struct watch *watch, struct watch_thread *thread);

/* At the stop after it. */
void watch_leave_open(struct watch *watch, struct watch_thread *thread);

#endif
