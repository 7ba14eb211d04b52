/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bytes of a pyc say, and how long that is believed: a fact that outlives the
 * bytes it was read from would vouch for code that nobody looked at. The clock and the
 * system calls that a race would disturb are this program's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cache/content.h"
#include "cache/table.h"
#include "pyc/siphash.h"
#include "tests/unit/inject.h"
#include "tests/unit/scratch.h"

/* ---- injected calls ---- */

static int reads;		/* calls of pread() */
static void (*on_read)(int fd); /* called before each */
static int read_error;		/* what each fails with */

ssize_t pread(int fd, void *buffer, size_t len, off_t offset)
{
	reads++;
	if (on_read)
		on_read(fd);
	if (read_error) {
		errno = read_error;
		return -1;
	}
	return syscall(SYS_pread64, fd, buffer, len, offset);
}

/* ---- files ---- */

#define PY311	 3495
#define PY312	 3531
#define GRAALPY	 21280 /* its marshal format and its hash are not known */
#define MOUNT_ID 7
#define EMBEDDED 1600000000u
#define TEXT	 "x = 1\n"
#define OTHER	 "y = 1\n" /* of the same size */
#define SIZE	 6u
#define HEADER	 16

#define PYC    "m.cpython-311.pyc"
#define SOURCE "m.py"

/* marshal.dumps(compile("x = 1\n", "m.py", "exec")) of CPython 3.11 */
static const uint8_t body[] =
	"\x63\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	"\x00\xf3\x0a\x00\x00\x00\x97\x00\x64\x00\x5a\x00\x64\x01\x53\x00\x29\x02\xe9\x01"
	"\x00\x00\x00\x4e\x29\x01\xda\x01\x78\xa9\x00\xf3\x00\x00\x00\x00\xfa\x04\x6d\x2e"
	"\x70\x79\xfa\x08\x3c\x6d\x6f\x64\x75\x6c\x65\x3e\x72\x06\x00\x00\x00\x01\x00\x00"
	"\x00\x73\x0e\x00\x00\x00\xf0\x03\x01\x01\x01\xd8\x04\x05\x80\x01\x80\x01\x80\x01"
	"\x72\x04\x00\x00\x00";
#define BODY_SIZE (sizeof(body) - 1)
#define PYC_SIZE  (HEADER + BODY_SIZE)

/*
 * @file is of PYC, open for reading from the first use on; @is_learned: its content was
 * said to be worth remembering since.
 */
struct fixture {
	char base[SCRATCH_MAX];
	int dir;
	struct table *table;
	struct content_file file;
	bool is_learned;
};

static struct fixture *racing; /* for on_read */

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = racing = fixture;
	fixture->file.fd = -1;
	scratch_make(fixture->base, "content");
	fixture->dir = open(fixture->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->table = table_new(64);
	return fixture->table ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fake_now_ns = 0;
	on_read = NULL;
	read_error = 0;
	frozen = (struct statx){0};
	close_fd(&fixture->file.fd);
	close(fixture->dir);
	table_free(fixture->table);
	scratch_remove(fixture->base);
	free(fixture);
	return 0;
}

/* Writes in place: the same inode gets other bytes. */
static void put(struct fixture *fixture, const char *path, const void *data, size_t len)
{
	scope_fd int fd =
		openat(fixture->dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
}

static void overwrite(struct fixture *fixture, const char *path, off_t offset,
		      const char *byte)
{
	scope_fd int fd = openat(fixture->dir, path, O_WRONLY | O_CLOEXEC);

	usleep(20000); /* more than a tick of a coarse clock: another ctime */
	assert_int_equal(pwrite(fd, byte, 1, offset), 1);
}

static void resize(struct fixture *fixture, const char *path, off_t size)
{
	scope_fd int fd = openat(fixture->dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(ftruncate(fd, size), 0);
}

static void store_le32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static void put_raw(struct fixture *fixture, uint16_t magic, uint32_t flags,
		    const uint8_t tail[8])
{
	uint8_t data[PYC_SIZE] = {(uint8_t)magic, (uint8_t)(magic >> 8), '\r', '\n'};

	store_le32(data + 4, flags);
	memcpy(data + 8, tail, 8);
	memcpy(data + HEADER, body, BODY_SIZE);
	put(fixture, PYC, data, sizeof(data));
}

static void put_pyc(struct fixture *fixture)
{
	uint8_t tail[8];

	store_le32(tail, EMBEDDED);
	store_le32(tail + 4, SIZE);
	put_raw(fixture, PY311, 0, tail);
}

/* A checked-hash pyc of TEXT, and a source. */
static void put_hash_pair(struct fixture *fixture, const char *text)
{
	uint8_t hash[PYC_HASH_SIZE];

	assert_true(pyc_source_hash(pyc_magic_lookup(PY311), TEXT, SIZE, hash));
	put_raw(fixture, PY311, PYC_FLAG_HASH | PYC_FLAG_CHECK_SOURCE, hash);
	put(fixture, SOURCE, text, strlen(text));
}

/* ---- what is asked ---- */

/* As resolve_pyc() does: nothing is known but what the table says. */
static int open_content(struct fixture *fixture, struct content_file *file)
{
	bool is_current = false;
	struct statx stx;
	int r;

	assert_int_equal(statx_at(file->fd, "", &stx), 0);
	reads = 0;
	fixture->is_learned = false;
	r = content_open(file, &stx);
	if (r < 0)
		return r;
	table_get(fixture->table, &file->identity, &file->earlier, &is_current);
	if (!is_current)
		return content_read_header(file);
	content_believe(file);
	return 0;
}

static void remember_if(struct fixture *fixture, bool is_learned)
{
	struct content content = content_to_remember(&fixture->file);

	fixture->is_learned |= is_learned;
	if (is_learned)
		table_put(fixture->table, &fixture->file.identity, &content);
}

static struct content_file *begin(struct fixture *fixture)
{
	struct content_file *file = &fixture->file;

	close_fd(&file->fd);
	*file = (struct content_file){
		.mount_id = MOUNT_ID,
		.fd = openat(fixture->dir, PYC, O_RDONLY | O_CLOEXEC),
	};
	assert_true(file->fd >= 0);
	assert_int_equal(open_content(fixture, file), 0);
	return file;
}

static enum pyc_check body_of(struct fixture *fixture)
{
	struct content_file *file = begin(fixture);

	remember_if(fixture, content_check_body(file));
	assert_int_equal(lseek(file->fd, 0, SEEK_CUR), 0);
	return file->content.body;
}

static enum pyc_check check_source(struct fixture *fixture, const char *source)
{
	scope_fd int fd = openat(fixture->dir, source, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	remember_if(fixture, content_check_source(&fixture->file, fd));
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	return fixture->file.content.hash;
}

static enum pyc_check hash_of(struct fixture *fixture)
{
	begin(fixture);
	return check_source(fixture, SOURCE);
}

/* Whether the table believes something of the file as it was opened. */
static bool is_remembered(struct fixture *fixture, struct content *ret_content)
{
	bool current;

	return table_get(fixture->table, &fixture->file.identity, ret_content, &current) &&
	       current;
}

static int64_t ctime_ns(struct fixture *fixture, const char *path)
{
	struct statx stx;

	assert_int_equal(statx_at(fixture->dir, path, &stx), 0);
	return identity_of(&stx, MOUNT_ID).ctime_ns;
}

/* The first moment at which the file's ctime can vouch for what is read. */
static int64_t settled_ns(struct fixture *fixture, const char *path)
{
	return ctime_ns(fixture, path) + IDENTITY_SETTLE_S * NS_PER_S;
}

/* ---- the header ---- */

static void test_header(void **state)
{
	struct fixture *fixture = *state;
	struct content_file *file;
	struct content content;

	put_pyc(fixture);
	file = begin(fixture);
	assert_int_equal(file->content.header_status, PYC_HEADER_OK);
	assert_ptr_equal(file->content.header.magic, pyc_magic_lookup(PY311));
	assert_int_equal(file->content.header.mtime, EMBEDDED);
	assert_int_equal(file->content.header.source_size, SIZE);
	assert_int_equal(file->content.body, PYC_CHECK_UNKNOWN);
	assert_int_equal(file->content.hash, PYC_CHECK_UNKNOWN);
	assert_int_equal(lseek(file->fd, 0, SEEK_CUR), 0);
	assert_int_equal(file->identity.mount_id, MOUNT_ID);
	assert_int_equal(file->identity.size, PYC_SIZE);
	/* A header alone is cheap to read again, and must not push out a digest. */
	assert_false(is_remembered(fixture, &content));
}

static void test_bad_headers(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, PYC, "", 0);
	assert_int_equal(begin(fixture)->content.header_status, PYC_HEADER_SHORT);
	put(fixture, PYC, "\xa7\x0d\x0d\x0a\0", 5);
	assert_int_equal(begin(fixture)->content.header_status, PYC_HEADER_SHORT);
	put(fixture, PYC, "no bytecode at all", 18);
	assert_int_equal(begin(fixture)->content.header_status, PYC_HEADER_UNKNOWN_MAGIC);
}

static void test_not_regular(void **state)
{
	struct fixture *fixture = *state;
	struct content_file file = {.fd = fixture->dir};

	assert_int_equal(open_content(fixture, &file), -EINVAL);
	assert_int_equal(reads, 0);
}

static void test_unreadable_header(void **state)
{
	struct fixture *fixture = *state;
	struct content_file file = {.fd = -1};
	scope_fd int fd = -1;

	put_pyc(fixture);
	fd = openat(fixture->dir, PYC, O_RDONLY | O_CLOEXEC);
	file.fd = fd;
	read_error = EIO;
	assert_int_equal(open_content(fixture, &file), -EIO);
	read_error = 0;
	assert_int_equal(open_content(fixture, &file), 0);
}

/* ---- the body ---- */

static void test_body_ok(void **state)
{
	struct fixture *fixture = *state;
	uint8_t whole[PYC_SIZE];

	put_pyc(fixture);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_int_equal(pread(fixture->file.fd, whole, PYC_SIZE, 0), PYC_SIZE);
	assert_true(digest_equal(fixture->file.content.digest,
				 digest_of(whole + HEADER, BODY_SIZE)));
	/* What is known is not worked out again. */
	reads = 0;
	assert_false(content_check_body(&fixture->file));
	assert_int_equal(reads, 0);
}

static void test_body_bad(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	resize(fixture, PYC, PYC_SIZE - 1);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
	resize(fixture, PYC, HEADER);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
	put_pyc(fixture);
	overwrite(fixture, PYC, HEADER, "N"); /* None: an object, but no code */
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
}

static void test_body_of_unsupported_magic(void **state)
{
	struct fixture *fixture = *state;
	uint8_t tail[8] = {0};

	put_raw(fixture, GRAALPY, 0, tail);
	assert_int_equal(body_of(fixture), PYC_CHECK_UNKNOWN);
	assert_int_equal(fixture->file.content.header_status, PYC_HEADER_OK);
	assert_int_equal(body_of(fixture), PYC_CHECK_UNKNOWN);
}

static void test_body_too_large(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	resize(fixture, PYC, (off_t)CONTENT_MAX_BYTES + 1);
	assert_int_equal(body_of(fixture), PYC_CHECK_UNKNOWN);
	assert_int_equal(reads, 1); /* the header's */
	resize(fixture, PYC, CONTENT_MAX_BYTES);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
}

static void test_body_unreadable(void **state)
{
	struct fixture *fixture = *state;
	struct content content;

	put_pyc(fixture);
	begin(fixture);
	read_error = EIO;
	remember_if(fixture, content_check_body(&fixture->file));
	assert_int_equal(fixture->file.content.body, PYC_CHECK_UNKNOWN);
	assert_false(is_remembered(fixture, &content));
	/* Only for now. */
	read_error = 0;
	remember_if(fixture, content_check_body(&fixture->file));
	assert_int_equal(fixture->file.content.body, PYC_CHECK_OK);
}

static void cut_to_frozen(int fd)
{
	(void)fd;
	if (reads == 2)
		resize(racing, PYC, (off_t)frozen.stx_size);
}

/*
 * A coarse clock hides that the file was short when it was opened, whole when its header
 * was read, and is short again: there is no body behind that header.
 */
static void test_size_below_header(void **state)
{
	struct fixture *fixture = *state;
	struct content content;

	put_pyc(fixture);
	assert_int_equal(statx_at(fixture->dir, PYC, &frozen), 0);
	on_read = cut_to_frozen;
	for (frozen.stx_size = 0; frozen.stx_size < HEADER; frozen.stx_size++) {
		put_pyc(fixture);
		assert_int_equal(body_of(fixture), PYC_CHECK_UNKNOWN);
		assert_int_equal(fixture->file.content.header_status, PYC_HEADER_OK);
		assert_int_equal(reads, 1); /* the header's */
		assert_false(is_remembered(fixture, &content));
	}
	put_pyc(fixture);
	assert_int_equal(frozen.stx_size, HEADER);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
}

/* ---- the body, written while it is read ---- */

static void break_code(int fd)
{
	(void)fd;
	if (reads == 2) /* the first is the header's */
		overwrite(racing, PYC, HEADER, "N");
}

static void rename_module(int fd)
{
	(void)fd;
	if (reads == 2)
		overwrite(racing, PYC, HEADER + 58, "n"); /* m.py: still code */
}

static void break_header(int fd)
{
	(void)fd;
	if (reads == 2)
		overwrite(racing, PYC, 8, "\1"); /* the embedded mtime */
}

static void append(int fd)
{
	(void)fd;
	if (reads == 2)
		resize(racing, PYC, PYC_SIZE + 1);
}

static void cut(int fd)
{
	(void)fd;
	if (reads == 2)
		resize(racing, PYC, PYC_SIZE - 1);
}

/* That nothing is said, nor remembered, of a body that @writer writes meanwhile. */
static void assert_unknown_under(struct fixture *fixture, void (*writer)(int fd))
{
	struct content content;

	put_pyc(fixture);
	on_read = writer;
	assert_int_equal(body_of(fixture), PYC_CHECK_UNKNOWN);
	on_read = NULL;
	assert_true(reads >= 2);
	assert_false(is_remembered(fixture, &content));
}

static void test_body_written_while_reading(void **state)
{
	struct fixture *fixture = *state;

	assert_unknown_under(fixture, break_code);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
	assert_unknown_under(fixture, rename_module);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_unknown_under(fixture, append);
	assert_unknown_under(fixture, cut);
}

/* The same under a clock too coarse to show it: header and size tell. */
static void test_body_written_within_a_tick(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	assert_int_equal(statx_at(fixture->dir, PYC, &frozen), 0);
	assert_unknown_under(fixture, break_header);
	assert_unknown_under(fixture, append);
	assert_unknown_under(fixture, cut);
}

/* ---- what is remembered ---- */

static void test_remembered_only_when_settled(void **state)
{
	struct fixture *fixture = *state;
	struct content content;

	put_pyc(fixture);
	fake_now_ns = settled_ns(fixture, PYC) - 1;
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_false(is_remembered(fixture, &content));
	assert_false(fixture->is_learned); /* the store must not have it, either */
	fake_now_ns = ctime_ns(fixture, PYC) - HOUR * NS_PER_S; /* a clock set back */
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_false(is_remembered(fixture, &content));
	fake_now_ns = settled_ns(fixture, PYC);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_true(is_remembered(fixture, &content));
	assert_true(fixture->is_learned);
	assert_int_equal(content.body, PYC_CHECK_OK);
	assert_int_equal(content.header.mtime, EMBEDDED);
}

static void test_remembered_is_not_read(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	resize(fixture, PYC, PYC_SIZE - 1);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
	assert_int_equal(reads, 0);
	assert_false(fixture->is_learned);
	assert_int_equal(fixture->file.content.header_status, PYC_HEADER_OK);
	assert_int_equal(fixture->file.content.header.mtime, EMBEDDED);
}

/* The same size and mtime, other bytes. */
static void test_not_believed_after_a_change(void **state)
{
	struct fixture *fixture = *state;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};

	put_pyc(fixture);
	utimensat(fixture->dir, PYC, times, 0);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	overwrite(fixture, PYC, HEADER, "N");
	overwrite(fixture, PYC, 8, "\1");
	utimensat(fixture->dir, PYC, times, 0);
	assert_int_equal(begin(fixture)->content.body, PYC_CHECK_UNKNOWN);
	assert_int_equal(reads, 1);
	assert_int_equal(fixture->file.content.header.mtime, (EMBEDDED & ~0xffu) | 1);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
}

/* Another mount's file of the same number is another file. */
static void test_not_believed_on_another_mount(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	fixture->file.mount_id++;
	assert_int_equal(open_content(fixture, &fixture->file), 0);
	assert_int_equal(fixture->file.content.body, PYC_CHECK_UNKNOWN);
}

/*
 * Remembers, of an earlier state of PYC, an answer that a walk would not give: so it
 * shows where the answer came from.
 */
static void remember_earlier(struct fixture *fixture, enum pyc_check body_check,
			     uint16_t magic, uint64_t digest_change)
{
	struct content_file file = *begin(fixture);

	file.identity.ctime_ns--;
	file.content.header.magic = pyc_magic_lookup(magic);
	file.content.header.mtime = 1;
	file.content.body = body_check;
	file.content.digest = digest_of(body, BODY_SIZE);
	file.content.digest.high ^= digest_change;
	file.content.has_source = true;
	file.content.hash = PYC_CHECK_OK;
	table_put(fixture->table, &file.identity, &file.content);
}

static void test_digest_brings_body_back(void **state)
{
	struct fixture *fixture = *state;
	struct content content;

	put_pyc(fixture);
	remember_earlier(fixture, PYC_CHECK_BAD, PY311, 0);
	assert_int_equal(begin(fixture)->content.body, PYC_CHECK_UNKNOWN);
	assert_int_equal(body_of(fixture), PYC_CHECK_BAD);
	assert_true(fixture->file.is_confirmed);
	/* The body's check, nothing else. */
	assert_int_equal(fixture->file.content.header.mtime, EMBEDDED);
	assert_false(fixture->file.content.has_source);
	assert_int_equal(fixture->file.content.hash, PYC_CHECK_UNKNOWN);
	assert_true(is_remembered(fixture, &content));
	assert_int_equal(content.body, PYC_CHECK_BAD);
	/* A source tells nothing new of the body. */
	put(fixture, SOURCE, TEXT, SIZE);
	check_source(fixture, SOURCE);
	assert_true(fixture->file.is_confirmed);
}

/* Other bytes, the same bytes read by another interpreter, or no answer: walked. */
static void test_digest_brings_nothing_back(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	remember_earlier(fixture, PYC_CHECK_BAD, PY311, 1);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_false(fixture->file.is_confirmed);
	remember_earlier(fixture, PYC_CHECK_BAD, PY312, 0);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_false(fixture->file.is_confirmed);
	remember_earlier(fixture, PYC_CHECK_UNKNOWN, PY311, 0);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_false(fixture->file.is_confirmed);
}

/* From the outside: chmod gives another ctime, the bytes are the same. */
static void test_chmod(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	usleep(20000);
	assert_int_equal(fchmodat(fixture->dir, PYC, 0600, 0), 0);
	assert_int_equal(begin(fixture)->content.body, PYC_CHECK_UNKNOWN);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_int_equal(reads, 0);
}

/* ---- the hash ---- */

static void test_hash_match(void **state)
{
	struct fixture *fixture = *state;

	put_hash_pair(fixture, TEXT);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_true(fixture->file.content.has_source);
	assert_int_equal(fixture->file.content.source.size, SIZE);
	assert_true(
		digest_equal(fixture->file.content.source_digest, digest_of(TEXT, SIZE)));
	/* For the same state of the same source it is not worked out again. */
	reads = 0;
	assert_int_equal(check_source(fixture, SOURCE), PYC_CHECK_OK);
	assert_int_equal(reads, 0);
}

static void test_hash_mismatch(void **state)
{
	struct fixture *fixture = *state;

	put_hash_pair(fixture, OTHER);
	assert_int_equal(hash_of(fixture), PYC_CHECK_BAD);
	put_hash_pair(fixture, "");
	assert_int_equal(hash_of(fixture), PYC_CHECK_BAD);
	put_hash_pair(fixture, TEXT "\n");
	assert_int_equal(hash_of(fixture), PYC_CHECK_BAD);
}

/* A timestamp pyc has no hash, but proofs ask for its source's digest. */
static void test_source_of_timestamp_pyc(void **state)
{
	struct fixture *fixture = *state;

	put_pyc(fixture);
	put(fixture, SOURCE, TEXT, SIZE);
	assert_int_equal(hash_of(fixture), PYC_CHECK_UNKNOWN);
	assert_true(fixture->file.content.has_source);
	assert_true(fixture->is_learned);
	assert_true(
		digest_equal(fixture->file.content.source_digest, digest_of(TEXT, SIZE)));
}

static void test_hash_of_unknown_algorithm(void **state)
{
	struct fixture *fixture = *state;
	uint8_t hash[PYC_HASH_SIZE] = {0};

	put_raw(fixture, GRAALPY, PYC_FLAG_HASH, hash);
	put(fixture, SOURCE, TEXT, SIZE);
	assert_int_equal(hash_of(fixture), PYC_CHECK_UNKNOWN);
	assert_true(fixture->file.content.has_source);
}

static void test_hash_of_too_large_source(void **state)
{
	struct fixture *fixture = *state;

	put_hash_pair(fixture, TEXT);
	resize(fixture, SOURCE, (off_t)CONTENT_MAX_BYTES + 1);
	assert_int_equal(hash_of(fixture), PYC_CHECK_UNKNOWN);
	assert_false(fixture->file.content.has_source);
	resize(fixture, SOURCE, CONTENT_MAX_BYTES);
	assert_int_equal(hash_of(fixture), PYC_CHECK_BAD);
}

/* What was known of one source says nothing of another that cannot be read. */
static void test_hash_of_unreadable_source(void **state)
{
	struct fixture *fixture = *state;

	put_hash_pair(fixture, TEXT);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	put(fixture, "other.py", TEXT, SIZE);
	read_error = EIO;
	assert_int_equal(check_source(fixture, "other.py"), PYC_CHECK_UNKNOWN);
	assert_false(fixture->file.content.has_source);
	read_error = 0;
	assert_int_equal(check_source(fixture, SOURCE), PYC_CHECK_OK);
	assert_int_equal(check_source(fixture, "."), PYC_CHECK_UNKNOWN);
	assert_int_equal(check_source(fixture, SOURCE), PYC_CHECK_OK);
	assert_false(content_check_source(&fixture->file, -1));
	assert_int_equal(fixture->file.content.hash, PYC_CHECK_UNKNOWN);
	assert_false(fixture->file.content.has_source);
}

static void change_source(int fd)
{
	(void)fd;
	if (reads == 2)
		overwrite(racing, SOURCE, 0, "y");
}

static void grow_source(int fd)
{
	(void)fd;
	if (reads == 2)
		resize(racing, SOURCE, SIZE + 1);
}

static void test_source_changed_while_read(void **state)
{
	struct fixture *fixture = *state;

	put_hash_pair(fixture, TEXT);
	on_read = change_source;
	assert_int_equal(hash_of(fixture), PYC_CHECK_UNKNOWN);
	assert_false(fixture->file.content.has_source);
	on_read = NULL;
	assert_int_equal(hash_of(fixture), PYC_CHECK_BAD);
	put_hash_pair(fixture, TEXT);
	assert_int_equal(statx_at(fixture->dir, SOURCE, &frozen), 0);
	on_read = grow_source;
	assert_int_equal(hash_of(fixture), PYC_CHECK_UNKNOWN);
}

static void test_hash_not_believed_after_a_change(void **state)
{
	struct fixture *fixture = *state;

	put_hash_pair(fixture, TEXT);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	overwrite(fixture, SOURCE, 0, "y");
	assert_int_equal(hash_of(fixture), PYC_CHECK_BAD);
	overwrite(fixture, SOURCE, 0, "x");
	assert_int_equal(check_source(fixture, SOURCE), PYC_CHECK_OK);
	/* Another source, as a retargeted link finds it. */
	put(fixture, "other.py", OTHER, SIZE);
	assert_int_equal(check_source(fixture, "other.py"), PYC_CHECK_BAD);
}

static void test_hash_is_remembered(void **state)
{
	struct fixture *fixture = *state;

	put_hash_pair(fixture, TEXT);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_int_equal(reads, 0);
	/* A body that is walked later does not lose it. */
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_int_equal(body_of(fixture), PYC_CHECK_OK);
	assert_int_equal(reads, 0);
}

/* Both must be settled: the pyc, and the source that the answer speaks of. */
static void test_hash_remembered_only_when_settled(void **state)
{
	struct fixture *fixture = *state;
	struct content content;

	put_hash_pair(fixture, TEXT);
	overwrite(fixture, SOURCE, 0, "x"); /* now the source is the younger one */
	fake_now_ns = settled_ns(fixture, PYC);
	assert_true(settled_ns(fixture, SOURCE) > fake_now_ns);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_false(is_remembered(fixture, &content));
	/* Nor with the body, which is remembered for its own sake. */
	remember_if(fixture, content_check_body(&fixture->file));
	assert_true(is_remembered(fixture, &content));
	assert_false(content.has_source);
	assert_int_equal(content.hash, PYC_CHECK_UNKNOWN);
	overwrite(fixture, PYC, 16, (const char *)body);
	fake_now_ns = settled_ns(fixture, SOURCE);
	assert_true(settled_ns(fixture, PYC) > fake_now_ns);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_false(is_remembered(fixture, &content));
	fake_now_ns = settled_ns(fixture, PYC);
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_true(is_remembered(fixture, &content));
	assert_int_equal(content.hash, PYC_CHECK_OK);
}

/* The answer stands for the header that was read; what the pyc is now, nobody knows. */
static void test_pyc_changed_while_hashing(void **state)
{
	struct fixture *fixture = *state;
	struct content content;

	put_hash_pair(fixture, TEXT);
	on_read = break_code; /* during the second read, the source's */
	assert_int_equal(hash_of(fixture), PYC_CHECK_OK);
	assert_false(is_remembered(fixture, &content));
	assert_false(fixture->is_learned);
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAIN(test_header),
		PLAIN(test_bad_headers),
		PLAIN(test_not_regular),
		PLAIN(test_unreadable_header),
		PLAIN(test_body_ok),
		PLAIN(test_body_bad),
		PLAIN(test_body_of_unsupported_magic),
		PLAIN(test_body_too_large),
		PLAIN(test_body_unreadable),
		PLAIN(test_size_below_header),
		PLAIN(test_body_written_while_reading),
		PLAIN(test_body_written_within_a_tick),
		PLAIN(test_remembered_only_when_settled),
		PLAIN(test_remembered_is_not_read),
		PLAIN(test_not_believed_after_a_change),
		PLAIN(test_not_believed_on_another_mount),
		PLAIN(test_digest_brings_body_back),
		PLAIN(test_digest_brings_nothing_back),
		PLAIN(test_chmod),
		PLAIN(test_hash_match),
		PLAIN(test_hash_mismatch),
		PLAIN(test_source_of_timestamp_pyc),
		PLAIN(test_hash_of_unknown_algorithm),
		PLAIN(test_hash_of_too_large_source),
		PLAIN(test_hash_of_unreadable_source),
		PLAIN(test_source_changed_while_read),
		PLAIN(test_hash_not_believed_after_a_change),
		PLAIN(test_hash_is_remembered),
		PLAIN(test_hash_remembered_only_when_settled),
		PLAIN(test_pyc_changed_while_hashing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
