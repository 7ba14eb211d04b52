/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A few slots, the oldest is used again first; see ahead.h.
 */
#include "fs/stack/ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/scope.h"

/* One for each thread that serves, at most; most mounts have fewer. */
#define AHEAD_SLOTS 16

/* What is older says nothing of the source as it is now. In whole seconds of the clock. */
#define AHEAD_MAX_AGE_S 1

enum ahead_state { AHEAD_EMPTY, AHEAD_BUSY, AHEAD_READY };

struct ahead_slot {
	enum ahead_state state;
	uint64_t id;
	int64_t ready_s; /* clock_coarse_s() */
	struct served_bytes bytes;
};

struct ahead {
	pthread_mutex_t lock; /* of all slots; no i/o under it */
	pthread_cond_t ended; /* a slot is not busy any more */
	struct ahead_slot slots[AHEAD_SLOTS];
	size_t next; /* slot to be filled next, if it is not busy */
};

struct ahead *ahead_new(void)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));

	if (!ahead)
		return NULL;
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->ended, NULL);
	return ahead;
}

static void ahead_empty(struct ahead_slot *slot)
{
	free(slot->bytes.data);
	*slot = (struct ahead_slot){.state = AHEAD_EMPTY};
}

void ahead_free(struct ahead *ahead)
{
	if (!ahead)
		return;
	for (size_t i = 0; i < AHEAD_SLOTS; i++)
		ahead_empty(&ahead->slots[i]);
	pthread_cond_destroy(&ahead->ended);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
}

static struct ahead_slot *ahead_find_locked(struct ahead *ahead, uint64_t id)
{
	for (size_t i = 0; i < AHEAD_SLOTS; i++)
		if (ahead->slots[i].state != AHEAD_EMPTY && ahead->slots[i].id == id)
			return &ahead->slots[i];
	return NULL;
}

/* The slot that was filled longest ago, of those that are not busy; NULL for none. */
static struct ahead_slot *ahead_next_locked(struct ahead *ahead)
{
	for (size_t i = 0; i < AHEAD_SLOTS; i++) {
		struct ahead_slot *slot = &ahead->slots[ahead->next];

		ahead->next = (ahead->next + 1) % AHEAD_SLOTS;
		if (slot->state != AHEAD_BUSY)
			return slot;
	}
	return NULL;
}

bool ahead_begin(struct ahead *ahead, uint64_t id)
{
	struct ahead_slot *slot = NULL;

	pthread_mutex_lock(&ahead->lock);
	if (!ahead_find_locked(ahead, id))
		slot = ahead_next_locked(ahead);
	if (slot) {
		ahead_empty(slot);
		slot->state = AHEAD_BUSY;
		slot->id = id;
	}
	pthread_mutex_unlock(&ahead->lock);
	return slot;
}

void ahead_end(struct ahead *ahead, uint64_t id, const struct served_bytes *bytes)
{
	struct ahead_slot *slot;

	pthread_mutex_lock(&ahead->lock);
	slot = ahead_find_locked(ahead, id);
	slot->bytes = *bytes;
	slot->ready_s = clock_coarse_s();
	slot->state = AHEAD_READY;
	if (!bytes->data)
		ahead_empty(slot);
	pthread_cond_broadcast(&ahead->ended);
	pthread_mutex_unlock(&ahead->lock);
}

bool ahead_take(struct ahead *ahead, uint64_t id, struct served_bytes *ret_bytes)
{
	struct ahead_slot *slot;
	bool found = false;

	pthread_mutex_lock(&ahead->lock);
	while ((slot = ahead_find_locked(ahead, id)) && slot->state == AHEAD_BUSY)
		pthread_cond_wait(&ahead->ended, &ahead->lock);
	if (slot) {
		found = clock_coarse_s() - slot->ready_s <= AHEAD_MAX_AGE_S;
		if (found) {
			*ret_bytes = slot->bytes;
			slot->bytes.data = NULL;
		}
		ahead_empty(slot);
	}
	pthread_mutex_unlock(&ahead->lock);
	return found;
}
