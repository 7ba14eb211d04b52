/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over a tree: every name exactly once, by any number of threads, whatever the
 * tree is like; a directory with its cache; its order, its ends and its errors.
 */
#include "cache/tree/walk.h"

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
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "base/scope.h"
#include "tests/unit/scratch.h"

#define MAX_PATHS 4096
#define MANY	  8
#define NOBODY	  65534

struct paths {
	char *path[MAX_PATHS];
	size_t count;
};

/* What the callbacks were told. */
struct seen {
	pthread_mutex_t lock;
	struct paths dirs;
	struct paths names; /* in them and in their caches */
	size_t with_cache;
	struct paths errors;
	int last_error;
	unsigned workers; /* that were used, a bit each */
	bool busy[WALK_THREADS_MAX];
	bool overlapped; /* one worker, two visits */
	int lowest_fd, highest_fd;
	bool elsewhere; /* a visit was by another thread than the test's */
};

static struct fixture {
	char path[SCRATCH_MAX];
	int fd;
	struct tree tree;
	struct paths made; /* all that is in the tree */
	struct seen seen;
	pthread_t thread;
	const char *stop_at;	     /* a visit of this path ends the walk */
	void (*meanwhile)(void);     /* during the visit of the root */
	_Atomic bool waits_for_tick; /* visits do */
	_Atomic unsigned ticks;
} fixture;

/* ---- trees ---- */

static void add_path(struct paths *paths, char *path)
{
	assert_non_null(path);
	assert_true(paths->count < MAX_PATHS);
	paths->path[paths->count++] = path;
}

static void clear_paths(struct paths *paths)
{
	while (paths->count > 0)
		free(paths->path[--paths->count]);
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdirat(fixture.fd, name, 0755), 0);
	add_path(&fixture.made, strdup(name));
}

static void make_file(const char *name)
{
	int fd = openat(fixture.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
	add_path(&fixture.made, strdup(name));
}

static void make_link(const char *target, const char *name)
{
	assert_int_equal(symlinkat(target, fixture.fd, name), 0);
	add_path(&fixture.made, strdup(name));
}

static int setup(void **state)
{
	(void)state;
	fixture = (struct fixture){.seen.lock = PTHREAD_MUTEX_INITIALIZER};
	scratch_make(fixture.path, "walk");
	fixture.fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture.thread = pthread_self();
	return tree_open(&fixture.tree, fixture.path, "/", fixture.path);
}

static void forget(void)
{
	clear_paths(&fixture.seen.dirs);
	clear_paths(&fixture.seen.names);
	clear_paths(&fixture.seen.errors);
	fixture.seen =
		(struct seen){.lock = PTHREAD_MUTEX_INITIALIZER, .lowest_fd = INT_MAX};
	fixture.ticks = 0;
}

static int teardown(void **state)
{
	(void)state;
	forget();
	clear_paths(&fixture.made);
	tree_close(&fixture.tree);
	close(fixture.fd);
	scratch_remove(fixture.path);
	return 0;
}

/* ---- callbacks ---- */

static void see_dir(struct seen *seen, const struct walk_dir *dir)
{
	if (dir->fd < 0) {
		assert_int_equal(dir->count, 0);
		return;
	}
	for (size_t i = 0; i < dir->count; i++)
		add_path(&seen->names, path_join(dir->path, dir->entries[i].name));
	if (dir->fd < seen->lowest_fd)
		seen->lowest_fd = dir->fd;
	if (dir->fd > seen->highest_fd)
		seen->highest_fd = dir->fd;
}

/* Long enough for others to come, or until there was a tick; once, ten seconds at most. */
static void linger(void)
{
	int left = 100000;

	do
		usleep(100);
	while (fixture.waits_for_tick && fixture.ticks == 0 && --left > 0);
	if (left == 0)
		fixture.waits_for_tick = false;
}

static int visit(void *context, unsigned worker, const struct walk_dir *dir,
		 const struct walk_dir *cache)
{
	struct seen *seen = context;

	pthread_mutex_lock(&seen->lock);
	seen->overlapped |= seen->busy[worker];
	seen->busy[worker] = true;
	seen->workers |= 1u << worker;
	seen->elsewhere |= !pthread_equal(pthread_self(), fixture.thread);
	add_path(&seen->dirs, strdup(dir->path));
	see_dir(seen, dir);
	see_dir(seen, cache);
	seen->with_cache += cache->fd >= 0;
	if (fixture.meanwhile && strcmp(dir->path, ".") == 0)
		fixture.meanwhile();
	pthread_mutex_unlock(&seen->lock);
	linger();
	pthread_mutex_lock(&seen->lock);
	seen->busy[worker] = false;
	pthread_mutex_unlock(&seen->lock);
	return fixture.stop_at && strcmp(dir->path, fixture.stop_at) == 0 ? 7 : 0;
}

static void see_error(void *context, const char *path, int error)
{
	struct seen *seen = context;

	pthread_mutex_lock(&seen->lock);
	add_path(&seen->errors, strdup(path));
	seen->last_error = error;
	pthread_mutex_unlock(&seen->lock);
}

static void tick(void *context)
{
	(void)context;
	assert_true(pthread_equal(pthread_self(), fixture.thread));
	fixture.ticks++;
}

/* ---- what was seen ---- */

static struct walk walk_of(unsigned threads)
{
	forget();
	return (struct walk){
		.tree = &fixture.tree,
		.threads = threads,
		.visit = visit,
		.error = see_error,
		.context = &fixture.seen,
	};
}

static int walk_from(unsigned threads, bool with_cache, const char *start)
{
	struct walk walk = walk_of(threads);

	walk.with_cache = with_cache;
	return walk_run(&walk, start);
}

static size_t times_in(const struct paths *paths, const char *path)
{
	size_t times = 0;

	for (size_t i = 0; i < paths->count; i++)
		times += strcmp(paths->path[i], path) == 0;
	return times;
}

static size_t times_seen(const char *path)
{
	return times_in(&fixture.seen.dirs, path);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(struct paths *paths)
{
	if (paths->count > 0)
		qsort(paths->path, paths->count, sizeof(paths->path[0]), compare_paths);
}

static void assert_all_seen_once(void)
{
	sort(&fixture.made);
	sort(&fixture.seen.names);
	assert_int_equal(fixture.seen.names.count, fixture.made.count);
	for (size_t i = 0; i < fixture.made.count; i++)
		assert_string_equal(fixture.seen.names.path[i], fixture.made.path[i]);
	assert_int_equal(fixture.seen.errors.count, 0);
	assert_false(fixture.seen.overlapped);
}

/* By one thread and by many, with caches and without. */
static void assert_walks_see_all(size_t dirs)
{
	for (unsigned threads = 1; threads <= MANY; threads += MANY - 1) {
		for (int with_cache = 0; with_cache <= 1; with_cache++) {
			assert_int_equal(walk_from(threads, with_cache, "."), 0);
			assert_all_seen_once();
			assert_int_equal(fixture.seen.dirs.count + fixture.seen.with_cache,
					 dirs);
			assert_true(fixture.seen.workers < 1u << threads);
		}
	}
}

static void assert_order(const char *const *dirs, size_t count)
{
	assert_int_equal(fixture.seen.dirs.count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(fixture.seen.dirs.path[i], dirs[i]);
}

/* ---- every name once ---- */

static void test_empty_tree(void **state)
{
	(void)state;
	assert_walks_see_all(1);
	assert_int_equal(times_seen("."), 1);
}

static void test_wide_tree(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		make_dir(name);
		for (int j = 0; j < 30; j++) {
			snprintf(name, sizeof(name), "d%d/e%d", i, j);
			make_dir(name);
			snprintf(name, sizeof(name), "d%d/e%d/file", i, j);
			make_file(name);
		}
	}
	assert_walks_see_all(1 + 30 + 900);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "d%d/e%d", i, i);
		assert_int_equal(times_seen(name), 1);
	}
}

/* Deeper than one call of the kernel takes; and no descriptor stays open on the way. */
static void test_deep_tree(void **state)
{
	scope_free char *path = strdup(".");
	scope_fd int dir = dup(fixture.fd);
	char name[151];

	(void)state;
	memset(name, 'd', 150);
	name[150] = '\0';
	for (int i = 0; i < 40; i++) {
		char *below = path_join(path, name);
		int fd;

		assert_int_equal(mkdirat(dir, name, 0755), 0);
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0);
		close_fd(&dir);
		dir = fd;
		free(path);
		path = below;
		add_path(&fixture.made, strdup(path));
	}
	assert_true(strlen(path) > PATH_MAX);
	assert_walks_see_all(41);
	assert_int_equal(times_seen(path), 1);
	assert_int_equal(walk_from(1, false, "."), 0);
	assert_true(fixture.seen.highest_fd - fixture.seen.lowest_fd < 4);
}

static void test_odd_names(void **state)
{
	static const char *const names[] = {"a\nb", "\xff\xfe", " ", "...",
					    "*",    "-r",	"\\"};
	char path[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		make_dir(names[i]);
		snprintf(path, sizeof(path), "%s/%s", names[i], names[i]);
		make_file(path);
	}
	assert_walks_see_all(1 + ARRAY_SIZE(names));
}

/* Longer than one call returns, and than one buffer holds. */
static void test_large_directory(void **state)
{
	char name[256];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "%0150d", i);
		make_file(name);
	}
	assert_walks_see_all(1);
}

static void test_links_are_not_followed(void **state)
{
	(void)state;
	make_dir("a");
	make_link("..", "a/up");
	make_link("a", "__pycache__");
	assert_walks_see_all(2);
	assert_int_equal(fixture.seen.with_cache, 0);
}

/* ---- caches ---- */

static void make_caches(void)
{
	make_dir("a");
	make_dir("a/__pycache__");
	make_file("a/__pycache__/m.pyc");
	make_dir("a/__pycache__/sub");
	make_dir("a/__pycache__/__pycache__");
}

/* A __pycache__ comes with its directory, and once; what is below it comes, too. */
static void test_cache_comes_along(void **state)
{
	(void)state;
	make_caches();
	assert_walks_see_all(5);
	assert_int_equal(walk_from(2, true, "."), 0);
	assert_int_equal(times_seen("a"), 1);
	assert_int_equal(times_seen("a/__pycache__"), 0);
	assert_int_equal(times_seen("a/__pycache__/sub"), 1);
	assert_int_equal(times_seen("a/__pycache__/__pycache__"), 1);
	assert_int_equal(fixture.seen.with_cache, 1);
	assert_int_equal(walk_from(2, true, "a/__pycache__"), 0);
	assert_int_equal(times_seen("a/__pycache__"), 1);
	assert_int_equal(fixture.seen.with_cache, 1);
}

static void test_cache_alone(void **state)
{
	(void)state;
	make_caches();
	assert_int_equal(walk_from(2, false, "."), 0);
	assert_int_equal(fixture.seen.dirs.count, 5);
	assert_int_equal(times_seen("a/__pycache__"), 1);
	assert_int_equal(fixture.seen.with_cache, 0);
}

/* ---- order ---- */

static const char *const levels[] = {"b", "a", "c", "b/y", "b/x", "a/z", "b/y/m"};

static void make_levels(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		make_dir(levels[i]);
}

static void test_sorted(void **state)
{
	static const char *const dirs[] = {".",	  "a",	 "a/z",	  "b",
					   "b/x", "b/y", "b/y/m", "c"};
	struct walk walk = walk_of(1);

	(void)state;
	make_levels();
	walk.order = WALK_SORTED;
	assert_int_equal(walk_run(&walk, "."), 0);
	assert_order(dirs, ARRAY_SIZE(dirs));
}

/* Whoever is visited comes next after what is above it, or after what was found there. */
static void test_depth_first(void **state)
{
	(void)state;
	make_levels();
	assert_int_equal(walk_from(1, false, "."), 0);
	assert_all_seen_once();
	for (size_t i = 1; i < fixture.seen.dirs.count; i++) {
		const char *path = fixture.seen.dirs.path[i];

		if (strcmp(path, "b/y/m") == 0)
			assert_string_equal(fixture.seen.dirs.path[i - 1], "b/y");
		if (strcmp(path, "a/z") == 0)
			assert_string_equal(fixture.seen.dirs.path[i - 1], "a");
	}
}

/* ---- the end ---- */

static void test_stop(void **state)
{
	static const char *const dirs[] = {".", "a", "a/z", "b"};
	struct walk walk = walk_of(1);

	(void)state;
	make_levels();
	fixture.stop_at = "b";
	walk.order = WALK_SORTED;
	assert_int_equal(walk_run(&walk, "."), 7);
	assert_order(dirs, ARRAY_SIZE(dirs));
	assert_int_equal(walk_from(MANY, false, "."), 7);
	assert_int_equal(times_seen("b/x") + times_seen("b/y"), 0);
}

static void test_start_that_is_not_there(void **state)
{
	struct walk walk = walk_of(2);

	(void)state;
	assert_int_equal(walk_run(&walk, "nowhere"), 0);
	assert_int_equal(fixture.seen.dirs.count, 0);
	assert_int_equal(times_in(&fixture.seen.errors, "nowhere"), 1);
	assert_int_equal(fixture.seen.last_error, -ENOENT);
	walk.error = NULL;
	assert_int_equal(walk_run(&walk, "nowhere"), 0);
}

/* ---- errors ---- */

/* Root may read everything: then the walk is somebody else's. */
static void test_unreadable(void **state)
{
	bool is_root = geteuid() == 0;

	(void)state;
	make_dir("a");
	make_dir("a/closed");
	make_dir("a/closed/inside");
	make_dir("a/__pycache__");
	make_dir("b");
	assert_int_equal(fchmod(fixture.fd, 0755), 0);
	assert_int_equal(fchmodat(fixture.fd, "a/closed", 0, 0), 0);
	assert_int_equal(fchmodat(fixture.fd, "a/__pycache__", 0, 0), 0);
	for (unsigned threads = 1; threads <= MANY; threads += MANY - 1) {
		if (is_root && seteuid(NOBODY) < 0)
			skip();
		assert_int_equal(walk_from(threads, true, "."), 0);
		if (is_root)
			assert_int_equal(seteuid(0), 0);
		assert_int_equal(fixture.seen.dirs.count, 3);
		assert_int_equal(fixture.seen.with_cache, 0);
		assert_int_equal(fixture.seen.errors.count, 2);
		assert_int_equal(times_in(&fixture.seen.errors, "a/closed"), 1);
		assert_int_equal(times_in(&fixture.seen.errors, "a/__pycache__"), 1);
		assert_int_equal(fixture.seen.last_error, -EACCES);
	}
	assert_int_equal(fchmodat(fixture.fd, "a/closed", 0755, 0), 0);
	assert_int_equal(fchmodat(fixture.fd, "a/__pycache__", 0755, 0), 0);
}

/* /proc is a mount in every tree that has one and is no copy. */
static void test_mounts_are_not_entered(void **state)
{
	struct tree root = {.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	struct walk walk = walk_of(2);

	(void)state;
	walk.tree = &root;
	assert_int_equal(walk_run(&walk, "proc"), 0);
	close(root.root_fd);
	assert_int_equal(fixture.seen.dirs.count, 0);
	assert_int_equal(fixture.seen.errors.count, 1);
	assert_int_equal(times_in(&fixture.seen.errors, "proc"), 1);
	assert_int_equal(fixture.seen.last_error, -EXDEV);
}

static void remove_dirs(void)
{
	assert_int_equal(unlinkat(fixture.fd, "gone", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture.fd, "file", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(fixture.fd, "link", AT_REMOVEDIR), 0);
	make_file("file");
	make_link("a", "link");
}

static void test_vanishing(void **state)
{
	(void)state;
	make_dir("a");
	fixture.meanwhile = remove_dirs;
	for (unsigned threads = 1; threads <= MANY; threads += MANY - 1) {
		unlinkat(fixture.fd, "file", 0);
		unlinkat(fixture.fd, "link", 0);
		make_dir("gone");
		make_dir("file");
		make_dir("link");
		assert_int_equal(walk_from(threads, false, "."), 0);
		assert_int_equal(fixture.seen.dirs.count, 2);
		assert_int_equal(times_seen("a"), 1);
		assert_int_equal(fixture.seen.errors.count, 3);
		assert_int_equal(times_in(&fixture.seen.errors, "gone"), 1);
		assert_int_equal(times_in(&fixture.seen.errors, "file"), 1);
		assert_int_equal(times_in(&fixture.seen.errors, "link"), 1);
	}
}

/* ---- threads ---- */

static void test_threads(void **state)
{
	(void)state;
	assert_int_equal(walk_threads(5), 5);
	assert_int_equal(walk_threads(100000), WALK_THREADS_MAX);
	assert_true(walk_threads(0) >= 1);
}

/* Who needs one thread only may have none to spare. */
static void test_own_thread(void **state)
{
	(void)state;
	make_levels();
	assert_int_equal(walk_from(1, false, "."), 0);
	assert_all_seen_once();
	assert_false(fixture.seen.elsewhere);
	assert_int_equal(walk_from(2, false, "."), 0);
	assert_all_seen_once();
	assert_true(fixture.seen.elsewhere);
}

/* The visits last until there was one. */
static void test_ticks(void **state)
{
	(void)state;
	make_levels();
	fixture.waits_for_tick = true;
	for (unsigned threads = 1; threads <= MANY; threads += MANY - 1) {
		struct walk walk = walk_of(threads);

		walk.tick = tick;
		assert_int_equal(walk_run(&walk, "."), 0);
		assert_true(fixture.ticks > 0);
		assert_all_seen_once();
		walk = walk_of(threads);
		walk.tick = tick;
		fixture.stop_at = "a/z";
		assert_int_equal(walk_run(&walk, "."), 7);
		assert_true(fixture.ticks > 0);
		fixture.stop_at = NULL;
	}
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TREE(test_empty_tree),
		WITH_TREE(test_wide_tree),
		WITH_TREE(test_deep_tree),
		WITH_TREE(test_odd_names),
		WITH_TREE(test_large_directory),
		WITH_TREE(test_links_are_not_followed),
		WITH_TREE(test_cache_comes_along),
		WITH_TREE(test_cache_alone),
		WITH_TREE(test_sorted),
		WITH_TREE(test_depth_first),
		WITH_TREE(test_stop),
		WITH_TREE(test_start_that_is_not_there),
		WITH_TREE(test_unreadable),
		WITH_TREE(test_mounts_are_not_entered),
		WITH_TREE(test_vanishing),
		cmocka_unit_test(test_threads),
		WITH_TREE(test_own_thread),
		WITH_TREE(test_ticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
