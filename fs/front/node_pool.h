/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pool of equal slots in a memfd, addressed by index.
 *
 * The pool grows by chunks of POOL_CHUNK_SLOTS slots, each at the end of the file at that
 * time, so pools that share a file grow side by side. A chunk is never moved or given back:
 * a pointer to a slot stays good, and in another process that maps the file an index means
 * the same slot. Slot 0 is never handed out.
 */
#ifndef CANONFS_FS_FRONT_NODE_POOL_H
#define CANONFS_FS_FRONT_NODE_POOL_H

#include <stddef.h>
#include <stdint.h>

#define POOL_CHUNK_SLOTS 4096u
#define POOL_MAX_CHUNKS	 4096u
#define POOL_MAX_SLOTS	 (POOL_MAX_CHUNKS * POOL_CHUNK_SLOTS)

/* Chunks begin at multiples of this, which is one of the page size of any machine. */
#define POOL_ALIGN UINT64_C(65536)

/**
 * struct pool_state - the state of a pool that processes share; lives in the memfd
 * @used:      slots that were ever handed out, slot 0 included
 * @free_head: the first free slot below @used, 0 for none; a free slot's first four bytes
 *             are the index of the next
 * @live:      slots handed out now
 * @chunks:    how many there are
 * @place:     where each begins in the file, in units of POOL_ALIGN
 */
struct pool_state {
	uint32_t used;
	uint32_t free_head;
	uint32_t live;
	uint32_t chunks;
	uint32_t place[POOL_MAX_CHUNKS];
};

/**
 * struct pool - a pool as this process has it mapped
 * @state:     in the file, all 0 at first; borrowed
 * @fd:        the memfd; borrowed
 * @slot_size: bytes, at least 4
 * @capacity:  slots at most, slot 0 included
 * @chunk:     where each chunk is mapped
 */
struct pool {
	struct pool_state *state;
	int fd;
	uint32_t slot_size;
	uint32_t capacity;
	char **chunk;
};

/**
 * pool_init() - an empty pool
 * @capacity: at most POOL_MAX_SLOTS
 * Return: 0 or -ENOMEM; pool_fini() either way.
 */
int pool_init(struct pool *pool, struct pool_state *state, int fd, uint32_t slot_size,
	      uint32_t capacity);

/* Unmaps the slots. A pool of zeros is ignored. */
void pool_fini(struct pool *pool);

/* A slot that exists: handed out, or pool_reach()ed. */
static inline void *pool_slot(const struct pool *pool, uint32_t index)
{
	return pool->chunk[index / POOL_CHUNK_SLOTS] +
	       (size_t)(index % POOL_CHUNK_SLOTS) * pool->slot_size;
}

/**
 * pool_reach() - let the slots up to @index exist; new ones are all 0
 * Return: 0; -ENOMEM: the file or the address space cannot grow now.
 */
int pool_reach(struct pool *pool, uint32_t index);

/**
 * pool_take() - hand a slot out
 * @ret_index: its content is not defined; 0 in a slot that is handed out for the first time
 * Return: 0; -ENFILE when the pool is full; -ENOMEM as pool_reach().
 */
int pool_take(struct pool *pool, uint32_t *ret_index);

void pool_give(struct pool *pool, uint32_t index);

#endif
