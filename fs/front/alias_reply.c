/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies that wait for the kernel to forget pages; see alias_reply.h.
 */
#include "config.h"

#include "fs/front/alias_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/scope.h"
#include "fs/front/ops.h"

/**
 * struct alias_job - a reply, and the files whose pages must be gone before it
 * @is_checked: @files are known; @error is what the check said
 */
struct alias_job {
	struct alias_job *next;
	fuse_req_t req;
	struct fuse_entry_param param;
	char *path;
	bool is_checked;
	int error;
	struct node_file *files;
	size_t count;
};

static struct alias_job *alias_job_new(fuse_req_t req, const char *path,
				       const struct fuse_entry_param *param)
{
	struct alias_job *job = calloc(1, sizeof(*job));
	char *copy = strdup(path);

	if (!job || !copy) {
		free(job);
		free(copy);
		return NULL;
	}
	*job = (struct alias_job){.req = req, .param = *param, .path = copy};
	return job;
}

static void alias_job_free(struct alias_job *job)
{
	free(job->files);
	free(job->path);
	free(job);
}

/* An alias_found_fn. */
static int alias_job_add(void *context, uint64_t device, uint64_t inode)
{
	struct alias_job *job = context;
	struct node_file file = {.device = device, .inode = inode};

	return array_add(job->files, job->count, file);
}

static void alias_check_job(struct passthrough *passthrough, struct alias_job *job)
{
	job->error =
		resolve_link(passthrough->front.resolver, job->path, alias_job_add, job);
	job->is_checked = true;
}

/* What was marked is marked, also where the check ended with an error. */
static void alias_forget_pages(struct passthrough *passthrough, struct alias_job *job)
{
	uint64_t ids[NODE_FIND_STEP];
	uint64_t from = NODE_ROOT;

	node_file_sort(job->files, job->count);
	while (job->count > 0 && from) {
		size_t found =
			node_find(passthrough->nodes, job->files, job->count, &from, ids);

		for (size_t i = 0; i < found; i++)
			fuse_lowlevel_notify_inval_inode(passthrough->front.session, ids[i],
							 0, 0);
	}
}

/* The link is shown, or, on an error, not: better no bytecode than somebody else's. */
static void alias_answer(struct passthrough *passthrough, struct alias_job *job)
{
	int r = job->error ? -ENOENT : fuse_reply_entry(job->req, &job->param);

	if (job->error)
		op_fail(job->req, -job->error);
	if (r == -ENOENT)
		node_forget(passthrough->nodes, job->param.ino, 1);
	alias_job_free(job);
}

/* ---- the queue ---- */

static void alias_put_last_locked(struct alias_queue *queue, struct alias_job *job)
{
	*queue->end = job;
	queue->end = &job->next;
}

static void alias_put_first_locked(struct alias_queue *queue, struct alias_job *job)
{
	job->next = queue->first;
	queue->first = job;
	if (!job->next)
		queue->end = &job->next;
}

/*
 * The turn where nobody has it and nobody waits for it; else @job waits. The thread need
 * not be woken for it: whoever is first in the queue has woken it, or will end the turn.
 */
static bool alias_turn_or_wait(struct alias_queue *queue, struct alias_job *job)
{
	bool turn;

	pthread_mutex_lock(&queue->lock);
	turn = !queue->busy && !queue->first;
	if (turn)
		queue->busy = true;
	else
		alias_put_last_locked(queue, job);
	pthread_mutex_unlock(&queue->lock);
	return turn;
}

/* Ends the turn. @rest: what the thread has to do before all others; NULL for nothing */
static void alias_end_turn(struct alias_queue *queue, struct alias_job *rest)
{
	pthread_mutex_lock(&queue->lock);
	if (rest)
		alias_put_first_locked(queue, rest);
	queue->busy = false;
	if (queue->first)
		pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* The turn, and the job that it is for; NULL at the end. */
static struct alias_job *alias_await_turn(struct alias_queue *queue)
{
	struct alias_job *job;

	pthread_mutex_lock(&queue->lock);
	while (queue->busy || (!queue->first && !queue->ending))
		pthread_cond_wait(&queue->changed, &queue->lock);
	job = queue->first;
	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->end = &queue->first;
		queue->busy = true;
	}
	pthread_mutex_unlock(&queue->lock);
	return job;
}

static void *alias_reply_thread(void *context)
{
	struct passthrough *passthrough = context;
	struct alias_queue *queue = &passthrough->aliases;
	struct alias_job *job;

	while ((job = alias_await_turn(queue))) {
		if (!job->is_checked)
			alias_check_job(passthrough, job);
		alias_forget_pages(passthrough, job);
		alias_end_turn(queue, NULL);
		alias_answer(passthrough, job);
	}
	return NULL;
}

void alias_reply_entry(fuse_req_t req, struct passthrough *passthrough, const char *path,
		       const struct fuse_entry_param *param)
{
	struct alias_queue *queue = &passthrough->aliases;
	struct alias_job *job = alias_job_new(req, path, param);

	if (!job) {
		op_fail(req, ENOMEM);
		node_forget(passthrough->nodes, param->ino, 1);
		return;
	}
	if (!alias_turn_or_wait(queue, job))
		return;
	alias_check_job(passthrough, job);
	if (job->count > 0) {
		alias_end_turn(queue, job); /* the thread's from now on */
		return;
	}
	alias_end_turn(queue, NULL);
	alias_answer(passthrough, job);
}

/* ---- its begin and end ---- */

int alias_reply_init(struct passthrough *passthrough)
{
	struct alias_queue *queue = &passthrough->aliases;
	int r;

	*queue = (struct alias_queue){.end = &queue->first};
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	r = pthread_create(&queue->thread, NULL, alias_reply_thread, passthrough);
	queue->started = r == 0;
	return -r;
}

void alias_reply_finish(struct passthrough *passthrough)
{
	struct alias_queue *queue = &passthrough->aliases;

	if (!queue->started)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->ending = true;
	pthread_cond_signal(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	queue->started = false;
}

void alias_reply_fini(struct passthrough *passthrough)
{
	alias_reply_finish(passthrough);
	pthread_cond_destroy(&passthrough->aliases.changed);
	pthread_mutex_destroy(&passthrough->aliases.lock);
}
