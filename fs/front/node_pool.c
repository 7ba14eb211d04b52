/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots in a memfd; see node_pool.h. The owner of the pools locks.
 */
#include "fs/front/node_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int pool_init(struct pool *pool, struct pool_state *state, int fd, uint32_t slot_size,
	      uint32_t capacity)
{
	size_t chunks = (capacity + POOL_CHUNK_SLOTS - 1) / POOL_CHUNK_SLOTS;

	*pool = (struct pool){
		.state = state,
		.fd = fd,
		.slot_size = slot_size,
		.capacity = capacity,
		.chunk = calloc(chunks, sizeof(*pool->chunk)),
	};
	return pool->chunk ? 0 : -ENOMEM;
}

static size_t pool_chunk_bytes(const struct pool *pool)
{
	return (size_t)POOL_CHUNK_SLOTS * pool->slot_size;
}

void pool_fini(struct pool *pool)
{
	for (uint32_t i = 0; pool->chunk && i < pool->state->chunks; i++)
		munmap(pool->chunk[i], pool_chunk_bytes(pool));
	free(pool->chunk);
}

/* Return: 0 or -ENOMEM, whatever the limit that was met (also EFBIG, of ulimit -f). */
static int pool_add_chunk(struct pool *pool)
{
	struct pool_state *state = pool->state;
	size_t bytes = pool_chunk_bytes(pool);
	struct stat st;
	uint64_t place;
	void *chunk;

	if (fstat(pool->fd, &st) < 0)
		return -ENOMEM;
	place = ((uint64_t)st.st_size + POOL_ALIGN - 1) / POOL_ALIGN;
	/* Mapped first: what is mapped in vain leaves no hole in the file. */
	chunk = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pool->fd,
		     (off_t)(place * POOL_ALIGN));
	if (chunk == MAP_FAILED)
		return -ENOMEM;
	if (ftruncate(pool->fd, (off_t)(place * POOL_ALIGN + bytes)) < 0) {
		munmap(chunk, bytes);
		return -ENOMEM;
	}
	state->place[state->chunks] = (uint32_t)place;
	pool->chunk[state->chunks++] = chunk;
	return 0;
}

int pool_reach(struct pool *pool, uint32_t index)
{
	int r = 0;

	while (r == 0 && index / POOL_CHUNK_SLOTS >= pool->state->chunks)
		r = pool_add_chunk(pool);
	return r;
}

int pool_take(struct pool *pool, uint32_t *ret_index)
{
	struct pool_state *state = pool->state;
	uint32_t index = state->free_head;

	if (index) {
		memcpy(&state->free_head, pool_slot(pool, index), sizeof(uint32_t));
	} else {
		index = state->used ? state->used : 1;
		if (index >= pool->capacity)
			return -ENFILE;
		if (pool_reach(pool, index) < 0)
			return -ENOMEM;
		state->used = index + 1;
	}
	state->live++;
	*ret_index = index;
	return 0;
}

void pool_give(struct pool *pool, uint32_t index)
{
	memcpy(pool_slot(pool, index), &pool->state->free_head, sizeof(uint32_t));
	pool->state->free_head = index;
	pool->state->live--;
}
