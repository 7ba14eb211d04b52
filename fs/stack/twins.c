/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees of tsearch(3), each with a lock that is held while a stub is made; see twins.h.
 */
#include "fs/stack/twins.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* So many that threads seldom meet. */
#define SHARDS 64

struct twin {
	struct twin_key key;
	char path[];
};

struct shard {
	pthread_mutex_t lock;
	void *twins; /* struct twin */
};

struct twins {
	struct shard shards[SHARDS];
};

struct twins *twins_new(void)
{
	struct twins *twins = calloc(1, sizeof(*twins));

	for (size_t i = 0; twins && i < SHARDS; i++)
		pthread_mutex_init(&twins->shards[i].lock, NULL);
	return twins;
}

void twins_free(struct twins *twins)
{
	if (!twins)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		tdestroy(twins->shards[i].twins, free);
		pthread_mutex_destroy(&twins->shards[i].lock);
	}
	free(twins);
}

static struct shard *shard_of(struct twins *twins, const struct twin_key *key)
{
	return &twins->shards[XXH3_64bits(key, sizeof(*key)) % SHARDS];
}

/* A twin begins with its key. */
static int compare_keys(const void *a, const void *b)
{
	_Static_assert(offsetof(struct twin, key) == 0,
		       "a twin can be looked up by its key");
	return memcmp(a, b, sizeof(struct twin_key));
}

const char *twins_begin(struct twins *twins, const struct twin_key *key)
{
	struct shard *shard = shard_of(twins, key);
	struct twin **found;

	pthread_mutex_lock(&shard->lock);
	found = tfind(key, &shard->twins, compare_keys);
	return found ? (*found)->path : NULL;
}

int twins_end(struct twins *twins, const struct twin_key *key, const char *made)
{
	struct shard *shard = shard_of(twins, key);
	size_t bytes = made ? strlen(made) + 1 : 0;
	struct twin *twin = made ? malloc(sizeof(*twin) + bytes) : NULL;
	int r = made ? -ENOMEM : 0;

	if (twin) {
		twin->key = *key;
		memcpy(twin->path, made, bytes);
		if (tsearch(twin, &shard->twins, compare_keys))
			r = 0;
		else
			free(twin);
	}
	pthread_mutex_unlock(&shard->lock);
	return r;
}
