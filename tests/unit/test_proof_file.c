/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file with the proofs: whatever becomes of it, what was disproved is read, or it is
 * known that something could not be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/scope.h"
#include "cache/store/proof_file.h"
#include "tests/unit/scratch.h"

#define PY311 3495

struct fixture {
	char folder[SCRATCH_MAX];
	char path[96]; /* of the proofs */
	struct store_place place;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct reason why;
	char path[96];

	scratch_make(fixture->folder, "proofs");
	snprintf(path, sizeof(path), "%s/cache.db", fixture->folder);
	snprintf(fixture->path, sizeof(fixture->path), "%s/cache.db.proofs",
		 fixture->folder);
	assert_int_equal(store_place_open(&fixture->place, path, &why), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	store_place_close(&fixture->place);
	scratch_remove(fixture->folder);
	free(fixture);
	return 0;
}

static struct proof proof(uint64_t number, enum pyc_check result)
{
	return (struct proof){
		.source = {.low = number},
		.body = {.low = ~number},
		.magic = PY311,
		.result = result,
		.when_s = 1700000000,
		.interpreter = "CPython 3.11.7",
	};
}

static int record_proof(const struct fixture *fixture, const struct proof *one)
{
	struct proof_set set = {.count = 0};
	struct reason why;
	int r;

	assert_int_equal(proof_set_add(&set, one), 0);
	proof_set_seal(&set);
	r = proof_file_record(&fixture->place, &set, &why);
	proof_set_fini(&set);
	return r;
}

static int record(const struct fixture *fixture, uint64_t number, enum pyc_check result)
{
	const struct proof one = proof(number, result);

	return record_proof(fixture, &one);
}

static enum pyc_check find(const struct proof_book *book, uint64_t number)
{
	const struct proof key = proof(number, PYC_CHECK_OK);

	return proof_set_find(&book->set, key.source, key.body, PY311, 0);
}

/* What a reader finds of a number; the state is asserted. */
static enum pyc_check found(const struct fixture *fixture, uint64_t number)
{
	struct proof_book book;
	enum pyc_check result;

	proof_book_read(&book, &fixture->place);
	assert_int_equal(book.state, PROOFS_READ);
	result = find(&book, number);
	proof_book_fini(&book);
	return result;
}

static void assert_state(const struct fixture *fixture, enum proof_state state)
{
	struct proof_book book;

	proof_book_read(&book, &fixture->place);
	assert_int_equal(book.state, state);
	assert_int_equal(book.set.count > 0, state == PROOFS_READ);
	assert_int_equal(book.why.text[0] != '\0', state == PROOFS_UNREAD);
	proof_book_fini(&book);
}

static bool has_new_file(const struct fixture *fixture)
{
	char path[128];

	snprintf(path, sizeof(path), "%s.new", fixture->path);
	return access(path, F_OK) == 0;
}

/* ---- what comes back ---- */

static void test_recorded_and_read(void **state)
{
	struct fixture *fixture = *state;
	struct stat st;

	assert_state(fixture, PROOFS_NONE);
	assert_int_not_equal(access(fixture->path, F_OK), 0); /* a reader makes nothing */
	assert_int_equal(record(fixture, 1, PYC_CHECK_OK), 0);
	assert_int_equal(record(fixture, 2, PYC_CHECK_BAD), 0);
	assert_int_equal(found(fixture, 1), PYC_CHECK_OK);
	assert_int_equal(found(fixture, 2), PYC_CHECK_BAD);
	assert_int_equal(found(fixture, 3), PYC_CHECK_UNKNOWN);
	assert_int_equal(record(fixture, 2, PYC_CHECK_OK), 0); /* does not take it back */
	assert_int_equal(found(fixture, 2), PYC_CHECK_BAD);
	assert_int_equal(record(fixture, 1, PYC_CHECK_BAD), 0);
	assert_int_equal(found(fixture, 1), PYC_CHECK_BAD);
	assert_int_equal(stat(fixture->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_false(has_new_file(fixture));
}

static void test_the_later_proof_stays(void **state)
{
	struct fixture *fixture = *state;
	struct proof one = proof(1, PYC_CHECK_OK);
	struct proof_book book;

	for (int64_t when_s = 1; when_s <= 3; when_s++) {
		one.when_s = when_s == 3 ? 0 : when_s;
		assert_int_equal(record_proof(fixture, &one), 0);
	}
	proof_book_read(&book, &fixture->place);
	assert_int_equal(book.set.count, 1);
	assert_int_equal(book.set.proofs[0].when_s, 2);
	proof_book_fini(&book);
}

static void test_deleted(void **state)
{
	struct fixture *fixture = *state;
	struct reason why;

	assert_int_equal(proof_file_delete(&fixture->place, &why), -ENOENT);
	assert_int_equal(record(fixture, 1, PYC_CHECK_BAD), 0);
	assert_int_equal(truncate(fixture->path, 20), 0);
	assert_int_equal(proof_file_delete(&fixture->place, &why), 0);
	assert_state(fixture, PROOFS_NONE);
	assert_false(has_new_file(fixture));
}

static void fill(struct proof_set *set, size_t count, uint64_t first)
{
	*set = (struct proof_set){.count = 0};
	for (size_t i = 0; i < count; i++) {
		struct proof one = proof(first + i, PYC_CHECK_OK);

		assert_int_equal(proof_set_add(set, &one), 0);
	}
}

static void test_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct proof_set most, more;
	struct proof_book book;
	struct reason why;

	fill(&most, PROOF_MAX, 0);
	fill(&more, 10, PROOF_MAX - 5);
	assert_int_equal(proof_file_record(&fixture->place, &most, &why), 0);
	assert_int_equal(proof_file_record(&fixture->place, &more, &why), -E2BIG);
	assert_int_equal(proof_file_record(&fixture->place, &most, &why), 0); /* again */
	proof_book_read(&book, &fixture->place);
	assert_int_equal(book.state, PROOFS_READ);
	assert_int_equal(book.set.count, PROOF_MAX);
	proof_book_fini(&book);
	proof_set_fini(&most);
	proof_set_fini(&more);
}

/* ---- files that are not as we wrote them ---- */

static size_t read_file(const struct fixture *fixture, char *data, size_t room)
{
	FILE *file = fopen(fixture->path, "re");
	size_t len = fread(data, 1, room, file);

	fclose(file);
	return len;
}

static void write_file(const struct fixture *fixture, const char *data, size_t len)
{
	FILE *file = fopen(fixture->path, "we");

	assert_int_equal(fwrite(data, 1, len, file), len);
	fclose(file);
	chmod(fixture->path, 0600);
}

/* Nobody reads them, and nobody puts others in their place. */
static void assert_unread(const struct fixture *fixture)
{
	struct stat before, after;

	assert_int_equal(lstat(fixture->path, &before), 0);
	assert_state(fixture, PROOFS_UNREAD);
	assert_true(record(fixture, 9, PYC_CHECK_OK) < 0);
	assert_int_equal(lstat(fixture->path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_size, after.st_size);
	assert_false(has_new_file(fixture));
}

static void test_each_bit_and_each_length(void **state)
{
	struct fixture *fixture = *state;
	char data[1024];
	size_t len;

	assert_int_equal(record(fixture, 1, PYC_CHECK_BAD), 0);
	len = read_file(fixture, data, sizeof(data));
	assert_true(len > 100 && len < sizeof(data));
	for (size_t bit = 0; bit < 8 * len; bit++) {
		data[bit / 8] ^= (char)(1 << bit % 8);
		write_file(fixture, data, len);
		assert_state(fixture, PROOFS_UNREAD);
		data[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++) {
		write_file(fixture, data, cut);
		assert_state(fixture, PROOFS_UNREAD);
	}
	assert_unread(fixture);
	data[len] = '\n';
	write_file(fixture, data, len + 1);
	assert_unread(fixture);
	write_file(fixture, data, len);
	assert_int_equal(found(fixture, 1), PYC_CHECK_BAD);
}

/* As another version would write it: whole, with a checksum that is right. */
static void test_another_version(void **state)
{
	struct fixture *fixture = *state;
	char data[128];
	int len = snprintf(data, sizeof(data), "canonfs-proofs 2\nend 0\n");

	len += snprintf(data + len, sizeof(data) - (size_t)len, "checksum %016llx\n",
			(unsigned long long)XXH3_64bits(data, (size_t)len));
	write_file(fixture, data, (size_t)len);
	assert_unread(fixture);
	data[sizeof("canonfs-proofs ") - 1] = '1';
	write_file(fixture, data, (size_t)len);
	assert_unread(fixture); /* and now the checksum is wrong */
}

static void test_not_ours_alone(void **state)
{
	struct fixture *fixture = *state;
	char other[128];

	snprintf(other, sizeof(other), "%s/other", fixture->folder);
	assert_int_equal(record(fixture, 1, PYC_CHECK_BAD), 0);
	chmod(fixture->path, 0644);
	assert_unread(fixture);
	chmod(fixture->path, 0600);
	assert_int_equal(link(fixture->path, other), 0);
	assert_unread(fixture);
	unlink(other);
	if (geteuid() == 0) {
		assert_int_equal(chown(fixture->path, 1, 1), 0);
		assert_unread(fixture);
		assert_int_equal(chown(fixture->path, 0, 0), 0);
	}
	rename(fixture->path, other);
	assert_int_equal(symlink("other", fixture->path), 0);
	assert_unread(fixture);
	unlink(fixture->path);
	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	assert_unread(fixture); /* and nobody waits for who would write to it */
	unlink(fixture->path);
	assert_int_equal(mkdir(fixture->path, 0600), 0);
	assert_unread(fixture);
	rmdir(fixture->path);
	rename(other, fixture->path);
	assert_int_equal(found(fixture, 1), PYC_CHECK_BAD);
}

/* Of a directory that others can write nothing is believed, but that nothing is there. */
static void test_refused_places(void **state)
{
	struct fixture *fixture = *state;
	struct store_place place;
	struct proof_book book;
	struct reason why;
	char path[128];
	int r;

	for (int with = 0; with < 2; with++) {
		chmod(fixture->folder, 0770);
		r = store_place_open(&place, fixture->place.path, &why);
		assert_int_equal(r, -EPERM);
		proof_book_refuse(&book, &place, r, &why);
		assert_int_equal(book.state, with ? PROOFS_UNREAD : PROOFS_NONE);
		store_place_close(&place);
		chmod(fixture->folder, 0700);
		assert_int_equal(record(fixture, 1, PYC_CHECK_BAD), 0);
	}
	snprintf(path, sizeof(path), "%s/none/cache.db", fixture->folder);
	r = store_place_open(&place, path, &why);
	proof_book_refuse(&book, &place, r, &why);
	assert_int_equal(book.state, PROOFS_NONE);
	store_place_close(&place);
}

/* ---- several processes ---- */

#define WRITERS 8
#define EACH	10

static void test_many_writers(void **state)
{
	struct fixture *fixture = *state;
	struct proof_book book;
	int status;

	for (uint64_t writer = 0; writer < WRITERS; writer++) {
		if (fork() != 0)
			continue;
		for (uint64_t i = 0; i < EACH; i++)
			if (record(fixture, EACH * writer + i, PYC_CHECK_BAD) < 0)
				_exit(1);
		_exit(0);
	}
	for (int writer = 0; writer < WRITERS; writer++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	proof_book_read(&book, &fixture->place);
	assert_int_equal(book.state, PROOFS_READ);
	assert_int_equal(book.set.count, WRITERS * EACH);
	proof_book_fini(&book);
}

/* A writer that hangs: others give up in the end, and readers do not even notice. */
static void test_a_lock_that_is_held(void **state)
{
	struct fixture *fixture = *state;
	char path[128];
	int fd;

	assert_int_equal(record(fixture, 1, PYC_CHECK_BAD), 0);
	snprintf(path, sizeof(path), "%s.new", fixture->path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(found(fixture, 1), PYC_CHECK_BAD);
	assert_int_equal(record(fixture, 2, PYC_CHECK_BAD), -EBUSY);
	assert_true(has_new_file(fixture)); /* it is the other's */
	close(fd);
	assert_int_equal(record(fixture, 2, PYC_CHECK_BAD), 0); /* left over by a crash */
	assert_int_equal(found(fixture, 1), PYC_CHECK_BAD);
	assert_int_equal(found(fixture, 2), PYC_CHECK_BAD);
}

/* At each moment of many a writer is killed: what was there before it is there after it. */
static void test_killed_writers(void **state)
{
	struct fixture *fixture = *state;
	unsigned seed = 1;
	int status;

	assert_int_equal(record(fixture, 0, PYC_CHECK_BAD), 0);
	for (uint64_t round = 0; round < 100; round++) {
		const struct timespec wait_a_little = {.tv_nsec = rand_r(&seed) % 3000000};
		pid_t pid = fork();

		if (pid == 0)
			for (uint64_t i = 0;; i++)
				record(fixture, 1000 * round + i, PYC_CHECK_BAD);
		nanosleep(&wait_a_little, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_int_equal(found(fixture, 0), PYC_CHECK_BAD);
	}
	assert_int_equal(record(fixture, 1, PYC_CHECK_OK), 0);
}

/* No file may grow over a size: a disk that is full. */
static void test_no_room(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit limit, small;

	assert_int_equal(record(fixture, 1, PYC_CHECK_BAD), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	for (rlim_t room = 0; room < 300; room += 100) {
		small = limit;
		small.rlim_cur = room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_int_equal(record(fixture, 2, PYC_CHECK_BAD), -EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_false(has_new_file(fixture));
		assert_int_equal(found(fixture, 1), PYC_CHECK_BAD);
		assert_int_equal(found(fixture, 2), PYC_CHECK_UNKNOWN);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_recorded_and_read),
		TEST(test_the_later_proof_stays),
		TEST(test_deleted),
		TEST(test_bounded),
		TEST(test_each_bit_and_each_length),
		TEST(test_another_version),
		TEST(test_not_ours_alone),
		TEST(test_refused_places),
		TEST(test_many_writers),
		TEST(test_a_lock_that_is_held),
		TEST(test_killed_writers),
		TEST(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
