/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identities: every field tells files apart, a real change is seen, and a ctime that
 * proves nothing yet (too young, in the future, absurd) is never taken for a proof.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fdio.h"
#include "cache/tree/identity.h"

#define SECOND INT64_C(1000000000)

static struct statx sample_statx(void)
{
	return (struct statx){
		.stx_mask = STATX_BASIC_STATS | STATX_BTIME,
		.stx_dev_major = 8,
		.stx_dev_minor = 3,
		.stx_ino = 77,
		.stx_size = 123,
		.stx_mtime = {.tv_sec = 5, .tv_nsec = 6},
		.stx_ctime = {.tv_sec = 7, .tv_nsec = 8},
		.stx_btime = {.tv_sec = 9, .tv_nsec = 10},
	};
}

static void test_of_statx(void **state)
{
	struct statx stx = sample_statx();
	struct identity identity = identity_of(&stx, 42);

	(void)state;
	assert_int_equal(identity.mount_id, 42);
	assert_int_equal(identity.device, makedev(8, 3));
	assert_int_equal(identity.inode, 77);
	assert_int_equal(identity.generation, 0);
	assert_int_equal(identity.size, 123);
	assert_int_equal(identity.mtime_ns, 5 * SECOND + 6);
	assert_int_equal(identity.ctime_ns, 7 * SECOND + 8);
	assert_int_equal(identity.btime_ns, 9 * SECOND + 10);
	stx.stx_mask &= ~STATX_BTIME;
	assert_int_equal(identity_of(&stx, 42).btime_ns, 0);
	stx.stx_mtime.tv_sec = -1;
	assert_int_equal(identity_of(&stx, 42).mtime_ns, -SECOND + 6);
}

static void test_every_field_counts(void **state)
{
	struct statx stx = sample_statx();
	const struct identity a = identity_of(&stx, 42);
	struct identity b[8];

	(void)state;
	assert_true(identity_equal(&a, &a));
	for (int i = 0; i < 8; i++)
		b[i] = a;
	b[0].mount_id++;
	b[1].device++;
	b[2].inode++;
	b[3].generation++;
	b[4].btime_ns++;
	b[5].size++;
	b[6].mtime_ns++;
	b[7].ctime_ns++;
	for (int i = 0; i < 8; i++) {
		assert_false(identity_equal(&a, &b[i]));
		assert_false(identity_equal(&b[i], &a));
	}
	/* The hash stays with the inode, whatever its content. */
	assert_true(identity_hash(&a) == identity_hash(&b[5]));
	assert_true(identity_hash(&a) == identity_hash(&b[7]));
	assert_true(identity_hash(&a) != identity_hash(&b[2]));
	assert_true(identity_hash(&a) != identity_hash(&b[1]));
}

static bool settled(int64_t ctime_ns, int64_t now_ns)
{
	struct identity identity = {.ctime_ns = ctime_ns};
	struct timespec now = {.tv_sec = now_ns / SECOND, .tv_nsec = now_ns % SECOND};

	return identity_is_settled(&identity, now);
}

static void test_settled(void **state)
{
	const int64_t now = 1700000000 * SECOND + 5;

	(void)state;
	assert_true(settled(now - IDENTITY_SETTLE_S * SECOND, now));
	assert_false(settled(now - IDENTITY_SETTLE_S * SECOND + 1, now));
	assert_false(settled(now, now));
	assert_false(settled(now + 1, now));
	assert_false(settled(now + 1000 * SECOND, now));
	assert_true(settled(0, now));
	assert_true(settled(-SECOND, now));
}

/* A file system of odd or hostile make: no overflow, and no proof from the future. */
static void test_settled_absurd_times(void **state)
{
	const int64_t now = 1700000000 * SECOND;

	(void)state;
	assert_false(settled(INT64_MAX, now));
	settled(INT64_MIN, now); /* must not be undefined; UBSan looks */
}

/* ext4 can record times up to 2446; nanoseconds since 1970 end in 2262. */
static void test_settled_far_future(void **state)
{
	struct timespec now = {.tv_sec = 1700000000};
	struct statx stx = sample_statx();
	struct identity identity;

	(void)state;
	stx.stx_ctime.tv_sec = INT64_C(15032385535); /* ext4's last second */
	identity = identity_of(&stx, 0);
	assert_false(identity_is_settled(&identity, now));
	stx.stx_ctime.tv_sec = INT64_C(9300000000);
	identity = identity_of(&stx, 0);
	assert_false(identity_is_settled(&identity, now));
}

static int64_t ctime_of(int fd, struct identity *ret_identity)
{
	struct statx stx;

	assert_int_equal(statx_at(fd, "", &stx), 0);
	*ret_identity = identity_of(&stx, identity_mount_id(fd));
	ret_identity->generation = identity_generation(fd);
	return ret_identity->ctime_ns;
}

static void test_real_file(void **state)
{
	char path[] = "/tmp/canonfs-identity-XXXXXX";
	int fd = mkstemp(path);
	struct identity before, same, after;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	ctime_of(fd, &before);
	ctime_of(fd, &same);
	assert_true(identity_equal(&before, &same));
	usleep(20000);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	ctime_of(fd, &after);
	assert_false(identity_equal(&before, &after));
	close(fd);
}

static void test_mount_id_and_generation_of_nothing(void **state)
{
	int memfd = memfd_create("x", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(identity_mount_id(-1), 0);
	assert_int_equal(identity_generation(-1), 0);
	assert_int_equal(identity_mount_id(memfd), identity_mount_id(memfd));
	close(memfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_statx),
		cmocka_unit_test(test_every_field_counts),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_real_file),
		cmocka_unit_test(test_mount_id_and_generation_of_nothing),
		cmocka_unit_test(test_settled_far_future),
		cmocka_unit_test(test_settled_absurd_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
