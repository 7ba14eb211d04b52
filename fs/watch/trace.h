/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events on their way from the threads that answer requests to those who watch.
 *
 * While nobody does, an event costs one branch. A request never waits for a watcher: events
 * go into a ring of bounded size, and what finds it full is lost and counted.
 */
#ifndef CANONFS_FS_WATCH_TRACE_H
#define CANONFS_FS_WATCH_TRACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pyc/verdict.h"

/* Events that wait at most; some 0.6 MiB, and their paths. */
#define TRACE_RING 4096

/* What can be watched: bits. */
enum trace_kind { TRACE_DECISION = 1, TRACE_REQUEST = 2 };

#define TRACE_PROCESS_MAX 64

/**
 * struct trace_event - something that happened
 * @kind:    TRACE_DECISION or TRACE_REQUEST
 * @time_ns: CLOCK_REALTIME
 * @pid:     of the process that made the request; 0 where it is in another pid namespace,
 *           or the kernel itself asks
 * @process: its name; "" where it is not known
 * @path:    relative to the tree, of the pyc or of the request's node; owned; NULL where
 *           it is not known
 * @opcode:  of a request
 * @name:    the name that a LOOKUP or GETXATTR asks for; owned, may be NULL
 * @verdict, @reason, @changed: of a decision
 */
struct trace_event {
	enum trace_kind kind;
	int64_t time_ns;
	pid_t pid;
	char process[TRACE_PROCESS_MAX];
	char *path;
	uint32_t opcode;
	char *name;
	enum pyc_verdict verdict;
	enum pyc_reason reason;
	bool changed;
};

/**
 * struct trace - the ring
 * @wanted:  kinds that somebody watches. Relaxed: who watches misses what happens at the
 *           same time.
 * @wake_fd: an eventfd, readable while there are events
 * @lock:    of all that follows; held for copies only
 */
struct trace {
	_Atomic unsigned wanted;
	int wake_fd;
	pthread_mutex_t lock;
	struct trace_event *ring;
	size_t first;
	size_t count;
	uint64_t lost;
};

/* Return: 0; -ENOMEM, -EMFILE or -ENFILE. trace_fini() either way. */
int trace_init(struct trace *trace);

void trace_fini(struct trace *trace);

/* Locking: none. */
static inline bool trace_wanted(const struct trace *trace, enum trace_kind kind)
{
	return __builtin_expect(
		(atomic_load_explicit(&trace->wanted, memory_order_relaxed) & kind) != 0,
		0);
}

/* @kinds: 0 empties the ring. */
void trace_want(struct trace *trace, unsigned kinds);

/**
 * trace_put() - tell those who watch
 * @event: .kind, .path, .name and what belongs to the kind filled in; its strings are taken
 * @tid:   of the thread that made the request; its process is looked up in /proc
 *
 * Locking: takes @trace->lock.
 */
void trace_put(struct trace *trace, struct trace_event *event, pid_t tid);

/**
 * trace_take() - the oldest events, for the one thread that hands them on
 * @ret_events: @max; trace_event_fini() is the caller's
 * @ret_lost:   how many were lost since the last call
 *
 * The eventfd is read empty: fewer than @max means that the next event wakes again, @max
 * that there may be more at once.
 * Return: how many events.
 */
size_t trace_take(struct trace *trace, struct trace_event *ret_events, size_t max,
		  uint64_t *ret_lost);

void trace_event_fini(struct trace_event *event);

#endif
