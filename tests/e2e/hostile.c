/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image's python3.11 that is none: it tries to get out, and answers as an interpreter
 * would. What came of it stands in its release: "NAME=OUTCOME,...", where OUTCOME is
 * "done", an errno's name or a number. Linked statically, since the image has nothing else.
 *
 * /attack says what is there to be attacked: MODE VICTIM PORT NAME, that is a process, a
 * port of 127.0.0.1 and the name of an abstract socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char report[8192];
static char mode[16], name[100];
static int victim, port;

static void note(const char *what, const char *outcome)
{
	size_t len = strlen(report);

	snprintf(report + len, sizeof(report) - len, "%s%s=%s", len ? "," : "", what,
		 outcome);
}

static void note_number(const char *what, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", number);
	note(what, text);
}

static int attack(const char *what, long result)
{
	note(what, result < 0 ? strerrorname_np(errno) : "done");
	return (int)result;
}

/* ---- other processes ---- */

static void attack_processes(void)
{
	attack("kill-all", kill(-1, 0)); /* who would get a signal? */
	attack("kill-parent", getppid() > 0 ? kill(getppid(), 0) : (errno = ESRCH, -1));
	attack("ptrace", ptrace(PTRACE_ATTACH, victim, NULL, NULL));
	attack("kill", kill(victim, SIGKILL));
	attack("priority", setpriority(PRIO_PROCESS, (id_t)victim, 19));
}

/* ---- sockets ---- */

static void connect_to(const char *what, int family, const void *address, size_t size)
{
	int fd = socket(family, SOCK_STREAM, 0);

	attack(what, fd < 0 ? fd : connect(fd, address, (socklen_t)size));
}

static void attack_sockets(void)
{
	struct sockaddr_in tcp = {.sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un abstract = {.sun_family = AF_UNIX};
	struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/run/socket"};
	struct sockaddr_vm vsock = {.svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 1024};

	strncpy(abstract.sun_path + 1, name, sizeof(abstract.sun_path) - 2);
	connect_to("tcp", AF_INET, &tcp, sizeof(tcp));
	connect_to("abstract", AF_UNIX, &abstract,
		   offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	connect_to("path", AF_UNIX, &path, sizeof(path));
	connect_to("vsock", AF_VSOCK, &vsock, sizeof(vsock));
	attack("io-uring", syscall(SYS_io_uring_setup, 1, calloc(1, 256)));
	attack("keyring", syscall(SYS_keyctl, 0, -3, 1)); /* the session's */
}

/* ---- files ---- */

static void attack_files(void)
{
	struct timespec now[2];
	long descriptors = 0;

	clock_gettime(CLOCK_REALTIME, &now[0]);
	now[1] = now[0];
	for (int fd = 0; fd <= 2; fd++)
		futimens(fd, now); /* is it a file of the machine's? */
	for (int fd = 3; fd < 4096; fd++)
		descriptors += fcntl(fd, F_GETFD) >= 0;
	note_number("descriptors", descriptors);
	attack("write-root", open("/written", O_WRONLY | O_CREAT, 0600));
	attack("write-tmp", open("/tmp/written", O_WRONLY | O_CREAT, 0600));
	attack("overwrite", open("/victim", O_RDWR));
	attack("remove", unlink("/victim"));
	attack("chmod", chmod("/victim", 0777));
	attack("fifo", open("/run/fifo", O_WRONLY | O_NONBLOCK));
	attack("reopen", open("/proc/self/fd/1", O_WRONLY));
	attack("device", open("/run/null", O_RDONLY));
	attack("private", open("/private", O_RDONLY));
	attack("memory-file", pwrite(memfd_create("hostile", 0), "x", 1, 1 << 20));
	attack("shared-memory", shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600));
}

/* ---- out of the root ---- */

static void attack_root(void)
{
	int root = open("/", O_RDONLY | O_DIRECTORY);

	attack("dot-dot", open("/../secret", O_RDONLY));
	attack("process-1", open("/proc/1/root/secret", O_RDONLY));
	attack("chroot", chroot("/tmp"));
	for (int i = 0; i < 100; i++)
		if (chdir("..") < 0)
			break;
	attack("above", open("secret", O_RDONLY));
	attack("from-descriptor", openat(root, "../secret", O_RDONLY));
	attack("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	attack("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	attack("umount", umount2("/proc", MNT_DETACH));
}

/* ---- rights ---- */

static void attack_fork(const char *what, long pid)
{
	if (pid == 0)
		_exit(0);
	attack(what, pid);
}

static void attack_rights(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};

	attack("new-user", unshare(CLONE_NEWUSER));
	attack_fork("new-user-clone",
		    syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
	attack_fork("new-user-clone3", syscall(SYS_clone3, &args, sizeof(args)));
	attack("setuid", setuid(0));
	attack("host-name", sethostname("hostile", 7));
	attack("limits", setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}));
	attack("live-on", prctl(PR_SET_PDEATHSIG, 0));
	attack("bpf", syscall(SYS_bpf, 0, NULL, 0));
	note_number("new-privileges", !prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	note_number("bounding-set-kept", prctl(PR_CAPBSET_READ, 21, 0, 0, 0));
	note_number("user", (long)geteuid());
}

/* ---- too much of everything ---- */

static void exhaust(void)
{
	long processes = 0, gigabytes = 0, files = 0;

	while (processes < 200) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			pause();
			_exit(0);
		}
		processes++;
	}
	while (gigabytes < 64 &&
	       mmap(NULL, 1u << 30, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
		gigabytes++;
	while (files < 4096 && dup(0) >= 0)
		files++;
	note_number("processes", processes);
	note_number("gigabytes", gigabytes);
	note_number("files", files);
}

/* A process of a session of its own that holds standard output. */
static void outlive(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() == 0)
			for (;;)
				pause();
		_exit(0);
	}
	attack("outlive", pid);
}

static void attack_all(void)
{
	attack_sockets();
	attack_files();
	attack_root();
	attack_rights();
	attack_processes();
}

static void answer(void)
{
	static const char rest[] = "/usr\0/usr/bin/python3.11\0";

	write(STDOUT_FILENO, "a70d0d0a", 9);
	write(STDOUT_FILENO, report, strlen(report) + 1);
	write(STDOUT_FILENO, rest, sizeof(rest));
}

int main(void)
{
	static char zeros[65536];
	FILE *stream = fopen("/attack", "r");

	if (!stream || fscanf(stream, "%15s %d %d %99s", mode, &victim, &port, name) != 4)
		return 1;
	fclose(stream);
	if (strcmp(mode, "all") == 0)
		attack_all();
	if (strcmp(mode, "exhaust") == 0)
		exhaust();
	if (strcmp(mode, "outlive") == 0)
		outlive();
	while (strcmp(mode, "endless") == 0)
		write(STDOUT_FILENO, zeros, sizeof(zeros));
	prctl(PR_SET_PDEATHSIG, 0);
	while (strcmp(mode, "silent") == 0)
		pause();
	answer();
	return 0;
}
