/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies that wait for the kernel to forget pages; see alias_reply.h.
 */
#include "config.h"

#include "fs/front/alias_reply.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"

struct file {
	uint64_t device;
	uint64_t inode;
};

/* A reply, and the files whose pages must be gone before it. */
struct job {
	fuse_req_t req;
	struct passthrough *passthrough;
	struct fuse_entry_param param;
	char *path;
	struct file *files;
	size_t count;
};

static struct job *job_new(fuse_req_t req, struct passthrough *passthrough,
			   const char *path, const struct fuse_entry_param *param)
{
	struct job *job = calloc(1, sizeof(*job));
	char *copy = strdup(path);

	if (!job || !copy) {
		free(job);
		free(copy);
		return NULL;
	}
	*job = (struct job){
		.req = req, .passthrough = passthrough, .param = *param, .path = copy};
	passthrough->alias_jobs++;
	return job;
}

static void job_free(struct job *job)
{
	job->passthrough->alias_jobs--;
	free(job->files);
	free(job->path);
	free(job);
}

/* An alias_found_fn. */
static int collect(void *context, uint64_t device, uint64_t inode)
{
	struct job *job = context;
	struct file *grown =
		reallocarray(job->files, job->count + 1, sizeof(job->files[0]));

	if (!grown)
		return -ENOMEM;
	job->files = grown;
	job->files[job->count++] = (struct file){.device = device, .inode = inode};
	return 0;
}

static int check(struct job *job)
{
	return resolve_link(job->passthrough->front.resolver, job->path, collect, job);
}

static void forget_pages(struct job *job)
{
	struct passthrough *passthrough = job->passthrough;

	for (size_t i = 0; i < job->count; i++) {
		const struct file *file = &job->files[i];
		uint64_t id = NODE_ROOT;

		while ((id = node_find(passthrough->nodes, file->device, file->inode, id)))
			fuse_lowlevel_notify_inval_inode(passthrough->front.session, id++,
							 0, 0);
	}
}

/* The link is shown, or, on an error, not: better no bytecode than somebody else's. */
static void reply(struct job *job, int error)
{
	int r = error ? -ENOENT : fuse_reply_entry(job->req, &job->param);

	if (error)
		op_fail(job->req, -error);
	if (r == -ENOENT)
		node_forget(job->passthrough->nodes, job->param.ino, 1);
	job_free(job);
}

/* Ends the turn: what was marked, though an error came after, is marked. */
static void forget_and_reply(struct job *job, int error)
{
	forget_pages(job);
	sem_post(&job->passthrough->alias_turn);
	reply(job, error);
}

/* With the turn: the check is done, and has found something. */
static void *forget_in_thread(void *context)
{
	forget_and_reply(context, 0);
	return NULL;
}

static void *check_in_thread(void *context)
{
	struct job *job = context;

	while (sem_wait(&job->passthrough->alias_turn) < 0)
		; /* EINTR */
	forget_and_reply(job, check(job));
	return NULL;
}

static bool start_thread(void *(*run)(void *), struct job *job)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, job) != 0)
		return false;
	pthread_detach(thread);
	return true;
}

void alias_reply_entry(fuse_req_t req, struct passthrough *passthrough, const char *path,
		       const struct fuse_entry_param *param)
{
	struct job *job = job_new(req, passthrough, path, param);
	int r;

	if (!job) {
		op_fail(req, ENOMEM);
		node_forget(passthrough->nodes, param->ino, 1);
		return;
	}
	if (sem_trywait(&passthrough->alias_turn) < 0) {
		if (!start_thread(check_in_thread, job))
			reply(job, -ENOMEM);
		return;
	}
	r = check(job);
	if (job->count == 0 || r < 0)
		forget_and_reply(job, r);
	else if (!start_thread(forget_in_thread, job))
		forget_and_reply(job, -ENOMEM);
}

void alias_reply_finish(struct passthrough *passthrough)
{
	while (passthrough->alias_jobs > 0)
		usleep(1000);
}
