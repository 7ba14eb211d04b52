/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a traced thread opens; see syscall_watch.h.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/scope.h"
#include "cli/trace/watch_private.h"

/* The bytes of another process at @address, up to @size; how many there are. */
static size_t watch_read_memory(pid_t tid, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {buffer, size};
	struct iovec remote = {(void *)(uintptr_t)address, size};
	ssize_t len = process_vm_readv(tid, &local, 1, &remote, 1, 0);

	return len < 0 ? 0 : (size_t)len;
}

/* The string at @address, the caller's. Read by pages: the next one may not exist. */
static char *watch_read_string(pid_t tid, uint64_t address)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char text[PATH_MAX];
	size_t used = 0;

	while (used < sizeof(text)) {
		size_t part = page - (address + used) % page;
		size_t len;

		if (part > sizeof(text) - used)
			part = sizeof(text) - used;
		len = watch_read_memory(tid, address + used, text + used, part);
		if (memchr(text + used, '\0', len))
			return strdup(text);
		if (len < part)
			return NULL;
		used += len;
	}
	return NULL;
}

bool watch_enter_open(struct watch *watch, struct watch_thread *thread)
{
	struct __ptrace_syscall_info info;
	const __uint64_t *args = info.seccomp.args;
	uint64_t how_flags = 0;
	bool at;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP)
		return false;
	at = info.seccomp.ret_data != CALL_OPEN;
	thread->dir = at ? (int)args[0] : AT_FDCWD;
	thread->flags = (int)args[at ? 2 : 1];
	if (info.seccomp.ret_data == CALL_OPENAT2) {
		/* struct open_how begins with the flags. */
		watch_read_memory(thread->tid, args[2], &how_flags, sizeof(how_flags));
		thread->flags = (int)how_flags;
	}
	free(thread->name);
	thread->name = watch_read_string(thread->tid, args[at ? 1 : 0]);
	if (thread->name && watch->events->wanted(watch->context, thread->name))
		return true;
	free(take_ptr(thread->name));
	return false;
}

/* Errors that the program never sees: the kernel starts the call again. */
static bool watch_is_restart(int64_t error)
{
	return error >= 512;
}

void watch_leave_open(struct watch *watch, struct watch_thread *thread)
{
	struct __ptrace_syscall_info info;
	scope_free char *name = take_ptr(thread->name);

	if (!name ||
	    ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_EXIT || watch_is_restart(-info.exit.rval))
		return;
	watch->events->opened(watch->context,
			      &(struct watch_open){
				      .process = thread->process->pid,
				      .dir = thread->dir,
				      .name = name,
				      .flags = thread->flags,
				      .result = (int)info.exit.rval,
				      .process_data = &thread->process->data,
				      .thread_data = &thread->data,
			      });
}
