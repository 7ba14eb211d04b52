/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes what gcov counted where a process ends without exit(), as those of a mount do, and
 * not where it must not write files. Only in builds of scripts/coverage.
 */
#include <gcov.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What becomes an interpreter is killed by the kernel if it writes. */
static int may_write(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

void _exit(int status)
{
	if (may_write())
		__gcov_dump();
	for (;;)
		syscall(SYS_exit_group, status);
}

/* gcc calls this one instead of execve(). */
int __gcov_execve(const char *path, char *const argv[], char *const environment[]);

int __gcov_execve(const char *path, char *const argv[], char *const environment[])
{
	int r;

	if (may_write())
		__gcov_dump();
	r = (int)syscall(SYS_execve, path, argv, environment);
	__gcov_reset();
	return r;
}
