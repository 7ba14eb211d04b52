/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running programs; see child.h.
 */
#include "cli/python/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "cli/python/sandbox.h"

#define FIRST_BUFFER	 4096
#define CANNOT_RUN	 127
#define TRIAL_TIMEOUT_MS 10000

static int child_set_limit(int resource, uint64_t max)
{
	const struct rlimit limit = {max, max};

	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/**
 * struct child_plan - what the child is to do
 * @sandbox: for command->root
 * @out:     the end of the pipe that it writes
 */
struct child_plan {
	const struct child_command *command;
	struct sandbox sandbox;
	int out;
};

/*
 * Where there is nothing to read, and what is written is lost. Not /dev/null for programs
 * of an image: root's user could change its mode, without any right. A pipe that nobody
 * writes to is at its end, and cannot be written at its read end.
 */
static int child_open_null(bool is_trusted)
{
	int ends[2];

	if (is_trusted)
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	close(ends[1]);
	return ends[0];
}

/* All other descriptors are closed, whoever opened them without O_CLOEXEC. */
static int child_set_up_streams(const struct child_plan *plan)
{
	const struct child_command *command = plan->command;
	int null = child_open_null(!command->root);
	int input = command->input >= 0 ? command->input : null;
	int errors = command->errors ? plan->out : null;

	if (null < 0 || dup2(input, STDIN_FILENO) < 0 ||
	    dup2(plan->out, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
		return -errno;
	close_range(STDERR_FILENO + 1, ~0U, 0);
	return 0;
}

/* A trusted program. SIGXFSZ is ignored by every Python; write(2) gives EFBIG then. */
static int child_restrict(const struct child_command *command)
{
	int r = child_set_limit(RLIMIT_FSIZE, 0);

	if (r == 0 && command->memory_bytes)
		r = child_set_limit(RLIMIT_AS, command->memory_bytes);
	if (r < 0)
		return r;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

/* Says on standard output what it could not do. */
static int child_enter_sandbox(const struct sandbox *sandbox)
{
	const char *step = "";
	int r = sandbox_enter(sandbox, &step);

	if (r < 0)
		dprintf(STDOUT_FILENO, "cannot %s: %s", step, strerrordesc_np(-r));
	return r;
}

/* In the child: only what is safe after fork(). Returns only where it fails. */
static int child_become(void *context)
{
	const struct child_plan *plan = context;
	char *const environment[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
				     (char[]){"LC_ALL=C"}, NULL};

	setsid();
	if (child_set_up_streams(plan) < 0 || chdir("/") < 0 ||
	    (plan->command->root ? child_enter_sandbox(&plan->sandbox)
				 : child_restrict(plan->command)) < 0)
		return CANNOT_RUN;
	if (!plan->command->argv)
		return 0;
	/* execve() takes no const, and changes nothing. */
	execve(plan->command->argv[0], (char *const *)(uintptr_t)plan->command->argv,
	       environment);
	return CANNOT_RUN;
}

static pid_t child_fork(struct child_plan *plan)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_become(plan));
	return pid < 0 ? -errno : pid;
}

static pid_t child_fork_confined(struct child_plan *plan)
{
	const struct child_command *command = plan->command;
	int r = sandbox_init(&plan->sandbox, command->root, command->memory_bytes);

	if (r == 0)
		r = sandbox_fork(&plan->sandbox, child_become, plan);
	sandbox_fini(&plan->sandbox);
	return r;
}

int child_start(const struct child_command *command, struct child *ret_child)
{
	struct child_plan plan = {.command = command};
	scope_fd int reading = -1;
	scope_fd int writing = -1;
	int ends[2];
	int r;

	*ret_child = (struct child){.out = -1, .max = command->max_bytes};
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	reading = ends[0];
	writing = ends[1];
	plan.out = writing;
	r = command->root ? child_fork_confined(&plan) : child_fork(&plan);
	if (r < 0)
		return r;
	ret_child->pid = r;
	ret_child->out = take_fd(&reading);
	return 0;
}

bool child_can_run_in(const char *root, struct reason *ret_why)
{
	const struct child_command nothing = {
		.root = root, .input = -1, .max_bytes = REASON_MAX};
	struct child child;
	int r = child_start(&nothing, &child);
	bool can;

	if (r < 0) {
		reason_set_errno(
			ret_why, r,
			"cannot make namespaces (see sysctl user.max_user_namespaces)");
		return false;
	}
	children_wait(&child, 1, TRIAL_TIMEOUT_MS);
	can = child_succeeded(&child);
	if (!can)
		reason_set(ret_why, -EPERM, "%s",
			   child.finished && child.text ? child.text
							: "it does not answer");
	child_fini(&child);
	return can;
}

/* Kills the whole group: the leader may be gone while its children live on. */
static void child_kill(struct child *child)
{
	if (!child->pid)
		return;
	kill(-child->pid, SIGKILL);
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
	close_fd(&child->out);
}

/* Reads what is there; false at the end, where it was too much, or out of memory. */
static bool child_read_some(struct child *child)
{
	size_t room = child->max - child->len;
	char *text = realloc(child->text,
			     child->len + (room < FIRST_BUFFER ? room : FIRST_BUFFER) + 2);
	ssize_t n;

	if (!text)
		return false;
	child->text = text;
	/* One byte more than allowed, to notice too much. */
	n = read(child->out, text + child->len,
		 (room < FIRST_BUFFER ? room : FIRST_BUFFER) + 1);
	if (n < 0)
		return errno == EINTR;
	child->len += (size_t)n;
	text[child->len] = '\0';
	return n > 0 && child->len <= child->max;
}

/* The pipe is at its end, so the program has ended or will print nothing more; or it
 * printed too much. */
static void child_finish(struct child *child, int64_t deadline_ms)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	pid_t ended = 0;

	close_fd(&child->out);
	while (child->len <= child->max &&
	       (ended = waitpid(child->pid, &child->status, WNOHANG)) == 0 &&
	       clock_left_ms(deadline_ms) > 0)
		nanosleep(&pause, NULL);
	if (ended != child->pid) {
		child_kill(child);
		return;
	}
	child->pid = 0;
	child->finished = true;
}

static size_t children_list_open(const struct child *children, size_t count,
				 struct pollfd *polls)
{
	size_t running = 0;

	for (size_t i = 0; i < count; i++) {
		polls[i] = (struct pollfd){.fd = children[i].out, .events = POLLIN};
		running += children[i].out >= 0;
	}
	return running;
}

static void children_read_ready(struct child *children, size_t count,
				const struct pollfd *polls, int64_t deadline_ms)
{
	for (size_t i = 0; i < count; i++)
		if (children[i].out >= 0 && polls[i].revents &&
		    !child_read_some(&children[i]))
			child_finish(&children[i], deadline_ms);
}

void children_wait(struct child *children, size_t count, int timeout_ms)
{
	scope_free struct pollfd *polls = calloc(count, sizeof(*polls));
	int64_t deadline_ms = clock_ms() + timeout_ms;

	while (polls && children_list_open(children, count, polls) > 0) {
		int left_ms = clock_left_ms(deadline_ms);
		int ready = left_ms > 0 ? poll(polls, count, left_ms) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			break;
		children_read_ready(children, count, polls, deadline_ms);
	}
	for (size_t i = 0; i < count; i++)
		child_kill(&children[i]);
}

bool child_succeeded(const struct child *child)
{
	return child->finished && WIFEXITED(child->status) &&
	       WEXITSTATUS(child->status) == 0;
}

void child_fini(struct child *child)
{
	child_kill(child);
	free(child->text);
	child->text = NULL;
}
