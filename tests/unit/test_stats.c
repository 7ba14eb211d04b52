/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting: nothing is lost between threads and processes, ordinary answers are no errors,
 * the rate is of the last minute, and opcode names are the kernel's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope.h"
#include "fs/watch/stats.h"

#define THREADS 4
#define ROUNDS	20000
#define NOW_S	100000u

static void *count_many(void *context)
{
	struct stats *stats = context;
	struct pyc_decision decision = {.verdict = PYC_RESTAMPED, .changed = true};

	for (int i = 0; i < ROUNDS; i++) {
		stats_request(stats, FUSE_READ, NOW_S + (uint32_t)i % 2);
		stats_decision(stats, &decision);
		stats_error(stats, EIO);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct stats *stats = stats_new();
	pthread_t threads[THREADS];

	(void)state;
	assert_non_null(stats);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, stats), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stats->requests[FUSE_READ], THREADS * ROUNDS);
	assert_int_equal(stats->verdicts[PYC_RESTAMPED], THREADS * ROUNDS);
	assert_int_equal(stats->changed, THREADS * ROUNDS);
	assert_int_equal(stats->errors[STATS_EIO], THREADS * ROUNDS);
	stats_free(stats);
}

static void *count_evidence(void *context)
{
	struct stats *stats = context;

	for (int i = 0; i < ROUNDS; i++) {
		struct pyc_decision decision = {
			.evidence = PYC_E_PAIR,
			.forgiven_s = 1750000000 + i % (STATS_TIMES + 1),
		};

		stats_evidence(stats, &decision);
	}
	return NULL;
}

static void test_evidence(void **state)
{
	const struct pyc_decision constant = {.evidence = PYC_E_CONSTANT};
	const struct pyc_decision pair = {.evidence = PYC_E_PAIR, .forgiven_s = 77};
	char text[STATS_EVIDENCE_MAX];
	struct stats *stats = stats_new();

	(void)state;
	assert_string_equal(stats_evidence_text(stats, text), "");
	stats_evidence(stats, &(const struct pyc_decision){.evidence = PYC_E_NONE});
	assert_string_equal(stats_evidence_text(stats, text), "");
	stats_evidence(stats, &constant);
	stats_evidence(stats, &constant);
	stats_evidence(stats, &pair);
	assert_string_equal(stats_evidence_text(stats, text), "constant 2, pair 1 (77: 1)");
	stats_evidence(stats, &(const struct pyc_decision){.evidence = PYC_E_PAIR,
							   .forgiven_s = -5});
	stats_evidence(stats, &pair);
	assert_string_equal(stats_evidence_text(stats, text),
			    "constant 2, pair 3 (77: 2, -5: 1)");
	stats_free(stats);
}

/* Each time has one slot; one that finds none is counted with the others only. */
static void test_evidence_of_threads(void **state)
{
	struct stats *stats = stats_new();
	pthread_t threads[THREADS];
	char text[STATS_EVIDENCE_MAX];
	uint64_t counted = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_evidence, stats),
				 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stats->evidence[PYC_E_PAIR], THREADS * ROUNDS);
	for (int i = 0; i < STATS_TIMES; i++) {
		for (int k = 0; k < i; k++)
			assert_int_not_equal(stats->time_s[i], stats->time_s[k]);
		counted += stats->time_count[i];
	}
	assert_in_range(counted, THREADS * (ROUNDS - ROUNDS / STATS_TIMES),
			THREADS * ROUNDS - 1);
	assert_non_null(strchr(stats_evidence_text(stats, text), ')'));
	stats_free(stats);
}

/* One slot begins anew while several threads count: at most those in flight are lost. */
static void test_recent_of_threads(void **state)
{
	struct stats *stats = stats_new();
	pthread_t threads[THREADS];

	(void)state;
	assert_non_null(stats);
	stats_request(stats, FUSE_READ, NOW_S - STATS_SECONDS);
	stats_request(stats, FUSE_READ, NOW_S - STATS_SECONDS + 1);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, stats), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stats_recent(stats, NOW_S + 2), THREADS * ROUNDS);
	stats_free(stats);
}

static void test_recent(void **state)
{
	struct stats *stats = stats_new();

	(void)state;
	assert_non_null(stats);
	assert_int_equal(stats_recent(stats, NOW_S), 0);
	for (uint32_t i = 0; i < 200; i++)
		for (uint32_t k = 0; k <= i % 3; k++)
			stats_request(stats, FUSE_LOOKUP, NOW_S + i);
	/* Seconds 140 to 199: each third has 1, 2 and 3. */
	assert_int_equal(stats_recent(stats, NOW_S + 200), 120);
	assert_int_equal(stats_recent(stats, NOW_S + 199 + STATS_RATE_OVER), 2);
	assert_int_equal(stats_recent(stats, NOW_S + 200 + STATS_RATE_OVER), 0);
	/* The second that goes on is not in it. */
	assert_int_equal(stats_recent(stats, NOW_S + 199), 120);
	stats_free(stats);
}

static void test_shared_with_children(void **state)
{
	struct stats *stats = stats_new();
	pid_t pid;

	(void)state;
	assert_non_null(stats);
	pid = fork();
	if (pid == 0) {
		stats_request(stats, FUSE_LOOKUP, NOW_S);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(stats->requests[FUSE_LOOKUP], 1);
	stats_free(stats);
}

static void test_opcodes_beyond_the_table(void **state)
{
	struct stats *stats = stats_new();

	(void)state;
	assert_non_null(stats);
	stats_request(stats, STATS_OPCODES - 1, NOW_S);
	stats_request(stats, STATS_OPCODES, NOW_S);
	stats_request(stats, UINT32_MAX, NOW_S);
	assert_int_equal(stats->requests[STATS_OPCODES - 1], 3);
	assert_null(stats_opcode_name(STATS_OPCODES));
	assert_null(stats_opcode_name(UINT32_MAX));
	assert_null(stats_opcode_name(0));
	stats_free(stats);
}

static void test_opcode_names(void **state)
{
	static const struct {
		uint32_t opcode;
		const char *name;
	} some[] = {
#define NAME(name) {FUSE_##name, #name}
		NAME(LOOKUP),	       NAME(FORGET),	  NAME(GETATTR),
		NAME(READLINK),	       NAME(OPEN),	  NAME(READ),
		NAME(STATFS),	       NAME(RELEASE),	  NAME(GETXATTR),
		NAME(LISTXATTR),       NAME(FLUSH),	  NAME(INIT),
		NAME(OPENDIR),	       NAME(READDIR),	  NAME(ACCESS),
		NAME(INTERRUPT),       NAME(DESTROY),	  NAME(IOCTL),
		NAME(LSEEK),	       NAME(READDIRPLUS), NAME(BATCH_FORGET),
		NAME(RENAME2),	       NAME(SETATTR),	  NAME(CREATE),
		NAME(FALLOCATE),       NAME(POLL),	  NAME(NOTIFY_REPLY),
		NAME(COPY_FILE_RANGE),
#undef NAME
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		assert_string_equal(stats_opcode_name(some[i].opcode), some[i].name);
}

static void test_errors(void **state)
{
	static const int ordinary[] = {0,      ENOENT, ENODATA, ERANGE,	   EROFS,
				       ENOTTY, ENOSYS, EINVAL,	EOPNOTSUPP};
	static const struct {
		int error;
		enum stats_error_class class;
		const char *name;
	} counted[] = {
		{EACCES, STATS_EACCES, "EACCES"}, {EIO, STATS_EIO, "EIO"},
		{EMFILE, STATS_EMFILE, "EMFILE"}, {ENFILE, STATS_ENFILE, "ENFILE"},
		{ENOMEM, STATS_ENOMEM, "ENOMEM"}, {ESTALE, STATS_ESTALE, "ESTALE"},
		{EBADF, STATS_OTHER, "other"},
	};
	struct stats *stats = stats_new();

	(void)state;
	assert_non_null(stats);
	for (size_t i = 0; i < ARRAY_SIZE(ordinary); i++)
		stats_error(stats, ordinary[i]);
	for (size_t i = 0; i < STATS_ERRORS; i++)
		assert_int_equal(stats->errors[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++) {
		stats_error(stats, counted[i].error);
		assert_int_equal(stats->errors[counted[i].class], 1);
		assert_string_equal(stats_error_name(counted[i].class), counted[i].name);
	}
	assert_int_equal(ARRAY_SIZE(counted), STATS_ERRORS);
	stats_free(stats);
}

static void test_decisions(void **state)
{
	struct pyc_decision decision = {.verdict = PYC_STALE};
	struct stats *stats = stats_new();

	(void)state;
	assert_non_null(stats);
	stats_decision(stats, NULL);
	stats_decision(stats, &decision);
	assert_int_equal(stats->undecided, 1);
	assert_int_equal(stats->verdicts[PYC_STALE], 1);
	assert_int_equal(stats->verdicts[PYC_FRESH], 0);
	assert_int_equal(stats->changed, 0);
	stats_free(stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_evidence_of_threads),
		cmocka_unit_test(test_recent_of_threads),
		cmocka_unit_test(test_recent),
		cmocka_unit_test(test_shared_with_children),
		cmocka_unit_test(test_opcodes_beyond_the_table),
		cmocka_unit_test(test_opcode_names),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_decisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
