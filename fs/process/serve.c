/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads that answer requests; see serve.h.
 *
 * The loop is our own: libfuse's ends its threads with pthread_cancel(), which opens
 * libgcc_s.so.1, which may lie under this very mount.
 */
#include "fs/process/serve.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/front/observe.h"
#include "fs/front/ops.h"

#define MIN_THREADS 4
#define MAX_THREADS 16

static void *serve_in_thread(void *context)
{
	struct front *front = context;
	struct fuse_session *session = front->session;
	struct fuse_buf buffer = {.mem = NULL};

	while (!fuse_session_exited(session)) {
		int n = fuse_session_receive_buf(session, &buffer);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		/* Never spliced: FUSE_CAP_SPLICE_READ is not wanted (op_init()). */
		if (!(buffer.flags & FUSE_BUF_IS_FD))
			observe_request(front, buffer.mem, buffer.size);
		fuse_session_process_buf(session, &buffer);
	}
	free(buffer.mem);
	return NULL;
}

/* Serves with several threads; returns when the mount ended. */
static int serve_all(struct front *front)
{
	long threads = 2 * sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread[MAX_THREADS];
	int started = 0;

	if (threads < MIN_THREADS)
		threads = MIN_THREADS;
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	while (started < threads &&
	       pthread_create(&thread[started], NULL, serve_in_thread, front) == 0)
		started++;
	if (started == 0) {
		log_error("cannot start a thread: out of memory");
		return 1;
	}
	for (int i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

int serve_front(struct front *front, int fuse_fd)
{
	char name[] = "canonfs";
	char *argv[] = {name, NULL};
	struct fuse_args arguments = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session = fuse_session_new(&arguments, front->kind->ops,
							sizeof(*front->kind->ops), front);
	char fd_path[32];
	int status = 1;

	fuse_opt_free_args(&arguments);
	if (!session) {
		log_error("cannot make a FUSE session");
		return 1;
	}
	front->session = session;
	snprintf(fd_path, sizeof(fd_path), "/dev/fd/%d", fuse_fd);
	if (fuse_session_mount(session, fd_path) == 0)
		status = serve_all(front);
	fuse_session_destroy(session); /* closes fuse_fd */
	return status;
}
