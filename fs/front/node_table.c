/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node table; see node_table.h for what a node is and how long it lives.
 *
 * Layout of the memfd: a header, an array of hash buckets, the nodes, and a pool of names
 * for each size class. The ranges have their final size from the start, in a sparse file:
 * nothing ever moves, and pages cost memory only once they are touched.
 */
#include "fs/front/node_table.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/front/node_pool.h"

/* Buckets at first; doubled whenever there are more nodes than buckets. */
#define MIN_BUCKETS 1024

/* Seconds after which a reply has surely been read; clock ticks included. */
#define STAMP_SETTLE_S 2

#define NAME_CLASSES 5
#define MAX_DEVICES  1024

/* Bytes of a name's slot, with its NUL; the last takes any name. */
static const uint32_t name_class_size[NAME_CLASSES] = {16, 32, 64, 128, 256};

/* A name: its size class in the upper three bits, its slot in the others. */
#define NAME_CLASS_SHIFT 29
#define NAME_SLOT_MASK	 ((UINT32_C(1) << NAME_CLASS_SHIFT) - 1)

/* Everything that a node is; the free list of its pool uses hash_next. */
struct node {
	uint32_t hash_next;
	uint32_t parent; /* slot; 0 for the root */
	uint32_t name;
	uint32_t name_hash;
	uint32_t children;
	uint32_t generation; /* survives the slot's reuse */
	uint16_t type;	     /* S_IFMT bits; 0 for a free slot */
	uint16_t linked;     /* whether its name still leads here */
	uint32_t stamp_s;    /* when stamp was set last; CLOCK_MONOTONIC */
	uint64_t device;
	uint64_t inode;
	int64_t btime_ns;
	uint64_t lookup_count;
	uint64_t stamp;
};
_Static_assert(sizeof(struct node) == 72, "a node is 72 bytes");

struct shared {
	uint64_t bytes;	       /* of the whole memfd */
	uint32_t bucket_count; /* a power of two */
	uint32_t device_count;
	uint64_t device[MAX_DEVICES]; /* [0] is the root's; the order never changes */
	struct pool nodes;
	struct pool names[NAME_CLASSES];
	uint64_t buckets; /* bytes from the start */
};

struct node_table {
	int memfd;
	size_t bytes;
	pthread_mutex_t lock; /* guards all of *shared; no i/o under it */
	struct shared *shared;
};

static uint32_t *bucket_locked(struct node_table *table, uint32_t hash)
{
	struct shared *shared = table->shared;

	return (uint32_t *)((char *)shared + shared->buckets) +
	       (hash & (shared->bucket_count - 1));
}

static struct node *node_at(struct node_table *table, uint32_t slot)
{
	return pool_slot(&table->shared->nodes, table->shared, slot);
}

static char *name_at(struct node_table *table, uint32_t name)
{
	return pool_slot(&table->shared->names[name >> NAME_CLASS_SHIFT], table->shared,
			 name & NAME_SLOT_MASK);
}

/* ---- making and ending the table ---- */

/* Lays the ranges out one after the other; returns their end. */
static uint64_t lay_out(struct shared *shared, uint32_t max_nodes)
{
	uint64_t end = pool_bytes(sizeof(struct shared), 1);

	shared->bucket_count = MIN_BUCKETS;
	shared->buckets = end;
	end += pool_bytes(sizeof(uint32_t), 2 * max_nodes + MIN_BUCKETS);
	shared->nodes = (struct pool){
		.offset = end, .slot_size = sizeof(struct node), .capacity = max_nodes};
	end += pool_bytes(sizeof(struct node), max_nodes);
	for (size_t i = 0; i < NAME_CLASSES; i++) {
		shared->names[i] = (struct pool){.offset = end,
						 .slot_size = name_class_size[i],
						 .capacity = max_nodes};
		end += pool_bytes(name_class_size[i], max_nodes);
	}
	return end;
}

static void set_key(struct node *node, const struct node_key *key)
{
	node->device = key->device;
	node->inode = key->inode;
	node->btime_ns = key->btime_ns;
	node->type = (uint16_t)key->type;
}

struct node_table *node_table_new(const struct node_key *root, uint32_t max_nodes)
{
	struct node_table *table = calloc(1, sizeof(*table));
	struct shared layout = {.device_count = 1, .device = {root->device}};
	struct node *node;

	if (!table)
		return NULL;
	pthread_mutex_init(&table->lock, NULL);
	layout.bytes = lay_out(&layout, max_nodes);
	table->bytes = layout.bytes;
	table->shared = MAP_FAILED;
	table->memfd = memfd_create("canonfs-nodes", MFD_CLOEXEC);
	if (table->memfd >= 0 && ftruncate(table->memfd, (off_t)table->bytes) == 0)
		table->shared = mmap(NULL, table->bytes, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_NORESERVE, table->memfd, 0);
	if (table->shared == MAP_FAILED) {
		node_table_free(table);
		return NULL;
	}
	*table->shared = layout;
	/* The first slot is 1, which is FUSE_ROOT_ID: an id is its slot. */
	node = node_at(table, pool_take(&table->shared->nodes, table->shared));
	set_key(node, root);
	node->lookup_count = 1; /* the kernel never forgets the root */
	return table;
}

void node_table_free(struct node_table *table)
{
	if (!table)
		return;
	if (table->shared != MAP_FAILED)
		munmap(table->shared, table->bytes);
	close_fd(&table->memfd);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

/* ---- names ---- */

_Static_assert(NAME_MAX + 1 == 256, "the last class takes any name");

static uint32_t name_class(size_t bytes)
{
	uint32_t class = 0;

	while (name_class_size[class] < bytes)
		class ++;
	return class;
}

/* Return: a name, 0 when its pool is full. */
static uint32_t name_new_locked(struct node_table *table, const char *text)
{
	size_t bytes = strlen(text) + 1;
	uint32_t class = name_class(bytes);
	uint32_t slot = pool_take(&table->shared->names[class], table->shared);
	uint32_t name = class << NAME_CLASS_SHIFT | slot;

	if (slot == 0)
		return 0;
	memcpy(name_at(table, name), text, bytes);
	return name;
}

static void name_free_locked(struct node_table *table, uint32_t name)
{
	pool_give(&table->shared->names[name >> NAME_CLASS_SHIFT], table->shared,
		  name & NAME_SLOT_MASK);
}

/* FNV-1a over the name, from the parent's slot. */
static uint32_t hash_name(uint32_t parent, const char *name)
{
	uint32_t hash = UINT32_C(2166136261) ^ parent * UINT32_C(0x9e3779b1);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
	return hash;
}

/* ---- nodes ---- */

/* The node of an id, NULL where it is not a live one. */
static struct node *live_locked(struct node_table *table, uint64_t id)
{
	struct node *node;

	if (id == 0 || id >= table->shared->nodes.used)
		return NULL;
	node = node_at(table, (uint32_t)id);
	return node->type ? node : NULL;
}

static uint32_t find_locked(struct node_table *table, uint32_t parent, const char *name,
			    uint32_t hash)
{
	uint32_t slot = *bucket_locked(table, hash);

	while (slot) {
		struct node *node = node_at(table, slot);

		if (node->name_hash == hash && node->parent == parent &&
		    strcmp(name_at(table, node->name), name) == 0)
			return slot;
		slot = node->hash_next;
	}
	return 0;
}

/* Takes a node off its name; it lives on while it is referenced. */
static void unlink_locked(struct node_table *table, uint32_t slot)
{
	struct node *node = node_at(table, slot);
	uint32_t *link = bucket_locked(table, node->name_hash);

	if (!node->linked)
		return;
	while (*link != slot)
		link = &node_at(table, *link)->hash_next;
	*link = node->hash_next;
	node->linked = 0;
}

/* Ends a node that nothing refers to, then its parent if that was the last child. */
static void reap_locked(struct node_table *table, uint32_t slot)
{
	while (slot) {
		struct node *node = node_at(table, slot);
		uint32_t parent = node->parent;

		if (node->lookup_count || node->children || slot == NODE_ROOT)
			return;
		unlink_locked(table, slot);
		name_free_locked(table, node->name);
		node->type = 0;
		pool_give(&table->shared->nodes, table->shared, slot);
		node_at(table, parent)->children--;
		slot = parent;
	}
}

/*
 * Twice as many buckets: each chain is split by one more bit of the hash. Not all at once
 * to the final size, as a sparse hash would touch every page of it.
 */
static void grow_locked(struct node_table *table)
{
	struct shared *shared = table->shared;
	uint32_t *bucket = (uint32_t *)((char *)shared + shared->buckets);
	uint32_t old = shared->bucket_count;

	for (uint32_t i = 0; i < old; i++) {
		uint32_t *low = &bucket[i];
		uint32_t *high = &bucket[i + old];
		uint32_t slot = *low;

		while (slot) {
			struct node *node = node_at(table, slot);
			uint32_t **end = node->name_hash & old ? &high : &low;

			**end = slot;
			*end = &node->hash_next;
			slot = node->hash_next;
		}
		*low = *high = 0;
	}
	shared->bucket_count = 2 * old;
}

/* Return: the slot of a new, linked node; 0 when the table is full. */
static uint32_t create_locked(struct node_table *table, uint32_t parent, const char *name,
			      uint32_t hash, const struct node_key *key)
{
	uint32_t slot = pool_take(&table->shared->nodes, table->shared);
	uint32_t text = slot ? name_new_locked(table, name) : 0;
	struct node *node;
	uint32_t *bucket;

	if (!slot)
		return 0;
	if (!text) {
		pool_give(&table->shared->nodes, table->shared, slot);
		return 0;
	}
	if (table->shared->nodes.live > table->shared->bucket_count)
		grow_locked(table);
	bucket = bucket_locked(table, hash);
	node = node_at(table, slot);
	*node = (struct node){
		.hash_next = *bucket,
		.parent = parent,
		.name = text,
		.name_hash = hash,
		.generation = node->generation + 1,
		.linked = 1,
	};
	set_key(node, key);
	*bucket = slot;
	node_at(table, parent)->children++;
	return slot;
}

static struct node_key key_of_node(const struct node *node)
{
	return (struct node_key){
		.device = node->device,
		.inode = node->inode,
		.btime_ns = node->btime_ns,
		.type = node->type,
	};
}

static uint32_t lookup_locked(struct node_table *table, uint32_t parent, const char *name,
			      const struct node_key *key)
{
	uint32_t hash = hash_name(parent, name);
	uint32_t slot = find_locked(table, parent, name, hash);

	if (slot) {
		struct node_key known = key_of_node(node_at(table, slot));

		if (node_key_equal(&known, key))
			return slot;
		unlink_locked(table, slot);
	}
	return create_locked(table, parent, name, hash, key);
}

int node_lookup(struct node_table *table, uint64_t parent, const char *name,
		const struct node_key *key, uint64_t *ret_id, uint64_t *ret_generation)
{
	uint32_t slot;
	int r = 0;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	pthread_mutex_lock(&table->lock);
	if (!live_locked(table, parent)) {
		r = -ESTALE;
		goto out;
	}
	slot = lookup_locked(table, (uint32_t)parent, name, key);
	if (!slot) {
		r = -ENFILE;
		goto out;
	}
	node_at(table, slot)->lookup_count++;
	*ret_id = slot;
	*ret_generation = node_at(table, slot)->generation;
out:
	pthread_mutex_unlock(&table->lock);
	return r;
}

void node_forget(struct node_table *table, uint64_t id, uint64_t count)
{
	struct node *node;

	pthread_mutex_lock(&table->lock);
	node = id == NODE_ROOT ? NULL : live_locked(table, id);
	if (node) {
		node->lookup_count -=
			count < node->lookup_count ? count : node->lookup_count;
		reap_locked(table, (uint32_t)id);
	}
	pthread_mutex_unlock(&table->lock);
}

/* Bytes of a node's path with its NUL. */
static size_t path_bytes_locked(struct node_table *table, uint32_t slot)
{
	size_t bytes = 0;

	for (; slot != NODE_ROOT; slot = node_at(table, slot)->parent)
		bytes += strlen(name_at(table, node_at(table, slot)->name)) + 1;
	return bytes ? bytes : sizeof(".");
}

/* Fills @path from its end. */
static void write_path_locked(struct node_table *table, uint32_t slot, char *path,
			      size_t bytes)
{
	char *end = path + bytes;
	char separator = '\0';

	if (slot == NODE_ROOT) {
		memcpy(path, ".", sizeof("."));
		return;
	}
	for (; slot != NODE_ROOT; slot = node_at(table, slot)->parent) {
		const char *name = name_at(table, node_at(table, slot)->name);
		size_t len = strlen(name);

		*--end = separator;
		separator = '/';
		end -= len;
		memcpy(end, name, len);
	}
}

int node_path(struct node_table *table, uint64_t id, char **ret_path,
	      struct node_key *ret_key)
{
	struct node *node;
	size_t bytes;
	int r = 0;

	pthread_mutex_lock(&table->lock);
	node = live_locked(table, id);
	if (!node) {
		r = -ESTALE;
		goto out;
	}
	bytes = path_bytes_locked(table, (uint32_t)id);
	*ret_path = malloc(bytes);
	if (!*ret_path) {
		r = -ENOMEM;
		goto out;
	}
	write_path_locked(table, (uint32_t)id, *ret_path, bytes);
	if (ret_key)
		*ret_key = key_of_node(node);
out:
	pthread_mutex_unlock(&table->lock);
	return r;
}

bool node_stamp(struct node_table *table, uint64_t id, uint64_t stamp, uint32_t now_s)
{
	struct node *node;
	bool good = false;

	pthread_mutex_lock(&table->lock);
	node = live_locked(table, id);
	if (node && stamp != 0 && node->stamp == stamp) {
		good = now_s - node->stamp_s >= STAMP_SETTLE_S;
	} else if (node) {
		bool first = node->stamp == 0 && node->stamp_s == 0;

		/* Before the first open there are no pages that could be kept. */
		node->stamp_s = first && stamp != 0 ? now_s - STAMP_SETTLE_S : now_s;
		node->stamp = stamp;
	}
	pthread_mutex_unlock(&table->lock);
	return good;
}

uint64_t node_find(struct node_table *table, uint64_t device, uint64_t inode, uint64_t id)
{
	uint64_t found = 0;

	pthread_mutex_lock(&table->lock);
	for (; !found && id < table->shared->nodes.used; id++) {
		struct node *node = live_locked(table, id);

		if (node && node->inode == inode && node->device == device)
			found = id;
	}
	pthread_mutex_unlock(&table->lock);
	return found;
}

/* ---- inode numbers ---- */

#define INO_BITS 48

static uint32_t device_index_locked(struct shared *shared, uint64_t device)
{
	uint32_t i = 0;

	while (i < shared->device_count && shared->device[i] != device)
		i++;
	if (i == shared->device_count && i < MAX_DEVICES)
		shared->device[shared->device_count++] = device;
	return i;
}

uint64_t node_ino(struct node_table *table, uint64_t device, uint64_t inode)
{
	uint32_t index;

	if (device == table->shared->device[0]) /* set once, before threads */
		return inode;
	pthread_mutex_lock(&table->lock);
	index = device_index_locked(table->shared, device);
	pthread_mutex_unlock(&table->lock);
	return inode ^ (uint64_t)index << INO_BITS;
}

struct node_stats node_table_stats(struct node_table *table)
{
	struct node_stats stats;
	struct shared *shared = table->shared;

	pthread_mutex_lock(&table->lock);
	stats.nodes = shared->nodes.live;
	stats.bytes =
		(uint64_t)shared->nodes.live * (sizeof(struct node) + sizeof(uint32_t));
	for (size_t i = 0; i < NAME_CLASSES; i++)
		stats.bytes += (uint64_t)shared->names[i].live * name_class_size[i];
	pthread_mutex_unlock(&table->lock);
	return stats;
}
