/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a supervisor waits for: only what is wanted comes, signals stay, and the end of the
 * worker is told from that of another child, with a pidfd and without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope.h"
#include "fs/process/events.h"

#define ALL (EVENT_STOP | EVENT_REPORT | EVENT_WORKER | EVENT_END)

/* For what comes at once; the test fails where it does not. */
#define LONG 20000

/* A kernel before 5.3 */
static bool no_pidfd;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long first, long second);

long __wrap_syscall(long number, long first, long second)
{
	assert_int_equal(number, SYS_pidfd_open);
	if (!no_pidfd)
		return __real_syscall(number, first, second);
	errno = ENOSYS;
	return -1;
}

static struct events events;

static int setup(void **state)
{
	(void)state;
	events = EVENTS_NONE;
	no_pidfd = false;
	return events_block_signals(&events);
}

static int teardown(void **state)
{
	(void)state;
	events_close(&events);
	return 0;
}

static void test_nothing_comes(void **state)
{
	(void)state;
	assert_int_equal(events_wait(&events, ALL, 0), 0);
	assert_int_equal(events_wait(&events, ALL, 20), 0);
}

/* One that came while nobody asked for it is seen by who asks next, and next to that. */
static void test_signals_stay(void **state)
{
	sigset_t all;

	(void)state;
	sigfillset(&all);
	for (size_t i = 0; i < 4; i++) {
		static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

		raise(numbers[i]);
		assert_int_equal(events_wait(&events, ALL & ~EVENT_STOP, 0), 0);
		assert_int_equal(events_wait(&events, ALL, LONG), EVENT_STOP);
		assert_int_equal(events_wait(&events, EVENT_STOP, LONG), EVENT_STOP);
		assert_int_equal(sigwaitinfo(&all, NULL), numbers[i]);
		assert_int_equal(events_wait(&events, ALL, 0), 0);
	}
}

static void test_who_waits_has_gone(void **state)
{
	int ready[2];

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	events.ready_fd = ready[1];
	assert_int_equal(events_wait(&events, ALL, 0), 0);
	close(ready[0]);
	assert_int_equal(events_wait(&events, ALL & ~EVENT_STOP, 0), 0);
	assert_int_equal(events_wait(&events, ALL, LONG), EVENT_STOP);
}

/* An answer, and an end without one. Several events come together. */
static void test_report_and_end(void **state)
{
	int report[2], end[2];

	(void)state;
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	events.report_fd = report[0];
	events.end_fd = end[0];
	assert_int_equal(write(end[1], "", 1), 1);
	assert_int_equal(events_wait(&events, EVENT_REPORT, 0), 0);
	assert_int_equal(events_wait(&events, ALL, LONG), EVENT_END);
	close(report[1]);
	assert_int_equal(events_wait(&events, ALL, LONG), EVENT_REPORT | EVENT_END);
	close(end[1]);
}

/* Until it is killed, or this program ends. */
static pid_t child_that_waits(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void watch_worker(void)
{
	pid_t worker = child_that_waits();
	pid_t other = child_that_waits();

	assert_int_equal(events_watch_worker(&events, worker), 0);
	assert_int_equal(events_wait(&events, ALL, 0), 0);
	kill(other, SIGKILL);
	assert_int_equal(events_wait(&events, ALL, 50), 0);
	assert_int_equal(waitpid(other, NULL, 0), other);
	assert_int_equal(events_wait(&events, ALL, 0), 0);
	assert_int_equal(events.worker, worker);
	kill(worker, SIGKILL);
	assert_int_equal(events_wait(&events, ALL & ~EVENT_WORKER, 50), 0);
	assert_int_equal(events_wait(&events, ALL, LONG), EVENT_WORKER);
	assert_int_equal(events.worker, 0);
	assert_int_equal(events.worker_fd, -1);
	assert_int_equal(WTERMSIG(events.worker_status), SIGKILL);
	assert_int_equal(waitpid(worker, NULL, 0), -1);
	assert_int_equal(events_wait(&events, ALL, 0), 0);
}

static void test_worker(void **state)
{
	(void)state;
	watch_worker();
	watch_worker(); /* the next one */
}

static void test_worker_without_pidfd(void **state)
{
	(void)state;
	no_pidfd = true;
	watch_worker();
	watch_worker();
}

/* Who started us may have ignored SIGCHLD: then children would leave no status. */
static void test_children_are_not_ignored(void **state)
{
	(void)state;
	signal(SIGCHLD, SIG_IGN);
	events_close(&events);
	assert_int_equal(events_block_signals(&events), 0);
	watch_worker();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_waits_has_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_report_and_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_worker_without_pidfd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_children_are_not_ignored, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
