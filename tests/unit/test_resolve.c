/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From files to verdicts: each verdict through a real tree with hand-made pycs, and the
 * ways in which a remembered fact could outlive what it was learned from. The clock and
 * the system calls that a race would disturb are this program's own.
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
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cache/resolve.h"
#include "pyc/siphash.h"
#include "tests/unit/inject.h"
#include "tests/unit/scratch.h"

/* ---- injected calls ---- */

static void (*before_read)(int fd, off_t offset); /* called before each pread() */

ssize_t pread(int fd, void *buffer, size_t len, off_t offset)
{
	if (before_read)
		before_read(fd, offset);
	return syscall(SYS_pread64, fd, buffer, len, offset);
}

/* ---- files ---- */

#define PY311	 3495
#define PY312	 3531
#define PY27	 62211
#define EMBEDDED 1600000000u
#define TEXT	 "x = 1\n"
#define SIZE	 6u

/* CONTENT_MAX_BYTES: what is larger is not read. */
#define MAX_BYTES (64u << 20)

#define SOURCE "lib/m.py"
#define PYC    "lib/__pycache__/m.cpython-311.pyc"

/* marshal.dumps(compile("x = 1\n", "m.py", "exec")) of CPython 3.11 */
static const uint8_t body[] =
	"\x63\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	"\x00\xf3\x0a\x00\x00\x00\x97\x00\x64\x00\x5a\x00\x64\x01\x53\x00\x29\x02\xe9\x01"
	"\x00\x00\x00\x4e\x29\x01\xda\x01\x78\xa9\x00\xf3\x00\x00\x00\x00\xfa\x04\x6d\x2e"
	"\x70\x79\xfa\x08\x3c\x6d\x6f\x64\x75\x6c\x65\x3e\x72\x06\x00\x00\x00\x01\x00\x00"
	"\x00\x73\x0e\x00\x00\x00\xf0\x03\x01\x01\x01\xd8\x04\x05\x80\x01\x80\x01\x80\x01"
	"\x72\x04\x00\x00\x00";
#define BODY_SIZE (sizeof(body) - 1)

/* marshal.dumps(compile("", "m.py", "exec")) of CPython 2.7 */
static const uint8_t body27[] =
	"c\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00@\x00\x00\x00s\x04\x00\x00\x00"
	"d\x00\x00S(\x01\x00\x00\x00N(\x00\x00\x00\x00(\x00\x00\x00\x00(\x00\x00\x00\x00"
	"(\x00\x00\x00\x00s\x04\x00\x00\x00m.pyt\x08\x00\x00\x00<module>\x01\x00\x00\x00"
	"s\x00\x00\x00\x00";

struct fixture {
	char base[SCRATCH_MAX];
	int fd;
	struct tree tree;
	struct resolver *resolver;
};

static void use(struct fixture *fixture, const struct pyc_policy *policy)
{
	resolver_free(fixture->resolver);
	fixture->resolver = resolver_new(&fixture->tree, policy, NULL, NULL, NULL);
	assert_non_null(fixture->resolver);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct pyc_policy policy = {0};

	*state = fixture;
	scratch_make(fixture->base, "resolve");
	chmod(fixture->base, 0755);
	fixture->fd = open(fixture->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(fixture->fd, "lib", 0755);
	mkdirat(fixture->fd, "lib/__pycache__", 0755);
	if (tree_open(&fixture->tree, fixture->base, "/", "/view") < 0)
		return -1;
	use(fixture, &policy);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fake_now_ns = 0;
	before_read = NULL;
	frozen = (struct statx){0};
	no_memory = false;
	resolver_free(fixture->resolver);
	tree_close(&fixture->tree);
	close(fixture->fd);
	scratch_remove(fixture->base);
	free(fixture);
	return 0;
}

static void set_time(struct fixture *fixture, const char *path, time_t seconds, long ns)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = seconds, .tv_nsec = ns}};

	assert_int_equal(utimensat(fixture->fd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Writes in place: the same inode gets other bytes. */
static void put(struct fixture *fixture, const char *path, const void *data, size_t len)
{
	scope_fd int fd =
		openat(fixture->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
}

static void put_source(struct fixture *fixture, const char *path, const char *text,
		       time_t mtime)
{
	put(fixture, path, text, strlen(text));
	set_time(fixture, path, mtime, 0);
}

static void store_le32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static void put_raw(struct fixture *fixture, const char *path, uint16_t magic,
		    uint32_t flags, const uint8_t tail[8], const uint8_t *code,
		    size_t code_size)
{
	uint8_t data[512] = {(uint8_t)magic, (uint8_t)(magic >> 8), '\r', '\n'};

	store_le32(data + 4, flags);
	memcpy(data + 8, tail, 8);
	memcpy(data + 16, code, code_size);
	put(fixture, path, data, 16 + code_size);
}

static void put_pyc(struct fixture *fixture, const char *path, uint32_t mtime,
		    uint32_t size)
{
	uint8_t tail[8];

	store_le32(tail, mtime);
	store_le32(tail + 4, size);
	put_raw(fixture, path, PY311, 0, tail, body, BODY_SIZE);
}

static void put_hash_pyc(struct fixture *fixture, const char *path, uint32_t flags,
			 const char *text)
{
	uint8_t hash[PYC_HASH_SIZE];

	assert_true(pyc_source_hash(pyc_magic_lookup(PY311), text, strlen(text), hash));
	put_raw(fixture, path, PY311, flags, hash, body, BODY_SIZE);
}

/* Stats and resolves, as the mount does. */
static int resolve_open(struct fixture *fixture, const char *path, int fd,
			struct resolution *ret_resolution)
{
	struct statx stx;
	const struct pyc_question question = {
		.path = path, .fd = fd, .stx = &stx, .source_dir = -1};
	int r = statx_at(fd, "", &stx);

	return r < 0 ? r : resolve_pyc(fixture->resolver, &question, ret_resolution);
}

/* The usual pair of a canonicalised tree. */
static void put_pair(struct fixture *fixture)
{
	put_source(fixture, SOURCE, TEXT, 0);
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
}

static struct resolution resolved(struct fixture *fixture, const char *path)
{
	scope_fd int fd = tree_openat(&fixture->tree, path, O_RDONLY);
	struct resolution resolution;

	assert_true(fd >= 0);
	assert_int_equal(resolve_open(fixture, path, fd, &resolution), 0);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	return resolution;
}

static enum pyc_reason reason_of(struct fixture *fixture, const char *path)
{
	return resolved(fixture, path).decision.reason;
}

/* Each answer twice: the second one comes from what was remembered. */
#define assert_reason(fixture, path, expected)                              \
	do {                                                                \
		assert_int_equal(reason_of((fixture), (path)), (expected)); \
		assert_int_equal(reason_of((fixture), (path)), (expected)); \
	} while (0)

static struct timespec shown_mtime(struct fixture *fixture, const char *path)
{
	struct statx stx;

	assert_int_equal(tree_stat(&fixture->tree, path, &stx), 0);
	return resolve_mtime(fixture->resolver, path, &stx);
}

/* ---- each verdict ---- */

static void test_fresh(void **state)
{
	struct fixture *fixture = *state;
	struct resolution resolution;

	put_source(fixture, SOURCE, TEXT, EMBEDDED);
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	assert_reason(fixture, PYC, PYC_R_MATCHES);
	resolution = resolved(fixture, PYC);
	assert_true(resolution.decision.vouched);
	assert_false(resolution.decision.changed);
}

static void test_restamped(void **state)
{
	struct fixture *fixture = *state;
	struct resolution resolution;
	struct statx stx;

	put_pair(fixture);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	resolution = resolved(fixture, PYC);
	assert_int_equal(resolution.decision.verdict, PYC_RESTAMPED);
	assert_true(resolution.decision.changed);
	assert_int_equal(resolution.decision.header.mtime, 0);
	assert_int_equal(resolution.decision.header.source_size, SIZE);
	assert_int_equal(resolution.facts.header.mtime, EMBEDDED);
	assert_int_equal(tree_stat(&fixture->tree, PYC, &stx), 0);
	assert_int_equal(resolution.pyc.inode, stx.stx_ino);
	assert_int_equal(tree_stat(&fixture->tree, SOURCE, &stx), 0);
	assert_int_equal(resolution.source.inode, stx.stx_ino);
}

static void test_restamped_otherwise(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy size = {.trust = PYC_TRUST_SIZE};
	struct pyc_policy given = {.canonical = {777}, .canonical_count = 1};
	uint8_t tail[8];

	put_source(fixture, SOURCE, "", 123456);
	put_pyc(fixture, PYC, EMBEDDED, 0);
	assert_reason(fixture, PYC, PYC_R_EMPTY);
	/* 2.7: 8 bytes of header, the code begins at 8 */
	put_source(fixture, SOURCE, TEXT, 0);
	store_le32(tail, 0);
	store_le32(tail + 4, 0);
	{
		uint8_t data[256] = {PY27 & 0xff, PY27 >> 8, '\r', '\n'};

		store_le32(data + 4, EMBEDDED);
		memcpy(data + 8, body27, sizeof(body27) - 1);
		put(fixture, "lib/m.pyc", data, 8 + sizeof(body27) - 1);
	}
	assert_reason(fixture, "lib/m.pyc", PYC_R_CANONICAL_NO_SIZE);
	use(fixture, &size);
	put_source(fixture, SOURCE, TEXT, 315532800);
	put_pyc(fixture, PYC, 1000, SIZE);
	assert_reason(fixture, PYC, PYC_R_CANONICAL_LATER);
	use(fixture, &given);
	put_source(fixture, SOURCE, TEXT, 777);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
}

static void test_stale(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy verified = {.trust = PYC_TRUST_VERIFIED};
	uint8_t tail[8] = {0};

	put_pair(fixture);
	put_pyc(fixture, PYC, EMBEDDED, SIZE + 1);
	assert_reason(fixture, PYC, PYC_R_SIZE);
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	set_time(fixture, SOURCE, EMBEDDED + 1, 0);
	assert_reason(fixture, PYC, PYC_R_NEWER);
	set_time(fixture, SOURCE, EMBEDDED - 1, 0);
	assert_reason(fixture, PYC, PYC_R_NOT_CANONICAL);
	set_time(fixture, SOURCE, 0, 1); /* no tool sets nanoseconds */
	assert_reason(fixture, PYC, PYC_R_NOT_CANONICAL);
	set_time(fixture, SOURCE, 0, 0);
	put_raw(fixture, PYC, PY311, 0x4, tail, body, BODY_SIZE);
	assert_reason(fixture, PYC, PYC_R_UNKNOWN_FLAGS);
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	use(fixture, &verified);
	assert_reason(fixture, PYC, PYC_R_NOT_PROVED);
	assert_false(resolved(fixture, PYC).decision.changed);
}

static void test_corrupt(void **state)
{
	struct fixture *fixture = *state;
	uint8_t tail[8];

	put_pair(fixture);
	store_le32(tail, EMBEDDED);
	store_le32(tail + 4, SIZE);
	for (size_t len = 0; len < BODY_SIZE; len++) {
		put_raw(fixture, PYC, PY311, 0, tail, body, len);
		assert_reason(fixture, PYC, PYC_R_BODY);
	}
	put(fixture, PYC, "\xa7\x0d\x0d\x0a\x00", 5);
	assert_reason(fixture, PYC, PYC_R_SHORT);
	put(fixture, PYC, "", 0);
	assert_reason(fixture, PYC, PYC_R_SHORT);
}

static void test_foreign(void **state)
{
	struct fixture *fixture = *state;
	uint8_t tail[8] = {0};

	put_pair(fixture);
	put(fixture, PYC, "garbage garbage garbage", 23);
	assert_reason(fixture, PYC, PYC_R_MAGIC);
	put_raw(fixture, PYC, PY312, 0, tail, body, BODY_SIZE);
	assert_reason(fixture, PYC, PYC_R_TAG);
	put_pyc(fixture, "lib/__pycache__/m.cpython-311-pytest-7.pyc", 0, SIZE);
	assert_reason(fixture, "lib/__pycache__/m.cpython-311-pytest-7.pyc", PYC_R_PYTEST);
	put_pyc(fixture, "lib/__pycache__/m.pyc", 0, SIZE);
	assert_reason(fixture, "lib/__pycache__/m.pyc", PYC_R_ODD_NAME);
}

static void test_orphan_and_sourceless(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	assert_reason(fixture, PYC, PYC_R_NO_SOURCE);
	put_pyc(fixture, "lib/m.pyc", EMBEDDED, SIZE);
	assert_reason(fixture, "lib/m.pyc", PYC_R_LEGACY);
	put_source(fixture, SOURCE, TEXT, 0);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	assert_reason(fixture, "lib/m.pyc", PYC_R_SHADOWED);
	/* A directory is no source. */
	assert_int_equal(unlinkat(fixture->fd, SOURCE, 0), 0);
	assert_int_equal(mkdirat(fixture->fd, SOURCE, 0755), 0);
	assert_reason(fixture, PYC, PYC_R_NO_SOURCE);
}

static void test_pairs_at_the_root(void **state)
{
	struct fixture *fixture = *state;

	mkdirat(fixture->fd, "__pycache__", 0755);
	mkdirat(fixture->fd, "x__pycache__", 0755);
	put_source(fixture, "m.py", TEXT, 0);
	put_pyc(fixture, "__pycache__/m.cpython-311.pyc", EMBEDDED, SIZE);
	put_pyc(fixture, "__pycache__/m.cpython-311.opt-1.pyc", EMBEDDED, SIZE);
	put_pyc(fixture, "x__pycache__/m.cpython-311.pyc", EMBEDDED, SIZE);
	assert_reason(fixture, "__pycache__/m.cpython-311.pyc", PYC_R_CANONICAL);
	assert_reason(fixture, "__pycache__/m.cpython-311.opt-1.pyc", PYC_R_CANONICAL);
	assert_reason(fixture, "x__pycache__/m.cpython-311.pyc", PYC_R_LEGACY);
}

static void test_hash_pycs(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy unchecked = {.hash = PYC_HASH_UNCHECK};
	struct resolution resolution;

	put_source(fixture, SOURCE, TEXT, 123);
	put_hash_pyc(fixture, PYC, 3, TEXT);
	assert_reason(fixture, PYC, PYC_R_HASH_KEPT);
	assert_false(resolved(fixture, PYC).decision.changed);
	use(fixture, &unchecked);
	assert_reason(fixture, PYC, PYC_R_PROMOTED);
	resolution = resolved(fixture, PYC);
	assert_true(resolution.decision.changed);
	assert_int_equal(resolution.decision.header.flags, 1);
	put_hash_pyc(fixture, PYC, 3, "y = 1\n");
	assert_reason(fixture, PYC, PYC_R_HASH_MISMATCH);
	put_hash_pyc(fixture, PYC, 1, "y = 1\n");
	assert_reason(fixture, PYC, PYC_R_UNCHECKED);
	/* A body that does not parse is not promoted. */
	put_hash_pyc(fixture, PYC, 3, TEXT);
	{
		scope_fd int fd = openat(fixture->fd, PYC, O_WRONLY | O_CLOEXEC);

		assert_int_equal(ftruncate(fd, 40), 0);
	}
	assert_reason(fixture, PYC, PYC_R_BODY);
}

static void test_source_through_links(void **state)
{
	struct fixture *fixture = *state;

	put_source(fixture, "lib/real.py", TEXT, 0);
	assert_int_equal(symlinkat("real.py", fixture->fd, SOURCE), 0);
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	assert_int_equal(unlinkat(fixture->fd, SOURCE, 0), 0);
	assert_int_equal(symlinkat("m.py", fixture->fd, SOURCE), 0); /* a loop */
	assert_reason(fixture, PYC, PYC_R_SOURCE_UNKNOWN);
}

static void test_too_large(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy unchecked = {.hash = PYC_HASH_UNCHECK};
	scope_fd int fd = -1;

	put_pair(fixture);
	fd = openat(fixture->fd, PYC, O_WRONLY | O_CLOEXEC);
	/* What follows the code is ignored, up to the limit. */
	assert_int_equal(ftruncate(fd, MAX_BYTES), 0);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	assert_int_equal(ftruncate(fd, MAX_BYTES + 1), 0);
	assert_reason(fixture, PYC, PYC_R_BODY_UNKNOWN);
	assert_false(resolved(fixture, PYC).decision.changed);
	/* A source that is too large cannot be hashed. */
	use(fixture, &unchecked);
	put_hash_pyc(fixture, PYC, 3, TEXT);
	{
		scope_fd int source = openat(fixture->fd, SOURCE, O_WRONLY | O_CLOEXEC);

		assert_int_equal(ftruncate(source, MAX_BYTES + 1), 0);
	}
	assert_reason(fixture, PYC, PYC_R_HASH_UNVERIFIED);
}

static int resolve_fd(struct fixture *fixture, const char *path, int fd)
{
	struct resolution resolution;

	return resolve_open(fixture, path, fd, &resolution);
}

static void test_wrong_files(void **state)
{
	struct fixture *fixture = *state;
	scope_fd int dir = tree_openat(&fixture->tree, "lib", O_RDONLY | O_DIRECTORY);
	scope_fd int path_fd = -1;
	scope_fd int fifo = -1;

	put_pair(fixture);
	assert_int_equal(resolve_fd(fixture, PYC, dir), -EINVAL);
	assert_int_equal(resolve_fd(fixture, "lib/m.py", dir), -EINVAL);
	path_fd = tree_openat(&fixture->tree, PYC, O_PATH); /* cannot be read */
	assert_int_equal(resolve_fd(fixture, PYC, path_fd), -EBADF);
	assert_int_equal(mkfifoat(fixture->fd, "lib/f.pyc", 0644), 0);
	fifo = tree_openat(&fixture->tree, "lib/f.pyc", O_RDONLY | O_NONBLOCK);
	assert_int_equal(resolve_fd(fixture, "lib/f.pyc", fifo), -EINVAL);
}

/* ---- a time that a tool set on source and pyc ---- */

static void test_canonical_pair(void **state)
{
	static const struct pyc_policy immutable = {.immutable = true};
	struct fixture *fixture = *state;

	put_source(fixture, SOURCE, TEXT, 1500000000);
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	assert_reason(fixture, PYC, PYC_R_NOT_CANONICAL);
	set_time(fixture, PYC, 1500000000, 0);
	assert_reason(fixture, PYC, PYC_R_NOT_CANONICAL);
	use(fixture, &immutable);
	assert_reason(fixture, PYC, PYC_R_CANONICAL_PAIR);
	set_time(fixture, SOURCE, 1500000001, 0);
	assert_reason(fixture, PYC, PYC_R_NOT_CANONICAL);
	set_time(fixture, PYC, 1500000001, 0);
	assert_reason(fixture, PYC, PYC_R_CANONICAL_PAIR);
	set_time(fixture, PYC, 1500000001, 1);
	assert_reason(fixture, PYC, PYC_R_NOT_CANONICAL);
}

/* ---- what is remembered, and when it must not be believed ---- */

/* The same size and mtime, one byte of code broken, in place. */
static void test_changed_in_place(void **state)
{
	struct fixture *fixture = *state;
	scope_fd int fd = -1;
	struct statx stx;

	put_pair(fixture);
	set_time(fixture, PYC, 0, 0);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	usleep(20000); /* more than a tick of a coarse clock */
	fd = openat(fixture->fd, PYC, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\0", 1, 16), 1); /* the type byte */
	set_time(fixture, PYC, 0, 0);
	assert_int_equal(tree_stat(&fixture->tree, PYC, &stx), 0);
	assert_int_equal(stx.stx_mtime.tv_sec, 0);
	assert_reason(fixture, PYC, PYC_R_BODY);
	/* And back again. */
	usleep(20000);
	assert_int_equal(pwrite(fd, body, 1, 16), 1);
	set_time(fixture, PYC, 0, 0);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	/* The header alone. */
	usleep(20000);
	assert_int_equal(pwrite(fd, "\7", 1, 12), 1);
	set_time(fixture, PYC, 0, 0);
	assert_reason(fixture, PYC, PYC_R_SIZE);
}

static int64_t ctime_ns(const struct statx *stx)
{
	return stx->stx_ctime.tv_sec * NS_PER_S + stx->stx_ctime.tv_nsec;
}

/*
 * A store through a mapping whose page is already dirty leaves ctime as it is: the change
 * that no identity shows. Facts about a young file must not be kept at all.
 */
static void write_unseen(struct fixture *fixture, const char *path, off_t offset,
			 const char *byte)
{
	scope_fd int fd = openat(fixture->fd, path, O_WRONLY | O_CLOEXEC);

	assert_true(frozen.stx_ino != 0);
	assert_int_equal(pwrite(fd, byte, 1, offset), 1);
}

static void test_unsettled_pyc(void **state)
{
	struct fixture *fixture = *state;

	put_pair(fixture);
	assert_int_equal(tree_stat(&fixture->tree, PYC, &frozen), 0);
	fake_now_ns = ctime_ns(&frozen) + IDENTITY_SETTLE_S * NS_PER_S - 1;
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	write_unseen(fixture, PYC, 16, "\0");
	assert_reason(fixture, PYC, PYC_R_BODY);
	write_unseen(fixture, PYC, 12, "\7"); /* the header, too */
	assert_reason(fixture, PYC, PYC_R_SIZE);
}

/* The control: once settled, facts are kept (so the tests above can fail). */
static void test_settled_is_remembered(void **state)
{
	struct fixture *fixture = *state;

	put_pair(fixture);
	assert_int_equal(tree_stat(&fixture->tree, PYC, &frozen), 0);
	fake_now_ns = ctime_ns(&frozen) + IDENTITY_SETTLE_S * NS_PER_S;
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	write_unseen(fixture, PYC, 16, "\0");
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
}

static void test_source_is_looked_at_each_time(void **state)
{
	struct fixture *fixture = *state;

	put_pair(fixture);
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
	put_source(fixture, SOURCE, "x = 22\n", 0);
	assert_reason(fixture, PYC, PYC_R_SIZE);
	put_source(fixture, SOURCE, TEXT, EMBEDDED + 5);
	assert_reason(fixture, PYC, PYC_R_NEWER);
	assert_int_equal(unlinkat(fixture->fd, SOURCE, 0), 0);
	assert_reason(fixture, PYC, PYC_R_NO_SOURCE);
}

static void test_hash_of_changed_source(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy unchecked = {.hash = PYC_HASH_UNCHECK};

	use(fixture, &unchecked);
	put_source(fixture, SOURCE, TEXT, 0);
	put_hash_pyc(fixture, PYC, 3, TEXT);
	assert_reason(fixture, PYC, PYC_R_PROMOTED);
	usleep(20000);
	put_source(fixture, SOURCE, "y = 1\n", 0); /* the same size and mtime */
	assert_reason(fixture, PYC, PYC_R_HASH_MISMATCH);
	usleep(20000);
	put_source(fixture, SOURCE, TEXT, 0);
	assert_reason(fixture, PYC, PYC_R_PROMOTED);
}

/* A link that leads out of the tree is followed for reading, too. */
static void test_hash_of_source_outside(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy unchecked = {.hash = PYC_HASH_UNCHECK};
	char outside[] = "/tmp/canonfs-outside-XXXXXX";
	scope_fd int fd = mkstemp(outside);
	enum pyc_reason reason;

	assert_int_equal(write(fd, TEXT, SIZE), SIZE);
	use(fixture, &unchecked);
	symlinkat(outside, fixture->fd, SOURCE);
	put_hash_pyc(fixture, PYC, 3, TEXT);
	reason = reason_of(fixture, PYC);
	unlink(outside);
	assert_int_equal(reason, PYC_R_HASH_KEPT);
}

/* What is remembered of a pyc that is settled, and whose source changes unseen. */
static enum pyc_reason reason_after_unseen_source(struct fixture *fixture,
						  int source_is_younger_s)
{
	struct pyc_policy unchecked = {.hash = PYC_HASH_UNCHECK};

	use(fixture, &unchecked);
	put_source(fixture, SOURCE, TEXT, 0);
	put_hash_pyc(fixture, PYC, 3, TEXT);
	assert_int_equal(tree_stat(&fixture->tree, PYC, &frozen), 0);
	fake_now_ns = ctime_ns(&frozen) + IDENTITY_SETTLE_S * NS_PER_S;
	assert_int_equal(tree_stat(&fixture->tree, SOURCE, &frozen), 0);
	frozen.stx_ctime.tv_sec += source_is_younger_s;
	assert_reason(fixture, PYC, PYC_R_PROMOTED);
	write_unseen(fixture, SOURCE, 0, "y");
	return reason_of(fixture, PYC);
}

/* The source's ctime must be settled as well before its hash is remembered. */
static void test_unsettled_source_of_a_hash(void **state)
{
	assert_int_equal(reason_after_unseen_source(*state, 1), PYC_R_HASH_MISMATCH);
}

/* The control of the test before. */
static void test_settled_source_of_a_hash(void **state)
{
	assert_int_equal(reason_after_unseen_source(*state, 0), PYC_R_PROMOTED);
}

/* A hash that was good says nothing of a source that cannot be read any more. */
static void test_hash_of_unreadable_source(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy unchecked = {.hash = PYC_HASH_UNCHECK};
	enum pyc_reason reason;

	if (geteuid() != 0)
		skip();
	use(fixture, &unchecked);
	put_source(fixture, SOURCE, TEXT, 0);
	put_hash_pyc(fixture, PYC, 3, TEXT);
	assert_reason(fixture, PYC, PYC_R_PROMOTED);
	put_source(fixture, SOURCE, "y = 1\n", 0);
	assert_int_equal(fchmodat(fixture->fd, SOURCE, 0600, 0), 0);
	assert_int_equal(seteuid(65534), 0);
	reason = reason_of(fixture, PYC);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(reason, PYC_R_HASH_UNVERIFIED);
}

/* ---- races ---- */

static struct fixture *racing;
static int reads;

static void break_code(int fd, off_t offset)
{
	(void)fd, (void)offset;
	if (++reads == 2) { /* the body's read; the header is the old one */
		scope_fd int writer = openat(racing->fd, PYC, O_WRONLY | O_CLOEXEC);

		usleep(20000);
		assert_int_equal(pwrite(writer, "\1\1\1\1", 4, 8), 4);
	}
}

/* Written between the reads: this answer vouches for nothing, the next one is right. */
static void test_written_while_reading(void **state)
{
	struct fixture *fixture = *state;
	struct resolution resolution;

	put_pair(fixture);
	racing = fixture;
	reads = 0;
	before_read = break_code;
	resolution = resolved(fixture, PYC);
	before_read = NULL;
	assert_true(reads >= 2);
	assert_int_equal(resolution.decision.reason, PYC_R_BODY_UNKNOWN);
	assert_int_equal(resolved(fixture, PYC).facts.header.mtime, 0x01010101);
}

static void touch_code(int fd, off_t offset)
{
	(void)fd, (void)offset;
	if (++reads == 2) {
		scope_fd int writer = openat(racing->fd, PYC, O_WRONLY | O_CLOEXEC);

		usleep(20000);
		assert_int_equal(pwrite(writer, "n", 1, 16 + 58), 1); /* m.py: still code */
	}
}

/* It parses, but a writer is at work: who knows what comes next. */
static void test_code_written_while_reading(void **state)
{
	struct fixture *fixture = *state;

	put_pair(fixture);
	racing = fixture;
	reads = 0;
	before_read = touch_code;
	assert_int_equal(reason_of(fixture, PYC), PYC_R_BODY_UNKNOWN);
	before_read = NULL;
	assert_reason(fixture, PYC, PYC_R_CANONICAL);
}

/* The same under a clock that is too coarse to show it: the header tells. */
static void test_header_written_within_a_tick(void **state)
{
	struct fixture *fixture = *state;

	put_pair(fixture);
	assert_int_equal(tree_stat(&fixture->tree, PYC, &frozen), 0);
	racing = fixture;
	reads = 0;
	before_read = break_code;
	assert_int_equal(reason_of(fixture, PYC), PYC_R_BODY_UNKNOWN);
}

static void swap_source(int fd, off_t offset)
{
	struct statx stx;

	(void)offset;
	assert_int_equal(statx_at(fd, "", &stx), 0);
	if (stx.stx_size == SIZE && ++reads == 1) {
		usleep(20000);
		put_source(racing, SOURCE, "y = 1\n", 0);
	}
}

static void test_source_written_while_hashing(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy unchecked = {.hash = PYC_HASH_UNCHECK};

	use(fixture, &unchecked);
	put_source(fixture, SOURCE, TEXT, 0);
	put_hash_pyc(fixture, PYC, 3, TEXT);
	racing = fixture;
	reads = 0;
	before_read = swap_source;
	assert_int_equal(reason_of(fixture, PYC), PYC_R_HASH_UNVERIFIED);
	before_read = NULL;
	assert_reason(fixture, PYC, PYC_R_HASH_MISMATCH);
}

static void grow_then_cut(int fd, off_t offset)
{
	scope_fd int writer = openat(racing->fd, PYC, O_WRONLY | O_CLOEXEC);

	(void)fd, (void)offset;
	if (++reads == 2)
		assert_int_equal(ftruncate(writer, 4), 0);
}

/*
 * A coarse clock hides that the file was 4 bytes, then whole, then 4 bytes again. The
 * header came from the whole one; there is no body behind it.
 */
static void test_size_below_header(void **state)
{
	struct fixture *fixture = *state;
	struct statx stx;

	put_pair(fixture);
	assert_int_equal(tree_stat(&fixture->tree, PYC, &stx), 0);
	stx.stx_size = 4;
	frozen = stx;
	racing = fixture;
	reads = 0;
	before_read = grow_then_cut;
	assert_false(resolved(fixture, PYC).decision.vouched);
}

/* ---- the views ---- */

static void test_epoch_view(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy epoch = {.view = PYC_VIEW_EPOCH, .epoch = 777};
	struct statx stx;

	use(fixture, &epoch);
	put_pair(fixture);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, 777);
	assert_int_equal(resolved(fixture, PYC).decision.header.mtime, 777);
	/* Only sources: not pycs, not directories, not links. */
	set_time(fixture, PYC, 5, 0);
	assert_int_equal(shown_mtime(fixture, PYC).tv_sec, 5);
	assert_int_equal(tree_stat(&fixture->tree, "lib", &stx), 0);
	assert_int_equal(shown_mtime(fixture, "lib").tv_sec, stx.stx_mtime.tv_sec);
	assert_int_equal(symlinkat("m.py", fixture->fd, "lib/l.py"), 0);
	set_time(fixture, "lib/l.py", 9, 0);
	assert_int_equal(shown_mtime(fixture, "lib/l.py").tv_sec, 9);
	/* An edited source shows the epoch, too: what embeds it must not match. */
	put_pyc(fixture, PYC, 777, SIZE);
	set_time(fixture, SOURCE, EMBEDDED, 5);
	assert_int_equal(resolved(fixture, PYC).decision.verdict, PYC_STALE);
	assert_int_not_equal(resolved(fixture, PYC).decision.header.mtime, 777);
}

/* A source outside of the tree keeps its own time, so its pyc gets that one. */
static void test_epoch_view_outside(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy epoch = {.view = PYC_VIEW_EPOCH, .epoch = 777};
	char outside[] = "/tmp/canonfs-outside-XXXXXX";
	int fd = mkstemp(outside);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
	uint32_t served;

	assert_int_equal(write(fd, TEXT, SIZE), SIZE);
	futimens(fd, times);
	close(fd);
	use(fixture, &epoch);
	symlinkat(outside, fixture->fd, SOURCE);
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	served = resolved(fixture, PYC).decision.header.mtime;
	unlink(outside);
	assert_int_equal(served, 1);
}

static struct resolution resolved_without_descriptors(struct fixture *fixture,
						      const char *path)
{
	scope_fd int fd = tree_openat(&fixture->tree, path, O_RDONLY);
	struct resolution resolution;
	struct rlimit old, none;
	int next = dup(fd);
	int r;

	assert_true(next >= 0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &old);
	none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	r = resolve_open(fixture, path, fd, &resolution);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(r, 0);
	return resolution;
}

/*
 * The server could not look (here: no descriptors), the reader can: it sees the epoch. A
 * pyc that embeds it was not vouched for and must not match.
 */
static void test_epoch_view_source_unknown(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy epoch = {.view = PYC_VIEW_EPOCH, .epoch = 777};
	struct resolution resolution;

	use(fixture, &epoch);
	put_source(fixture, SOURCE, TEXT, EMBEDDED);
	put_pyc(fixture, PYC, 777, SIZE);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, 777);
	resolution = resolved_without_descriptors(fixture, PYC);
	assert_int_equal(resolution.decision.reason, PYC_R_SOURCE_UNKNOWN);
	assert_int_not_equal(resolution.decision.header.mtime, 777);
}

/* The same where the time that is shown is what other pycs embed. */
static void test_embedded_view_source_unknown(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy embedded = {.view = PYC_VIEW_EMBEDDED};
	static const char broken[] = "lib/__pycache__/m.cpython-311.opt-1.pyc";
	struct resolution resolution;
	uint8_t tail[8];

	use(fixture, &embedded);
	put_pair(fixture);
	store_le32(tail, EMBEDDED);
	store_le32(tail + 4, SIZE);
	put_raw(fixture, broken, PY311, 0, tail, body, 40);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, EMBEDDED);
	resolution = resolved_without_descriptors(fixture, broken);
	assert_int_equal(resolution.decision.reason, PYC_R_SOURCE_UNKNOWN);
	assert_int_not_equal(resolution.decision.header.mtime, EMBEDDED);
}

/* Out of memory is not "there is no source". */
static void test_no_memory_for_source(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy epoch = {.view = PYC_VIEW_EPOCH, .epoch = 777};
	scope_fd int fd = -1;
	struct resolution resolution = {.decision = {.vouched = true}};
	int r;

	use(fixture, &epoch);
	put_source(fixture, SOURCE, TEXT, EMBEDDED);
	put_pyc(fixture, PYC, 777, SIZE);
	fd = tree_openat(&fixture->tree, PYC, O_RDONLY);
	no_memory = true;
	r = resolve_open(fixture, PYC, fd, &resolution);
	no_memory = false;
	assert_int_equal(r, 0);
	assert_int_equal(resolution.decision.reason, PYC_R_SOURCE_UNKNOWN);
	assert_int_not_equal(resolution.decision.header.mtime, 777);
}

static void test_embedded_view(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy embedded = {.view = PYC_VIEW_EMBEDDED};
	static const char opt1[] = "lib/__pycache__/m.cpython-311.opt-1.pyc";
	static const char opt2[] = "lib/__pycache__/m.cpython-311.opt-2.pyc";

	use(fixture, &embedded);
	put_source(fixture, SOURCE, TEXT, 0);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, 0); /* nobody votes */
	put_pyc(fixture, PYC, EMBEDDED, SIZE);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, EMBEDDED);
	assert_false(resolved(fixture, PYC).decision.changed);
	assert_true(resolved(fixture, PYC).decision.vouched);
	/* A tie goes to the latest, then the majority decides. */
	put_pyc(fixture, opt1, EMBEDDED - 9, SIZE);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, EMBEDDED);
	put_pyc(fixture, opt2, EMBEDDED - 9, SIZE);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, EMBEDDED - 9);
	assert_int_equal(resolved(fixture, PYC).decision.header.mtime, EMBEDDED - 9);
	assert_true(resolved(fixture, PYC).decision.changed);
	assert_false(resolved(fixture, opt1).decision.changed);
}

/* Only what would be vouched for votes, only for its own source. */
static void test_embedded_view_who_votes(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy embedded = {.view = PYC_VIEW_EMBEDDED};
	uint8_t tail[8];

	use(fixture, &embedded);
	put_source(fixture, SOURCE, TEXT, 0);
	put_source(fixture, "lib/m.x.py", TEXT, 0);
	put_pyc(fixture, PYC, EMBEDDED, SIZE + 1);			       /* stale */
	put_pyc(fixture, "lib/__pycache__/m.cpython-312.pyc", EMBEDDED, SIZE); /* tag */
	put_pyc(fixture, "lib/__pycache__/m.x.cpython-311.pyc", EMBEDDED, SIZE);
	put_pyc(fixture, "lib/__pycache__/mm.cpython-311.pyc", EMBEDDED, SIZE);
	put_pyc(fixture, "lib/m.pyc", EMBEDDED, SIZE); /* shadowed */
	put_hash_pyc(fixture, "lib/__pycache__/m.cpython-311.opt-1.pyc", 1, TEXT);
	assert_int_equal(symlinkat("m.x.cpython-311.pyc", fixture->fd,
				   "lib/__pycache__/m.cpython-311.opt-2.pyc"),
			 0);
	assert_int_equal(
		mkfifoat(fixture->fd, "lib/__pycache__/m.cpython-311.opt-3.pyc", 0644), 0);
	store_le32(tail, EMBEDDED);
	store_le32(tail + 4, SIZE);
	put_raw(fixture, "lib/__pycache__/m.cpython-311.opt-4.pyc", PY311, 0, tail, body,
		40);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, 0);
	assert_int_equal(shown_mtime(fixture, "lib/m.x.py").tv_sec, EMBEDDED);
}

/* The stale one embeds the time that the vouched one made its source show. */
static void test_embedded_view_no_accident(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy embedded = {.view = PYC_VIEW_EMBEDDED};
	static const char broken[] = "lib/__pycache__/m.cpython-311.opt-1.pyc";
	struct resolution resolution;
	uint8_t tail[8];

	use(fixture, &embedded);
	put_pair(fixture);
	store_le32(tail, EMBEDDED);
	store_le32(tail + 4, SIZE);
	put_raw(fixture, broken, PY311, 0, tail, body, 40);
	assert_int_equal(shown_mtime(fixture, SOURCE).tv_sec, EMBEDDED);
	resolution = resolved(fixture, broken);
	assert_int_equal(resolution.decision.reason, PYC_R_BODY);
	assert_int_not_equal(resolution.decision.header.mtime, EMBEDDED);
}

/* More different times than there is room for: no crash, still one of them. */
static void test_embedded_view_many_votes(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy embedded = {.view = PYC_VIEW_EMBEDDED};

	use(fixture, &embedded);
	put_source(fixture, SOURCE, TEXT, 0);
	for (uint32_t i = 0; i < 40; i++) {
		char path[64];

		snprintf(path, sizeof(path), "lib/__pycache__/m.cpython-311.opt-%u.pyc", i);
		put_pyc(fixture, path, EMBEDDED + i, SIZE);
	}
	assert_in_range(shown_mtime(fixture, SOURCE).tv_sec, EMBEDDED, EMBEDDED + 39);
}

/* A link's pyc is held to what the link's target shows. */
static void test_embedded_view_linked_source(void **state)
{
	struct fixture *fixture = *state;
	struct pyc_policy embedded = {.view = PYC_VIEW_EMBEDDED};

	use(fixture, &embedded);
	put_source(fixture, "lib/real.py", TEXT, 0);
	symlinkat("real.py", fixture->fd, SOURCE);
	put_pyc(fixture, "lib/__pycache__/real.cpython-311.pyc", EMBEDDED, SIZE);
	put_pyc(fixture, PYC, EMBEDDED + 50, SIZE);
	assert_int_equal(shown_mtime(fixture, "lib/real.py").tv_sec, EMBEDDED);
	assert_int_equal(resolved(fixture, PYC).decision.header.mtime, EMBEDDED);
}

/* ---- many threads ---- */

#define THREADS 6

struct crowd {
	struct fixture *fixture;
	_Atomic unsigned wrong;
};

static void *hammer(void *argument)
{
	struct crowd *crowd = argument;
	struct fixture *fixture = crowd->fixture;

	for (int i = 0; i < 300; i++) {
		scope_fd int fd = -1;
		struct resolution resolution;
		char path[64];

		snprintf(path, sizeof(path), "lib/__pycache__/t%d.cpython-311.pyc", i % 16);
		fd = tree_openat(&fixture->tree, path, O_RDONLY);
		if (resolve_open(fixture, path, fd, &resolution) < 0 ||
		    resolution.decision.reason != PYC_R_CANONICAL_PAIR ||
		    resolution.decision.header.mtime != 1500000000)
			crowd->wrong++;
	}
	return NULL;
}

/* All of them share the table. */
static void test_threads(void **state)
{
	static const struct pyc_policy immutable = {.immutable = true};
	struct fixture *fixture = *state;
	struct crowd crowd = {.fixture = fixture};
	pthread_t thread[THREADS];

	use(fixture, &immutable);
	for (int i = 0; i < 16; i++) {
		char path[64];

		snprintf(path, sizeof(path), "lib/t%d.py", i);
		put_source(fixture, path, TEXT, 1500000000);
		snprintf(path, sizeof(path), "lib/__pycache__/t%d.cpython-311.pyc", i);
		put_pyc(fixture, path, EMBEDDED, SIZE);
		set_time(fixture, path, 1500000000, 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(crowd.wrong, 0);
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAIN(test_fresh),
		PLAIN(test_restamped),
		PLAIN(test_restamped_otherwise),
		PLAIN(test_stale),
		PLAIN(test_corrupt),
		PLAIN(test_foreign),
		PLAIN(test_orphan_and_sourceless),
		PLAIN(test_pairs_at_the_root),
		PLAIN(test_hash_pycs),
		PLAIN(test_source_through_links),
		PLAIN(test_too_large),
		PLAIN(test_wrong_files),
		PLAIN(test_canonical_pair),
		PLAIN(test_changed_in_place),
		PLAIN(test_unsettled_pyc),
		PLAIN(test_settled_is_remembered),
		PLAIN(test_source_is_looked_at_each_time),
		PLAIN(test_hash_of_changed_source),
		PLAIN(test_hash_of_source_outside),
		PLAIN(test_unsettled_source_of_a_hash),
		PLAIN(test_settled_source_of_a_hash),
		PLAIN(test_hash_of_unreadable_source),
		PLAIN(test_written_while_reading),
		PLAIN(test_code_written_while_reading),
		PLAIN(test_header_written_within_a_tick),
		PLAIN(test_source_written_while_hashing),
		PLAIN(test_epoch_view),
		PLAIN(test_epoch_view_outside),
		PLAIN(test_epoch_view_source_unknown),
		PLAIN(test_embedded_view_source_unknown),
		PLAIN(test_no_memory_for_source),
		PLAIN(test_embedded_view),
		PLAIN(test_embedded_view_who_votes),
		PLAIN(test_embedded_view_no_accident),
		PLAIN(test_embedded_view_many_votes),
		PLAIN(test_embedded_view_linked_source),
		PLAIN(test_threads),
		PLAIN(test_size_below_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
