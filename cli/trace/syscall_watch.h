/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a command and watches the files that it, and everything that it starts, opens.
 *
 * seccomp(2) stops a process at open, openat and openat2 only, so all other calls run at
 * full speed; ptrace(2) then shows what was opened. Programs of 32 bits are watched, too.
 * Signals, job control, exec and threads work as without the tracer.
 */
#ifndef CANONFS_CLI_TRACE_SYSCALL_WATCH_H
#define CANONFS_CLI_TRACE_SYSCALL_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct watch_open - one call of open, openat or openat2 that returned
 * @process: thread group that called
 * @dir:     descriptor that @name is relative to, the process's; or AT_FDCWD
 * @name:    as the program gave it
 * @flags:   of open(2)
 * @result:  the descriptor, the process's; or -errno
 * @process_data, @thread_data: the watcher's own, NULL at first; see struct watch_events
 *
 * The thread stands still until the watcher returns; others of its process may run.
 */
struct watch_open {
	pid_t process;
	int dir;
	const char *name;
	int flags;
	int result;
	void **process_data;
	void **thread_data;
};

/**
 * struct watch_events - what the watcher wants to hear of
 * @wanted:  whether to report the open of @name. Others cost half as much. The program may
 *           change the name before the kernel reads it.
 * @opened:  see struct watch_open
 * @thread_ended: a thread ended, or its process began to run another program
 * @process_ended: the same of the process, after its threads; its data is to be freed
 */
struct watch_events {
	bool (*wanted)(void *context, const char *name);
	void (*opened)(void *context, const struct watch_open *open);
	void (*thread_ended)(void *context, void *process_data, void *thread_data);
	void (*process_ended)(void *context, void *process_data);
};

/* As of a shell, env(1) and timeout(1), for a command that did not run. */
#define EXIT_WATCH_FAILED   125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND	    127

/**
 * syscall_watch() - run a command to its end
 * @argv:        NULL-terminated; argv[0] is looked up in PATH
 * @ret_started: whether it ran; written always
 *
 * Returns when every process that the command started has ended, too. Signals that ask this
 * process to end are passed on to the command; after its end they end what it left behind.
 * If this process is killed, all of them are.
 *
 * Without CAP_SYS_ADMIN, set-user-ID programs below the command gain no rights
 * (no_new_privs).
 *
 * Return: the command's exit status, 128 and the signal's number if one ended it; or one of
 * the above, with one line logged.
 */
int syscall_watch(char *const argv[], const struct watch_events *events, void *context,
		  bool *ret_started);

#endif
