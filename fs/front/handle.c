/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors of open files, by node; see handle.h.
 */
#include "fs/front/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "base/scope.h"
#include "fs/front/served.h"

#define HANDLE_BUCKETS 1024

/* An fh: the process, whether it is bytecode, the descriptor. */
#define HANDLE_TAG_SHIFT 32
#define HANDLE_BYTECODE	 (UINT64_C(1) << 31)
#define HANDLE_FD_MASK	 (HANDLE_BYTECODE - 1)

struct handle {
	struct handle *next;
	uint64_t id;
	int fd;
	struct served_header header;
};

/*
 * @tag:    of this process, not 0
 * @max_fd: descriptors from this one on are for requests
 * @lock:   of the buckets; no i/o under it
 * @bucket: chains of handles by node, the last opened first
 */
struct handle_table {
	uint32_t tag;
	rlim_t max_fd;
	pthread_mutex_t lock;
	struct handle *bucket[HANDLE_BUCKETS];
};

static rlim_t handle_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

struct handle_table *handle_table_new(void)
{
	struct handle_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	pthread_mutex_init(&table->lock, NULL);
	table->max_fd = handle_raise_limit() / 2;
	if (getrandom(&table->tag, sizeof(table->tag), 0) < 0)
		table->tag = (uint32_t)getpid();
	table->tag |= 1;
	return table;
}

static void handle_close(struct handle *handle)
{
	close(handle->fd);
	free(handle);
}

void handle_table_free(struct handle_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < HANDLE_BUCKETS; i++) {
		struct handle *handle;

		while ((handle = table->bucket[i])) {
			table->bucket[i] = handle->next;
			handle_close(handle);
		}
	}
	pthread_mutex_destroy(&table->lock);
	free(table);
}

uint64_t handle_keep(struct handle_table *table, uint64_t id, int fd,
		     const struct served_header *header)
{
	struct handle **first = &table->bucket[id % HANDLE_BUCKETS];
	struct handle *handle = (rlim_t)fd < table->max_fd ? malloc(sizeof(*handle)) : NULL;

	if (!handle)
		return 0;
	*handle = (struct handle){.id = id, .fd = fd};
	if (header)
		handle->header = *header;
	pthread_mutex_lock(&table->lock);
	handle->next = *first;
	*first = handle;
	pthread_mutex_unlock(&table->lock);
	return (uint64_t)table->tag << HANDLE_TAG_SHIFT | (header ? HANDLE_BYTECODE : 0) |
	       (uint64_t)fd;
}

int handle_fd(const struct handle_table *table, uint64_t fh)
{
	return table && fh >> HANDLE_TAG_SHIFT == table->tag ? (int)(fh & HANDLE_FD_MASK)
							     : -1;
}

bool handle_is_bytecode(uint64_t fh)
{
	return fh & HANDLE_BYTECODE;
}

void handle_release(struct handle_table *table, uint64_t id, uint64_t fh)
{
	int fd = handle_fd(table, fh);
	struct handle *handle;
	struct handle **at;

	if (fd < 0)
		return;
	at = &table->bucket[id % HANDLE_BUCKETS];
	pthread_mutex_lock(&table->lock);
	while ((handle = *at) && handle->fd != fd)
		at = &handle->next;
	if (handle)
		*at = handle->next;
	pthread_mutex_unlock(&table->lock);
	if (handle)
		handle_close(handle);
}

int handle_dup(struct handle_table *table, uint64_t id, struct served_header *ret_header)
{
	struct handle *handle;
	int fd = -ESTALE;

	if (!table)
		return fd;
	pthread_mutex_lock(&table->lock);
	handle = table->bucket[id % HANDLE_BUCKETS];
	while (handle && handle->id != id)
		handle = handle->next;
	if (handle) {
		fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			fd = -errno;
		else if (ret_header)
			*ret_header = handle->header;
	}
	pthread_mutex_unlock(&table->lock);
	return fd;
}
