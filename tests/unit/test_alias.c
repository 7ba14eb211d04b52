/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links that pair bytecode with another source: what they mark, what they leave alone,
 * and that in doubt nobody is told of the link. A pyc that stays unmarked here would be
 * vouched for beside the wrong source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "cache/tree/alias.h"
#include "tests/unit/inject.h"
#include "tests/unit/scratch.h"

/* ---- files ---- */

#define M "m.cpython-311.pyc"
#define N "n.cpython-311.pyc"

/*
 * BASE/image is the tree, @fd is open on it; its readers see it at /view. BASE/host is
 * the readers' root.
 */
struct fixture {
	char base[SCRATCH_MAX];
	int fd;
	struct tree tree;
	struct alias_set *set;
};

static void make_dirs(struct fixture *fixture, const char *path)
{
	char part[128];

	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		mkdirat(fixture->fd, part, 0755);
	}
}

static void put(struct fixture *fixture, const char *path)
{
	scope_fd int fd = -1;

	make_dirs(fixture, path);
	fd = openat(fixture->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
}

static void link_to(struct fixture *fixture, const char *path, const char *target)
{
	make_dirs(fixture, path);
	assert_int_equal(symlinkat(target, fixture->fd, path), 0);
}

/* a has a pyc with its source, b the same source file once more, of its own. */
static void put_usual(struct fixture *fixture)
{
	put(fixture, "a/m.py");
	put(fixture, "a/__pycache__/" M);
	put(fixture, "b/m.py");
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char image[80], host[80];

	*state = fixture;
	scratch_make(fixture->base, "alias");
	chmod(fixture->base, 0755);
	snprintf(image, sizeof(image), "%s/image", fixture->base);
	snprintf(host, sizeof(host), "%s/host", fixture->base);
	mkdir(image, 0755);
	mkdir(host, 0755);
	fixture->fd = open(image, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->set = alias_set_new();
	return fixture->set ? tree_open(&fixture->tree, image, host, "/view") : -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	no_memory = false;
	alias_set_free(fixture->set);
	tree_close(&fixture->tree);
	close(fixture->fd);
	scratch_remove(fixture->base);
	free(fixture);
	return 0;
}

/* ---- what a check says ---- */

/* What alias_check() reported; it fails with @error at report number @fail_at. */
struct reports {
	struct alias_set *set;
	int count;
	int fail_at;
	int error;
	bool was_marked;
};

static int found(void *context, uint64_t device, uint64_t inode)
{
	struct reports *reports = context;

	reports->was_marked |= alias_set_has(reports->set, device, inode);
	return ++reports->count == reports->fail_at ? reports->error : 0;
}

/* That the check of the link succeeds and reports @expected files, none marked before. */
static void assert_check(struct fixture *fixture, const char *path, int expected)
{
	struct reports reports = {.set = fixture->set};

	assert_int_equal(alias_check(fixture->set, &fixture->tree, path, found, &reports),
			 0);
	assert_int_equal(reports.count, expected);
	assert_false(reports.was_marked);
}

static bool is_marked(struct fixture *fixture, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(fixture->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return alias_set_has(fixture->set, st.st_dev, st.st_ino);
}

/* ---- names ---- */

static void test_link_names(void **state)
{
	static const char *const yes[] = {
		"__pycache__", "m.pyc", "m.pyo", M, "m.cpython-311.opt-1.pyc", ".pyc",
	};
	static const char *const no[] = {
		"",	  "pycache", "__pycache", "__pycache__x", "m.py", "pyc",
		"m.pyc~", "m.PYC",   "m",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(alias_is_link_name(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(alias_is_link_name(no[i]));
}

/* ---- what is marked ---- */

static void test_link_to_directory(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	put(fixture, "a/n.py");
	put(fixture, "a/__pycache__/" N); /* nobody's beside the link */
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_false(is_marked(fixture, "a/__pycache__/" M));
	assert_check(fixture, "b/__pycache__", 1);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
	assert_false(is_marked(fixture, "a/__pycache__/" N));
	assert_false(is_marked(fixture, "a/m.py"));
	assert_false(is_marked(fixture, "b/m.py"));
}

static void test_link_to_file(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	link_to(fixture, "b/__pycache__/" M, "../../a/__pycache__/" M);
	assert_check(fixture, "b/__pycache__/" M, 1);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
}

static void test_at_the_root(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	put(fixture, "m.py");
	link_to(fixture, "__pycache__", "a/__pycache__");
	assert_check(fixture, "__pycache__", 1);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
}

/* To the link's own directory or to one above it: no name stands at the target's end. */
static void test_link_up(void **state)
{
	static const char *const targets[] = {".",    "./",    "..",	 "../",	    "..//",
					      "../.", "../..", "../../", "../../b/"};
	struct fixture *fixture = *state;
	struct stat st;

	put(fixture, "b/x/m.py");
	put(fixture, "b/x/" M);
	put(fixture, "b/" M);
	put(fixture, M);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		link_to(fixture, "b/x/__pycache__", targets[i]);
		assert_int_equal(fstatat(fixture->fd, "b/x/__pycache__/" M, &st, 0), 0);
		assert_check(fixture, "b/x/__pycache__", 1);
		assert_true(alias_set_has(fixture->set, st.st_dev, st.st_ino));
		assert_int_equal(unlinkat(fixture->fd, "b/x/__pycache__", 0), 0);
		alias_set_free(fixture->set);
		fixture->set = alias_set_new();
	}
}

/* A link in the same directory under another name: n.py is not m.py. */
static void test_beside(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	put(fixture, "a/n.py");
	link_to(fixture, "a/__pycache__/" N, M);
	assert_check(fixture, "a/__pycache__/" N, 1);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
}

/* The same source on both sides, by a link or by its inode: what Nix does. */
static void test_link_farm(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "a/m.py");
	put(fixture, "a/__pycache__/" M);
	link_to(fixture, "b/m.py", "../a/m.py");
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	link_to(fixture, "c/m.py", "/view/a/m.py");
	link_to(fixture, "c/__pycache__/" M, "/view/a/__pycache__/" M);
	make_dirs(fixture, "d/");
	assert_int_equal(linkat(fixture->fd, "a/m.py", fixture->fd, "d/m.py", 0), 0);
	link_to(fixture, "d/__pycache__", "../a/__pycache__");
	assert_check(fixture, "b/__pycache__", 0);
	assert_check(fixture, "c/__pycache__/" M, 0);
	assert_check(fixture, "d/__pycache__", 0);
	assert_false(is_marked(fixture, "a/__pycache__/" M));
}

/* Nothing beside the link: Python compares nothing. */
static void test_no_source_beside_link(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	link_to(fixture, "c/__pycache__", "../a/__pycache__");
	link_to(fixture, "c/m.pyc", "../a/__pycache__/" M);
	assert_check(fixture, "c/__pycache__", 0);
	assert_check(fixture, "c/m.pyc", 0);
}

/* Nothing beside the pyc itself: it is the reader's source that it is held against. */
static void test_no_source_beside_pyc(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "store/1a2b.pyc");
	put(fixture, "store/blob");
	put(fixture, "b/m.py");
	link_to(fixture, "b/__pycache__/" M, "../../store/1a2b.pyc");
	link_to(fixture, "b/m.pyc", "../store/blob"); /* no pyc by name */
	assert_check(fixture, "b/__pycache__/" M, 1);
	assert_check(fixture, "b/m.pyc", 1);
	assert_true(is_marked(fixture, "store/1a2b.pyc"));
	assert_true(is_marked(fixture, "store/blob"));
}

/* A source that cannot be looked at may be any, also where both cannot be. */
static void test_source_unknown(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "a/m.py");
	put(fixture, "a/__pycache__/" M);
	link_to(fixture, "a/n.py", "n.py");
	put(fixture, "a/__pycache__/" N);
	link_to(fixture, "b/m.py", "m.py");
	link_to(fixture, "b/n.py", "n.py");
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_check(fixture, "b/__pycache__", 2);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
	assert_true(is_marked(fixture, "a/__pycache__/" N));
}

/* The reader's source may lie outside of the tree; it is another one all the same. */
static void test_source_outside(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "a/m.py");
	put(fixture, "a/__pycache__/" M);
	put(fixture, "../host/m.py");
	link_to(fixture, "b/m.py", "/m.py");
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_check(fixture, "b/__pycache__", 1);
}

/* A user's link leads root to a pyc that the user cannot read: root could run it. */
static void test_link_of_a_user(void **state)
{
	struct fixture *fixture = *state;

	if (geteuid() != 0)
		skip();
	put_usual(fixture);
	assert_int_equal(fchmodat(fixture->fd, "a/__pycache__/" M, 0600, 0), 0);
	assert_int_equal(fchmodat(fixture->fd, "a", 0700, 0), 0);
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_int_equal(
		fchownat(fixture->fd, "b/__pycache__", 1000, 1000, AT_SYMLINK_NOFOLLOW), 0);
	assert_check(fixture, "b/__pycache__", 1);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
}

static void test_outside(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	put(fixture, "../host/cache/" M);
	link_to(fixture, "b/__pycache__", "/cache");
	link_to(fixture, "b/m.pyc", "../../cache/" M);
	assert_check(fixture, "b/__pycache__", 0);
	assert_check(fixture, "b/m.pyc", 0);
	assert_false(is_marked(fixture, "../host/cache/" M));
}

/* The directory is of the tree, one of its files is not. */
static void test_outside_by_two_links(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	put(fixture, "../host/cache/" N);
	put(fixture, "b/n.py");
	link_to(fixture, "a/__pycache__/" N, "/cache/" N);
	link_to(fixture, "b/__pycache__", "/view/a/__pycache__");
	assert_check(fixture, "b/__pycache__", 1);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
	assert_false(is_marked(fixture, "../host/cache/" N));
}

static void test_legacy(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "a/m.py");
	put(fixture, "a/m.pyc");
	put(fixture, "b/m.py");
	link_to(fixture, "b/m.pyc", "../a/m.pyc");
	link_to(fixture, "c/m.py", "../a/m.py");
	link_to(fixture, "c/m.pyc", "../a/m.pyc");
	assert_check(fixture, "c/m.pyc", 0);
	assert_check(fixture, "b/m.pyc", 1);
	assert_true(is_marked(fixture, "a/m.pyc"));
}

/* __pycache__ as a link to a directory of another name: in there the names are legacy. */
static void test_cache_of_another_name(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "cache/" M);
	put(fixture, "b/m.py");
	link_to(fixture, "b/__pycache__", "../cache");
	link_to(fixture, "c/__pycache__", "../cache");
	link_to(fixture, "c/m.py", "../b/m.py");
	assert_check(fixture, "b/__pycache__", 1);
	assert_true(is_marked(fixture, "cache/" M));
}

#define PYTEST "m.cpython-311-pytest-7.4.3.pyc"

/* In a directory: what is not bytecode by name, what pairs with nothing, what is no file.
 */
static void test_odd_names(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	put(fixture, "a/__pycache__/m.pyc");
	put(fixture, "a/__pycache__/m.py");
	put(fixture, "a/__pycache__/README");
	put(fixture, "a/__pycache__/" PYTEST);
	put(fixture, "a/__pycache__/m.cpython-39.pyc/" M);
	assert_int_equal(mkfifoat(fixture->fd, "a/__pycache__/m.cpython-38.pyc", 0644), 0);
	link_to(fixture, "a/__pycache__/m.cpython-37.pyc", "none");
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_check(fixture, "b/__pycache__", 2);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
	assert_true(is_marked(fixture, "a/__pycache__/" PYTEST));
	assert_false(is_marked(fixture, "a/__pycache__/m.pyc"));
}

static void test_odd_link(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	link_to(fixture, "b/__pycache__/m.pyc", "../../a/__pycache__/" M);
	assert_check(fixture, "b/__pycache__/m.pyc", 0);
	link_to(fixture, "b/__pycache__/" PYTEST, "../../a/__pycache__/" M);
	assert_check(fixture, "b/__pycache__/" PYTEST, 1);
}

static void test_links_to_links(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "z/m.py");
	put(fixture, "z/__pycache__/" M);
	put(fixture, "a/m.py");
	link_to(fixture, "a/__pycache__/" M, "../../z/__pycache__/" M);
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	link_to(fixture, "b/m.py", "../z/m.py");
	put(fixture, "c/m.py");
	link_to(fixture, "c/__pycache__", "../b/__pycache__");
	/* b pairs z's pyc with z's source, whatever is beside the link in between. */
	assert_check(fixture, "b/__pycache__", 0);
	assert_check(fixture, "c/__pycache__", 1);
	assert_true(is_marked(fixture, "z/__pycache__/" M));
	assert_false(is_marked(fixture, "a/__pycache__/" M)); /* the link itself */
}

static void test_leads_nowhere(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	assert_int_equal(mkfifoat(fixture->fd, "fifo", 0644), 0);
	link_to(fixture, "b/__pycache__", "../none/__pycache__");
	link_to(fixture, "b/m.pyc", "/none");
	link_to(fixture, "b/n.pyc", "n.pyc");
	link_to(fixture, "b/o.pyc", "../fifo");
	link_to(fixture, "b/p.pyc", "../a/m.py/");
	assert_check(fixture, "b/__pycache__", 0);
	assert_check(fixture, "b/m.pyc", 0);
	assert_check(fixture, "b/n.pyc", 0);
	assert_check(fixture, "b/o.pyc", 0);
	assert_check(fixture, "b/p.pyc", 0);
	assert_check(fixture, "b/none.pyc", 0); /* gone meanwhile */
}

static void test_marked_only_once(void **state)
{
	struct fixture *fixture = *state;

	put_usual(fixture);
	put(fixture, "c/m.py");
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	link_to(fixture, "c/__pycache__/" M, "../../a/__pycache__/" M);
	assert_check(fixture, "b/__pycache__", 1);
	assert_check(fixture, "b/__pycache__", 0);
	assert_check(fixture, "c/__pycache__/" M, 0);
	/* For good, also where the reason is gone. */
	assert_int_equal(unlinkat(fixture->fd, "b/m.py", 0), 0);
	assert_int_equal(unlinkat(fixture->fd, "c/m.py", 0), 0);
	assert_check(fixture, "b/__pycache__", 0);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
}

/* ---- many ---- */

#define MANY 300

/* MANY pycs in a/__pycache__; b has sources for the even ones. */
static void put_many(struct fixture *fixture)
{
	char path[64];

	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "a/__pycache__/m%d.cpython-311.pyc", i);
		put(fixture, path);
		snprintf(path, sizeof(path), "b/m%d.py", i);
		if (i % 2 == 0)
			put(fixture, path);
	}
}

static void test_many(void **state)
{
	struct fixture *fixture = *state;
	struct stat st;
	char path[64];

	put_many(fixture);
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_check(fixture, "b/__pycache__", MANY / 2);
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "a/__pycache__/m%d.cpython-311.pyc", i);
		assert_int_equal(is_marked(fixture, path), i % 2 == 0);
		assert_int_equal(fstatat(fixture->fd, path, &st, 0), 0);
		assert_false(alias_set_has(fixture->set, st.st_dev + 1, st.st_ino));
		assert_false(alias_set_has(fixture->set, st.st_dev - 1, st.st_ino));
	}
	assert_check(fixture, "b/__pycache__", 0);
}

static void test_empty_set(void **state)
{
	struct fixture *fixture = *state;

	assert_false(alias_set_has(fixture->set, 0, 0));
	assert_false(alias_set_has(fixture->set, UINT64_MAX, UINT64_MAX));
	alias_set_free(NULL);
}

/* ---- failures: nobody is told of the link ---- */

static void test_found_fails(void **state)
{
	struct fixture *fixture = *state;
	struct reports reports = {.set = fixture->set, .fail_at = 1, .error = -EXFULL};

	put_usual(fixture);
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_int_equal(
		alias_check(fixture->set, &fixture->tree, "b/__pycache__", found, &reports),
		-EXFULL);
	assert_false(is_marked(fixture, "a/__pycache__/" M));
	/* Asked again, it is reported again. */
	assert_check(fixture, "b/__pycache__", 1);
	assert_true(is_marked(fixture, "a/__pycache__/" M));
}

/* The check ends at the first failure; what was marked before stays. */
static void test_found_fails_later(void **state)
{
	struct fixture *fixture = *state;
	struct reports reports = {.set = fixture->set, .fail_at = 10, .error = -ENOMEM};

	put_many(fixture);
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_int_equal(
		alias_check(fixture->set, &fixture->tree, "b/__pycache__", found, &reports),
		-ENOMEM);
	assert_int_equal(reports.count, 10);
	assert_check(fixture, "b/__pycache__", MANY / 2 - 9);
}

static void test_no_memory(void **state)
{
	struct fixture *fixture = *state;
	struct reports reports = {.set = fixture->set};
	int dir, file;

	put_usual(fixture);
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	link_to(fixture, "b/m.pyc", "../a/__pycache__/" M);
	no_memory = true;
	dir = alias_check(fixture->set, &fixture->tree, "b/__pycache__", found, &reports);
	file = alias_check(fixture->set, &fixture->tree, "b/m.pyc", found, &reports);
	no_memory = false;
	assert_int_equal(dir, -ENOMEM);
	assert_int_equal(file, -ENOMEM);
	assert_int_equal(reports.count, 0);
}

static void test_unreadable_directory(void **state)
{
	struct fixture *fixture = *state;
	struct reports reports = {.set = fixture->set};
	bool root = geteuid() == 0;
	int r;

	put_usual(fixture);
	link_to(fixture, "b/__pycache__", "../a/__pycache__");
	assert_int_equal(fchmodat(fixture->fd, "a/__pycache__", 0, 0), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	r = alias_check(fixture->set, &fixture->tree, "b/__pycache__", found, &reports);
	if (root)
		assert_int_equal(seteuid(0), 0);
	fchmodat(fixture->fd, "a/__pycache__", 0755, 0);
	assert_int_equal(r, -EACCES);
}

/* ---- many threads ---- */

#define THREADS 6
#define FILES	100

/* Each thread has a link of its own to the same directory. */
struct worker {
	struct fixture *fixture;
	_Atomic int *reports;
	int number;
	int wrong;
};

static int count_found(void *context, uint64_t device, uint64_t inode)
{
	(void)device, (void)inode;
	++*((struct worker *)context)->reports;
	return 0;
}

static void *check_own_link(void *argument)
{
	struct worker *worker = argument;
	struct fixture *fixture = worker->fixture;
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "t%d/__pycache__", worker->number);
	worker->wrong +=
		alias_check(fixture->set, &fixture->tree, path, count_found, worker) != 0;
	/* Whoever marked them: when the check ends, all of them are. */
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "a/__pycache__/m%d.cpython-311.pyc", i);
		worker->wrong += fstatat(fixture->fd, path, &st, 0) != 0 ||
				 !alias_set_has(fixture->set, st.st_dev, st.st_ino);
	}
	return NULL;
}

static void put_crowd(struct fixture *fixture)
{
	char path[64];

	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "a/__pycache__/m%d.cpython-311.pyc", i);
		put(fixture, path);
		for (int thread = 0; thread < THREADS; thread++) {
			snprintf(path, sizeof(path), "t%d/m%d.py", thread, i);
			put(fixture, path);
		}
	}
	for (int thread = 0; thread < THREADS; thread++) {
		snprintf(path, sizeof(path), "t%d/__pycache__", thread);
		link_to(fixture, path, "../a/__pycache__");
	}
}

static void test_threads(void **state)
{
	struct fixture *fixture = *state;
	struct worker worker[THREADS];
	pthread_t thread[THREADS];
	_Atomic int reports = 0;

	put_crowd(fixture);
	for (int i = 0; i < THREADS; i++) {
		worker[i] = (struct worker){
			.fixture = fixture, .reports = &reports, .number = i};
		assert_int_equal(
			pthread_create(&thread[i], NULL, check_own_link, &worker[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(worker[i].wrong, 0);
	/* Two threads may report one file; each file is reported. */
	assert_in_range(reports, FILES, THREADS * FILES);
	assert_check(fixture, "t0/__pycache__", 0);
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_names),
		PLAIN(test_link_to_directory),
		PLAIN(test_link_to_file),
		PLAIN(test_at_the_root),
		PLAIN(test_link_up),
		PLAIN(test_beside),
		PLAIN(test_link_farm),
		PLAIN(test_no_source_beside_link),
		PLAIN(test_no_source_beside_pyc),
		PLAIN(test_source_unknown),
		PLAIN(test_source_outside),
		PLAIN(test_link_of_a_user),
		PLAIN(test_outside),
		PLAIN(test_outside_by_two_links),
		PLAIN(test_legacy),
		PLAIN(test_cache_of_another_name),
		PLAIN(test_odd_names),
		PLAIN(test_odd_link),
		PLAIN(test_links_to_links),
		PLAIN(test_leads_nowhere),
		PLAIN(test_marked_only_once),
		PLAIN(test_many),
		PLAIN(test_empty_set),
		PLAIN(test_found_fails),
		PLAIN(test_found_fails_later),
		PLAIN(test_no_memory),
		PLAIN(test_unreadable_directory),
		PLAIN(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
