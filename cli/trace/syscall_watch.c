/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tracer; see syscall_watch.h. ptrace(2) has the rules that this follows.
 *
 * For each open that is of interest a thread stops twice: before it (PTRACE_EVENT_SECCOMP),
 * where the tracer reads the arguments, and after it (the exit stop), where it reads the
 * result.
 */
#include "cli/trace/syscall_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/python/sandbox.h"
#include "cli/trace/watch_private.h"

/* After that we say that we wait for the processes that the command left behind. */
#define PATIENCE_S 1

/* ---- stops ---- */

/* This fails for a thread that was killed meanwhile; nothing is left to do then. */
static void watch_resume(pid_t tid, enum __ptrace_request request, int number)
{
	ptrace(request, tid, NULL, (void *)(intptr_t)number);
}

static bool watch_is_stop_signal(int number)
{
	return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN ||
	       number == SIGTTOU;
}

static void watch_handle_stop(struct watch *watch, pid_t tid, int status)
{
	struct watch_thread *thread = watch_get_thread(watch, tid);
	int number = WSTOPSIG(status);

	switch (status >> 16) {
	case 0:
		if (number != (SIGTRAP | 0x80)) {
			watch_resume(tid, PTRACE_CONT, number);
			return;
		}
		if (thread)
			watch_leave_open(watch, thread);
		break;
	case PTRACE_EVENT_SECCOMP:
		if (thread && watch_enter_open(watch, thread)) {
			watch_resume(tid, PTRACE_SYSCALL, 0);
			return;
		}
		break;
	case PTRACE_EVENT_EXEC:
		if (thread)
			watch_begin_program(watch, thread);
		break;
	case PTRACE_EVENT_STOP:
		/* Stopped as a shell stops a job: it stays so until SIGCONT. */
		if (watch_is_stop_signal(number)) {
			watch_resume(tid, PTRACE_LISTEN, 0);
			return;
		}
		break;
	default:
		break;
	}
	watch_resume(tid, PTRACE_CONT, 0);
}

static void watch_handle_end(struct watch *watch, pid_t tid, int status)
{
	watch_end_thread(watch, tid);
	if (tid != watch->command)
		return;
	watch->ended = true;
	watch->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the signals of this process ---- */

static void watch_kill_leader(struct watch *watch, struct watch_thread *thread, int number)
{
	(void)watch;
	if (thread->tid == thread->process->pid)
		kill(thread->tid, number);
}

/* The command has got what a terminal sends; it gets what a process sends from us. */
static void watch_pass_on(struct watch *watch, const siginfo_t *info)
{
	if (watch->ended)
		watch_each_thread(watch, watch_kill_leader, SIGKILL);
	else if (info->si_code <= 0)
		kill(watch->command, info->si_signo);
}

static void watch_wait_for_signal(struct watch *watch)
{
	const struct timespec patience = {.tv_sec = PATIENCE_S};
	siginfo_t info;
	int number = watch->ended && !watch->told
			     ? sigtimedwait(&watch->signals, &info, &patience)
			     : sigwaitinfo(&watch->signals, &info);

	if (number < 0 && errno == EAGAIN) {
		watch->told = true;
		log_warning("the command has ended; waiting for the processes that it left "
			    "behind (an interrupt ends them)");
	} else if (number > 0 && number != SIGCHLD) {
		watch_pass_on(watch, &info);
	}
}

/* Until no process is left. */
static void watch_run(struct watch *watch)
{
	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);

		if (tid < 0 && errno != EINTR)
			return;
		if (tid == 0)
			watch_wait_for_signal(watch);
		else if (tid > 0 && WIFSTOPPED(status))
			watch_handle_stop(watch, tid, status);
		else if (tid > 0)
			watch_handle_end(watch, tid, status);
	}
}

/* ---- the start ---- */

/* NULL when out of memory, or where libseccomp knows too little. */
static scmp_filter_ctx watch_make_filter(void)
{
	static const int numbers[] = {[CALL_OPEN] = SCMP_SYS(open),
				      [CALL_OPENAT] = SCMP_SYS(openat),
				      [CALL_OPENAT2] = SCMP_SYS(openat2)};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = 0;

	if (!filter)
		return NULL;
	/* The filter is no sandbox: unknown calls pass, and speculation stays on. */
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	sandbox_add_architectures(filter);
	for (unsigned call = CALL_OPEN; r == 0 && call <= CALL_OPENAT2; call++)
		r = seccomp_rule_add(filter, SCMP_ACT_TRACE(call), numbers[call], 0);
	if (r == 0)
		return filter;
	seccomp_release(filter);
	return NULL;
}

/* With CAP_SYS_ADMIN, set-user-ID programs keep working. */
static int watch_load_filter(scmp_filter_ctx filter)
{
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	if (seccomp_load(filter) == 0)
		return 0;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	return seccomp_load(filter);
}

/*
 * The child. It waits at @parent, a socket, until it is traced. If it does not become the
 * command it sends the reason: the errno of exec, or -errno of the filter. It must not open
 * a file before exec.
 */
static _Noreturn void watch_become_command(char *const argv[], scmp_filter_ctx filter,
					   int parent, const sigset_t *mask)
{
	int refusal;
	char byte;

	if (read(parent, &byte, 1) != 1)
		_exit(EXIT_WATCH_FAILED);
	sigprocmask(SIG_SETMASK, mask, NULL);
	refusal = watch_load_filter(filter);
	if (refusal == 0) {
		execvp(argv[0], argv);
		refusal = errno;
	}
	if (write(parent, &refusal, sizeof(refusal)) < 0)
		_exit(EXIT_WATCH_FAILED);
	_exit(EXIT_NOT_FOUND);
}

static int watch_explain_refusal(const char *name, int child)
{
	int refusal;

	if (read(child, &refusal, sizeof(refusal)) != sizeof(refusal)) {
		log_error("cannot run %s: it was killed before it started", quoted(name));
		return EXIT_WATCH_FAILED;
	}
	if (refusal < 0) {
		log_error("cannot watch %s: the kernel takes no seccomp filter: %s",
			  quoted(name), strerror(-refusal));
		return EXIT_WATCH_FAILED;
	}
	log_error("cannot run %s: %s", quoted(name), strerror(refusal));
	return refusal == ENOENT || refusal == ENOTDIR ? EXIT_NOT_FOUND
						       : EXIT_NOT_EXECUTABLE;
}

static int watch_seize(pid_t pid, const char *name)
{
	const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP |
			     PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC |
			     PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;

	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(uintptr_t)options) == 0)
		return 0;
	log_error("cannot watch %s: ptrace: %s%s", quoted(name), strerror(errno),
		  errno == EPERM || errno == ENOSYS
			  ? "; it is traced already, or a container denies it (allow "
			    "CAP_SYS_PTRACE), or kernel.yama.ptrace_scope is 2 or 3"
			  : "");
	return -1;
}

/* The child has not begun. */
static void watch_give_up(pid_t child)
{
	kill(child, SIGKILL);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static int watch_run_command(struct watch *watch, char *const argv[],
			     scmp_filter_ctx filter, const sigset_t *mask)
{
	int ends[2] = {-1, -1};
	bool paired = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
	scope_fd int ours = ends[0];
	scope_fd int theirs = ends[1];

	watch->command = paired ? fork() : -1;
	if (watch->command < 0) {
		log_error("cannot start a process: %s", strerror(errno));
		return EXIT_WATCH_FAILED;
	}
	if (watch->command == 0) {
		close_fd(&ours);
		watch_become_command(argv, filter, theirs, mask);
	}
	if (watch_seize(watch->command, argv[0]) < 0 || write(ours, "", 1) != 1) {
		watch_give_up(watch->command);
		return EXIT_WATCH_FAILED;
	}
	close_fd(&theirs);
	watch_run(watch);
	return watch->started ? watch->status : watch_explain_refusal(argv[0], ours);
}

int syscall_watch(char *const argv[], const struct watch_events *events, void *context,
		  bool *ret_started)
{
	static const int taken[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP};
	struct watch watch = {.events = events, .context = context};
	scmp_filter_ctx filter = watch_make_filter();
	sigset_t mask;
	int status;

	*ret_started = false;
	if (!filter) {
		log_error("cannot watch %s: no seccomp filter can be made here",
			  quoted(argv[0]));
		return EXIT_WATCH_FAILED;
	}
	sigemptyset(&watch.signals);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&watch.signals, taken[i]);
	sigprocmask(SIG_BLOCK, &watch.signals, &mask);
	status = watch_run_command(&watch, argv, filter, &mask);
	seccomp_release(filter);
	*ret_started = watch.started;
	/* Signals that are still pending were for the command, which has ended. */
	while (sigtimedwait(&watch.signals, NULL, &(struct timespec){0}) > 0)
		;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return status;
}
