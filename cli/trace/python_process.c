/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc and descriptors of other processes; see python_process.h.
 */
#include "cli/trace/python_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"

/* The target of a link below /proc/PID, the caller's; NULL where it cannot be read. */
static char *python_process_link(pid_t pid, const char *name)
{
	char link[64];
	char target[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%d/%s", pid, name);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return NULL;
	target[len] = '\0';
	return strdup(target);
}

static bool python_process_is_elsewhere(pid_t pid)
{
	scope_free char *theirs = python_process_link(pid, "ns/mnt");
	scope_free char *ours = python_process_link(getpid(), "ns/mnt");

	return theirs && ours && strcmp(theirs, ours) != 0;
}

int python_process_open(struct python_process *process, pid_t pid)
{
	*process = (struct python_process){
		.pid = pid,
		.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
		.program = python_process_link(pid, "exe"),
		.root = python_process_link(pid, "root"),
		.elsewhere = python_process_is_elsewhere(pid),
	};
	if (process->root && strcmp(process->root, "/") == 0)
		process->root[0] = '\0';
	if (!process->program)
		process->program = strdup("");
	if (!process->root)
		process->root = strdup("");
	return process->program && process->root ? 0 : -ENOMEM;
}

void python_process_close(struct python_process *process)
{
	close_fd(&process->pidfd);
	free(process->program);
	free(process->root);
}

static bool python_process_has_libpython(pid_t pid)
{
	scope_free char *line = NULL;
	size_t size = 0;
	bool found = false;
	char path[64];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && getline(&line, &size, maps) > 0)
		found = strstr(line, "/libpython") || strstr(line, "/libpypy");
	if (maps)
		fclose(maps);
	return found;
}

bool python_process_is_python(const struct python_process *process, const char *bytecode)
{
	static const char *const programs[] = {"python", "pypy", "graalpy"};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (strncmp(path_last(process->program), programs[i],
			    strlen(programs[i])) == 0)
			return true;
	return bytecode && (strstr(bytecode, "/encodings/") ||
			    python_process_has_libpython(process->pid));
}

char *python_process_path(const struct python_process *process, int dir, const char *name)
{
	scope_free char *base = NULL;
	char link[32];

	while (strncmp(name, "./", 2) == 0)
		name += 2;
	if (name[0] == '/')
		return path_join(process->root, name + 1);
	snprintf(link, sizeof(link), dir == AT_FDCWD ? "cwd" : "fd/%d", dir);
	base = python_process_link(process->pid, link);
	return path_join(base ? base : "", name);
}

ssize_t python_process_file(const struct python_process *process, int fd,
			    uint8_t *ret_header, struct stat *ret_st)
{
	/* A copy of the descriptor: we may lack the rights to open the file again. */
	scope_fd int ours = (int)syscall(SYS_pidfd_getfd, process->pidfd, fd, 0);
	ssize_t len = 0;
	struct stat st;

	if (ours < 0 || fstat(ours, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (ret_header)
		len = pread_full(ours, ret_header, PYC_HEADER_MAX, 0);
	if (len >= 0)
		*ret_st = st;
	return len;
}
