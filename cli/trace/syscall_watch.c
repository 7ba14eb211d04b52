/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tracer; see syscall_watch.h. ptrace(2) has the rules that this follows.
 *
 * For each open that is of interest a thread stops twice: before it, where its arguments
 * are read (PTRACE_EVENT_SECCOMP), and after it (the exit stop), where the result is.
 */
#include "cli/trace/syscall_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"

#define BUCKETS 256

/* How long the processes that a command leaves behind are waited for in silence. */
#define PATIENCE_S 1

/*
 * Which call it was: the data of the filter's answer. So the numbers of the calls, which
 * differ between architectures, matter to libseccomp only.
 */
enum watched_call { CALL_OPEN = 1, CALL_OPENAT, CALL_OPENAT2 };

struct process {
	pid_t pid;
	unsigned threads;
	void *data;
};

struct thread {
	pid_t tid;
	struct process *process;
	void *data;
	struct thread *next; /* in the same bucket */
	char *name;	     /* of an open that is under way; NULL for none */
	int dir;
	int flags;
};

struct watch {
	const struct watch_events *events;
	void *context;
	struct thread *threads[BUCKETS];
	pid_t command;
	bool started;
	bool ended;
	bool told; /* that we wait for others */
	int status;
	sigset_t signals;
};

/* ---- who is there ---- */

static struct thread **find_thread(struct watch *watch, pid_t tid)
{
	struct thread **link = &watch->threads[(unsigned)tid % BUCKETS];

	while (*link && (*link)->tid != tid)
		link = &(*link)->next;
	return link;
}

/* The thread group of a thread that we have stopped; 0 where it is gone. */
static pid_t group_of(pid_t tid)
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

/* A process's first thread is seen before its others, because it starts them. */
static struct process *process_of(struct watch *watch, pid_t tid)
{
	pid_t group = group_of(tid);
	struct process *process;

	if (group == 0)
		return NULL;
	if (group != tid) {
		struct thread *leader = *find_thread(watch, group);

		return leader ? leader->process : NULL;
	}
	process = calloc(1, sizeof(*process));
	if (process)
		process->pid = group;
	return process;
}

/* NULL where the thread is gone, or memory. */
static struct thread *get_thread(struct watch *watch, pid_t tid)
{
	struct thread **link = find_thread(watch, tid);
	struct process *process;

	if (*link)
		return *link;
	process = process_of(watch, tid);
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

static void end_thread(struct watch *watch, pid_t tid)
{
	struct thread **link = find_thread(watch, tid);
	struct thread *thread = *link;

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

/* Calls @visit for each thread; it may end the one that it is given. */
static void each_thread(struct watch *watch,
			void (*visit)(struct watch *watch, struct thread *thread,
				      int number),
			int number)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct thread *thread = watch->threads[i];

		while (thread) {
			struct thread *next = thread->next;

			visit(watch, thread, number);
			thread = next;
		}
	}
}

static void end_if_other(struct watch *watch, struct thread *thread, int leader)
{
	if (thread->process->pid == leader && thread->tid != leader)
		end_thread(watch, thread->tid);
}

/* Of a process's threads only the leader is left, and it is another program. */
static void begin_program(struct watch *watch, struct thread *leader)
{
	each_thread(watch, end_if_other, leader->tid);
	watch->events->thread_ended(watch->context, leader->process->data, leader->data);
	watch->events->process_ended(watch->context, leader->process->data);
	leader->data = NULL;
	leader->process->data = NULL;
	free(take_ptr(leader->name));
	if (leader->tid == watch->command)
		watch->started = true;
}

/* ---- what they do ---- */

/* The bytes of another process at @address, up to @size; how many there are. */
static size_t read_memory(pid_t tid, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {buffer, size};
	struct iovec remote = {(void *)(uintptr_t)address, size};
	ssize_t len = process_vm_readv(tid, &local, 1, &remote, 1, 0);

	return len < 0 ? 0 : (size_t)len;
}

/* The string at @address, the caller's; a page at a time, as the next may not be there. */
static char *read_string(pid_t tid, uint64_t address)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char text[PATH_MAX];
	size_t used = 0;

	while (used < sizeof(text)) {
		size_t part = page - (address + used) % page;
		size_t len;

		if (part > sizeof(text) - used)
			part = sizeof(text) - used;
		len = read_memory(tid, address + used, text + used, part);
		if (memchr(text + used, '\0', len))
			return strdup(text);
		if (len < part)
			return NULL;
		used += len;
	}
	return NULL;
}

/* Before an open. Return: whether the exit stop is wanted. */
static bool enter_open(struct watch *watch, struct thread *thread)
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
		read_memory(thread->tid, args[2], &how_flags, sizeof(how_flags));
		thread->flags = (int)how_flags;
	}
	free(thread->name);
	thread->name = read_string(thread->tid, args[at ? 1 : 0]);
	if (thread->name && watch->events->wanted(watch->context, thread->name))
		return true;
	free(take_ptr(thread->name));
	return false;
}

/* Errors that only the kernel sees: it calls again. */
static bool is_restart(int64_t error)
{
	return error >= 512;
}

static void leave_open(struct watch *watch, struct thread *thread)
{
	struct __ptrace_syscall_info info;
	scope_free char *name = take_ptr(thread->name);

	if (!name ||
	    ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_EXIT || is_restart(-info.exit.rval))
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

/* ---- stops ---- */

/* A thread that was killed meanwhile is not there any more, and that is all right. */
static void resume(pid_t tid, enum __ptrace_request request, int number)
{
	ptrace(request, tid, NULL, (void *)(intptr_t)number);
}

static bool is_stop_signal(int number)
{
	return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN ||
	       number == SIGTTOU;
}

static void handle_stop(struct watch *watch, pid_t tid, int status)
{
	struct thread *thread = get_thread(watch, tid);
	int number = WSTOPSIG(status);

	switch (status >> 16) {
	case 0:
		if (number != (SIGTRAP | 0x80)) {
			resume(tid, PTRACE_CONT, number);
			return;
		}
		if (thread)
			leave_open(watch, thread);
		break;
	case PTRACE_EVENT_SECCOMP:
		if (thread && enter_open(watch, thread)) {
			resume(tid, PTRACE_SYSCALL, 0);
			return;
		}
		break;
	case PTRACE_EVENT_EXEC:
		if (thread)
			begin_program(watch, thread);
		break;
	case PTRACE_EVENT_STOP:
		/* Stopped as a shell stops a job: it stays so until SIGCONT. */
		if (is_stop_signal(number)) {
			resume(tid, PTRACE_LISTEN, 0);
			return;
		}
		break;
	default:
		break;
	}
	resume(tid, PTRACE_CONT, 0);
}

static void handle_end(struct watch *watch, pid_t tid, int status)
{
	end_thread(watch, tid);
	if (tid != watch->command)
		return;
	watch->ended = true;
	watch->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the signals of this process ---- */

static void kill_leader(struct watch *watch, struct thread *thread, int number)
{
	(void)watch;
	if (thread->tid == thread->process->pid)
		kill(thread->tid, number);
}

/* What the terminal sends, it sends to the command, too. */
static void pass_on(struct watch *watch, const siginfo_t *info)
{
	if (watch->ended)
		each_thread(watch, kill_leader, SIGKILL);
	else if (info->si_code <= 0)
		kill(watch->command, info->si_signo);
}

static void wait_for_signal(struct watch *watch)
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
		pass_on(watch, &info);
	}
}

/* Until nobody is left. */
static void run_loop(struct watch *watch)
{
	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);

		if (tid < 0 && errno != EINTR)
			return;
		if (tid == 0)
			wait_for_signal(watch);
		else if (tid > 0 && WIFSTOPPED(status))
			handle_stop(watch, tid, status);
		else if (tid > 0)
			handle_end(watch, tid, status);
	}
}

/* ---- the start ---- */

/* 32-bit programs on a 64-bit kernel; a filter that does not know them lets them pass. */
static void add_architectures(scmp_filter_ctx filter)
{
	switch (seccomp_arch_native()) {
	case SCMP_ARCH_X86_64:
		seccomp_arch_add(filter, SCMP_ARCH_X86);
		seccomp_arch_add(filter, SCMP_ARCH_X32);
		break;
	case SCMP_ARCH_AARCH64:
		seccomp_arch_add(filter, SCMP_ARCH_ARM);
		break;
	default:
		break;
	}
}

/* NULL when out of memory, or where libseccomp knows too little. */
static scmp_filter_ctx make_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (!filter)
		return NULL;
	/* It is no sandbox: what it does not know may pass, and speculation may stay on. */
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	add_architectures(filter);
	if (seccomp_rule_add(filter, SCMP_ACT_TRACE(CALL_OPEN), SCMP_SYS(open), 0) == 0 &&
	    seccomp_rule_add(filter, SCMP_ACT_TRACE(CALL_OPENAT), SCMP_SYS(openat), 0) ==
		    0 &&
	    seccomp_rule_add(filter, SCMP_ACT_TRACE(CALL_OPENAT2), SCMP_SYS(openat2), 0) ==
		    0)
		return filter;
	seccomp_release(filter);
	return NULL;
}

/* With CAP_SYS_ADMIN, set-user-ID programs keep working. */
static int load_filter(scmp_filter_ctx filter)
{
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	if (seccomp_load(filter) == 0)
		return 0;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	return seccomp_load(filter);
}

/* Why the command did not run, from the child. */
struct refusal {
	bool filter;
	int error;
};

/* The child: waits until it is traced. Nothing here may open a file before exec. */
static _Noreturn void become_command(char *const argv[], scmp_filter_ctx filter, int go,
				     int report, const sigset_t *mask)
{
	struct refusal refusal = {.filter = true};
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(EXIT_WATCH_FAILED);
	sigprocmask(SIG_SETMASK, mask, NULL);
	refusal.error = -load_filter(filter);
	if (refusal.error == 0) {
		refusal.filter = false;
		execvp(argv[0], argv);
		refusal.error = errno;
	}
	if (write(report, &refusal, sizeof(refusal)) < 0)
		_exit(EXIT_WATCH_FAILED);
	_exit(EXIT_NOT_FOUND);
}

static int explain_refusal(const char *name, int report)
{
	struct refusal refusal;

	if (read(report, &refusal, sizeof(refusal)) != sizeof(refusal)) {
		log_error("cannot run %s: it was killed before it started", quoted(name));
		return EXIT_WATCH_FAILED;
	}
	if (refusal.filter) {
		log_error("cannot watch %s: the kernel takes no seccomp filter: %s",
			  quoted(name), strerror(refusal.error));
		return EXIT_WATCH_FAILED;
	}
	log_error("cannot run %s: %s", quoted(name), strerror(refusal.error));
	return refusal.error == ENOENT || refusal.error == ENOTDIR ? EXIT_NOT_FOUND
								   : EXIT_NOT_EXECUTABLE;
}

static int seize(pid_t pid, const char *name)
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
static void give_up(pid_t child)
{
	kill(child, SIGKILL);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static int run_child(struct watch *watch, char *const argv[], scmp_filter_ctx filter,
		     const sigset_t *mask)
{
	scope_fd int go_read = -1;
	scope_fd int go = -1;
	scope_fd int report = -1;
	scope_fd int report_write = -1;
	int fds[4] = {-1, -1, -1, -1};
	bool piped = pipe2(fds, O_CLOEXEC) == 0 && pipe2(fds + 2, O_CLOEXEC) == 0;

	go_read = fds[0];
	go = fds[1];
	report = fds[2];
	report_write = fds[3];
	watch->command = piped ? fork() : -1;
	if (watch->command < 0) {
		log_error("cannot start a process: %s", strerror(errno));
		return EXIT_WATCH_FAILED;
	}
	if (watch->command == 0) {
		close_fd(&go);
		become_command(argv, filter, go_read, report_write, mask);
	}
	close_fd(&report_write);
	if (seize(watch->command, argv[0]) < 0 || write(go, "", 1) != 1) {
		give_up(watch->command);
		return EXIT_WATCH_FAILED;
	}
	run_loop(watch);
	return watch->started ? watch->status : explain_refusal(argv[0], report);
}

int syscall_watch(char *const argv[], const struct watch_events *events, void *context,
		  bool *ret_started)
{
	static const int taken[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP};
	struct watch watch = {.events = events, .context = context};
	scmp_filter_ctx filter = make_filter();
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
	status = run_child(&watch, argv, filter, &mask);
	seccomp_release(filter);
	*ret_started = watch.started;
	/* Still pending from the terminal: meant for the command, which has ended. */
	while (sigtimedwait(&watch.signals, NULL, &(struct timespec){0}) > 0)
		;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return status;
}
