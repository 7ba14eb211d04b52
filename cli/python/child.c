/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running programs; see child.h.
 */
#include "cli/python/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"

#define NOBODY	     65534
#define FIRST_BUFFER 4096
#define CANNOT_RUN   127

/*
 * Called after chroot(). A user namespace with one user has no nobody: then the program
 * runs as that user.
 */
static int become_nobody(void)
{
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return -errno;
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL)
		return -errno;
	if (setresuid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL)
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int child_enter_root(const char *root)
{
	if (!root)
		return chdir("/") < 0 ? -errno : 0;
	if (chroot(root) < 0 || chdir("/") < 0)
		return -errno;
	return become_nobody();
}

static int child_set_limit(int resource, uint64_t max)
{
	const struct rlimit limit = {max, max};

	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* In the child: only what is safe after fork(). */
static void child_become(const struct child_command *command, int out)
{
	char *const environment[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
				     (char[]){"LC_ALL=C"}, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	/* SIGXFSZ is ignored by every Python; write(2) gives EFBIG then. */
	if (null < 0 || child_set_limit(RLIMIT_FSIZE, 0) < 0 ||
	    (command->memory_bytes &&
	     child_set_limit(RLIMIT_AS, command->memory_bytes) < 0) ||
	    dup2(command->input >= 0 ? command->input : null, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(command->errors ? out : null, STDERR_FILENO) < 0 ||
	    child_enter_root(command->root) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return;
	/* execve() takes no const, and changes nothing. */
	execve(command->argv[0], (char *const *)(uintptr_t)command->argv, environment);
}

int child_start(const struct child_command *command, struct child *ret_child)
{
	scope_fd int reading = -1;
	scope_fd int writing = -1;
	int ends[2];
	pid_t pid;

	*ret_child = (struct child){.out = -1, .max = command->max_bytes};
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	reading = ends[0];
	writing = ends[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		child_become(command, writing);
		_exit(CANNOT_RUN);
	}
	ret_child->pid = pid;
	ret_child->out = take_fd(&reading);
	return 0;
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

/* The pipe is at its end, so the program has ended or will print nothing more. */
static void child_finish(struct child *child, int64_t deadline_ms)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	pid_t ended;

	close_fd(&child->out);
	while ((ended = waitpid(child->pid, &child->status, WNOHANG)) == 0 &&
	       clock_left_ms(deadline_ms) > 0)
		nanosleep(&pause, NULL);
	if (ended != child->pid || child->len > child->max) {
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
