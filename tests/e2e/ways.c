/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ways FOLDER: asks the kernel for the file "text" of a folder, and for the folder itself,
 * in every way but read(2). Each answer is a line: its name, and the result (with a sum of
 * what was read) or the error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char buffer[1 << 20];

static void tell(const char *name, long result)
{
	if (result < 0)
		printf("%s: %s\n", name, strerrorname_np(errno));
	else
		printf("%s: %ld\n", name, result);
}

/* And a sum of @buffer. */
static void tell_read(const char *name, long n)
{
	uint32_t sum = 1;

	for (long i = 0; i < n; i++)
		sum = sum * 31 + (unsigned char)buffer[i];
	if (n < 0)
		tell(name, n);
	else
		printf("%s: %ld bytes %08x\n", name, n, sum);
}

/* ---- contents ---- */

static void ask_transfers(int fd)
{
	int memory = memfd_create("copy", 0);
	int pipes[2];
	loff_t at = 0;
	off_t from = 0;
	long n;

	n = sendfile(memory, fd, &from, sizeof(buffer));
	tell_read("sendfile", n < 0 ? n : pread(memory, buffer, sizeof(buffer), 0));
	tell("copy_file_range", copy_file_range(fd, &at, memory, NULL, 4096, 0));
	if (pipe(pipes) == 0) {
		at = 16;
		n = splice(fd, &at, pipes[1], NULL, 4096, 0);
		tell_read("splice", n < 0 ? n : read(pipes[0], buffer, sizeof(buffer)));
	}
	tell("readahead", readahead(fd, 0, 8192));
	tell("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	struct iovec vec = {buffer, 4096};
	n = preadv(fd, &vec, 1, 8);
	tell_read("preadv", n);
	n = preadv2(fd, &vec, 1, 8, RWF_NOWAIT); /* in the page cache by now */
	tell_read("preadv2 RWF_NOWAIT", n);
	close(memory);
}

static void ask_io_uring(int fd)
{
	struct io_uring_params params = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	char *sq, *cq;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	unsigned index;

	if (ring < 0) {
		tell("io_uring", ring);
		return;
	}
	sq = mmap(NULL, params.sq_off.array + params.sq_entries * sizeof(unsigned),
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
		  IORING_OFF_SQ_RING);
	cq = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(*cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
		  IORING_OFF_CQ_RING);
	sqe = mmap(NULL, params.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_READ;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)buffer;
	sqe->len = 4096;
	sqe->off = 4;
	index = *(unsigned *)(sq + params.sq_off.tail) &
		*(unsigned *)(sq + params.sq_off.ring_mask);
	((unsigned *)(sq + params.sq_off.array))[index] = 0;
	__atomic_fetch_add((unsigned *)(sq + params.sq_off.tail), 1, __ATOMIC_SEQ_CST);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) {
		tell("io_uring", -1);
		return;
	}
	cqe = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	errno = cqe->res < 0 ? -cqe->res : 0;
	tell_read("io_uring", cqe->res < 0 ? -1 : cqe->res);
	close(ring);
}

static void ask_maps(int fd)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (map != MAP_FAILED)
		memcpy(buffer, map, 4096);
	tell_read("mmap PROT_EXEC", map == MAP_FAILED ? -1 : 4096);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tell("mmap to write", map == MAP_FAILED ? -1 : 0);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	tell("mmap copy on write", map == MAP_FAILED ? -1 : (*(char *)map = 'x', 0));
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	tell("mmap MAP_SYNC", map == MAP_FAILED ? -1 : 0);
	tell("fsync", fsync(fd));
	tell("fdatasync", fdatasync(fd));
	tell("syncfs", syncfs(fd));
}

/* ---- locks ---- */

static int in_child(int (*ask)(const char *), const char *path)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(ask(path) < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static int flock_other(const char *path)
{
	return flock(open(path, O_RDONLY), LOCK_EX | LOCK_NB);
}

static int posix_other(const char *path)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	return fcntl(open(path, O_RDONLY), F_SETLK, &lock);
}

static void ask_locks(int fd, const char *path)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	tell("flock LOCK_SH", flock(fd, LOCK_SH));
	tell("flock LOCK_EX", flock(fd, LOCK_EX));
	tell("flock of another process", in_child(flock_other, path));
	tell("flock LOCK_UN", flock(fd, LOCK_UN));
	tell("F_SETLK F_RDLCK", fcntl(fd, F_SETLK, &lock));
	tell("F_SETLK of another process", in_child(posix_other, path));
	tell("F_OFD_SETLK", fcntl(fd, F_OFD_SETLK, &lock));
	lock.l_type = F_WRLCK;
	tell("F_SETLK F_WRLCK", fcntl(fd, F_SETLK, &lock));
	tell("F_GETLK", fcntl(fd, F_GETLK, &lock));
	tell("F_SETLEASE F_RDLCK", fcntl(fd, F_SETLEASE, F_RDLCK));
	tell("F_GETLEASE", fcntl(fd, F_GETLEASE));
	tell("F_SETLEASE F_UNLCK", fcntl(fd, F_SETLEASE, F_UNLCK));
	tell("F_SETLEASE F_WRLCK", fcntl(fd, F_SETLEASE, F_WRLCK));
	fcntl(fd, F_SETLEASE, F_UNLCK);
	tell("F_NOTIFY", fcntl(open(".", O_RDONLY), F_NOTIFY, DN_MODIFY));
}

/* ---- ioctls ---- */

static void ask_ioctls(int fd, const char *what)
{
	struct fsxattr attr = {0};
	struct fiemap map = {.fm_length = UINT64_MAX};
	char digest[sizeof(struct fsverity_digest) + 64] = {0};
	char name[64];
	long number = 0;
	int n = 0;
	int r;

	((struct fsverity_digest *)digest)->digest_size = 64;
#define TELL(COMMAND, ARGUMENT, RESULT)                                \
	do {                                                           \
		r = ioctl(fd, COMMAND, ARGUMENT);                      \
		snprintf(name, sizeof(name), "%s %s", #COMMAND, what); \
		tell(name, r < 0 ? r : (long)(RESULT));                \
	} while (0)
	TELL(FS_IOC_GETFLAGS, &number, number);
	TELL(FS_IOC_FSGETXATTR, &attr, attr.fsx_xflags);
	TELL(FS_IOC_GETVERSION, &number, 0);
	TELL(FS_IOC_FIEMAP, &map, map.fm_mapped_extents);
	TELL(FS_IOC_MEASURE_VERITY, digest, 0);
	TELL(FIONREAD, &n, n);
	TELL(FIGETBSZ, &n, n);
	TELL(FIBMAP, &n, 0);
	TELL(TCGETS, buffer, 0);
	TELL(FS_IOC_GETFSLABEL, buffer, 0);
	TELL(FITRIM, buffer, 0);
}

/* ---- what is known of a file ---- */

static void ask_statx(const char *path, const char *what)
{
	struct statx sx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0xffff, &sx) < 0) {
		tell("statx", -1);
		return;
	}
	printf("statx %s: mode %o nlink %u ino %llu size %llu blocks %llu blksize %u\n",
	       what, sx.stx_mode, sx.stx_nlink, (unsigned long long)sx.stx_ino,
	       (unsigned long long)sx.stx_size, (unsigned long long)sx.stx_blocks,
	       sx.stx_blksize);
	printf("statx %s attributes: %llx\n", what,
	       (unsigned long long)(sx.stx_attributes & ~STATX_ATTR_MOUNT_ROOT));
	printf("statx %s attributes_mask: %llx\n", what,
	       (unsigned long long)(sx.stx_attributes_mask & ~STATX_ATTR_MOUNT_ROOT));
	printf("statx %s birth: %d %lld.%09u\n", what, !!(sx.stx_mask & STATX_BTIME),
	       (long long)sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec);
	printf("statx %s access: %lld.%09u\n", what, (long long)sx.stx_atime.tv_sec,
	       sx.stx_atime.tv_nsec);
	printf("statx %s mask: %x\n", what, sx.stx_mask & 0xfff);
	printf("statx %s direct alignment: %d\n", what, !!(sx.stx_mask & STATX_DIOALIGN));
}

static void ask_handle(const char *path, const char *what)
{
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)space;
	char name[64];
	int mount;
	int root = open(path, O_RDONLY);
	int r;
	int fd = -1;

	handle->handle_bytes = MAX_HANDLE_SZ;
	r = name_to_handle_at(AT_FDCWD, path, handle, &mount, 0);
	snprintf(name, sizeof(name), "name_to_handle_at %s", what);
	tell(name, r);
	if (r == 0) {
		fd = open_by_handle_at(root, handle, O_RDONLY);
		snprintf(name, sizeof(name), "open_by_handle_at %s", what);
		tell(name, fd < 0 ? -1 : 0);
	}
}

static void ask_statfs(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0) {
		tell("statfs", -1);
		return;
	}
	printf("statfs type: %lx\n", (long)fs.f_type);
	printf("statfs id: %x%x\n", fs.f_fsid.__val[0], fs.f_fsid.__val[1]);
	printf("statfs numbers: %ld %ld %ld %ld %ld\n", (long)fs.f_bsize, (long)fs.f_blocks,
	       (long)fs.f_files, (long)fs.f_namelen, (long)fs.f_frsize);
	tell("pathconf _PC_LINK_MAX", pathconf(path, _PC_LINK_MAX));
	tell("pathconf _PC_NAME_MAX", pathconf(path, _PC_NAME_MAX));
	tell("pathconf _PC_FILESIZEBITS", pathconf(path, _PC_FILESIZEBITS));
}

/* ---- told of events ---- */

static void ask_watches(const char *path)
{
	int watch = inotify_init1(IN_NONBLOCK);
	int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	int named = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME,
				  O_RDONLY);
	long n;

	tell("inotify_add_watch", inotify_add_watch(watch, path, IN_OPEN | IN_ACCESS));
	tell("fanotify_mark mount",
	     fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, path));
	tell("fanotify_mark with names",
	     fanotify_mark(named, FAN_MARK_ADD, FAN_CREATE | FAN_ONDIR | FAN_EVENT_ON_CHILD,
			   AT_FDCWD, path));
	tell("fanotify_mark file system with names",
	     fanotify_mark(named, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
			   FAN_CREATE | FAN_ONDIR, AT_FDCWD, path));
	int fd = openat(open(path, O_RDONLY | O_DIRECTORY), "text", O_RDONLY);
	n = read(fd, buffer, 10);
	close(fd);
	n = read(watch, buffer, sizeof(buffer));
	tell("inotify has events", n < 0 ? -1 : n > 0);
	n = read(fan, buffer, sizeof(buffer));
	tell("fanotify has events", n < 0 ? -1 : n > 0);
}

static void ask_poll(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
	struct epoll_event event = {.events = EPOLLIN};
	int n = poll(&one, 1, 0);

	printf("poll: %d %x\n", n, one.revents);
	tell("epoll_ctl", epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fd, &event));
}

static void ask_opens(const char *path)
{
	static const struct {
		const char *name;
		int flags;
	} ways[] = {
		{"O_DIRECT", O_DIRECT},	      {"O_NOATIME", O_NOATIME},
		{"O_PATH", O_PATH},	      {"O_SYNC", O_SYNC},
		{"O_NONBLOCK", O_NONBLOCK},   {"O_DIRECTORY", O_DIRECTORY},
		{"O_EXCL", O_EXCL | O_CREAT}, {"O_CREAT", O_CREAT},
		{"O_ASYNC", O_ASYNC},	      {"O_ACCMODE", 3},
	};
	char name[64];

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int fd = open(path, ways[i].flags, 0600);

		snprintf(name, sizeof(name), "open %s", ways[i].name);
		tell(name, fd < 0 ? -1 : 0);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	int fd, folder;

	if (argc != 2 || chdir(argv[1]) < 0)
		return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	fd = open("text", O_RDONLY);
	folder = open(".", O_RDONLY | O_DIRECTORY);
	ask_transfers(fd);
	ask_io_uring(fd);
	ask_maps(fd);
	ask_locks(fd, "text");
	ask_ioctls(fd, "file");
	ask_ioctls(folder, "folder");
	ask_statx("text", "file");
	ask_statx(".", "folder");
	ask_handle("text", "file");
	ask_handle(".", "folder");
	ask_statfs(".");
	ask_poll(fd);
	ask_opens("text");
	ask_watches(".");
	return 0;
}
