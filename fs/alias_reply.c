/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies that wait for the kernel to forget pages; see alias_reply.h.
 */
#include "config.h"

#include "fs/alias_reply.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/scope.h"

struct file {
	uint64_t device;
	uint64_t inode;
};

/* A reply, and the files whose pages must be gone before it. */
struct job {
	fuse_req_t req;
	struct front *front;
	struct fuse_entry_param param;
	struct file *files;
	size_t count;
};

static void job_free(struct job *job)
{
	free(job->files);
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

static void forget_pages(struct job *job)
{
	struct front *front = job->front;

	for (size_t i = 0; i < job->count; i++) {
		const struct file *file = &job->files[i];
		uint64_t id = NODE_ROOT;

		while ((id = node_find(front->nodes, file->device, file->inode, id)))
			fuse_lowlevel_notify_inval_inode(front->session, id++, 0, 0);
	}
}

static void reply(struct job *job)
{
	if (fuse_reply_entry(job->req, &job->param) == -ENOENT)
		node_forget(job->front->nodes, job->param.ino, 1);
	job_free(job);
}

static void *forget_and_reply(void *context)
{
	forget_pages(context);
	reply(context);
	return NULL;
}

/*
 * The link is not shown: better no bytecode than somebody else's. What was marked by then
 * is marked, so its pages go now, if need be at the cost of a waiting handler.
 */
static void refuse(struct job *job, int error)
{
	forget_pages(job);
	fuse_reply_err(job->req, error);
	node_forget(job->front->nodes, job->param.ino, 1);
	job_free(job);
}

void alias_reply_entry(fuse_req_t req, struct front *front, const char *path,
		       const struct fuse_entry_param *param)
{
	struct job *job = calloc(1, sizeof(*job));
	pthread_t thread;
	int r;

	if (!job) {
		fuse_reply_err(req, ENOMEM);
		node_forget(front->nodes, param->ino, 1);
		return;
	}
	*job = (struct job){.req = req, .front = front, .param = *param};
	r = resolve_link(front->resolver, path, collect, job);
	if (r < 0)
		refuse(job, -r);
	else if (job->count == 0)
		reply(job);
	else if (pthread_create(&thread, NULL, forget_and_reply, job) == 0)
		pthread_detach(thread);
	else
		refuse(job, ENOMEM);
}
