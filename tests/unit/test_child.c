/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs that are asked something: what they print arrives, and nothing that they do
 * (print for ever, hang, leave children behind, write files) gets further than that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope.h"
#include "cli/python/child.h"

#define LONG_MS	 60000
#define SHORT_MS 200

/* Is the time of children_wait() over? NULL: as the clock says. */
static bool (*is_over)(void);

int poll(struct pollfd *polls, nfds_t count, int timeout_ms)
{
	const struct timespec timeout = {.tv_sec = timeout_ms / 1000,
					 .tv_nsec = timeout_ms % 1000 * 1000000L};

	return is_over && is_over() ? 0 : ppoll(polls, count, &timeout, NULL);
}

static void start_shell(const char *script, const char *argument, struct child *child)
{
	const char *const argv[] = {"/bin/sh", "-c", script, "sh", argument, NULL};
	const struct child_command command = {
		.argv = argv, .input = -1, .max_bytes = 10000};

	assert_int_equal(child_start(&command, child), 0);
}

static void test_output(void **state)
{
	struct child child[2];

	(void)state;
	start_shell("printf 'out '; pwd; echo lost >&2; read line || echo end", NULL,
		    &child[0]);
	start_shell("exit 3", NULL, &child[1]);
	children_wait(child, 2, LONG_MS);
	assert_string_equal(child[0].text, "out /\nend\n");
	assert_true(child_succeeded(&child[0]));
	assert_true(child[1].finished);
	assert_int_equal(WEXITSTATUS(child[1].status), 3);
	assert_false(child_succeeded(&child[1]));
	child_fini(&child[0]);
	child_fini(&child[1]);
}

static void test_environment(void **state)
{
	struct child child;

	(void)state;
	setenv("PYTHONPATH", "/evil", 1);
	start_shell("env | cut -d= -f1 | grep -vE '^(PWD|SHLVL|_)$' | sort", NULL, &child);
	children_wait(&child, 1, LONG_MS);
	assert_string_equal(child.text, "LC_ALL\nPATH\n");
	child_fini(&child);
}

static void test_input_and_errors(void **state)
{
	const char *const argv[] = {"/bin/sh", "-c", "cat >&2", NULL};
	scope_fd int input = memfd_create("test", MFD_CLOEXEC);
	const struct child_command command = {
		.argv = argv, .input = input, .errors = true, .max_bytes = 100};
	struct child child;

	(void)state;
	assert_int_equal(write(input, "hello", 5), 5);
	assert_int_equal(lseek(input, 0, SEEK_SET), 0);
	assert_int_equal(child_start(&command, &child), 0);
	children_wait(&child, 1, LONG_MS);
	assert_string_equal(child.text, "hello");
	child_fini(&child);
}

/* The limit itself is not too much; one byte more is. */
static void test_too_much(void **state)
{
	struct child child[3];

	(void)state;
	start_shell("head -c 10000 /dev/zero", NULL, &child[0]);
	start_shell("head -c 10001 /dev/zero", NULL, &child[1]);
	start_shell("yes", NULL, &child[2]);
	children_wait(child, 3, LONG_MS);
	assert_true(child_succeeded(&child[0]));
	assert_int_equal(child[0].len, 10000);
	assert_false(child[1].finished);
	assert_false(child[2].finished);
	for (size_t i = 0; i < 3; i++)
		child_fini(&child[i]);
}

static const struct child *hanging, *answering;

static bool all_was_said(void)
{
	return hanging->len > 0 && answering->finished;
}

/* Who hangs is killed with whom it started; the others' answers count. */
static void test_hang(void **state)
{
	struct child child[2];
	pid_t grandchild;
	int status;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	start_shell("sleep 1000 & echo $!; wait", NULL, &child[0]);
	start_shell("echo there", NULL, &child[1]);
	hanging = &child[0];
	answering = &child[1];
	is_over = all_was_said;
	children_wait(child, 2, LONG_MS);
	is_over = NULL;
	assert_false(child[0].finished);
	assert_true(child_succeeded(&child[1]));
	grandchild = (pid_t)strtol(child[0].text, NULL, 10);
	assert_true(grandchild > 0);
	kill(grandchild, SIGTERM); /* comes second */
	assert_int_equal(waitpid(grandchild, &status, 0), grandchild);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	child_fini(&child[0]);
	child_fini(&child[1]);
}

/* It closed its output, and goes on. */
static void test_silent(void **state)
{
	struct child child;

	(void)state;
	start_shell("exec >&- 2>&-; sleep 1000", NULL, &child);
	children_wait(&child, 1, SHORT_MS);
	assert_false(child.finished);
	assert_int_equal(child.pid, 0);
	child_fini(&child);
}

static void test_cannot_run(void **state)
{
	const char *const argv[] = {"/nowhere", NULL};
	const struct child_command command = {.argv = argv, .input = -1, .max_bytes = 10};
	struct child child;

	(void)state;
	assert_int_equal(child_start(&command, &child), 0);
	children_wait(&child, 1, LONG_MS);
	assert_true(child.finished);
	assert_int_equal(WEXITSTATUS(child.status), 127);
	child_fini(&child);
}

static void test_writes_nothing(void **state)
{
	char path[] = "/tmp/canonfs-child-XXXXXX";
	scope_fd int fd = mkstemp(path);
	struct child child;

	(void)state;
	assert_true(fd >= 0);
	start_shell("trap '' XFSZ; echo something >\"$1\" || echo refused", path, &child);
	children_wait(&child, 1, LONG_MS);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	assert_string_equal(child.text, "refused\n");
	child_fini(&child);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_cannot_run),
		cmocka_unit_test(test_writes_nothing),
		cmocka_unit_test(test_input_and_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
