/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node table; see node_table.h for what a node is and how long it lives.
 *
 * Layout of the memfd: a header, and behind it the chunks of several pools (node_pool.h) in
 * the order in which they were needed: of hash buckets, of nodes, and of names in each size
 * class. So the file and its mappings are as large as the table, which lives under ulimit
 * -v and -f as well. Nothing ever moves, and pages cost memory only once they are touched.
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

#include "base/array.h"
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
static const uint32_t node_name_size[NAME_CLASSES] = {16, 32, 64, 128, 256};

/* A name: its size class in the upper three bits, its slot in the others. */
#define NAME_CLASS_SHIFT 29
#define NAME_SLOT_MASK	 ((UINT32_C(1) << NAME_CLASS_SHIFT) - 1)

/*
 * The hash chains that a node is in: those of its name, as long as that leads to it, and
 * those of its file's handle, if that is known.
 */
enum node_chain { CHAIN_NAME, CHAIN_HANDLE, CHAINS };

/* Everything that a node is; the free list of its pool uses next[0]. */
struct node {
	uint32_t next[CHAINS];
	uint32_t hash[CHAINS];
	uint32_t parent; /* slot; 0 for the root */
	uint32_t name;
	uint32_t children;
	uint32_t generation; /* survives the slot's reuse */
	uint16_t type;	     /* S_IFMT bits; 0 for a free slot */
	uint16_t chains;     /* those that it is in: bits, 1 << enum node_chain */
	uint32_t stamp_s;    /* when stamp was set last; CLOCK_MONOTONIC */
	uint64_t device;
	uint64_t inode;
	int64_t btime_ns;
	uint64_t lookup_count;
	uint64_t stamp;
};
_Static_assert(sizeof(struct node) == 80, "a node is 80 bytes");

/* The first nodes of chains. */
struct node_bucket {
	uint32_t first[CHAINS];
};

struct node_shared {
	uint32_t bucket_count; /* a power of two */
	uint32_t device_count;
	uint64_t device[MAX_DEVICES]; /* [0] is the root's; the order never changes */
	struct pool_state buckets;    /* struct node_bucket */
	struct pool_state nodes;
	struct pool_state names[NAME_CLASSES];
};

struct node_table {
	int memfd;
	/*
	 * Guards all of *shared, and the pools. No i/o under it, but that the memfd grows:
	 * three system calls for some thousand nodes.
	 */
	pthread_mutex_t lock;
	struct node_shared *shared;
	struct pool buckets;
	struct pool nodes;
	struct pool names[NAME_CLASSES];
};

/* The first node of the chain that a hash is in. */
static uint32_t *node_bucket_locked(struct node_table *table, enum node_chain chain,
				    uint32_t hash)
{
	uint32_t slot = hash & (table->shared->bucket_count - 1);
	struct node_bucket *bucket = pool_slot(&table->buckets, slot);

	return &bucket->first[chain];
}

static struct node *node_at(struct node_table *table, uint32_t slot)
{
	return pool_slot(&table->nodes, slot);
}

static char *node_name_at(struct node_table *table, uint32_t name)
{
	return pool_slot(&table->names[name >> NAME_CLASS_SHIFT], name & NAME_SLOT_MASK);
}

/* ---- chains ---- */

static void node_chain_locked(struct node_table *table, enum node_chain chain,
			      uint32_t slot, uint32_t hash)
{
	struct node *node = node_at(table, slot);
	uint32_t *first = node_bucket_locked(table, chain, hash);

	node->hash[chain] = hash;
	node->next[chain] = *first;
	node->chains |= 1u << chain;
	*first = slot;
}

static void node_unchain_locked(struct node_table *table, enum node_chain chain,
				uint32_t slot)
{
	struct node *node = node_at(table, slot);
	uint32_t *link = node_bucket_locked(table, chain, node->hash[chain]);

	if (!(node->chains & 1u << chain))
		return;
	while (*link != slot)
		link = &node_at(table, *link)->next[chain];
	*link = node->next[chain];
	node->chains &= ~(1u << chain);
}

/* ---- making and ending the table ---- */

static void node_set_key(struct node *node, const struct node_key *key)
{
	node->device = key->device;
	node->inode = key->inode;
	node->btime_ns = key->btime_ns;
	node->type = (uint16_t)key->type;
}

/* The header, which is all 0, and pools without a chunk. */
static int node_table_map(struct node_table *table, uint32_t max_nodes)
{
	struct node_shared *shared = MAP_FAILED;
	int r;

	table->memfd = memfd_create("canonfs-nodes", MFD_CLOEXEC);
	if (table->memfd >= 0 && ftruncate(table->memfd, sizeof(*shared)) == 0)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
			      table->memfd, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	table->shared = shared;
	r = pool_init(&table->buckets, &shared->buckets, table->memfd,
		      sizeof(struct node_bucket), POOL_MAX_SLOTS);
	if (r == 0)
		r = pool_init(&table->nodes, &shared->nodes, table->memfd,
			      sizeof(struct node), max_nodes);
	for (size_t i = 0; r == 0 && i < NAME_CLASSES; i++)
		r = pool_init(&table->names[i], &shared->names[i], table->memfd,
			      node_name_size[i], max_nodes);
	return r;
}

/* The first slot is 1, which is FUSE_ROOT_ID: an id is its slot. */
static int node_add_root(struct node_table *table, const struct node_key *root)
{
	uint32_t slot;
	int r = pool_reach(&table->buckets, MIN_BUCKETS - 1);

	if (r == 0)
		r = pool_take(&table->nodes, &slot);
	if (r != 0)
		return r;
	table->shared->bucket_count = MIN_BUCKETS;
	table->shared->device_count = 1;
	table->shared->device[0] = root->device;
	node_set_key(node_at(table, slot), root);
	node_at(table, slot)->lookup_count = 1; /* the kernel never forgets it */
	if (root->handle)
		node_chain_locked(table, CHAIN_HANDLE, slot, root->handle);
	return 0;
}

struct node_table *node_table_new(const struct node_key *root, uint32_t max_nodes)
{
	struct node_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	pthread_mutex_init(&table->lock, NULL);
	if (node_table_map(table, max_nodes) == 0 && node_add_root(table, root) == 0)
		return table;
	node_table_free(table);
	return NULL;
}

void node_table_free(struct node_table *table)
{
	if (!table)
		return;
	pool_fini(&table->buckets);
	pool_fini(&table->nodes);
	for (size_t i = 0; i < NAME_CLASSES; i++)
		pool_fini(&table->names[i]);
	if (table->shared)
		munmap(table->shared, sizeof(*table->shared));
	close_fd(&table->memfd);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

/* ---- names ---- */

_Static_assert(NAME_MAX + 1 == 256, "the last class takes any name");

static uint32_t node_name_class(size_t bytes)
{
	uint32_t class = 0;

	while (node_name_size[class] < bytes)
		class ++;
	return class;
}

/* Return: 0, or -errno as pool_take(). */
static int node_name_new_locked(struct node_table *table, const char *text,
				uint32_t *ret_name)
{
	size_t bytes = strlen(text) + 1;
	uint32_t class = node_name_class(bytes);
	uint32_t slot;
	int r = pool_take(&table->names[class], &slot);

	if (r < 0)
		return r;
	*ret_name = class << NAME_CLASS_SHIFT | slot;
	memcpy(node_name_at(table, *ret_name), text, bytes);
	return 0;
}

static void node_name_free_locked(struct node_table *table, uint32_t name)
{
	pool_give(&table->names[name >> NAME_CLASS_SHIFT], name & NAME_SLOT_MASK);
}

/* FNV-1a over the name, from the parent's slot. */
static uint32_t node_hash(uint32_t parent, const char *name)
{
	uint32_t hash = UINT32_C(2166136261) ^ parent * UINT32_C(0x9e3779b1);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
	return hash;
}

/* ---- nodes ---- */

/* The node of an id, NULL where it is not a live one. */
static struct node *node_live_locked(struct node_table *table, uint64_t id)
{
	struct node *node;

	if (id == 0 || id >= table->shared->nodes.used)
		return NULL;
	node = node_at(table, (uint32_t)id);
	return node->type ? node : NULL;
}

static uint32_t node_find_locked(struct node_table *table, uint32_t parent,
				 const char *name, uint32_t hash)
{
	uint32_t slot = *node_bucket_locked(table, CHAIN_NAME, hash);

	while (slot) {
		struct node *node = node_at(table, slot);

		if (node->hash[CHAIN_NAME] == hash && node->parent == parent &&
		    strcmp(node_name_at(table, node->name), name) == 0)
			return slot;
		slot = node->next[CHAIN_NAME];
	}
	return 0;
}

/* Ends a node that nothing refers to, then its parent if that was the last child. */
static void node_reap_locked(struct node_table *table, uint32_t slot)
{
	while (slot) {
		struct node *node = node_at(table, slot);
		uint32_t parent = node->parent;

		if (node->lookup_count || node->children || slot == NODE_ROOT)
			return;
		node_unchain_locked(table, CHAIN_NAME, slot);
		node_unchain_locked(table, CHAIN_HANDLE, slot);
		node_name_free_locked(table, node->name);
		node->type = 0;
		pool_give(&table->nodes, slot);
		node_at(table, parent)->children--;
		slot = parent;
	}
}

/* Splits a chain by one more bit of the hash: those that have it go to @high. */
static void node_split_locked(struct node_table *table, enum node_chain chain,
			      uint32_t *low, uint32_t *high, uint32_t bit)
{
	uint32_t slot = *low;

	while (slot) {
		struct node *node = node_at(table, slot);
		uint32_t **end = node->hash[chain] & bit ? &high : &low;

		**end = slot;
		*end = &node->next[chain];
		slot = node->next[chain];
	}
	*low = *high = 0;
}

/*
 * Twice as many buckets. Not all at once to the final number, as a sparse hash would touch
 * every page of it. Where there is no memory for them the chains get longer instead.
 */
static void node_grow_locked(struct node_table *table)
{
	uint32_t old = table->shared->bucket_count;

	if (2 * old > POOL_MAX_SLOTS || pool_reach(&table->buckets, 2 * old - 1) < 0)
		return;
	for (uint32_t i = 0; i < old; i++) {
		struct node_bucket *low = pool_slot(&table->buckets, i);
		struct node_bucket *high = pool_slot(&table->buckets, i + old);

		for (enum node_chain chain = 0; chain < CHAINS; chain++)
			node_split_locked(table, chain, &low->first[chain],
					  &high->first[chain], old);
	}
	table->shared->bucket_count = 2 * old;
}

/* Slots for a node and its name. Return: 0, or -errno as pool_take(). */
static int node_take_locked(struct node_table *table, const char *name, uint32_t *ret_slot,
			    uint32_t *ret_name)
{
	int r = pool_take(&table->nodes, ret_slot);

	if (r < 0)
		return r;
	r = node_name_new_locked(table, name, ret_name);
	if (r < 0)
		pool_give(&table->nodes, *ret_slot);
	return r;
}

/* Makes a new, linked node. Return: 0, or -errno as pool_take(). */
static int node_create_locked(struct node_table *table, uint32_t parent, const char *name,
			      uint32_t hash, const struct node_key *key, uint32_t *ret_slot)
{
	uint32_t slot, text;
	struct node *node;
	int r = node_take_locked(table, name, &slot, &text);

	if (r < 0)
		return r;
	if (table->shared->nodes.live > table->shared->bucket_count)
		node_grow_locked(table);
	node = node_at(table, slot);
	*node = (struct node){
		.parent = parent,
		.name = text,
		.generation = node->generation + 1,
	};
	node_set_key(node, key);
	node_chain_locked(table, CHAIN_NAME, slot, hash);
	if (key->handle)
		node_chain_locked(table, CHAIN_HANDLE, slot, key->handle);
	node_at(table, parent)->children++;
	*ret_slot = slot;
	return 0;
}

static struct node_key node_key_at(const struct node *node)
{
	return (struct node_key){
		.device = node->device,
		.inode = node->inode,
		.btime_ns = node->btime_ns,
		.type = node->type,
	};
}

static int node_lookup_locked(struct node_table *table, uint32_t parent, const char *name,
			      const struct node_key *key, uint32_t *ret_slot)
{
	uint32_t hash = node_hash(parent, name);
	uint32_t slot = node_find_locked(table, parent, name, hash);

	if (slot) {
		struct node_key known = node_key_at(node_at(table, slot));

		if (node_key_equal(&known, key)) {
			*ret_slot = slot;
			return 0;
		}
		node_unchain_locked(table, CHAIN_NAME, slot);
	}
	return node_create_locked(table, parent, name, hash, key, ret_slot);
}

int node_lookup(struct node_table *table, uint64_t parent, const char *name,
		const struct node_key *key, uint64_t *ret_id, uint64_t *ret_generation)
{
	uint32_t slot;
	int r = -ESTALE;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	pthread_mutex_lock(&table->lock);
	if (node_live_locked(table, parent))
		r = node_lookup_locked(table, (uint32_t)parent, name, key, &slot);
	if (r == 0) {
		node_at(table, slot)->lookup_count++;
		*ret_id = slot;
		*ret_generation = node_at(table, slot)->generation;
	}
	pthread_mutex_unlock(&table->lock);
	return r;
}

void node_forget(struct node_table *table, uint64_t id, uint64_t count)
{
	struct node *node;

	pthread_mutex_lock(&table->lock);
	node = id == NODE_ROOT ? NULL : node_live_locked(table, id);
	if (node) {
		node->lookup_count -=
			count < node->lookup_count ? count : node->lookup_count;
		node_reap_locked(table, (uint32_t)id);
	}
	pthread_mutex_unlock(&table->lock);
}

/* Bytes of a node's path with its NUL. */
static size_t node_path_bytes_locked(struct node_table *table, uint32_t slot)
{
	size_t bytes = 0;

	for (; slot != NODE_ROOT; slot = node_at(table, slot)->parent)
		bytes += strlen(node_name_at(table, node_at(table, slot)->name)) + 1;
	return bytes ? bytes : sizeof(".");
}

/* Fills @path from its end. */
static void node_write_path_locked(struct node_table *table, uint32_t slot, char *path,
				   size_t bytes)
{
	char *end = path + bytes;
	char separator = '\0';

	if (slot == NODE_ROOT) {
		memcpy(path, ".", sizeof("."));
		return;
	}
	for (; slot != NODE_ROOT; slot = node_at(table, slot)->parent) {
		const char *name = node_name_at(table, node_at(table, slot)->name);
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
	node = node_live_locked(table, id);
	if (!node) {
		r = -ESTALE;
		goto out;
	}
	bytes = node_path_bytes_locked(table, (uint32_t)id);
	*ret_path = malloc(bytes);
	if (!*ret_path) {
		r = -ENOMEM;
		goto out;
	}
	node_write_path_locked(table, (uint32_t)id, *ret_path, bytes);
	if (ret_key)
		*ret_key = node_key_at(node);
out:
	pthread_mutex_unlock(&table->lock);
	return r;
}

bool node_stamp(struct node_table *table, uint64_t id, uint64_t stamp, uint32_t now_s)
{
	struct node *node;
	bool good = false;

	pthread_mutex_lock(&table->lock);
	node = node_live_locked(table, id);
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

static int node_file_compare(const void *a, const void *b)
{
	const struct node_file *x = a;
	const struct node_file *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->device > y->device) - (x->device < y->device);
}

void node_file_sort(struct node_file *files, size_t count)
{
	if (count > 0)
		qsort(files, count, sizeof(*files), node_file_compare);
}

static bool node_is_any(const struct node *node, const struct node_file *files,
			size_t count)
{
	struct node_file file = {.device = node->device, .inode = node->inode};

	return node->type &&
	       (!files || bsearch(&file, files, count, sizeof(*files), node_file_compare));
}

size_t node_find(struct node_table *table, const struct node_file *files, size_t count,
		 uint64_t *from, uint64_t *ret_ids)
{
	uint64_t end = *from + NODE_FIND_STEP;
	size_t found = 0;

	pthread_mutex_lock(&table->lock);
	if (end > table->shared->nodes.used)
		end = table->shared->nodes.used;
	for (uint64_t id = *from; id < end; id++)
		if (node_is_any(node_at(table, (uint32_t)id), files, count))
			ret_ids[found++] = id;
	*from = end < table->shared->nodes.used ? end : 0;
	pthread_mutex_unlock(&table->lock);
	return found;
}

/* ---- by place and by handle ---- */

int node_place(struct node_table *table, uint64_t id, uint64_t *ret_parent, char *ret_name)
{
	struct node *node;
	int r = -ESTALE;

	pthread_mutex_lock(&table->lock);
	node = id == NODE_ROOT ? NULL : node_live_locked(table, id);
	if (node) {
		*ret_parent = node->parent;
		strcpy(ret_name, node_name_at(table, node->name));
		r = 0;
	}
	pthread_mutex_unlock(&table->lock);
	return r;
}

uint64_t node_child(struct node_table *table, uint64_t parent, const char *name,
		    struct node_key *ret_key)
{
	uint32_t slot = 0;

	pthread_mutex_lock(&table->lock);
	if (node_live_locked(table, parent))
		slot = node_find_locked(table, (uint32_t)parent, name,
					node_hash((uint32_t)parent, name));
	if (slot && ret_key)
		*ret_key = node_key_at(node_at(table, slot));
	pthread_mutex_unlock(&table->lock);
	return slot;
}

/* The first node from @slot on that has a handle. */
static uint32_t node_with_handle_locked(struct node_table *table, uint32_t slot,
					uint32_t handle)
{
	while (slot && node_at(table, slot)->hash[CHAIN_HANDLE] != handle)
		slot = node_at(table, slot)->next[CHAIN_HANDLE];
	return slot;
}

static uint32_t node_first_with_locked(struct node_table *table, uint32_t handle)
{
	uint32_t first = *node_bucket_locked(table, CHAIN_HANDLE, handle);

	return node_with_handle_locked(table, first, handle);
}

bool node_has_handle(struct node_table *table, uint32_t handle, uint32_t or_handle)
{
	bool has;

	pthread_mutex_lock(&table->lock);
	has = node_first_with_locked(table, handle) ||
	      node_first_with_locked(table, or_handle);
	pthread_mutex_unlock(&table->lock);
	return has;
}

int node_with_handle(struct node_table *table, uint32_t handle, uint64_t **ret_ids)
{
	scope_free uint64_t *ids = NULL;
	int count = 0;
	int r = 0;
	uint32_t slot;

	pthread_mutex_lock(&table->lock);
	slot = node_first_with_locked(table, handle);
	while (slot && r == 0) {
		r = array_add(ids, count, slot);
		slot = node_with_handle_locked(
			table, node_at(table, slot)->next[CHAIN_HANDLE], handle);
	}
	pthread_mutex_unlock(&table->lock);
	if (r < 0)
		return r;
	*ret_ids = take_ptr(ids);
	return count;
}

/* ---- inode numbers ---- */

#define INO_BITS 48

static uint32_t node_device_locked(struct node_shared *shared, uint64_t device)
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
	index = node_device_locked(table->shared, device);
	pthread_mutex_unlock(&table->lock);
	return inode ^ (uint64_t)index << INO_BITS;
}

struct node_stats node_table_stats(struct node_table *table)
{
	struct node_stats stats;
	struct node_shared *shared = table->shared;

	pthread_mutex_lock(&table->lock);
	stats.nodes = shared->nodes.live;
	stats.bytes = (uint64_t)shared->nodes.live *
		      (sizeof(struct node) + sizeof(struct node_bucket));
	for (size_t i = 0; i < NAME_CLASSES; i++)
		stats.bytes += (uint64_t)shared->names[i].live * node_name_size[i];
	pthread_mutex_unlock(&table->lock);
	return stats;
}
