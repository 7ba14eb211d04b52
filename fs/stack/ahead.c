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
#define SLOTS 16

/* What is older says nothing of the source as it is now. In whole seconds of the clock. */
#define MAX_AGE_S 1

enum slot_state { SLOT_EMPTY, SLOT_BUSY, SLOT_READY };

struct slot {
	enum slot_state state;
	uint64_t id;
	int64_t ready_s; /* clock_coarse_s() */
	struct served_bytes bytes;
};

struct ahead {
	pthread_mutex_t lock; /* of all slots; no i/o under it */
	pthread_cond_t ended; /* a slot is not busy any more */
	struct slot slots[SLOTS];
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

static void empty(struct slot *slot)
{
	free(slot->bytes.data);
	*slot = (struct slot){.state = SLOT_EMPTY};
}

void ahead_free(struct ahead *ahead)
{
	if (!ahead)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		empty(&ahead->slots[i]);
	pthread_cond_destroy(&ahead->ended);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
}

static struct slot *find_locked(struct ahead *ahead, uint64_t id)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (ahead->slots[i].state != SLOT_EMPTY && ahead->slots[i].id == id)
			return &ahead->slots[i];
	return NULL;
}

/* The slot that was filled longest ago, of those that are not busy; NULL for none. */
static struct slot *next_locked(struct ahead *ahead)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &ahead->slots[ahead->next];

		ahead->next = (ahead->next + 1) % SLOTS;
		if (slot->state != SLOT_BUSY)
			return slot;
	}
	return NULL;
}

bool ahead_begin(struct ahead *ahead, uint64_t id)
{
	struct slot *slot = NULL;

	pthread_mutex_lock(&ahead->lock);
	if (!find_locked(ahead, id))
		slot = next_locked(ahead);
	if (slot) {
		empty(slot);
		slot->state = SLOT_BUSY;
		slot->id = id;
	}
	pthread_mutex_unlock(&ahead->lock);
	return slot;
}

void ahead_end(struct ahead *ahead, uint64_t id, const struct served_bytes *bytes)
{
	struct slot *slot;

	pthread_mutex_lock(&ahead->lock);
	slot = find_locked(ahead, id);
	slot->bytes = *bytes;
	slot->ready_s = clock_coarse_s();
	slot->state = SLOT_READY;
	if (!bytes->data)
		empty(slot);
	pthread_cond_broadcast(&ahead->ended);
	pthread_mutex_unlock(&ahead->lock);
}

bool ahead_take(struct ahead *ahead, uint64_t id, struct served_bytes *ret_bytes)
{
	struct slot *slot;
	bool found = false;

	pthread_mutex_lock(&ahead->lock);
	while ((slot = find_locked(ahead, id)) && slot->state == SLOT_BUSY)
		pthread_cond_wait(&ahead->ended, &ahead->lock);
	if (slot) {
		found = clock_coarse_s() - slot->ready_s <= MAX_AGE_S;
		if (found) {
			*ret_bytes = slot->bytes;
			slot->bytes.data = NULL;
		}
		empty(slot);
	}
	pthread_mutex_unlock(&ahead->lock);
	return found;
}
