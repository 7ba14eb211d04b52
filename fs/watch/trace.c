/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring of events; see trace.h.
 */
#include "fs/watch/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/scope.h"

int trace_init(struct trace *trace)
{
	*trace = (struct trace){
		.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ring = calloc(TRACE_RING, sizeof(struct trace_event)),
	};
	pthread_mutex_init(&trace->lock, NULL);
	if (trace->wake_fd < 0)
		return -errno;
	return trace->ring ? 0 : -ENOMEM;
}

void trace_fini(struct trace *trace)
{
	if (trace->ring)
		trace_want(trace, 0);
	free(trace->ring);
	close_fd(&trace->wake_fd);
	pthread_mutex_destroy(&trace->lock);
}

void trace_event_fini(struct trace_event *event)
{
	free(event->path);
	free(event->name);
}

void trace_want(struct trace *trace, unsigned kinds)
{
	struct trace_event event;
	uint64_t lost;

	atomic_store_explicit(&trace->wanted, kinds, memory_order_relaxed);
	while (kinds == 0 && trace_take(trace, &event, 1, &lost) > 0)
		trace_event_fini(&event);
}

/*
 * Name and process of a thread, as proc(5) has them: the kernel knows the thread that asks
 * only. It waits for our answer, so it is there.
 */
static void trace_describe_process(pid_t tid, struct trace_event *event)
{
	char path[sizeof("/proc//status") + 12];
	char text[512];
	scope_fd int fd = -1;
	const char *tgid;
	ssize_t n;

	event->pid = tid;
	event->process[0] = '\0';
	if (tid <= 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : pread_full(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return;
	text[n] = '\0';
	sscanf(text, "Name:\t%63[^\n]", event->process);
	tgid = strstr(text, "\nTgid:\t");
	if (tgid)
		event->pid = (pid_t)strtol(tgid + strlen("\nTgid:\t"), NULL, 10);
}

void trace_put(struct trace *trace, struct trace_event *event, pid_t tid)
{
	static const uint64_t one = 1;
	struct timespec now = clock_real();
	bool was_empty = false;
	bool put = false;

	event->time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	trace_describe_process(tid, event);
	pthread_mutex_lock(&trace->lock);
	if (trace->count < TRACE_RING) {
		trace->ring[(trace->first + trace->count) % TRACE_RING] = *event;
		was_empty = trace->count++ == 0;
		put = true;
	} else {
		trace->lost++;
	}
	pthread_mutex_unlock(&trace->lock);
	if (!put)
		trace_event_fini(event);
	/* EAGAIN, which the counter is far from, would mean that it is readable anyway. */
	else if (was_empty && write(trace->wake_fd, &one, sizeof(one)) < 0)
		return;
}

size_t trace_take(struct trace *trace, struct trace_event *ret_events, size_t max,
		  uint64_t *ret_lost)
{
	uint64_t woken;
	size_t taken = 0;

	/* First: an event that comes after this wakes again. */
	if (read(trace->wake_fd, &woken, sizeof(woken)) < 0)
		woken = 0;
	pthread_mutex_lock(&trace->lock);
	while (taken < max && trace->count > 0) {
		ret_events[taken++] = trace->ring[trace->first];
		trace->first = (trace->first + 1) % TRACE_RING;
		trace->count--;
	}
	*ret_lost = trace->lost;
	trace->lost = 0;
	pthread_mutex_unlock(&trace->lock);
	return taken;
}
