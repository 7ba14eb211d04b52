/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pool of equal slots in shared memory, addressed by index.
 *
 * The memory is one range of a memfd that never moves: slots can be mapped by another
 * process, and an index means the same there. Slot 0 is never handed out.
 */
#ifndef CANONFS_FS_FRONT_NODE_POOL_H
#define CANONFS_FS_FRONT_NODE_POOL_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct pool - the shared state of a pool; lives in the memfd itself
 * @offset:    bytes from the start of the memfd to slot 0
 * @slot_size: bytes, at least 4
 * @capacity:  slots, slot 0 included
 * @used:      slots that were ever handed out, slot 0 included
 * @free_head: the first free slot below @used, 0 for none; a free slot's first four bytes
 *             are the index of the next
 * @live:      slots handed out now
 */
struct pool {
	uint64_t offset;
	uint32_t slot_size;
	uint32_t capacity;
	uint32_t used;
	uint32_t free_head;
	uint32_t live;
	uint32_t unused_;
};

/* The bytes that a pool takes, rounded up to whole pages. */
size_t pool_bytes(uint32_t slot_size, uint32_t capacity);

/* @base: where the memfd is mapped. Return: the slot. */
static inline void *pool_slot(const struct pool *pool, void *base, uint32_t index)
{
	return (char *)base + pool->offset + (size_t)index * pool->slot_size;
}

/* Return: an index, its content undefined; 0 when the pool is full. */
uint32_t pool_take(struct pool *pool, void *base);

void pool_give(struct pool *pool, void *base, uint32_t index);

#endif
