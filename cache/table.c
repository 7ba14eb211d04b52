/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set-associative table: an inode hashes to one bucket of a few entries, the least
 * recently used of which gives way. So it is bounded, never rehashes, and a lookup reads
 * one bucket under one of several locks.
 */
#include "cache/table.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS  8
#define LOCKS 64

struct table_entry {
	struct identity identity;
	struct content content;
	uint32_t last_used; /* the bucket's clock; 0: empty */
};

struct table_bucket {
	uint32_t clock;
	struct table_entry entries[WAYS];
};

struct table {
	size_t buckets;
	struct table_bucket *bucket; /* guarded by lock[index % LOCKS] */
	pthread_mutex_t lock[LOCKS];
};

struct table *table_new(size_t capacity)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->buckets = (capacity + WAYS - 1) / WAYS;
	if (table->buckets == 0)
		table->buckets = 1;
	table->bucket = calloc(table->buckets, sizeof(*table->bucket));
	if (!table->bucket) {
		free(table);
		return NULL;
	}
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&table->lock[i], NULL);
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&table->lock[i]);
	free(table->bucket);
	free(table);
}

/* The bucket's entry for the inode, NULL where there is none. */
static struct table_entry *table_find_locked(struct table_bucket *bucket,
					     const struct identity *identity)
{
	for (size_t i = 0; i < WAYS; i++) {
		struct table_entry *entry = &bucket->entries[i];

		if (entry->last_used && entry->identity.inode == identity->inode &&
		    entry->identity.device == identity->device)
			return entry;
	}
	return NULL;
}

static struct table_entry *table_oldest_locked(struct table_bucket *bucket)
{
	struct table_entry *oldest = &bucket->entries[0];

	for (size_t i = 1; i < WAYS; i++)
		if (bucket->entries[i].last_used < oldest->last_used)
			oldest = &bucket->entries[i];
	return oldest;
}

/* The clock's next tick; when it wraps, the bucket forgets which entry was older. */
static uint32_t table_tick_locked(struct table_bucket *bucket)
{
	if (++bucket->clock == 0) {
		for (size_t i = 0; i < WAYS; i++)
			bucket->entries[i].last_used = bucket->entries[i].last_used != 0;
		bucket->clock = 2;
	}
	return bucket->clock;
}

static size_t table_bucket_of(const struct table *table, const struct identity *identity)
{
	return (size_t)((identity_hash(identity) >> 32) % table->buckets);
}

bool table_get(struct table *table, const struct identity *identity,
	       struct content *ret_content, bool *ret_current)
{
	size_t index = table_bucket_of(table, identity);
	struct table_bucket *bucket = &table->bucket[index];
	struct table_entry *entry;

	pthread_mutex_lock(&table->lock[index % LOCKS]);
	entry = table_find_locked(bucket, identity);
	if (entry) {
		entry->last_used = table_tick_locked(bucket);
		*ret_content = entry->content;
		*ret_current = identity_equal(&entry->identity, identity);
	}
	pthread_mutex_unlock(&table->lock[index % LOCKS]);
	return entry != NULL;
}

void table_put(struct table *table, const struct identity *identity,
	       const struct content *content)
{
	size_t index = table_bucket_of(table, identity);
	struct table_bucket *bucket = &table->bucket[index];
	struct table_entry *entry;
	uint32_t now;

	pthread_mutex_lock(&table->lock[index % LOCKS]);
	/* First: a page that is read before it is written costs all processors a fault. */
	now = table_tick_locked(bucket);
	entry = table_find_locked(bucket, identity);
	if (!entry)
		entry = table_oldest_locked(bucket);
	*entry = (struct table_entry){
		.identity = *identity, .content = *content, .last_used = now};
	pthread_mutex_unlock(&table->lock[index % LOCKS]);
}
