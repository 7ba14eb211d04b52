/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes and threads that are traced; see syscall_watch.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/scope.h"
#include "cli/trace/watch_private.h"

static struct watch_thread **watch_find_thread(struct watch *watch, pid_t tid)
{
	struct watch_thread **link = &watch->threads[(unsigned)tid % WATCH_BUCKETS];

	while (*link && (*link)->tid != tid)
		link = &(*link)->next;
	return link;
}

/* The thread group of a thread that we have stopped; 0 where it is gone. */
static pid_t watch_group(pid_t tid)
{
	char path[sizeof("/proc//status") + 12];
	char line[256];
	pid_t group = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (group == 0 && fgets(line, sizeof(line), file))
		sscanf(line, "Tgid: %d", &group);
	fclose(file);
	return group;
}

/* The first thread of a process is seen before the others, because it starts them. */
static struct watch_process *watch_process_of(struct watch *watch, pid_t tid)
{
	pid_t group = watch_group(tid);
	struct watch_process *process;

	if (group == 0)
		return NULL;
	if (group != tid) {
		struct watch_thread *leader = *watch_find_thread(watch, group);

		return leader ? leader->process : NULL;
	}
	process = calloc(1, sizeof(*process));
	if (process)
		process->pid = group;
	return process;
}

struct watch_thread *watch_get_thread(struct watch *watch, pid_t tid)
{
	struct watch_thread **link = watch_find_thread(watch, tid);
	struct watch_process *process;

	if (*link)
		return *link;
	process = watch_process_of(watch, tid);
	*link = process ? calloc(1, sizeof(**link)) : NULL;
	if (*link) {
		(*link)->tid = tid;
		(*link)->process = process;
		process->threads++;
	} else if (process && process->threads == 0) {
		free(process);
	}
	return *link;
}

void watch_end_thread(struct watch *watch, pid_t tid)
{
	struct watch_thread **link = watch_find_thread(watch, tid);
	struct watch_thread *thread = *link;

	if (!thread)
		return;
	*link = thread->next;
	watch->events->thread_ended(watch->context, thread->process->data, thread->data);
	if (--thread->process->threads == 0) {
		watch->events->process_ended(watch->context, thread->process->data);
		free(thread->process);
	}
	free(thread->name);
	free(thread);
}

void watch_each_thread(struct watch *watch,
		       void (*visit)(struct watch *watch, struct watch_thread *thread,
				     int number),
		       int number)
{
	for (size_t i = 0; i < WATCH_BUCKETS; i++) {
		struct watch_thread *thread = watch->threads[i];

		while (thread) {
			struct watch_thread *next = thread->next;

			visit(watch, thread, number);
			thread = next;
		}
	}
}

static void watch_end_if_other(struct watch *watch, struct watch_thread *thread, int leader)
{
	if (thread->process->pid == leader && thread->tid != leader)
		watch_end_thread(watch, thread->tid);
}

void watch_begin_program(struct watch *watch, struct watch_thread *leader)
{
	watch_each_thread(watch, watch_end_if_other, leader->tid);
	watch->events->thread_ended(watch->context, leader->process->data, leader->data);
	watch->events->process_ended(watch->context, leader->process->data);
	leader->data = NULL;
	leader->process->data = NULL;
	free(take_ptr(leader->name));
	if (leader->tid == watch->command)
		watch->started = true;
}
