/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interpreters as compilers; see verify.h. The protocol is in worker.py.
 */
#include "cli/verify/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/scope.h"
#include "cache/content.h"
#include "cli/verify/worker_py.h"

/* No compiler makes more than a few bytes of bytecode for each byte of source. */
#define MAX_ANSWER (4u * CONTENT_MAX_BYTES)

/* Address space; a compiler needs some hundred times the source's size. */
#define MEMORY_BYTES ((uint64_t)4 << 30)

enum { ANSWER_CODE, ANSWER_ERROR };

/* ---- bytes, until a time ---- */

static int worker_wait_for(int fd, short events, int64_t deadline_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int left_ms = clock_left_ms(deadline_ms);
	int r;

	if (left_ms == 0)
		return -ETIMEDOUT;
	r = poll(&poll_fd, 1, left_ms);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

/* Moves all of the bytes one way or the other, as @events says; our ends do not block. */
static int worker_move_all(int fd, short events, uint8_t *data, size_t len,
			   int64_t deadline_ms)
{
	while (len > 0) {
		ssize_t n = events == POLLIN ? read(fd, data, len) : write(fd, data, len);
		int r = 0;

		if (n == 0 && events == POLLIN)
			return -EPIPE;
		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN || errno == EINTR) {
			r = worker_wait_for(fd, events, deadline_ms);
		} else {
			r = -errno;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int worker_read_all(const struct verify_worker *worker, uint8_t *data, size_t len,
			   int64_t deadline_ms)
{
	return worker_move_all(worker->child.out, POLLIN, data, len, deadline_ms);
}

/* Writing changes none of @data. */
static int worker_write_all(const struct verify_worker *worker, const uint8_t *data,
			    size_t len, int64_t deadline_ms)
{
	return worker_move_all(worker->requests, POLLOUT, (uint8_t *)(uintptr_t)data, len,
			       deadline_ms);
}

/* ---- the process ---- */

/* compile() has the parameter from 3.2 on. */
bool verify_worker_has_one_level(const struct interpreter *interpreter)
{
	const struct pyc_magic *magic = interpreter->magic;

	return magic->major < 3 || (magic->major == 3 && magic->minor < 2);
}

/* Isolated: without the user's settings, site-packages, and bytecode that it might write.
 */
static int worker_spawn(struct verify_worker *worker, const struct interpreter *interpreter,
			int level, int input)
{
	static const char *const levels[] = {"-B", "-O", "-OO"}; /* -B is there anyway */
	bool one_level = verify_worker_has_one_level(interpreter);
	const char *const argv[] = {interpreter->program,
				    "-E",
				    "-s",
				    "-S",
				    "-B",
				    one_level ? levels[level] : levels[0],
				    "-c",
				    worker_py,
				    NULL};
	const struct child_command command = {
		.argv = argv,
		.root = interpreter->root,
		.input = input,
		.max_bytes = 0,
		.memory_bytes = MEMORY_BYTES,
	};

	return child_start(&command, &worker->child);
}

/* The worker writes its magic when it is ready. */
static int worker_meet(struct verify_worker *worker, const struct interpreter *interpreter,
		       int timeout_ms)
{
	uint8_t magic[4];
	int r = worker_read_all(worker, magic, sizeof(magic), clock_ms() + timeout_ms);

	if (r == -EPIPE)
		return -ENOEXEC;
	if (r < 0)
		return r;
	return load_le32(magic) == (interpreter->magic->number | 0x0a0d0000u) ? 0
									      : -ENOEXEC;
}

int verify_worker_start(struct verify_worker *worker, const struct interpreter *interpreter,
			int level, int timeout_ms)
{
	scope_fd int reading = -1;
	int ends[2];
	int r;

	*worker = (struct verify_worker){.requests = -1};
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	reading = ends[0];
	worker->requests = ends[1];
	worker->is_running = true;
	r = worker_spawn(worker, interpreter, level, reading);
	if (r == 0 && (fcntl(worker->requests, F_SETFL, O_NONBLOCK) < 0 ||
		       fcntl(worker->child.out, F_SETFL, O_NONBLOCK) < 0))
		r = -errno;
	if (r == 0)
		r = worker_meet(worker, interpreter, timeout_ms);
	if (r < 0)
		verify_worker_stop(worker);
	return r;
}

void verify_worker_stop(struct verify_worker *worker)
{
	if (!worker->is_running)
		return;
	close_fd(&worker->requests);
	child_fini(&worker->child);
	close_fd(&worker->child.out);
	worker->is_running = false;
}

/* ---- a source ---- */

static int worker_read_answer(struct verify_worker *worker, int64_t deadline_ms,
			      struct verify_answer *ret_answer)
{
	scope_free uint8_t *data = NULL;
	uint8_t head[8];
	uint32_t status, len;
	int r = worker_read_all(worker, head, sizeof(head), deadline_ms);

	if (r < 0)
		return r;
	status = load_le32(head);
	len = load_le32(head + 4);
	if (status > ANSWER_ERROR || len > MAX_ANSWER)
		return -EPROTO;
	data = malloc((size_t)len + 1);
	if (!data)
		return -ENOMEM;
	r = worker_read_all(worker, data, len, deadline_ms);
	if (r < 0)
		return r;
	data[len] = '\0';
	ret_answer->compiled = status == ANSWER_CODE;
	ret_answer->len = len;
	ret_answer->data = take_ptr(data);
	return 0;
}

/* The text comes from an image's interpreter and goes to a terminal. */
static void answer_make_printable(struct verify_answer *answer)
{
	for (size_t i = 0; i < answer->len; i++)
		if (answer->data[i] < ' ' || answer->data[i] > '~')
			answer->data[i] = '?';
}

int verify_worker_compile(struct verify_worker *worker, int level, const uint8_t *source,
			  size_t len, int timeout_ms, struct verify_answer *ret_answer)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	uint8_t head[8];
	int r;

	store_le32(head, (uint32_t)level);
	store_le32(head + 4, (uint32_t)len);
	r = worker_write_all(worker, head, sizeof(head), deadline_ms);
	if (r == 0)
		r = worker_write_all(worker, source, len, deadline_ms);
	if (r == 0)
		r = worker_read_answer(worker, deadline_ms, ret_answer);
	if (r < 0)
		verify_worker_stop(worker);
	else if (!ret_answer->compiled)
		answer_make_printable(ret_answer);
	return r;
}
