/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where programs of an image run: they can read the image and answer, and nothing else.
 *
 * An image's interpreter is whatever somebody has called python3.11. So it gets
 *
 * - a mount namespace that has the image only, read-only, without devices and set-user-ID
 *   programs. /proc, /sys and /dev are empty: this machine's may be mounted in the image.
 * - a pid namespace, where it is process 1 and sees no other; and namespaces of network,
 *   ipc and host name.
 * - a user namespace, where it is an ordinary user. It has no capabilities, and no rights
 *   over other processes of its user. Outside, that is SANDBOX_USER where we have root's
 *   rights, and else who we are. The other namespaces belong to the user namespace above
 *   its own, so no capability that it could ever get is one over them.
 * - no new privileges, and a seccomp filter. No sockets: unix sockets that lie in the image
 *   can be reached from any namespace, and so can the host of a virtual machine (vsock). No
 *   opening for writing: a FIFO can be written on a read-only mount. No processes and
 *   threads, keyrings, shared memory and tracing.
 * - limits of memory, files and processor time. Out of memory the kernel ends it first.
 *
 * It ends with the thread that started it.
 *
 * CPython and PyPy need no more. GraalPy needs threads, and so do emulators that run
 * programs of another architecture. They end, and count as interpreters that do not answer.
 *
 * Why not bubblewrap(1), which does most of this? Run by root, it gives the program root's
 * user under another number: root's private files in the image stay readable. Run by
 * another user, it cannot get to an image below a directory of root's (as
 * /var/lib/containers), and it needs user namespaces for everybody, which hardened systems
 * refuse. We use root's rights to get to the image, and then give them up.
 *
 * It needs Linux 5.12 (mount_setattr), /proc, and the right to make namespaces: root's, or
 * that of users to make user namespaces. Many containers have neither. Then nothing is run.
 */
#ifndef CANONFS_CLI_PYTHON_SANDBOX_H
#define CANONFS_CLI_PYTHON_SANDBOX_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* No system gives it to anybody: Debian reserves it, systemd leaves it free. Containers of
 * 65536 users have it. */
#define SANDBOX_USER 65533

struct sandbox_user {
	uid_t user;
	gid_t group;
};

/**
 * struct sandbox - how a program is to be confined
 * @root:         absolute path of the image; borrowed
 * @memory_bytes: address space that the program may use
 * @filter:       for seccomp(2); .filter is owned
 * @caller:       who we are
 * @is_users:     whether its namespaces belong to a user namespace of its own, since we
 * have no right to make others; set by sandbox_fork()
 */
struct sandbox {
	const char *root;
	uint64_t memory_bytes;
	struct sock_fprog filter;
	struct sandbox_user caller;
	bool is_users;
};

/* Makes a filter of seccomp(2) be for programs of 32 bits on a kernel of 64, too. */
void sandbox_add_architectures(scmp_filter_ctx filter);

/* Makes the filter. Return: 0 or -errno; sandbox_fini() it either way. */
int sandbox_init(struct sandbox *sandbox, const char *root, uint64_t memory_bytes);

void sandbox_fini(struct sandbox *sandbox);

/**
 * sandbox_fork() - fork into new namespaces
 * @child: what the child does, with @context; its result is the exit status. As after a
 *         fork() of a process with threads, it must not allocate.
 *
 * The child may do nothing but prepare what sandbox_enter() leaves as it is, and enter.
 * Return: the child's pid, or -errno.
 */
pid_t sandbox_fork(struct sandbox *sandbox, int (*child)(void *), void *context);

/**
 * sandbox_enter() - confine this process, in the child, for good
 * @ret_step: what failed, as the words after "cannot"; static
 *
 * Afterwards the image is "/" and the working directory, and the process may read files and
 * execute programs. Where it fails the process must end.
 * Return: 0 or -errno.
 */
int sandbox_enter(const struct sandbox *sandbox, const char **ret_step);

#endif
