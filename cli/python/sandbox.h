/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where programs of an image run: they can read the image and answer, and nothing else.
 *
 * An image's interpreter is whatever somebody has called python3.11. It gets:
 *
 * - A mount namespace in which the image is all there is: read-only, without devices
 *   and set-user-ID programs. /proc, /sys and /dev are empty: an image may have this
 *   machine's mounted there.
 * - A pid namespace. The program is its process 1. So it sees no other process, and
 *   what it started ends with it.
 * - Network, ipc and uts namespaces with no way out.
 * - A user namespace in which it is an ordinary user. So it has no capabilities, and
 *   no rights over any other process of its user. Outside it is SANDBOX_USER where
 *   we are root, and who we are where we are not.
 * - no_new_privs and a seccomp filter. Sockets, keyrings, shared memory, new
 *   namespaces and tracing are refused: unix sockets that lie in the image, and
 *   those of virtual machines (vsock), pass through any namespace. So is opening a
 *   file for writing, since the FIFOs of a read-only mount can be written.
 * - Limits of processes, memory, files and processor time. Out of memory, the kernel
 *   ends it first.
 *
 * The namespaces of mounts, processes and so on belong to the user namespace above the
 * program's. So no capability that it could ever get is one over them.
 *
 * Why not bubblewrap(1), which does most of this? With root's rights it runs the program
 * as root, mapped to another number: files of root's in the image stay readable. Without
 * them it cannot reach an image below a directory of root's (/var/lib/containers), and
 * it needs user namespaces for everybody, which hardened systems refuse. We start with
 * root's rights, use them to get to the image, and give them up.
 *
 * It needs Linux 5.12 (mount_setattr), /proc, and the right to make namespaces: root's, or
 * that of users to make user namespaces. Most containers have neither. Then nothing is run.
 */
#ifndef CANONFS_CLI_PYTHON_SANDBOX_H
#define CANONFS_CLI_PYTHON_SANDBOX_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Nobody's: Debian reserves it, systemd leaves it free. It is mapped in usual containers.
 */
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
