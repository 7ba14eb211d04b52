/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From events to what the kernel has to forget; see told.h.
 */
#include "config.h"

#include "fs/front/told.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/scope.h"
#include "fs/front/ops.h"
#include "fs/watch/source_watch.h"

/* Events that wait for the thread that tells the kernel, at most. */
#define TOLD_MAX_WAITING 16384

/* Between two looks for events, while there are some. */
#define TOLD_PAUSE_MS 10

/* How often they are read at one look. */
#define TOLD_READS 64

/* An event that waits; its name follows. */
struct told_job {
	struct told_job *next;
	struct source_event event;
	char name[];
};

/**
 * struct told - what the two threads share
 * @watch_fd: the events
 * @end_fd:   readable at the end
 * @events:   of which told_count() is the number
 * @lock:     of all that follows but the threads; no i/o under it
 * @changed:  there is something to do for the thread that tells the kernel
 * @first:    what waits; @end is where the next one goes
 * @lost:     some were lost
 */
struct told {
	struct passthrough *passthrough;
	int watch_fd;
	int end_fd;
	_Atomic uint64_t events;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct told_job *first;
	struct told_job **end;
	size_t waiting;
	bool lost;
	bool ending;
	bool started;
	pthread_t reader;
	pthread_t teller;
};

/* ---- what the kernel is told ---- */

static void told_forget_name(struct told *told, uint64_t parent, const char *name)
{
	fuse_lowlevel_notify_inval_entry(told->passthrough->front.session, parent, name,
					 strlen(name));
}

/* @offset: as of fuse_lowlevel_notify_inval_inode(): -1 for attributes, 0 for contents, too
 */
static void told_forget_node(struct told *told, uint64_t id, off_t offset)
{
	struct passthrough *passthrough = told->passthrough;
	struct fuse_session *session = passthrough->front.session;
	char name[NAME_MAX + 1];
	uint64_t parent;

	if (fuse_lowlevel_notify_inval_inode(session, id, offset, 0) != -ENOENT ||
	    node_place(passthrough->nodes, id, &parent, name) < 0 ||
	    node_child(passthrough->nodes, parent, name, NULL) != id)
		return;
	told_forget_name(told, parent, name);
	fuse_lowlevel_notify_inval_inode(session, id, offset, 0);
}

static void told_forget_file(struct told *told, uint32_t handle, off_t offset)
{
	scope_free uint64_t *ids = NULL;
	int count = node_with_handle(told->passthrough->nodes, handle, &ids);

	for (int i = 0; i < count; i++)
		told_forget_node(told, ids[i], offset);
}

/* Does a name lead to the file that the kernel knows there? */
static bool told_name_is_right(struct told *told, uint64_t parent, const char *name)
{
	struct passthrough *passthrough = told->passthrough;
	struct node_key known, found;
	struct statx stx;
	scope_fd int dir = -1;

	if (!node_child(passthrough->nodes, parent, name, &known))
		return false;
	dir = passthrough_open(passthrough, parent, O_PATH | O_DIRECTORY, NULL, &stx);
	if (dir < 0 || statx_at(dir, name, &stx) < 0)
		return false;
	found = node_key_of(&stx);
	return node_key_equal(&known, &found);
}

/* ---- one event ---- */

static void told_act_in(struct told *told, uint64_t dir, const struct source_event *event)
{
	if (strcmp(event->name, ".") == 0) {
		told_forget_node(told, dir, -1);
		return;
	}
	if (event->names && !told_name_is_right(told, dir, event->name))
		told_forget_name(told, dir, event->name);
	if (event->names)
		told_forget_node(told, dir, 0); /* its listing, too */
	/* A directory is not told by its own handle. */
	if (!event->file) {
		uint64_t id = node_child(told->passthrough->nodes, dir, event->name, NULL);

		if (id)
			told_forget_node(told, id, -1);
	}
}

static void told_act(struct told *told, const struct source_event *event)
{
	scope_free uint64_t *dirs = NULL;
	int count = 0;

	if (event->name)
		count = node_with_handle(told->passthrough->nodes, event->dir, &dirs);
	for (int i = 0; i < count; i++)
		told_act_in(told, dirs[i], event);
	/* Only contents drop pages: those of a file that is gone may still be mapped. */
	if (event->file)
		told_forget_file(told, event->file, event->contents ? 0 : -1);
}

/* ---- all that may have happened ---- */

/* Names that exist now, and are not known to: the kernel may know that they do not. */
static void told_check_listing(struct told *told, uint64_t id)
{
	struct passthrough *passthrough = told->passthrough;
	struct statx stx;
	int fd = passthrough_open(passthrough, id, O_RDONLY | O_DIRECTORY, NULL, &stx);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *dirent;

	if (!dir) {
		close_fd(&fd);
		return;
	}
	while ((dirent = readdir(dir)))
		if (!node_child(passthrough->nodes, id, dirent->d_name, NULL))
			told_forget_name(told, id, dirent->d_name);
	closedir(dir);
}

static void told_check_node(struct told *told, uint64_t id)
{
	struct node_table *nodes = told->passthrough->nodes;
	scope_free char *path = NULL;
	char name[NAME_MAX + 1];
	struct node_key key;
	uint64_t parent;
	bool is_dir = node_path(nodes, id, &path, &key) == 0 && S_ISDIR(key.type);

	if (node_place(nodes, id, &parent, name) == 0 &&
	    node_child(nodes, parent, name, NULL) == id &&
	    !told_name_is_right(told, parent, name))
		told_forget_name(told, parent, name);
	/* Contents of files are compared when they are opened. */
	told_forget_node(told, id, is_dir ? 0 : -1);
	if (is_dir)
		told_check_listing(told, id);
}

/* A look at each name that the kernel may have. */
static void told_check_all(struct told *told)
{
	uint64_t ids[NODE_FIND_STEP];
	uint64_t from = NODE_ROOT;

	while (from) {
		size_t found = node_find(told->passthrough->nodes, NULL, 0, &from, ids);

		for (size_t i = 0; i < found; i++)
			told_check_node(told, ids[i]);
	}
}

/* ---- the queue ---- */

static struct told_job *told_job_new(const struct source_event *event)
{
	const char *name = event->name ? event->name : "";
	struct told_job *job = malloc(sizeof(*job) + strlen(name) + 1);

	if (!job)
		return NULL;
	*job = (struct told_job){.event = *event};
	strcpy(job->name, name);
	if (event->name)
		job->event.name = job->name;
	return job;
}

static void told_put(struct told *told, struct told_job *job)
{
	pthread_mutex_lock(&told->lock);
	if (job && told->waiting < TOLD_MAX_WAITING) {
		*told->end = take_ptr(job);
		told->end = &(*told->end)->next;
		told->waiting++;
	} else {
		told->lost = true;
	}
	pthread_cond_signal(&told->changed);
	pthread_mutex_unlock(&told->lock);
	free(job);
}

/* What the reader does with an event: a source_event_fn. */
static void told_hear(void *context, const struct source_event *event)
{
	struct told *told = context;

	if (event->lost)
		told_put(told, NULL);
	else if (node_has_handle(told->passthrough->nodes, event->dir, event->file))
		told_put(told, told_job_new(event));
}

/* Waits. Return: false at the end. @ret_job: NULL where all is to be checked */
static bool told_take(struct told *told, struct told_job **ret_job)
{
	bool goes_on;

	pthread_mutex_lock(&told->lock);
	while (!told->first && !told->lost && !told->ending)
		pthread_cond_wait(&told->changed, &told->lock);
	goes_on = !told->ending;
	*ret_job = told->lost ? NULL : told->first;
	told->lost = false;
	if (*ret_job) {
		told->first = (*ret_job)->next;
		told->waiting--;
	}
	if (!told->first)
		told->end = &told->first;
	pthread_mutex_unlock(&told->lock);
	return goes_on;
}

static void *told_tell_thread(void *context)
{
	struct told *told = context;
	struct told_job *job;

	while (told_take(told, &job)) {
		if (job)
			told_act(told, &job->event);
		else
			told_check_all(told);
		free(job);
	}
	free(job);
	return NULL;
}

/* ---- the reader ---- */

static void told_give_up(struct told *told, int error)
{
	struct front *front = &told->passthrough->front;

	log_error(
		"changes of the source are not told any more: %s; going on by asking each "
		"second",
		strerror(error));
	reason_set_errno(&front->why_asked, -error, "changes are not told any more");
	atomic_store(&front->told, false);
	told_put(told, NULL);
}

/* Waits until there are events. Return: false at the end */
static bool told_await(struct told *told)
{
	struct pollfd fds[] = {{.fd = told->end_fd, .events = POLLIN},
			       {.fd = told->watch_fd, .events = POLLIN}};
	int n;

	/*
	 * Whoever writes to another part of the file system would wake this thread at each
	 * write. Meanwhile events wait in the kernel, which keeps one for each file.
	 */
	if (poll(fds, 1, TOLD_PAUSE_MS) > 0)
		return false;
	do
		n = poll(fds, ARRAY_SIZE(fds), -1);
	while (n < 0 && errno == EINTR);
	return !fds[0].revents;
}

/* Reads what there is; not for ever, as it may go on coming. Return: 0 or -errno. */
static int told_read(struct told *told)
{
	_Alignas(uint64_t) char buffer[SOURCE_WATCH_BUFFER];

	for (int i = 0; i < TOLD_READS; i++) {
		ssize_t n = read(told->watch_fd, buffer, sizeof(buffer));

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -EIO;
		atomic_fetch_add(&told->events, 1);
		source_watch_parse(buffer, (size_t)n, told_hear, told);
	}
	return 0;
}

static void *told_read_thread(void *context)
{
	struct told *told = context;
	int r = 0;

	while (r == 0 && told_await(told))
		r = told_read(told);
	if (r < 0)
		told_give_up(told, -r);
	return NULL;
}

/* ---- its begin and end ---- */

struct told *told_new(struct passthrough *passthrough, struct reason *ret_why)
{
	int fd = source_watch_open(passthrough->front.tree, ret_why);
	struct told *told = fd < 0 ? NULL : calloc(1, sizeof(*told));

	if (!told) {
		if (fd >= 0)
			reason_set(ret_why, -ENOMEM, "out of memory");
		close_fd(&fd);
		return NULL;
	}
	*told = (struct told){
		.passthrough = passthrough,
		.watch_fd = fd,
		.end_fd = eventfd(0, EFD_CLOEXEC),
		.end = &told->first,
	};
	pthread_mutex_init(&told->lock, NULL);
	pthread_cond_init(&told->changed, NULL);
	return told;
}

void told_start(struct told *told)
{
	int r = pthread_create(&told->reader, NULL, told_read_thread, told);

	if (r == 0) {
		r = pthread_create(&told->teller, NULL, told_tell_thread, told);
		told->started = r == 0;
		if (r != 0) {
			eventfd_write(told->end_fd, 1);
			pthread_join(told->reader, NULL);
		}
	}
	if (r != 0)
		told_give_up(told, r);
}

void told_finish(struct told *told)
{
	if (!told || !told->started)
		return;
	eventfd_write(told->end_fd, 1);
	pthread_mutex_lock(&told->lock);
	told->ending = true;
	pthread_cond_signal(&told->changed);
	pthread_mutex_unlock(&told->lock);
	pthread_join(told->reader, NULL);
	pthread_join(told->teller, NULL);
	told->started = false;
}

void told_free(struct told *told)
{
	struct told_job *job;

	if (!told)
		return;
	while ((job = told->first)) {
		told->first = job->next;
		free(job);
	}
	close_fd(&told->watch_fd);
	close_fd(&told->end_fd);
	pthread_cond_destroy(&told->changed);
	pthread_mutex_destroy(&told->lock);
	free(told);
}

uint64_t told_count(const struct told *told)
{
	return atomic_load(&told->events);
}
