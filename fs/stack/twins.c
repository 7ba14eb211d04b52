/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hash tables, each with a lock that is held while a stub is made; see twins.h.
 */
#include "fs/stack/twins.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/scope.h"

/* So many that threads seldom meet. */
#define SHARDS	64
#define BUCKETS 256

struct twin {
	struct twin *next;
	struct twin_key key;
	char path[];
};

struct shard {
	pthread_mutex_t lock;
	struct twin *buckets[BUCKETS];
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

static void free_chain(struct twin *twin)
{
	while (twin) {
		struct twin *next = twin->next;

		free(twin);
		twin = next;
	}
}

void twins_free(struct twins *twins)
{
	if (!twins)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t j = 0; j < BUCKETS; j++)
			free_chain(twins->shards[i].buckets[j]);
		pthread_mutex_destroy(&twins->shards[i].lock);
	}
	free(twins);
}

static uint64_t hash_of(const struct twin_key *key)
{
	return XXH3_64bits(key, sizeof(*key));
}

static struct shard *shard_of(struct twins *twins, uint64_t hash)
{
	return &twins->shards[hash % SHARDS];
}

static struct twin **bucket_of(struct twins *twins, uint64_t hash)
{
	return &shard_of(twins, hash)->buckets[hash / SHARDS % BUCKETS];
}

const char *twins_begin(struct twins *twins, const struct twin_key *key)
{
	uint64_t hash = hash_of(key);
	const struct twin *twin;

	pthread_mutex_lock(&shard_of(twins, hash)->lock);
	twin = *bucket_of(twins, hash);
	while (twin && memcmp(&twin->key, key, sizeof(*key)) != 0)
		twin = twin->next;
	return twin ? twin->path : NULL;
}

int twins_end(struct twins *twins, const struct twin_key *key, const char *made)
{
	uint64_t hash = hash_of(key);
	struct twin **bucket = bucket_of(twins, hash);
	int r = 0;

	if (made) {
		size_t bytes = strlen(made) + 1;
		struct twin *twin = malloc(sizeof(*twin) + bytes);

		if (twin) {
			twin->key = *key;
			memcpy(twin->path, made, bytes);
			twin->next = *bucket;
			*bucket = twin;
		} else {
			r = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&shard_of(twins, hash)->lock);
	return r;
}
