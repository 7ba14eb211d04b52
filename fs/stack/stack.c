/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting the layers together; see stack.h.
 */
#include "fs/stack/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/reason.h"
#include "base/scope.h"
#include "fs/mount/attach.h"
#include "fs/mount/mount_calls.h"
#include "fs/mount/mountinfo.h"
#include "fs/stack/data_table.h"
#include "fs/stack/stubs.h"

/* Names in a folder of the builder's own; its working directory. */
#define SOURCE "canonfs-source"
#define DATA   "canonfs-data"
#define MERGED "canonfs-merged"

/* ---- the builder: a process in a mount namespace of its own ---- */

/**
 * struct build - what the builder is to put together
 * @stack: its layers; NULL for a trial with layers of its own
 */
struct build {
	const struct stack *stack;
	const struct mount_options *options;
	const struct mount_ends *ends;
	bool in_userns;
	bool has_data;
};

/* What the builder answers; a descriptor of the overlay comes with it if error is 0. */
struct answer {
	int error;
	struct reason why;
};

/* The source as it was when it was opened: a private copy of its mount. */
static int clone_source(const struct mount_ends *ends)
{
	scope_fd int fd = open(ends->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat here, there;

	if (fd < 0 || fstat(fd, &here) < 0 || fstat(ends->tree.root_fd, &there) < 0)
		return -errno;
	if (here.st_dev != there.st_dev || here.st_ino != there.st_ino)
		return -ESTALE;
	return open_tree_clone(fd);
}

/* A folder to put the layers in, over the mount point: that exists surely. */
static int enter_folder(const char *point)
{
	static const char *const names[] = {MOUNT_STUBS, SOURCE, DATA, MERGED};

	if (mount("canonfs", point, "tmpfs", 0, "mode=0700") < 0 || chdir(point) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (mkdir(names[i], 0700) < 0)
			return -errno;
	return 0;
}

static int move_layers(const struct stack *stack)
{
	int r = mount_move(stack->stubs_fd, MOUNT_STUBS);

	if (r == 0 && stack->fuse_mount >= 0)
		r = mount_move(stack->fuse_mount, DATA);
	return r;
}

#define TRIAL_TEXT "canonfs"

static int write_trial_data(void)
{
	static const char path[] = DATA "/" DATA_DIR "/0"; /* the first of a table */
	scope_fd int fd = -1;

	if (mkdir(DATA "/" DATA_DIR, 0700) < 0)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, TRIAL_TEXT, sizeof(TRIAL_TEXT)) < 0)
		return -errno;
	return 0;
}

/* One stub, with data, of a file that the source cannot have. */
static int make_trial_layers(bool in_userns)
{
	scope_fd int root = open(MOUNT_STUBS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_fd int fd = open(DATA, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct stub_file file = {
		.path = "trial",
		.fd = fd,
		.stx = &(struct statx){.stx_size = sizeof(TRIAL_TEXT),
				       .stx_mode = S_IFREG | 0600,
				       .stx_uid = geteuid(),
				       .stx_gid = getegid()},
		.is_data = true};
	struct data_table *table;
	struct stubs stubs;
	int r = write_trial_data();

	if (r < 0 || root < 0 || fd < 0)
		return r < 0 ? r : -errno;
	table = data_table_new();
	if (!table)
		return -ENOMEM;
	stubs_init(&stubs, root, NULL, table, in_userns);
	r = stubs_add(&stubs, &file);
	stubs_fini(&stubs);
	data_table_free(table);
	return r;
}

static int read_trial(void)
{
	char text[sizeof(TRIAL_TEXT)];
	scope_fd int fd = open(MERGED "/trial", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : pread_full(fd, text, sizeof(text), 0);

	if (n < 0)
		return (int)n;
	return n == sizeof(text) && memcmp(text, TRIAL_TEXT, sizeof(text)) == 0 ? 0 : -EIO;
}

/* Sources show other times than theirs: their stubs have their data in the source. */
static bool has_source_stubs(const struct build *build)
{
	return build->options->policy.view != PYC_VIEW_SOURCE;
}

/*
 * In a user namespace overlayfs takes a stub's data from data-only layers alone, and only
 * if no other layer lies between. So the stubs get their data in an overlay of their own,
 * which takes their place.
 */
static int complete_stubs(const struct build *build)
{
	scope_free char *data = NULL;

	if (!build->has_data && !has_source_stubs(build))
		return 0;
	if (asprintf(&data, "lowerdir=" MOUNT_STUBS "%s%s,userxattr,xino=off",
		     has_source_stubs(build) ? "::" SOURCE : "",
		     build->has_data ? "::" DATA : "") < 0) {
		data = NULL;
		return -ENOMEM;
	}
	return mount(MOUNT_STUBS, MOUNT_STUBS, "overlay", MS_RDONLY, data) < 0 ? -errno : 0;
}

static int mount_overlay(const struct build *build)
{
	const struct mount_options *options = build->options;
	unsigned long flags = options->set_flags & ~options->cleared_flags;
	bool below = build->has_data && !build->in_userns;
	int r = build->in_userns ? complete_stubs(build) : 0;
	scope_free char *data = NULL;

	if (r < 0)
		return r;
	if (asprintf(&data, "lowerdir=" MOUNT_STUBS ":" SOURCE "%s,%s,xino=on%s",
		     below ? "::" DATA : "",
		     build->in_userns ? "userxattr" : "metacopy=on,redirect_dir=on",
		     options->context ? options->context : "") < 0) {
		data = NULL;
		return -ENOMEM;
	}
	/* mount(2): the new calls take no source longer than 255 bytes. */
	return mount(build->ends->source, MERGED, "overlay", flags | MS_RDONLY, data) < 0
		       ? -errno
		       : 0;
}

static int mount_layers(const struct build *build, struct reason *why)
{
	int r = build->stack ? move_layers(build->stack)
			     : make_trial_layers(build->in_userns);

	if (r < 0)
		return reason_set_errno(why, r, "cannot make the layers");
	r = mount_overlay(build);
	if (r < 0)
		return reason_set_errno(
			why, r, "the kernel's overlayfs does not take it%s",
			r == -EINVAL ? " (too many file systems upon each other, or an old "
				       "kernel)"
				     : "");
	r = build->stack ? 0 : read_trial();
	if (r < 0)
		return reason_set_errno(why, r,
					"the kernel's overlayfs finds no data below");
	return 0;
}

/* Return: a descriptor of the overlay, mounted nowhere; -errno. */
static int build_overlay(const struct build *build, struct reason *why)
{
	scope_fd int source = -1;
	scope_fd int merged = -1;
	int r;

	r = mount_unshare();
	if (r < 0)
		return reason_set(why, r, "no rights to mount (CAP_SYS_ADMIN)");
	source = clone_source(build->ends);
	if (source < 0)
		return reason_set_errno(
			why, source, "cannot copy the source's mount%s",
			source == -EINVAL
				? " (mounts of another user namespace may lie in it)"
				: "");
	r = enter_folder(build->ends->point);
	if (r == 0)
		r = mount_move(source, SOURCE);
	if (r < 0)
		return reason_set_errno(why, r, "cannot make the layers");
	r = mount_layers(build, why);
	if (r < 0)
		return r;
	merged = open(MERGED, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = merged < 0 ? -errno : open_tree_clone(merged);
	return r < 0 ? reason_set_errno(why, r, "cannot detach the overlay") : r;
}

/* ---- talking to the builder ---- */

static void send_answer(int socket, const struct answer *answer, int fd)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)answer,
			     .iov_len = sizeof(*answer)};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *header;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
	}
	if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
		_exit(1);
}

/* Return: the descriptor that came along; -errno of the answer. */
static int receive_answer(int socket, struct answer *answer)
{
	struct iovec part = {.iov_base = answer, .iov_len = sizeof(*answer)};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
	int fd;

	if (n != sizeof(*answer))
		return reason_set(&answer->why, -EIO, "the process that mounts died");
	if (answer->error < 0)
		return answer->error;
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return reason_set(&answer->why, -EIO,
				  "the process that mounts said nothing");
	memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

static void run_builder(const struct build *build, int socket)
{
	struct answer answer = {.error = 0};
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = build_overlay(build, &answer.why);
	if (fd < 0)
		answer.error = fd;
	send_answer(socket, &answer, fd);
	_exit(0);
}

/* The kernel asks the data layer's server, which may be stopped. False: given up. */
static bool wait_for_answer(int socket, int stop_fd)
{
	struct pollfd fds[] = {{.fd = socket, .events = POLLIN},
			       {.fd = stop_fd, .events = POLLIN}};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	return !fds[1].revents;
}

/*
 * @stop_fd: see stack_open()
 * Return: a descriptor of the overlay, mounted nowhere; -errno.
 */
static int build(const struct build *build, int stop_fd, struct reason *why)
{
	struct answer answer = {.error = 0};
	int sockets[2];
	pid_t pid;
	int fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return reason_set_errno(why, -errno, "cannot make a socket");
	pid = fork();
	if (pid == 0) {
		close(sockets[0]);
		run_builder(build, sockets[1]);
	}
	close(sockets[1]);
	if (pid > 0 && !wait_for_answer(sockets[0], stop_fd)) {
		/* It ends at the latest with the server, which is the caller's to end. */
		kill(pid, SIGKILL);
		close(sockets[0]);
		return reason_set(why, -ECANCELED, "ended by a signal");
	}
	fd = pid < 0 ? reason_set_errno(&answer.why, -errno, "cannot start a process")
		     : receive_answer(sockets[0], &answer);
	close(sockets[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (fd < 0)
		*why = answer.why;
	return fd;
}

/* ---- open ---- */

/* Where bytecode keeps its bytes there may be nothing to serve. */
static bool needs_data(const struct mount_options *options)
{
	return options->policy.view != PYC_VIEW_EMBEDDED;
}

/* trusted.* attributes are for the initial user namespace only; none is set. */
static bool is_in_userns(int dir)
{
	struct proc_path path = proc_path(dir);

	return setxattr(path.text, "trusted.canonfs", "", 0, XATTR_REPLACE) < 0 &&
	       errno == EPERM;
}

static int open_fuse_layer(struct stack *stack, struct reason *why)
{
	char fd[32], user[32], group[32];
	const char *const options[] = {"source=canonfs",
				       "subtype=canonfs",
				       "rootmode=40000",
				       fd,
				       user,
				       group,
				       "allow_other",
				       NULL};

	stack->fuse_fd = fuse_device_open(why);
	if (stack->fuse_fd < 0)
		return stack->fuse_fd;
	snprintf(fd, sizeof(fd), "fd=%d", stack->fuse_fd);
	snprintf(user, sizeof(user), "user_id=%u", getuid());
	snprintf(group, sizeof(group), "group_id=%u", getgid());
	stack->fuse_mount = mount_detached("fuse", options);
	return stack->fuse_mount < 0 ? reason_set(why, stack->fuse_mount, "%s",
						  strerror(-stack->fuse_mount))
				     : 0;
}

/* What would be wrong although the kernel took it. */
static int check_source(const struct mount_ends *ends, struct reason *why)
{
	struct statx stx;
	int r;

	if (!ends->mutability.immutable)
		return reason_set(why, -EINVAL,
				  "the source %s; stacked needs one that never changes (-o "
				  "immutable)",
				  mutability_text(ends->mutability.reason));
	/* It would be looked into first, and what is there shown as other files' data. */
	r = tree_stat(&ends->tree, DATA_DIR, &stx);
	if (r != -ENOENT)
		return reason_set(why, r < 0 ? r : -EEXIST,
				  "the source has a '/" DATA_DIR "' of its own");
	return 0;
}

/* The whole way once, with a layer of one stub, before the tree is read. */
static int try_build(const struct stack *stack, const struct mount_options *options,
		     const struct mount_ends *ends, int stop_fd, struct reason *why)
{
	const struct build trial = {
		.options = options,
		.ends = ends,
		.in_userns = stack->in_userns,
		.has_data = true,
	};
	int fd = build(&trial, stop_fd, why);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int stack_open(struct stack *stack, const struct mount_options *options,
	       const struct mount_ends *ends, int stop_fd, struct reason *ret_why)
{
	struct reason why;
	int r;

	*stack = (struct stack){.stubs_fd = -1, .fuse_mount = -1, .fuse_fd = -1};
	r = check_source(ends, ret_why);
	if (r < 0)
		return r;
	stack->stubs_fd = stubs_mount();
	if (stack->stubs_fd < 0)
		return reason_set_errno(ret_why, stack->stubs_fd, "cannot mount a tmpfs");
	stack->in_userns = is_in_userns(stack->stubs_fd);
	r = try_build(stack, options, ends, stop_fd, ret_why);
	if (r < 0)
		return r;
	r = open_fuse_layer(stack, &why);
	if (r < 0 && needs_data(options))
		return reason_set(ret_why, r, "cannot make the FUSE layer: %s", why.text);
	if (r < 0)
		stack_drop_data(stack);
	return 0;
}

void stack_drop_data(struct stack *stack)
{
	close_fd(&stack->fuse_mount);
	close_fd(&stack->fuse_fd);
}

void stack_close(struct stack *stack)
{
	stack_drop_data(stack);
	close_fd(&stack->stubs_fd);
}

/* ---- attach ---- */

int stack_attach(struct stack *stack, const struct mount_options *options,
		 const struct mount_ends *ends, int stop_fd, struct reason *ret_why)
{
	const struct build overlay = {
		.stack = stack,
		.options = options,
		.ends = ends,
		.in_userns = stack->in_userns,
		.has_data = stack->fuse_mount >= 0,
	};
	scope_fd int fd = build(&overlay, stop_fd, ret_why);
	int r;

	if (fd < 0)
		return fd;
	r = mount_move(fd, ends->point);
	return r < 0 ? reason_set_errno(ret_why, r, "cannot mount on %s",
					quoted(ends->point))
		     : 0;
}
