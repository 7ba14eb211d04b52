/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots in shared memory; see node_pool.h. The owner of the pools locks.
 */
#include "fs/front/node_pool.h"

#include <string.h>

#define PAGE 4096u

size_t pool_bytes(uint32_t slot_size, uint32_t capacity)
{
	return ((size_t)slot_size * capacity + PAGE - 1) / PAGE * PAGE;
}

uint32_t pool_take(struct pool *pool, void *base)
{
	uint32_t index = pool->free_head;

	if (index) {
		memcpy(&pool->free_head, pool_slot(pool, base, index), sizeof(uint32_t));
	} else {
		if (pool->used == 0)
			pool->used = 1;
		if (pool->used == pool->capacity)
			return 0;
		index = pool->used++;
	}
	pool->live++;
	return index;
}

void pool_give(struct pool *pool, void *base, uint32_t index)
{
	memcpy(pool_slot(pool, base, index), &pool->free_head, sizeof(uint32_t));
	pool->free_head = index;
	pool->live--;
}
