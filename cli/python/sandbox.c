/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sandbox of an image's programs; see sandbox.h. What stands after sandbox_fork() runs
 * in the child, which may have been forked while other threads held locks: it makes system
 * calls only. Users are changed by syscall(2), since libc's setresuid(2) waits for all
 * threads that it knows of, and clone(2) tells it of none that ended.
 */
#include "cli/python/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/mount/mount_calls.h"

#define STACK_BYTES  (64u << 10)
#define MEMORY_BYTES ((uint64_t)4 << 30)
#define MAX_FILES    64
#define MAX_CPU_S    3600 /* for thousands of sources; a hang is noticed long before */

/* ---- system calls that are refused ---- */

void sandbox_add_architectures(scmp_filter_ctx filter)
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

static int sandbox_refuse_calls(scmp_filter_ctx filter)
{
	static const int refused[] = {
		/* ways out, past all namespaces */
		SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(io_uring_setup),
		/* processes and threads; RLIMIT_NPROC does not hold for root's user */
		SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(clone), SCMP_SYS(clone3),
		/* keys of our session */
		SCMP_SYS(add_key), SCMP_SYS(keyctl), SCMP_SYS(request_key),
		/* memory that no limit counts */
		SCMP_SYS(shmget), SCMP_SYS(msgget), SCMP_SYS(semget), SCMP_SYS(mq_open),
		/* what no interpreter needs, and faults of the kernel were often in */
		SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(ptrace), SCMP_SYS(bpf),
		SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
		SCMP_SYS(pidfd_getfd), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd)};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(refused); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	/* It could take back that it ends with us. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
				     SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0));
	return r;
}

/* As a read-only mount would, but for FIFOs, too. A filter cannot see the flags of
 * openat2(2); there is no need for it. */
static int sandbox_refuse_writing(scmp_filter_ctx filter)
{
	static const int modes[] = {O_WRONLY, O_RDWR, O_ACCMODE};
	const uint32_t refusal = SCMP_ACT_ERRNO(EROFS);
	int r = seccomp_rule_add(filter, refusal, SCMP_SYS(creat), 0);

	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(modes); i++) {
		const scmp_datum_t mode = (scmp_datum_t)modes[i];

		r = seccomp_rule_add(filter, refusal, SCMP_SYS(open), 1,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, O_ACCMODE, mode));
		if (r == 0)
			r = seccomp_rule_add(filter, refusal, SCMP_SYS(openat), 1,
					     SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, mode));
	}
	return r;
}

/* From libseccomp's filter to the kernel's. */
static int sandbox_take_filter(struct sandbox *sandbox, scmp_filter_ctx filter)
{
	scope_fd int fd = memfd_create("canonfs-filter", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
	struct stat st;

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	sandbox->filter.filter = malloc((size_t)st.st_size);
	if (!sandbox->filter.filter)
		return -ENOMEM;
	sandbox->filter.len =
		(unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
	return pread_full(fd, sandbox->filter.filter, (size_t)st.st_size, 0) == st.st_size
		       ? 0
		       : -EIO;
}

int sandbox_init(struct sandbox *sandbox, const char *root, uint64_t memory_bytes)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	*sandbox = (struct sandbox){
		.root = root,
		.memory_bytes = memory_bytes ? memory_bytes : MEMORY_BYTES,
		.caller = {geteuid(), getegid()},
	};
	if (!filter)
		return -ENOMEM;
	sandbox_add_architectures(filter);
	r = sandbox_refuse_calls(filter);
	if (r == 0)
		r = sandbox_refuse_writing(filter);
	if (r == 0)
		r = sandbox_take_filter(sandbox, filter);
	seccomp_release(filter);
	return r;
}

void sandbox_fini(struct sandbox *sandbox)
{
	free(sandbox->filter.filter);
	sandbox->filter.filter = NULL;
}

/* ---- the fork ---- */

pid_t sandbox_fork(struct sandbox *sandbox, int (*child)(void *), void *context)
{
	static const int namespaces =
		CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	/* The child has a copy of all memory, so this may be on our stack. */
	_Alignas(16) char stack[STACK_BYTES];
	pid_t pid = clone(child, stack + sizeof(stack), namespaces | SIGCHLD, context);

	if (pid < 0 && errno == EPERM) {
		sandbox->is_users = true;
		pid = clone(child, stack + sizeof(stack),
			    CLONE_NEWUSER | namespaces | SIGCHLD, context);
	}
	return pid < 0 ? -errno : pid;
}

/* ---- in the child ---- */

static int sandbox_write_file(int dir, const char *name, const char *text)
{
	scope_fd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* snprintf() does not allocate for numbers. */
static int sandbox_map_id(int proc, const char *name, id_t inside, id_t outside)
{
	char map[64];

	snprintf(map, sizeof(map), "%u %u 1", inside, outside);
	return sandbox_write_file(proc, name, map);
}

/* The one user of a new user namespace, with her or his numbers inside and outside of it.
 */
static int sandbox_map_user(int proc, const struct sandbox_user *inside,
			    const struct sandbox_user *outside)
{
	int r = sandbox_write_file(proc, "setgroups", "deny");

	if (r == 0)
		r = sandbox_map_id(proc, "uid_map", inside->user, outside->user);
	return r == 0 ? sandbox_map_id(proc, "gid_map", inside->group, outside->group) : r;
}

/* Clears a directory of what may be mounted there. The image need not have it. */
static int sandbox_cover(const char *path)
{
	return mount("none", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		     "size=4k,mode=555") < 0 &&
			       errno != ENOENT && errno != ENOTDIR
		       ? -errno
		       : 0;
}

/* Makes the image "/", and takes all else away (pivot_root(2), "pivot_root(".", ".")"). */
static int sandbox_enter_root(const char *root)
{
	int r = mount_unshare();
	int image = r < 0 ? r : mount_clone_read_only(root);

	if (image < 0)
		return image;
	r = mount_move(image, root);
	if (r < 0)
		return r;
	if (fchdir(image) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	r = sandbox_cover("/proc");
	if (r == 0)
		r = sandbox_cover("/sys");
	return r == 0 ? sandbox_cover("/dev") : r;
}

/* Sets the capabilities that we have and use: one, or none for @capability < 0. */
static int sandbox_keep_capability(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (capability >= 0)
		data[capability / 32].effective = data[capability / 32].permitted =
			1u << (capability % 32);
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/*
 * Becomes SANDBOX_USER where we are root and there is such a user; in a namespace of one
 * user there is none (EINVAL). The right to make a user namespace is kept, since systems
 * may refuse that to users.
 */
static int sandbox_leave_root_user(void)
{
	const id_t user = SANDBOX_USER;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_setresgid, user, user, user) < 0)
		return errno == EINVAL ? 0 : -errno;
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
	    syscall(SYS_setresuid, user, user, user) < 0)
		return -errno;
	/* Or /proc/self would stay root's. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	return sandbox_keep_capability(CAP_SYS_ADMIN);
}

/* A limit that is lower already stays: only root may raise it. */
static int sandbox_limit(int resource, uint64_t max)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (limit.rlim_max > max)
		limit.rlim_max = max;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int sandbox_set_limits(const struct sandbox *sandbox, int proc)
{
	int r = sandbox_limit(RLIMIT_NOFILE, MAX_FILES);

	if (r == 0)
		r = sandbox_limit(RLIMIT_CPU, MAX_CPU_S);
	if (r == 0)
		r = sandbox_limit(RLIMIT_CORE, 0);
	if (r == 0)
		r = sandbox_limit(RLIMIT_FSIZE, 0);
	if (r == 0)
		r = sandbox_limit(RLIMIT_AS, sandbox->memory_bytes);
	return r == 0 ? sandbox_write_file(proc, "oom_score_adj", "1000") : r;
}

static int sandbox_give_up_rights(const struct sandbox *sandbox)
{
	int r = sandbox_keep_capability(-1);

	if (r < 0)
		return r;
	/* From here on users and capabilities stay as they are, which would undo it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &sandbox->filter, 0, 0) < 0)
		return -errno;
	return 0;
}

/* A user namespace below the one that the mounts belong to. */
static int sandbox_enter_user(int proc)
{
	const struct sandbox_user inside = {SANDBOX_USER, SANDBOX_USER};
	const struct sandbox_user outside = {geteuid(), getegid()};

	return unshare(CLONE_NEWUSER) < 0 ? -errno
					  : sandbox_map_user(proc, &inside, &outside);
}

#define USER_NAMESPACE "make a user namespace (see sysctl user.max_user_namespaces)"

int sandbox_enter(const struct sandbox *sandbox, const char **ret_step)
{
	scope_fd int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = proc < 0 ? -errno : 0;

	*ret_step = USER_NAMESPACE;
	if (r == 0 && sandbox->is_users)
		r = sandbox_map_user(proc, &sandbox->caller, &sandbox->caller);
	if (r < 0)
		return r;
	*ret_step = "show it the image only";
	r = sandbox_enter_root(sandbox->root);
	if (r < 0)
		return r;
	*ret_step = "make it another user's";
	r = sandbox_leave_root_user();
	if (r < 0)
		return r;
	*ret_step = USER_NAMESPACE;
	r = sandbox_enter_user(proc);
	if (r < 0)
		return r;
	*ret_step = "set its limits";
	r = sandbox_set_limits(sandbox, proc);
	if (r < 0)
		return r;
	*ret_step = "give up our rights";
	return sandbox_give_up_rights(sandbox);
}
