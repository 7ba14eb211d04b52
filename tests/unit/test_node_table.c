/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node table: who holds whom, that an id that is used again is told apart, that a name
 * of any length fits or is refused, and what a million nodes cost in real memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/scope.h"
#include "fs/front/node_pool.h"
#include "fs/front/node_table.h"
#include "tests/unit/sanitized.h"

#define DEVICE 7

static struct node_key key(uint64_t inode)
{
	return (struct node_key){.device = DEVICE, .inode = inode, .type = S_IFREG};
}

static struct node_key directory(uint64_t inode)
{
	return (struct node_key){.device = DEVICE, .inode = inode, .type = S_IFDIR};
}

static struct node_table *new_table(uint32_t max_nodes)
{
	struct node_key root = directory(1);
	struct node_table *table = node_table_new(&root, max_nodes);

	assert_non_null(table);
	return table;
}

struct seen {
	uint64_t id;
	uint64_t generation;
};

static struct seen look(struct node_table *table, uint64_t parent, const char *name,
			struct node_key file)
{
	struct seen seen;

	assert_int_equal(
		node_lookup(table, parent, name, &file, &seen.id, &seen.generation), 0);
	return seen;
}

static bool is_live(struct node_table *table, uint64_t id)
{
	scope_free char *path = NULL;

	return node_path(table, id, &path, NULL) == 0;
}

static void assert_path(struct node_table *table, uint64_t id, const char *expected)
{
	scope_free char *path = NULL;

	assert_int_equal(node_path(table, id, &path, NULL), 0);
	assert_string_equal(path, expected);
}

static uint32_t count(struct node_table *table)
{
	return node_table_stats(table).nodes;
}

static void test_root(void **state)
{
	struct node_table *table = new_table(16);
	scope_free char *path = NULL;
	struct node_key root;

	(void)state;
	assert_int_equal(node_path(table, NODE_ROOT, &path, &root), 0);
	assert_string_equal(path, ".");
	assert_int_equal(root.inode, 1);
	assert_int_equal(root.type, S_IFDIR);
	node_forget(table, NODE_ROOT, 1);
	node_forget(table, NODE_ROOT, UINT64_MAX);
	assert_path(table, NODE_ROOT, ".");
	assert_int_equal(count(table), 1);
	node_table_free(table);
	node_table_free(NULL);
}

static void test_same_name_same_node(void **state)
{
	struct node_table *table = new_table(16);
	struct seen a = look(table, NODE_ROOT, "a", key(10));
	struct seen again = look(table, NODE_ROOT, "a", key(10));
	struct seen link = look(table, NODE_ROOT, "b", key(10));

	(void)state;
	assert_int_equal(a.id, again.id);
	assert_int_equal(a.generation, again.generation);
	assert_int_not_equal(a.id, NODE_ROOT);
	/* A hard link is a node of its own. */
	assert_int_not_equal(a.id, link.id);
	assert_path(table, a.id, "a");
	assert_path(table, link.id, "b");
	assert_int_equal(count(table), 3);
	node_table_free(table);
}

static void test_forget_counts(void **state)
{
	struct node_table *table = new_table(16);
	struct seen a = look(table, NODE_ROOT, "a", key(10));

	(void)state;
	look(table, NODE_ROOT, "a", key(10));
	look(table, NODE_ROOT, "a", key(10));
	node_forget(table, a.id, 0);
	node_forget(table, a.id, 2);
	assert_true(is_live(table, a.id));
	node_forget(table, a.id, 1);
	assert_false(is_live(table, a.id));
	assert_int_equal(count(table), 1);
	node_table_free(table);
}

static void test_forget_too_many(void **state)
{
	struct node_table *table = new_table(16);
	struct seen a = look(table, NODE_ROOT, "a", key(10));
	struct seen b;

	(void)state;
	node_forget(table, a.id, UINT64_MAX);
	assert_false(is_live(table, a.id));
	node_forget(table, a.id, 1);
	node_forget(table, 0, 1);
	node_forget(table, 9999, 1);
	node_forget(table, UINT64_MAX, 1);
	node_forget(table, (UINT64_C(1) << 32) + NODE_ROOT, 1);
	assert_int_equal(count(table), 1);
	/* The counter did not go below zero: one reference is one reference. */
	b = look(table, NODE_ROOT, "b", key(11));
	assert_true(is_live(table, b.id));
	node_forget(table, b.id, 1);
	assert_false(is_live(table, b.id));
	node_table_free(table);
}

static void test_ids_that_are_not(void **state)
{
	struct node_table *table = new_table(16);
	struct node_key file = key(10);
	scope_free char *path = NULL;
	uint64_t id, generation;

	(void)state;
	assert_int_equal(node_path(table, 0, &path, NULL), -ESTALE);
	assert_int_equal(node_path(table, 2, &path, NULL), -ESTALE);
	assert_int_equal(node_path(table, UINT64_MAX, &path, NULL), -ESTALE);
	/* An id is 64 bits: the upper ones count. */
	assert_int_equal(node_path(table, (UINT64_C(1) << 32) | 1, &path, NULL), -ESTALE);
	assert_int_equal(node_lookup(table, 2, "a", &file, &id, &generation), -ESTALE);
	assert_int_equal(node_lookup(table, 0, "a", &file, &id, &generation), -ESTALE);
	assert_false(node_stamp(table, 2, 0, 100));
	assert_int_equal(count(table), 1);
	node_table_free(table);
}

static void test_generation_tells_reuse(void **state)
{
	struct node_table *table = new_table(16);
	struct seen last = {0, 0};

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		struct seen now = look(table, NODE_ROOT, "a", key(10 + i));

		if (i) {
			assert_int_equal(now.id, last.id);
			assert_int_not_equal(now.generation, last.generation);
		}
		/* Nothing of the slot's earlier life is left. */
		assert_false(node_stamp(table, now.id, 77, 100));
		last = now;
		node_forget(table, now.id, 1);
	}
	node_table_free(table);
}

static void test_children_hold_parents(void **state)
{
	struct node_table *table = new_table(16);
	struct seen a = look(table, NODE_ROOT, "a", directory(10));
	struct seen b = look(table, a.id, "b", directory(11));
	struct seen c = look(table, b.id, "c", key(12));
	struct seen d = look(table, a.id, "d", key(13));

	(void)state;
	node_forget(table, a.id, 1);
	node_forget(table, b.id, 1);
	assert_path(table, c.id, "a/b/c");
	assert_true(is_live(table, a.id));
	assert_true(is_live(table, b.id));
	/* Found again by name while only its child holds it. */
	assert_int_equal(look(table, NODE_ROOT, "a", directory(10)).id, a.id);
	node_forget(table, a.id, 1);
	node_forget(table, c.id, 1);
	assert_false(is_live(table, c.id));
	assert_false(is_live(table, b.id));
	assert_true(is_live(table, a.id));
	assert_path(table, d.id, "a/d");
	node_forget(table, d.id, 1);
	assert_false(is_live(table, a.id));
	assert_int_equal(count(table), 1);
	node_table_free(table);
}

static void test_changed_file_gets_new_node(void **state)
{
	struct node_key changes[] = {key(11), key(10), key(10), directory(10)};
	struct node_key before = key(10);

	(void)state;
	changes[1].device++;
	changes[2].btime_ns = 5;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct node_table *table = new_table(16);
		struct seen old = look(table, NODE_ROOT, "a", before);
		struct seen new = look(table, NODE_ROOT, "a", changes[i]);
		scope_free char *path = NULL;
		struct node_key known;

		assert_int_not_equal(old.id, new.id);
		/* The old one goes on living and says which file it was. */
		assert_int_equal(node_path(table, old.id, &path, &known), 0);
		assert_true(node_key_equal(&known, &before));
		assert_int_equal(look(table, NODE_ROOT, "a", changes[i]).id, new.id);
		/* The name has left it for good, also when the file comes back. */
		node_forget(table, new.id, 2);
		assert_int_not_equal(look(table, NODE_ROOT, "a", before).id, old.id);
		new = look(table, NODE_ROOT, "a", changes[i]);
		node_forget(table, old.id, 1);
		assert_false(is_live(table, old.id));
		assert_path(table, new.id, "a");
		/* Forgetting the old one did not take the name from the new one. */
		assert_int_equal(look(table, NODE_ROOT, "a", changes[i]).id, new.id);
		node_forget(table, new.id, 2);
		assert_false(is_live(table, new.id));
		node_table_free(table);
	}
}

/* A directory that was replaced keeps the children that the kernel still refers to. */
static void test_replaced_directory(void **state)
{
	struct node_table *table = new_table(16);
	struct seen old = look(table, NODE_ROOT, "d", directory(10));
	struct seen child = look(table, old.id, "f", key(11));
	struct seen new = look(table, NODE_ROOT, "d", directory(20));
	struct seen twin = look(table, new.id, "f", key(21));

	(void)state;
	assert_int_not_equal(child.id, twin.id);
	assert_path(table, child.id, "d/f");
	assert_path(table, twin.id, "d/f");
	node_forget(table, old.id, 1);
	node_forget(table, child.id, 1);
	assert_false(is_live(table, old.id));
	assert_path(table, twin.id, "d/f");
	assert_int_equal(look(table, new.id, "f", key(21)).id, twin.id);
	node_table_free(table);
}

static void test_same_name_in_other_directories(void **state)
{
	struct node_table *table = new_table(64);
	uint64_t ids[16];

	(void)state;
	for (uint64_t i = 0; i < 16; i++) {
		char name[8];
		char path[16];
		struct seen dir;

		snprintf(name, sizeof(name), "d%u", (unsigned)i);
		dir = look(table, NODE_ROOT, name, directory(100 + i));
		ids[i] = look(table, dir.id, "same", key(200 + i)).id;
		snprintf(path, sizeof(path), "%s/same", name);
		assert_path(table, ids[i], path);
		for (uint64_t j = 0; j < i; j++)
			assert_int_not_equal(ids[i], ids[j]);
	}
	node_table_free(table);
}

/* Every length that a name may have, around the borders of the size classes too. */
static void test_name_lengths(void **state)
{
	struct node_table *table = new_table(1024);
	uint64_t ids[NAME_MAX + 1];

	(void)state;
	for (size_t len = 1; len <= NAME_MAX; len++) {
		char name[NAME_MAX + 1] = "";

		memset(name, 'n', len);
		ids[len] = look(table, NODE_ROOT, name, key(len + 10)).id;
	}
	for (size_t len = 1; len <= NAME_MAX; len++) {
		char name[NAME_MAX + 1] = "";

		memset(name, 'n', len);
		assert_path(table, ids[len], name);
	}
	for (size_t len = 1; len <= NAME_MAX; len++)
		node_forget(table, ids[len], 1);
	assert_int_equal(count(table), 1);
	node_table_free(table);
}

static void test_odd_names(void **state)
{
	static const char *const names[] = {"\xff\xfe", "\n", " ", "a\\b", "..."};
	struct node_table *table = new_table(16);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_path(table, look(table, NODE_ROOT, names[i], key(i + 10)).id,
			    names[i]);
	node_table_free(table);
}

static void test_deep_path(void **state)
{
	enum { DEPTH = 4000 };
	struct node_table *table = new_table(DEPTH + 16);
	scope_free char *path = NULL;
	uint64_t id = NODE_ROOT;
	uint64_t ids[DEPTH];

	(void)state;
	for (int i = 0; i < DEPTH; i++) {
		ids[i] = look(table, id, "deep", directory(10 + (uint64_t)i)).id;
		id = ids[i];
	}
	assert_int_equal(node_path(table, id, &path, NULL), 0);
	assert_int_equal(strlen(path), DEPTH * 5 - 1); /* far beyond PATH_MAX */
	for (int i = 0; i < DEPTH; i++)
		assert_memory_equal(path + 5 * (size_t)i, "deep", 4);
	/* From the top down: all stay until the last child goes, then all go. */
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(count(table), DEPTH + 1);
		node_forget(table, ids[i], 1);
	}
	assert_int_equal(count(table), 1);
	node_table_free(table);
}

static void test_full_table(void **state)
{
	enum { MAX = 8 }; /* slots 1 to 7: the root and six others */
	struct node_table *table = new_table(MAX);
	struct node_key file = key(99);
	uint64_t id, generation;
	struct seen first = {0, 0};

	(void)state;
	for (uint64_t i = 0; i < MAX - 2; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", (unsigned)i);
		first = look(table, NODE_ROOT, name, key(10 + i));
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			node_lookup(table, NODE_ROOT, "more", &file, &id, &generation),
			-ENFILE);
	/* What is there is still found, and a forgotten one makes room. */
	assert_int_equal(look(table, NODE_ROOT, "f0", key(10)).id, 2);
	node_forget(table, first.id, 1);
	assert_int_equal(look(table, NODE_ROOT, "more", file).id, first.id);
	/* A changed file needs a node of its own; its failure breaks nothing. */
	assert_int_equal(node_lookup(table, NODE_ROOT, "f1", &file, &id, &generation),
			 -ENFILE);
	node_forget(table, 3, 1);
	assert_false(is_live(table, 3));
	assert_path(table, look(table, NODE_ROOT, "f1", file).id, "f1");
	node_table_free(table);
}

static void test_stamp(void **state)
{
	struct node_table *table = new_table(16);
	struct seen a = look(table, NODE_ROOT, "a", key(10));
	struct seen b = look(table, NODE_ROOT, "b", key(10));

	(void)state;
	assert_false(node_stamp(table, a.id, 5, 100));
	/* Nothing was cached before the first open, so nothing has to be dropped. */
	assert_true(node_stamp(table, a.id, 5, 100));
	assert_false(node_stamp(table, b.id, 5, 100));
	assert_false(node_stamp(table, a.id, 6, 200));
	/* The reply that said so may still be on its way. */
	assert_false(node_stamp(table, a.id, 6, 200));
	assert_false(node_stamp(table, a.id, 6, 201));
	assert_true(node_stamp(table, a.id, 6, 202));
	assert_false(node_stamp(table, a.id, 5, 300));
	/* In doubt nothing is kept, nor just after. */
	assert_false(node_stamp(table, b.id, 0, 300));
	assert_false(node_stamp(table, b.id, 0, 400));
	assert_false(node_stamp(table, b.id, 7, 400));
	assert_false(node_stamp(table, b.id, 7, 401));
	assert_true(node_stamp(table, b.id, 7, 402));
	/* A changed file does not inherit the pages of the old one. */
	a = look(table, NODE_ROOT, "a", key(11));
	assert_false(node_stamp(table, a.id, 5, 400));
	node_table_free(table);
}

static void test_key_of_statx(void **state)
{
	struct statx stx = {
		.stx_mask = STATX_BASIC_STATS | STATX_BTIME,
		.stx_dev_major = 8,
		.stx_dev_minor = 1,
		.stx_ino = 5,
		.stx_mode = S_IFREG | 0755,
		.stx_btime = {.tv_sec = 2, .tv_nsec = 3},
	};
	struct node_key a = node_key_of(&stx);
	struct node_key b;

	(void)state;
	assert_int_equal(a.device, makedev(8, 1));
	assert_int_equal(a.inode, 5);
	assert_int_equal(a.type, S_IFREG);
	assert_int_equal(a.btime_ns, INT64_C(2000000003));
	stx.stx_mode = S_IFREG | 0600; /* chmod makes no other file */
	b = node_key_of(&stx);
	assert_true(node_key_equal(&a, &b));
	stx.stx_mask &= ~STATX_BTIME;
	assert_int_equal(node_key_of(&stx).btime_ns, 0);
	stx.stx_mask |= STATX_BTIME;
	stx.stx_btime.tv_sec = INT64_MAX; /* must not be undefined */
	node_key_of(&stx);
}

/* ---- inode numbers ---- */

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void test_ino_unique(void **state)
{
	enum { DEVICES = 1000, INODES = 16 };
	struct node_table *table = new_table(16);
	uint64_t *seen = calloc((size_t)DEVICES * INODES, sizeof(*seen));
	size_t n = 0;

	(void)state;
	assert_non_null(seen);
	for (uint64_t device = 0; device < DEVICES; device++)
		for (uint64_t inode = 1; inode <= INODES; inode++)
			seen[n++] = node_ino(table, DEVICE + device, inode);
	for (uint64_t inode = 1; inode <= INODES; inode++)
		assert_int_equal(seen[inode - 1], inode); /* the root's device: its own */
	/* The same again: a number is for life. */
	assert_int_equal(node_ino(table, DEVICE + 500, 3), seen[500 * INODES + 2]);
	qsort(seen, n, sizeof(*seen), compare_numbers);
	for (size_t i = 1; i < n; i++)
		assert_int_not_equal(seen[i], seen[i - 1]);
	free(seen);
	node_table_free(table);
}

/* ---- many nodes ---- */

/* Bytes of memory behind the table's memfd, as the kernel counts them. */
static uint64_t memfd_bytes(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	uint64_t bytes = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char target[PATH_MAX] = "";
		struct stat st;

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0 &&
		    strstr(target, "canonfs-nodes") &&
		    fstatat(dirfd(dir), entry->d_name, &st, 0) == 0)
			bytes += (uint64_t)st.st_blocks * 512;
	}
	closedir(dir);
	return bytes;
}

static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size, resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

#define MILLION	   1000000u
#define BYTES_EACH 300

/* facts/reliability.md: 1M inodes, at most 300 bytes each. */
static void test_a_million(void **state)
{
	uint64_t before = resident_bytes();
	struct node_table *table = new_table(UINT32_C(1) << 24);
	uint64_t *ids = calloc(MILLION, sizeof(*ids));
	uint64_t ids_bytes = MILLION * sizeof(*ids);
	struct node_stats stats;
	char name[64];

	(void)state;
	assert_non_null(ids);
	assert_true(memfd_bytes() < 1 << 20); /* an empty one costs next to nothing */
	for (uint32_t i = 0; i < MILLION; i++) {
		snprintf(name, sizeof(name), "some_module_name_%u.cpython-311.pyc", i);
		ids[i] = look(table, NODE_ROOT, name, key(10 + i)).id;
	}
	stats = node_table_stats(table);
	assert_int_equal(stats.nodes, MILLION + 1);
	assert_true(stats.bytes <= (uint64_t)BYTES_EACH * MILLION);
	assert_in_range(memfd_bytes(), stats.bytes / 2, (uint64_t)BYTES_EACH * MILLION);
	if (!SANITIZED)
		assert_true(resident_bytes() - before - ids_bytes <=
			    (uint64_t)BYTES_EACH * MILLION);
	/* The buckets grew many times; everything is where it was. */
	for (uint32_t i = 0; i < MILLION; i += 997) {
		snprintf(name, sizeof(name), "some_module_name_%u.cpython-311.pyc", i);
		assert_path(table, ids[i], name);
		assert_int_equal(look(table, NODE_ROOT, name, key(10 + i)).id, ids[i]);
		node_forget(table, ids[i], 1);
	}
	for (uint32_t i = 0; i < MILLION; i++)
		node_forget(table, ids[i], 1);
	assert_int_equal(count(table), 1);
	free(ids);
	node_table_free(table);
}

/* Slots are used again, so coming and going costs nothing. */
static void test_churn_is_bounded(void **state)
{
	struct node_table *table = new_table(UINT32_C(1) << 24);
	uint64_t after_first;
	char name[32];

	(void)state;
	for (int round = 0; round < 20; round++) {
		uint64_t ids[5000];

		for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
			snprintf(name, sizeof(name), "r%d-%u", round, i);
			ids[i] = look(table, NODE_ROOT, name, key(10 + i)).id;
		}
		for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
			node_forget(table, ids[i], 1);
		if (round == 0)
			after_first = memfd_bytes();
	}
	assert_int_equal(memfd_bytes(), after_first);
	assert_int_equal(count(table), 1);
	node_table_free(table);
}

/* ---- growing ---- */

/* Names of all size classes. */
static struct seen look_many(struct node_table *table, uint64_t i)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%0*u", (int)(i * 37 % (NAME_MAX - 8)) + 8,
		 (unsigned)i);
	return look(table, NODE_ROOT, name, key(10 + i));
}

#define STEPS	  5
#define MANY_EACH ((size_t)STEPS * POOL_CHUNK_SLOTS)

/* Over several chunks of each pool: ids, names and generations stay what they were. */
static void test_grows_in_steps(void **state)
{
	struct node_table *table = new_table(UINT32_C(1) << 24);
	struct seen *seen = calloc(MANY_EACH, sizeof(*seen));

	(void)state;
	assert_non_null(seen);
	for (uint64_t i = 0; i < MANY_EACH; i++)
		seen[i] = look_many(table, i);
	assert_int_equal(count(table), MANY_EACH + 1);
	for (uint64_t i = 0; i < MANY_EACH; i++) {
		struct seen again = look_many(table, i);
		scope_free char *path = NULL;
		struct node_key known;

		assert_int_equal(again.id, seen[i].id);
		assert_int_equal(again.generation, seen[i].generation);
		assert_int_equal(node_path(table, again.id, &path, &known), 0);
		assert_int_equal(known.inode, 10 + i);
		assert_int_equal(strtoul(path, NULL, 10), i);
	}
	for (uint64_t i = 0; i < MANY_EACH; i++)
		node_forget(table, seen[i].id, 2);
	assert_int_equal(count(table), 1);
	free(seen);
	node_table_free(table);
}

static rlim_t limit_files(rlim_t soft)
{
	struct rlimit limit;
	rlim_t before;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = soft;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	return before;
}

/* The table cannot grow for a while: lookups that need a new node fail, no others. */
static void test_no_memory_to_grow(void **state)
{
	struct node_table *table = new_table(UINT32_C(1) << 24);
	struct node_key file = key(1);
	struct seen first = look(table, NODE_ROOT, "first", key(2));
	uint64_t id, generation;
	uint64_t made = 0;
	char name[16];
	rlim_t before;
	int r;

	(void)state;
	signal(SIGXFSZ, SIG_IGN); /* as the server does */
	before = limit_files(4096);
	/* A name of another size needs a chunk of another pool. */
	assert_int_equal(node_lookup(table, NODE_ROOT, "a name that is not as short", &file,
				     &id, &generation),
			 -ENOMEM);
	assert_int_equal(count(table), 2);
	do {
		snprintf(name, sizeof(name), "f%u", (unsigned)made);
		r = node_lookup(table, NODE_ROOT, name, &file, &id, &generation);
		made += r == 0;
	} while (r == 0);
	assert_int_equal(r, -ENOMEM);
	assert_in_range(made, 1, POOL_CHUNK_SLOTS);
	assert_int_equal(count(table), made + 2);
	assert_int_equal(look(table, NODE_ROOT, "first", key(2)).id, first.id);
	assert_path(table, first.id, "first");
	/* A forgotten node makes room. */
	node_forget(table, id, 1);
	assert_path(table, look(table, NODE_ROOT, "other", key(3)).id, "other");
	limit_files(before);
	assert_path(table, look(table, NODE_ROOT, name, file).id, name);
	for (uint64_t i = 0; i < UINT64_C(2) * POOL_CHUNK_SLOTS; i++)
		look_many(table, i);
	assert_path(table, first.id, "first");
	node_table_free(table);
}

/* Not even the first nodes have room. */
static void test_no_memory_at_all(void **state)
{
	struct node_key root = directory(1);
	rlim_t before;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	before = limit_files(0);
	assert_null(node_table_new(&root, 16));
	limit_files(200000); /* more than the header, less than the first chunks */
	assert_null(node_table_new(&root, 16));
	limit_files(before);
	node_table_free(new_table(16));
}

/* ---- the nodes of files ---- */

/* All ids, and how many calls it took. */
static size_t find_all(struct node_table *table, const struct node_file *files,
		       size_t count, uint64_t *ret_ids, unsigned *ret_calls)
{
	uint64_t from = NODE_ROOT;
	size_t n = 0;

	for (*ret_calls = 0; from; ++*ret_calls)
		n += node_find(table, files, count, &from, ret_ids + n);
	return n;
}

static void test_find(void **state)
{
	struct node_table *table = new_table(UINT32_C(1) << 16);
	uint64_t ids[NODE_FIND_STEP];
	uint64_t wanted[3];
	unsigned calls;
	struct node_file files[] = {{DEVICE, 10 + 4000},
				    {DEVICE + 1, 10 + 5000},
				    {DEVICE, 10 + 2},
				    {DEVICE, 9}};

	(void)state;
	assert_int_equal(find_all(table, files, 0, ids, &calls), 0);
	for (uint64_t i = 0; i < UINT64_C(5) * NODE_FIND_STEP; i++) {
		struct seen seen = look_many(table, i);

		if (i == 2)
			wanted[0] = seen.id;
		if (i == 4000)
			wanted[1] = seen.id;
	}
	/* A second name of the first; the last one in the table. */
	wanted[2] = look(table, NODE_ROOT, "link", key(10 + 2)).id;
	node_file_sort(files, ARRAY_SIZE(files));
	assert_int_equal(find_all(table, files, ARRAY_SIZE(files), ids, &calls), 3);
	assert_memory_equal(ids, wanted, sizeof(wanted));
	/* Nobody waits for the lock until all are looked at. */
	assert_int_equal(calls, 6);
	/* What was forgotten is not found. */
	node_forget(table, wanted[1], 1);
	assert_int_equal(find_all(table, files, ARRAY_SIZE(files), ids, &calls), 2);
	assert_int_equal(ids[0], wanted[0]);
	assert_int_equal(ids[1], wanted[2]);
	node_table_free(table);
}

/* ---- many threads ---- */

#define THREADS 8
#define ROUNDS	4000

struct crowd {
	struct node_table *table;
	_Atomic unsigned wrong;
	_Atomic unsigned seed;
};

static unsigned next(unsigned *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 17;
	*random ^= *random << 5;
	return *random;
}

/* What a kernel would do: only ids that it holds a reference of, each returned once. */
static void *hammer(void *argument)
{
	struct crowd *crowd = argument;
	unsigned random = ++crowd->seed * 2654435761u;

	for (int i = 0; i < ROUNDS; i++) {
		struct node_key dir_key = directory(100 + next(&random) % 4);
		struct node_key file_key = key(200 + next(&random) % 8);
		uint64_t dir, file, generation;
		char dir_name[8], file_name[16], expected[32];
		char *path;

		snprintf(dir_name, sizeof(dir_name), "d%u", next(&random) % 4);
		snprintf(file_name, sizeof(file_name), "f%u", next(&random) % 64);
		snprintf(expected, sizeof(expected), "%s/%s", dir_name, file_name);
		if (node_lookup(crowd->table, NODE_ROOT, dir_name, &dir_key, &dir,
				&generation) < 0) {
			crowd->wrong++;
			continue;
		}
		if (node_lookup(crowd->table, dir, file_name, &file_key, &file,
				&generation) < 0) {
			crowd->wrong++;
			node_forget(crowd->table, dir, 1);
			continue;
		}
		if (next(&random) & 1)
			node_forget(crowd->table, dir, 1), dir = 0;
		if (node_path(crowd->table, file, &path, &file_key) == 0) {
			crowd->wrong += strcmp(path, expected) != 0;
			free(path);
		} else {
			crowd->wrong++;
		}
		node_stamp(crowd->table, file, random, random);
		crowd->wrong += node_ino(crowd->table, DEVICE + random % 32, 5) == 0;
		if (i % 64 == 0)
			crowd->wrong += node_table_stats(crowd->table).nodes == 0;
		node_forget(crowd->table, file, 1);
		if (dir)
			node_forget(crowd->table, dir, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct crowd crowd = {.table = new_table(1 << 16)};
	pthread_t thread[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(crowd.wrong, 0);
	assert_int_equal(count(crowd.table), 1); /* nothing was leaked, nothing lost */
	node_table_free(crowd.table);
}

/* The ids with a handle, as bits: a table's first nodes are few. */
static uint64_t with_handle(struct node_table *table, uint32_t handle)
{
	scope_free uint64_t *ids = NULL;
	int found = node_with_handle(table, handle, &ids);
	uint64_t bits = 0;

	assert_true(found >= 0);
	for (int i = 0; i < found; i++)
		bits |= UINT64_C(1) << ids[i];
	return bits;
}

static struct node_key handled(uint64_t inode, uint32_t handle)
{
	struct node_key file = key(inode);

	file.handle = handle;
	return file;
}

static void test_handles(void **state)
{
	struct node_table *table = new_table(1 << 16);
	struct seen a = look(table, NODE_ROOT, "a", handled(10, 5));
	struct seen link = look(table, NODE_ROOT, "b", handled(10, 5));
	struct seen other = look(table, NODE_ROOT, "c", handled(11, 5 + 1024));
	struct seen without = look(table, NODE_ROOT, "d", key(12));
	uint64_t both = UINT64_C(1) << a.id | UINT64_C(1) << link.id;
	struct seen newer;

	(void)state;
	assert_int_equal(with_handle(table, 5), both);
	assert_int_equal(with_handle(table, 5 + 1024), UINT64_C(1) << other.id);
	assert_int_equal(with_handle(table, 0), 0);
	assert_true(node_has_handle(table, 5, 0));
	assert_true(node_has_handle(table, 7, 5));
	assert_false(node_has_handle(table, 0, 0));
	assert_false(node_has_handle(table, 7, 0));
	/* Another file takes the name: the node lives on, and is still found by its file.
	 */
	newer = look(table, NODE_ROOT, "a", handled(13, 9));
	assert_int_equal(with_handle(table, 5), both);
	assert_int_equal(with_handle(table, 9), UINT64_C(1) << newer.id);
	/* Buckets are doubled several times. */
	for (uint32_t i = 0; i < 10000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%u", i);
		look(table, NODE_ROOT, name, handled(100 + i, 100000 + i));
	}
	assert_int_equal(with_handle(table, 5), both);
	for (uint32_t i = 0; i < 10000; i++)
		assert_true(node_has_handle(table, 100000 + i, 0));
	node_forget(table, a.id, 1);
	assert_int_equal(with_handle(table, 5), UINT64_C(1) << link.id);
	node_forget(table, link.id, 1);
	node_forget(table, without.id, 1);
	assert_false(node_has_handle(table, 5, 0));
	node_table_free(table);
}

static void test_places(void **state)
{
	struct node_table *table = new_table(16);
	struct seen dir = look(table, NODE_ROOT, "dir", directory(2));
	struct seen file = look(table, dir.id, "file", key(10));
	char name[NAME_MAX + 1];
	struct node_key found;
	uint64_t parent;

	(void)state;
	assert_int_equal(node_place(table, file.id, &parent, name), 0);
	assert_int_equal(parent, dir.id);
	assert_string_equal(name, "file");
	assert_int_equal(node_place(table, NODE_ROOT, &parent, name), -ESTALE);
	assert_int_equal(node_place(table, 15, &parent, name), -ESTALE);
	assert_int_equal(node_child(table, dir.id, "file", &found), file.id);
	assert_int_equal(found.inode, 10);
	assert_int_equal(node_child(table, NODE_ROOT, "file", NULL), 0);
	assert_int_equal(node_child(table, 15, "file", NULL), 0);
	/* The name leads to another node now, and the old one still knows its place. */
	look(table, dir.id, "file", key(11));
	assert_int_not_equal(node_child(table, dir.id, "file", NULL), file.id);
	assert_int_equal(node_place(table, file.id, &parent, name), 0);
	node_table_free(table);
}

/*
 * Names above NAME_MAX exist: 255 UTF-16 units of vfat, exfat or ntfs are up to 765 bytes,
 * and since Linux 6.15 FUSE hands names of up to 4095 bytes on. They must be refused, not
 * written behind the largest slot.
 */
static void test_too_long_name(void **state)
{
	struct node_table *table = new_table(16);
	struct node_key file = key(10);
	uint64_t id, generation;
	char name[766];
	struct seen neighbour;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[NAME_MAX] = '\0';
	neighbour = look(table, NODE_ROOT, name, key(11));
	name[NAME_MAX] = 'x';
	for (size_t len = NAME_MAX + 1; len < sizeof(name); len += 50) {
		name[len] = '\0';
		assert_int_equal(
			node_lookup(table, NODE_ROOT, name, &file, &id, &generation),
			-ENAMETOOLONG);
		name[len] = 'x';
	}
	assert_int_equal(count(table), 2);
	assert_true(is_live(table, neighbour.id));
	node_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_same_name_same_node),
		cmocka_unit_test(test_forget_counts),
		cmocka_unit_test(test_forget_too_many),
		cmocka_unit_test(test_ids_that_are_not),
		cmocka_unit_test(test_generation_tells_reuse),
		cmocka_unit_test(test_children_hold_parents),
		cmocka_unit_test(test_changed_file_gets_new_node),
		cmocka_unit_test(test_replaced_directory),
		cmocka_unit_test(test_same_name_in_other_directories),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_deep_path),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_stamp),
		cmocka_unit_test(test_key_of_statx),
		cmocka_unit_test(test_ino_unique),
		cmocka_unit_test(test_a_million),
		cmocka_unit_test(test_churn_is_bounded),
		cmocka_unit_test(test_grows_in_steps),
		cmocka_unit_test(test_no_memory_to_grow),
		cmocka_unit_test(test_no_memory_at_all),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_too_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
