/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verdict: every reason once by hand, then the promises over a grid of some
 * forty million combinations of facts and policy. What Python accepts, what canonfs
 * forgives and which bytes may differ is written down here again, in other words than in
 * pyc/verdict.c, from DESIGN and from the runs of real interpreters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "pyc/verdict.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define PYTHON27  62211
#define PYTHON32  3180
#define PYTHON36  3379
#define PYTHON311 3495

#define COMPILED 1700000000u /* the embedded time of the usual pyc */
#define SIZE	 100

struct setting {
	struct pyc_facts facts;
	struct pyc_policy policy;
};

static bool reason_seen[PYC_REASONS];

/* --- making settings --- */

static void store_le32(uint8_t *p, uint32_t value)
{
	for (size_t i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t load_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static void set_header(struct setting *s, uint16_t number, uint32_t flags, uint32_t mtime,
		       uint32_t size)
{
	uint8_t raw[PYC_HEADER_MAX] = {(uint8_t)number, (uint8_t)(number >> 8), '\r', '\n'};
	uint8_t *p = raw + 4;

	if (number == PYTHON311) {
		store_le32(p, flags);
		p += 4;
	}
	store_le32(p, mtime);
	if (number == PYTHON311 || number == PYTHON36)
		store_le32(p + 4, size);
	s->facts.header_status = pyc_header_parse(raw, sizeof(raw), &s->facts.header);
	assert_int_equal(s->facts.header_status, PYC_HEADER_OK);
}

static void set_name(struct setting *s, const char *name, bool in_cache)
{
	pyc_name_parse(name, in_cache, &s->facts.name);
}

static struct timespec at(int64_t sec)
{
	return (struct timespec){.tv_sec = sec};
}

static void set_times(struct setting *s, int64_t sec)
{
	s->facts.source_mtime = at(sec);
	s->facts.served_mtime = at(sec);
}

static void set_epoch(struct setting *s, int64_t epoch)
{
	s->policy.view = PYC_VIEW_EPOCH;
	s->policy.epoch = epoch;
	s->facts.served_mtime = at(epoch);
}

/* What ostree makes of foo.py: time 0, size and body as they were. */
static struct setting usual(void)
{
	struct setting s = {
		.facts =
			{
				.source = PYC_SOURCE_REGULAR,
				.source_size = SIZE,
				.body = PYC_CHECK_OK,
				.hash = PYC_CHECK_OK,
			},
	};

	set_name(&s, "foo.cpython-311.pyc", true);
	set_header(&s, PYTHON311, 0, COMPILED, SIZE);
	return s;
}

static struct setting usual_of(uint16_t number)
{
	struct setting s = usual();

	set_header(&s, number, 0, COMPILED, SIZE);
	switch (number) {
	case PYTHON27:
		set_name(&s, "foo.pyc", false);
		break;
	case PYTHON32:
		set_name(&s, "foo.cpython-32.pyc", true);
		break;
	case PYTHON36:
		set_name(&s, "foo.cpython-36.pyc", true);
		break;
	}
	return s;
}

static struct setting usual_hash(enum pyc_hash_policy policy)
{
	struct setting s = usual();

	set_header(&s, PYTHON311, 3, 0x04030201, 0x08070605);
	s.policy.hash = policy;
	return s;
}

/* --- the map of reasons, as the comments of enum pyc_reason draw it --- */

static enum pyc_verdict verdict_of(enum pyc_reason reason)
{
	if (reason == PYC_R_MATCHES)
		return PYC_FRESH;
	if (reason <= PYC_R_PROVED)
		return PYC_RESTAMPED;
	if (reason <= PYC_R_ALIASED)
		return PYC_STALE;
	if (reason <= PYC_R_HASH_UNVERIFIED)
		return PYC_HASH_CHECKED;
	if (reason <= PYC_R_PROMOTED)
		return PYC_HASH_UNCHECKED;
	if (reason <= PYC_R_SHADOWED)
		return PYC_ORPHAN;
	if (reason == PYC_R_LEGACY)
		return PYC_SOURCELESS;
	return reason <= PYC_R_ODD_NAME ? PYC_FOREIGN : PYC_CORRUPT;
}

static struct pyc_decision expect(const struct setting *s, enum pyc_reason reason)
{
	struct pyc_decision decision;

	memset(&decision, 0x5a, sizeof(decision));
	pyc_decide(&s->facts, &s->policy, &decision);
	assert_string_equal(pyc_reason_name(decision.reason), pyc_reason_name(reason));
	assert_int_equal(decision.verdict, verdict_of(reason));
	reason_seen[reason] = true;
	return decision;
}

static void expect_as_on_disk(const struct setting *s, enum pyc_reason reason, bool vouched)
{
	struct pyc_decision decision = expect(s, reason);

	assert_int_equal(decision.vouched, vouched);
	assert_false(decision.changed);
	assert_memory_equal(decision.header.raw, s->facts.header.raw, PYC_HEADER_MAX);
}

static void expect_restamped(const struct setting *s, enum pyc_reason reason,
			     uint32_t mtime)
{
	struct pyc_decision decision = expect(s, reason);

	assert_true(decision.vouched);
	assert_int_equal(decision.header.mtime, mtime);
	assert_int_equal(decision.changed, mtime != s->facts.header.mtime);
}

/* Not vouched for, and it matched by accident: the word is another now. */
static void expect_spoiled(const struct setting *s, enum pyc_reason reason)
{
	struct pyc_decision decision = expect(s, reason);

	assert_false(decision.vouched);
	assert_true(decision.changed);
	assert_int_not_equal(decision.header.mtime, s->facts.header.mtime);
}

/* --- names and headers --- */

static void test_names_that_are_not_python_s(void **state)
{
	struct setting s = usual();

	(void)state;
	set_name(&s, "foo.cpython-311-pytest-7.2.1.pyc", true);
	expect_as_on_disk(&s, PYC_R_PYTEST, false);
	set_name(&s, "foo.pyc", true);
	expect_as_on_disk(&s, PYC_R_ODD_NAME, false);
	set_name(&s, "foo.txt", true);
	expect_as_on_disk(&s, PYC_R_ODD_NAME, false);
	set_name(&s, "foo.rustpython-311.pyc", true);
	expect_as_on_disk(&s, PYC_R_TAG, false);
}

/* pytest and RustPython compare times as Python does: not with one that the view made. */
static void test_foreign_pycs_under_a_made_up_time(void **state)
{
	struct setting s = usual();

	(void)state;
	set_name(&s, "foo.cpython-311-pytest-7.2.1.pyc", true);
	set_epoch(&s, COMPILED);
	expect_spoiled(&s, PYC_R_PYTEST);
	set_name(&s, "foo.rustpython-311.pyc", true);
	expect_spoiled(&s, PYC_R_TAG);
	set_times(&s, COMPILED); /* it matches the source itself */
	set_epoch(&s, COMPILED);
	expect_as_on_disk(&s, PYC_R_TAG, false);
}

static void expect_no_header(const struct setting *s, enum pyc_reason reason)
{
	static const struct pyc_header zero;
	struct pyc_decision decision = expect(s, reason);

	assert_memory_equal(&decision.header, &zero, sizeof(zero));
	assert_false(decision.vouched);
	assert_false(decision.changed);
}

static void test_headers_that_do_not_parse(void **state)
{
	struct setting s = usual();

	(void)state;
	memset(&s.facts.header, 0x5a, sizeof(s.facts.header)); /* must not be looked at */
	s.facts.header_status = PYC_HEADER_SHORT;
	expect_no_header(&s, PYC_R_SHORT);
	s.facts.header_status = PYC_HEADER_UNKNOWN_MAGIC;
	expect_no_header(&s, PYC_R_MAGIC);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);
	set_name(&s, "foo.cpython-311-pytest-7.2.1.pyc", true);
	expect_no_header(&s, PYC_R_PYTEST);
}

static void test_unknown_flags(void **state)
{
	struct setting s = usual();

	(void)state;
	set_header(&s, PYTHON311, 4, COMPILED, SIZE);
	expect_as_on_disk(&s, PYC_R_UNKNOWN_FLAGS, false);
	set_times(&s,
		  COMPILED); /* no interpreter accepts it, so there is nothing to spoil */
	expect_as_on_disk(&s, PYC_R_UNKNOWN_FLAGS, false);
}

/* --- where it lies --- */

static void test_legacy_names(void **state)
{
	struct setting s = usual();

	(void)state;
	set_name(&s, "foo.pyc", false);
	expect_as_on_disk(&s, PYC_R_SHADOWED, false);
	s.facts.source = PYC_SOURCE_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_SHADOWED, false);
	s.facts.source = PYC_SOURCE_NONE;
	expect_as_on_disk(&s, PYC_R_LEGACY, false);

	s = usual_of(PYTHON27);
	expect_restamped(&s, PYC_R_CANONICAL_NO_SIZE, 0);
	s.facts.source = PYC_SOURCE_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_SOURCE_UNKNOWN, false);
	s.facts.source = PYC_SOURCE_NONE;
	expect_as_on_disk(&s, PYC_R_LEGACY, false);
}

static void test_cached_names(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.source = PYC_SOURCE_NONE;
	expect_as_on_disk(&s, PYC_R_NO_SOURCE, false);
	s.facts.source = PYC_SOURCE_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_SOURCE_UNKNOWN, false);
	/* 2.7 does not look in __pycache__. */
	s = usual_of(PYTHON27);
	set_name(&s, "foo.cpython-27.pyc", true);
	expect_as_on_disk(&s, PYC_R_TAG, false);
}

/* Nobody knows the source, but the view makes it match: that is not left to luck. */
static void test_unknown_source_under_a_view(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.source = PYC_SOURCE_UNKNOWN;
	/* Nobody knows which time the reader sees, so no word may stay. */
	set_epoch(&s, COMPILED + 1);
	expect_spoiled(&s, PYC_R_SOURCE_UNKNOWN);
	set_epoch(&s, COMPILED);
	expect_spoiled(&s, PYC_R_SOURCE_UNKNOWN);
	s.policy.view = PYC_VIEW_EMBEDDED;
	expect_spoiled(&s, PYC_R_SOURCE_UNKNOWN);
	s.policy.view = PYC_VIEW_SOURCE;
	expect_as_on_disk(&s, PYC_R_SOURCE_UNKNOWN, false);
}

/* Reached beside another source as well: it must not be made to match this one's time. */
static void test_aliased(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.aliased = true;
	expect_as_on_disk(&s, PYC_R_ALIASED, false);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);
	s.facts.source = PYC_SOURCE_NONE; /* where it lies; the other reader has one */
	set_name(&s, "foo.cpython-311.pyc", false);
	expect_as_on_disk(&s, PYC_R_ALIASED, false);
	set_epoch(&s, COMPILED);
	expect_spoiled(&s, PYC_R_ALIASED);
	set_epoch(&s, COMPILED + 1);
	expect_spoiled(&s, PYC_R_ALIASED);

	s = usual_hash(PYC_HASH_UNCHECK);
	s.facts.aliased = true;
	expect_as_on_disk(&s, PYC_R_HASH_KEPT, false);
}

/* --- timestamp pycs --- */

static void test_fresh(void **state)
{
	struct setting s = usual();

	(void)state;
	set_times(&s, COMPILED);
	s.facts.body = PYC_CHECK_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_MATCHES, true);
	s.facts.body = PYC_CHECK_BAD; /* Python's business, as on the bare source */
	expect_as_on_disk(&s, PYC_R_MATCHES, true);
	s.policy.trust = PYC_TRUST_VERIFIED;
	expect_as_on_disk(&s, PYC_R_MATCHES, true);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);
}

/* 1699999999.9999999 is 1700000000.0 as a double, and that is what Python embedded. */
static void test_fresh_after_rounding(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.source_mtime = (struct timespec){COMPILED - 1, 999999900};
	s.facts.served_mtime = s.facts.source_mtime;
	expect_as_on_disk(&s, PYC_R_MATCHES, true);
}

static void test_fresh_under_a_view(void **state)
{
	struct setting s = usual();

	(void)state;
	set_times(&s, COMPILED);
	set_epoch(&s, 1);
	expect_restamped(&s, PYC_R_VIEW, 1);
	s.policy.trust = PYC_TRUST_VERIFIED; /* it needs no forgiving */
	expect_restamped(&s, PYC_R_VIEW, 1);

	/* Damaged: as it is, it does not match the view, and Python recompiles. */
	s.facts.body = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_BODY, false);
	s.facts.body = PYC_CHECK_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_BODY_UNKNOWN, false);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), PYC_NEEDS_BODY);
}

static void test_canonical(void **state)
{
	static const int64_t times[] = {0, 1, 315532800, 315532801};
	struct setting s = usual();

	(void)state;
	for (size_t i = 0; i < LENGTH(times); i++) {
		set_times(&s, times[i]);
		s.policy.trust = PYC_TRUST_CANONICAL;
		expect_restamped(&s, PYC_R_CANONICAL, (uint32_t)times[i]);
		s.policy.trust = PYC_TRUST_SIZE;
		expect_restamped(&s, PYC_R_CANONICAL, (uint32_t)times[i]);
		s.policy.trust = PYC_TRUST_VERIFIED;
		expect_as_on_disk(&s, PYC_R_NOT_PROVED, false);
	}
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);
}

static void test_damaged_bodies(void **state)
{
	struct setting s = usual();

	(void)state;
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), PYC_NEEDS_BODY);
	s.facts.body = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_BODY, false);
	s.facts.body = PYC_CHECK_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_BODY_UNKNOWN, false);

	/* The epoch is the embedded time: with a match the import would fail. */
	set_epoch(&s, COMPILED);
	expect_spoiled(&s, PYC_R_BODY_UNKNOWN);
	s.facts.body = PYC_CHECK_BAD;
	expect_spoiled(&s, PYC_R_BODY);
	s.facts.body = PYC_CHECK_OK;
	expect_restamped(&s, PYC_R_CANONICAL, COMPILED);
}

static void test_really_stale(void **state)
{
	struct setting s = usual();

	(void)state;
	set_times(&s, COMPILED + 1);
	expect_as_on_disk(&s, PYC_R_NEWER, false);
	set_times(&s, COMPILED - 1);
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	set_times(&s, 0);
	s.facts.source_size = SIZE + 1;
	expect_as_on_disk(&s, PYC_R_SIZE, false);
	s.facts.source_size = SIZE + (INT64_C(1) << 32); /* Python compares 32 bits */
	expect_as_on_disk(&s, PYC_R_SIZE, false);

	/* int(st_mtime) is the embedded time, but the import of 2.7 does not round. */
	s = usual_of(PYTHON27);
	s.facts.source_mtime = (struct timespec){COMPILED - 1, 999999900};
	expect_as_on_disk(&s, PYC_R_NEWER, false);
}

static void test_stale_pycs_do_not_match_a_view(void **state)
{
	struct setting s = usual();

	(void)state;
	set_times(&s, COMPILED + 1);
	set_epoch(&s, COMPILED);
	expect_spoiled(&s, PYC_R_NEWER);
	set_times(&s, COMPILED - 1);
	set_epoch(&s, COMPILED);
	expect_spoiled(&s, PYC_R_NOT_CANONICAL);
	s.policy.trust = PYC_TRUST_VERIFIED;
	expect_spoiled(&s, PYC_R_NOT_PROVED);
	s.facts.source_size = SIZE + 1; /* the size alone keeps it from matching */
	expect_as_on_disk(&s, PYC_R_SIZE, false);
}

/* An edit that set a time within a canonical second is still an edit. */
static void test_nanoseconds_are_not_canonical(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.source_mtime.tv_nsec = 1;
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
}

static void test_canonical_times_of_the_policy(void **state)
{
	struct setting s = usual();

	(void)state;
	set_times(&s, COMPILED - 50);
	s.policy.canonical[0] = 77;
	s.policy.canonical[1] = COMPILED - 50;
	s.policy.canonical_count = 1;
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	s.policy.canonical_count = 2;
	expect_restamped(&s, PYC_R_CANONICAL, COMPILED - 50);
}

static void test_later_canonical_times(void **state)
{
	struct setting s = usual();

	(void)state;
	set_times(&s, 315532800);
	set_header(&s, PYTHON311, 0, 12345, SIZE);
	expect_as_on_disk(&s, PYC_R_NEWER, false);
	s.policy.trust = PYC_TRUST_SIZE;
	expect_restamped(&s, PYC_R_CANONICAL_LATER, 315532800);

	/* Without a size nothing speaks for it. */
	s = usual_of(PYTHON27);
	set_times(&s, 315532800);
	set_header(&s, PYTHON27, 0, 12345, 0);
	s.policy.trust = PYC_TRUST_SIZE;
	expect_as_on_disk(&s, PYC_R_NEWER, false);
}

/* Two tools, one after the other: the bytecode embeds the time that the first one set. */
static void test_canonical_after_canonical(void **state)
{
	static const int64_t times[] = {0, 1, 315532800, 315532801};
	struct setting s = usual();

	(void)state;
	for (size_t i = 1; i < LENGTH(times); i++) {
		set_times(&s, times[i]);
		set_header(&s, PYTHON311, 0, (uint32_t)times[i - 1], SIZE);
		expect_restamped(&s, PYC_R_CANONICAL_LATER, (uint32_t)times[i]);
		/* The other way round it is earlier, as ever. */
		set_times(&s, times[i - 1]);
		set_header(&s, PYTHON311, 0, (uint32_t)times[i], SIZE);
		expect_restamped(&s, PYC_R_CANONICAL, (uint32_t)times[i - 1]);
	}

	/* A source that is newer by no tool. */
	set_header(&s, PYTHON311, 0, 0, SIZE);
	set_times(&s, 2);
	expect_as_on_disk(&s, PYC_R_NEWER, false);
	s.facts.source_mtime = (struct timespec){1, 1};
	expect_as_on_disk(&s, PYC_R_NEWER, false);
	/* A time of the policy is canonical for a source, and in no header. */
	s.policy.canonical[0] = 1000;
	s.policy.canonical[1] = 2000;
	s.policy.canonical_count = 2;
	set_times(&s, 2000);
	expect_restamped(&s, PYC_R_CANONICAL_LATER, 2000);
	set_header(&s, PYTHON311, 0, 1000, SIZE);
	expect_as_on_disk(&s, PYC_R_NEWER, false);

	/* Without a size nothing speaks for it. */
	s = usual_of(PYTHON27);
	set_times(&s, 1);
	set_header(&s, PYTHON27, 0, 0, 0);
	expect_as_on_disk(&s, PYC_R_NEWER, false);
	s = usual_of(PYTHON36);
	set_times(&s, 1);
	set_header(&s, PYTHON36, 0, 0, SIZE + 1);
	expect_as_on_disk(&s, PYC_R_SIZE, false);
}

/* A tool set all of a tree that cannot change to a time of its own choice. */
static struct setting usual_pair(void)
{
	struct setting s = usual();

	set_times(&s, COMPILED - 1000);
	s.facts.mtime = at(COMPILED - 1000);
	s.policy.immutable = true;
	return s;
}

static void test_canonical_pairs(void **state)
{
	struct setting s = usual_pair();

	(void)state;
	expect_restamped(&s, PYC_R_CANONICAL_PAIR, COMPILED - 1000);
	s.policy.trust = PYC_TRUST_SIZE;
	expect_restamped(&s, PYC_R_CANONICAL_PAIR, COMPILED - 1000);
	s.policy.trust = PYC_TRUST_VERIFIED;
	expect_as_on_disk(&s, PYC_R_NOT_PROVED, false);

	/* A time that is canonical anyway needs no pair. */
	s = usual_pair();
	set_times(&s, 0);
	s.facts.mtime = at(0);
	expect_restamped(&s, PYC_R_CANONICAL, 0);
}

static void test_what_is_no_pair(void **state)
{
	struct setting s = usual_pair();

	(void)state;
	s.policy.immutable = false;
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	s = usual_pair();
	s.facts.outside = true;
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	/* A replaced release: an interpreter wrote the pyc, after the time that it embeds.
	 */
	s = usual_pair();
	s.facts.mtime = at(COMPILED + 7);
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	s.facts.mtime = at(COMPILED - 1001);
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	/* Tools set whole seconds. */
	s = usual_pair();
	s.facts.mtime.tv_nsec = 1;
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	s.facts.source_mtime.tv_nsec = 1;
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
	/* Copied in one second: that is later, as an interpreter would have it. */
	s = usual_pair();
	set_times(&s, COMPILED + 1);
	s.facts.mtime = at(COMPILED + 1);
	expect_as_on_disk(&s, PYC_R_NEWER, false);
	s.policy.trust = PYC_TRUST_SIZE;
	expect_as_on_disk(&s, PYC_R_NEWER, false);
	/* The size has to speak, too. */
	s = usual_pair();
	s.facts.source_size++;
	expect_as_on_disk(&s, PYC_R_SIZE, false);
	s = usual_of(PYTHON27);
	set_times(&s, COMPILED - 1000);
	s.facts.mtime = at(COMPILED - 1000);
	s.policy.immutable = true;
	expect_as_on_disk(&s, PYC_R_NOT_CANONICAL, false);
}

static enum pyc_evidence evidence(const struct setting *s)
{
	struct pyc_decision decision;

	pyc_decide(&s->facts, &s->policy, &decision);
	return decision.evidence;
}

static void test_evidence(void **state)
{
	struct setting s = usual();

	(void)state;
	assert_int_equal(evidence(&s), PYC_E_CONSTANT);
	s.facts.body = PYC_CHECK_BAD;
	assert_int_equal(evidence(&s), PYC_E_NONE);
	s = usual();
	s.policy.canonical[0] = 77;
	s.policy.canonical_count = 1;
	set_times(&s, 77);
	assert_int_equal(evidence(&s), PYC_E_GIVEN);
	set_header(&s, PYTHON311, 0, 0, SIZE);
	assert_int_equal(evidence(&s), PYC_E_GIVEN);
	s = usual_of(PYTHON27);
	assert_int_equal(evidence(&s), PYC_E_CONSTANT);
	s = usual_pair();
	assert_int_equal(evidence(&s), PYC_E_PAIR);
	assert_int_equal(expect(&s, PYC_R_CANONICAL_PAIR).forgiven_s, COMPILED - 1000);
	s.facts.proof = PYC_CHECK_OK;
	assert_int_equal(evidence(&s), PYC_E_PROOF);
	s.facts.proof = PYC_CHECK_BAD;
	assert_int_equal(evidence(&s), PYC_E_NONE);
	s = usual();
	set_header(&s, PYTHON311, 0, COMPILED, 0);
	s.facts.source_size = 0;
	assert_int_equal(evidence(&s), PYC_E_EMPTY);
	set_times(&s, COMPILED);
	assert_int_equal(evidence(&s), PYC_E_NONE);
}

/* Python compares sizes modulo 2^32; that is not enough to forgive a time. */
static void test_huge_sources(void **state)
{
	struct setting s = usual();

	(void)state;
	expect_restamped(&s, PYC_R_CANONICAL, 0);
	s.facts.source_size = SIZE + (INT64_C(1) << 32);
	expect_as_on_disk(&s, PYC_R_SIZE, false);
	s.facts.proof = PYC_CHECK_OK;
	expect_as_on_disk(&s, PYC_R_SIZE, false);
	/* What Python accepts on the bare source stays accepted. */
	set_times(&s, COMPILED);
	expect(&s, PYC_R_MATCHES);
}

static void test_empty_sources(void **state)
{
	struct setting s = usual();

	(void)state;
	set_header(&s, PYTHON311, 0, COMPILED, 0);
	s.facts.source_size = 0;
	set_times(&s, COMPILED + 1000); /* ostree: the time of the checkout */
	expect_restamped(&s, PYC_R_EMPTY, COMPILED + 1000);
	s.policy.trust = PYC_TRUST_VERIFIED;
	expect_as_on_disk(&s, PYC_R_NOT_PROVED, false);

	s = usual_of(PYTHON27); /* its pycs do not tell that the source was empty */
	s.facts.source_size = 0;
	set_times(&s, COMPILED + 1000);
	expect_as_on_disk(&s, PYC_R_NEWER, false);
}

static void test_proofs(void **state)
{
	struct setting s = usual();

	(void)state;
	set_times(&s, COMPILED + 1);
	s.facts.proof = PYC_CHECK_OK;
	for (int trust = PYC_TRUST_CANONICAL; trust <= PYC_TRUST_VERIFIED; trust++) {
		s.policy.trust = (enum pyc_trust)trust;
		expect_restamped(&s, PYC_R_PROVED, COMPILED + 1);
	}
	s.facts.source_size++; /* no mtime word helps against that */
	expect_as_on_disk(&s, PYC_R_SIZE, false);
}

/* What may be disproved is forgiven nothing; what matches by itself stays as it is. */
static void test_proofs_that_could_not_be_read(void **state)
{
	struct setting s = usual();

	(void)state;
	s.policy.proofs_unread = true;
	for (int trust = PYC_TRUST_CANONICAL; trust <= PYC_TRUST_SIZE; trust++) {
		s.policy.trust = (enum pyc_trust)trust;
		expect_as_on_disk(&s, PYC_R_PROOFS_UNREAD, false);
	}
	set_times(&s, COMPILED);
	expect_as_on_disk(&s, PYC_R_MATCHES, true);
	s = usual_hash(PYC_HASH_UNCHECK);
	s.policy.proofs_unread = true;
	expect(&s, PYC_R_PROMOTED);
}

/* What is edited, its package says, is forgiven nothing that only times speak for. */
static void test_edited_sources(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.record = PYC_CHECK_BAD;
	for (int trust = PYC_TRUST_CANONICAL; trust <= PYC_TRUST_SIZE; trust++) {
		s.policy.trust = (enum pyc_trust)trust;
		expect_as_on_disk(&s, PYC_R_EDITED, false);
	}
	s.facts.record = PYC_CHECK_OK;
	expect_restamped(&s, PYC_R_CANONICAL, 0);
	s.facts.record = PYC_CHECK_BAD;
	s.facts.proof = PYC_CHECK_OK; /* the bytecode is that of the edited source */
	expect_restamped(&s, PYC_R_PROVED, 0);
	s.facts.proof = PYC_CHECK_UNKNOWN;
	set_times(&s, COMPILED);
	expect_as_on_disk(&s, PYC_R_MATCHES, true);
}

/* What came with a later layer is forgiven nothing that only times speak for. */
static void test_sources_of_later_layers(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.layer = PYC_CHECK_BAD;
	s.facts.record = PYC_CHECK_OK; /* the bytecode may be of the package before it */
	for (int trust = PYC_TRUST_CANONICAL; trust <= PYC_TRUST_SIZE; trust++) {
		s.policy.trust = (enum pyc_trust)trust;
		expect_as_on_disk(&s, PYC_R_LATER_LAYER, false);
	}
	s.facts.record = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_EDITED, false);
	s.facts.record = PYC_CHECK_UNKNOWN;
	s.facts.layer = PYC_CHECK_OK;
	expect_restamped(&s, PYC_R_CANONICAL, 0);
	s.facts.layer = PYC_CHECK_BAD;
	s.facts.proof = PYC_CHECK_OK;
	expect_restamped(&s, PYC_R_PROVED, 0);
	s.facts.proof = PYC_CHECK_UNKNOWN;
	set_epoch(&s, COMPILED); /* the view must not make it match */
	expect_spoiled(&s, PYC_R_LATER_LAYER);
	s = usual();
	s.facts.layer = PYC_CHECK_BAD;
	set_times(&s, COMPILED);
	expect_as_on_disk(&s, PYC_R_MATCHES, true);
	set_times(&s, 0);
	set_header(&s, PYTHON311, 0, COMPILED, 0);
	s.facts.source_size = 0;
	expect_restamped(&s, PYC_R_EMPTY, 0);
}

static void test_disproofs(void **state)
{
	struct setting s = usual();

	(void)state;
	s.facts.proof = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_DISPROVED, false);
	set_times(&s, COMPILED);
	expect_spoiled(&s, PYC_R_DISPROVED);

	s = usual_hash(PYC_HASH_UNCHECK);
	s.facts.proof = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_DISPROVED, false);
	set_header(&s, PYTHON311, 1, 0, 0);
	expect_as_on_disk(&s, PYC_R_DISPROVED, false);
}

static void test_times_that_nothing_matches(void **state)
{
	struct setting s = usual_of(PYTHON36);

	(void)state;
	s.facts.proof = PYC_CHECK_OK;
	set_times(&s, -1);
	expect_as_on_disk(&s, PYC_R_UNMATCHABLE, false);
	s.facts.proof = PYC_CHECK_UNKNOWN;
	set_times(&s, COMPILED);
	set_epoch(&s, INT64_C(1) << 32);
	expect_as_on_disk(&s, PYC_R_UNMATCHABLE, false);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);

	s = usual(); /* from 3.7 on some word always matches */
	s.facts.proof = PYC_CHECK_OK;
	set_times(&s, -1);
	expect_restamped(&s, PYC_R_PROVED, UINT32_MAX);
}

/* --- hash pycs --- */

static void test_hash_pycs_are_kept(void **state)
{
	struct setting s = usual_hash(PYC_HASH_KEEP);

	(void)state;
	s.facts.hash = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_HASH_KEPT, false);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);

	set_header(&s, PYTHON311, 1, 0x04030201, 0x08070605);
	expect_as_on_disk(&s, PYC_R_UNCHECKED, true);
	s.policy.hash = PYC_HASH_UNCHECK;
	expect_as_on_disk(&s, PYC_R_UNCHECKED, true);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);
}

static void test_hash_pycs_are_promoted(void **state)
{
	struct setting s = usual_hash(PYC_HASH_UNCHECK);
	uint8_t expected[PYC_HEADER_MAX];
	struct pyc_decision decision;

	(void)state;
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy),
			 PYC_NEEDS_BODY | PYC_NEEDS_HASH);
	decision = expect(&s, PYC_R_PROMOTED);
	assert_true(decision.vouched);
	assert_true(decision.changed);
	memcpy(expected, s.facts.header.raw, sizeof(expected));
	expected[4] = 1;
	assert_memory_equal(decision.header.raw, expected, sizeof(expected));
	assert_int_equal(decision.header.kind, PYC_KIND_HASH_UNCHECKED);
}

/* Whoever edits it is nobody's business here, and Python would never look again. */
static void test_hash_pycs_of_outside_sources(void **state)
{
	struct setting s = usual_hash(PYC_HASH_UNCHECK);

	(void)state;
	s.facts.outside = true;
	expect_as_on_disk(&s, PYC_R_HASH_KEPT, false);
	assert_int_equal(pyc_verdict_needs(&s.facts, &s.policy), 0);
}

static void test_hash_pycs_in_doubt(void **state)
{
	struct setting s = usual_hash(PYC_HASH_UNCHECK);

	(void)state;
	s.facts.body = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_BODY, false);
	s.facts.body = PYC_CHECK_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_HASH_UNVERIFIED, false);
	s.facts.body = PYC_CHECK_OK;
	s.facts.hash = PYC_CHECK_UNKNOWN;
	expect_as_on_disk(&s, PYC_R_HASH_UNVERIFIED, false);
	s.facts.hash = PYC_CHECK_BAD;
	expect_as_on_disk(&s, PYC_R_HASH_MISMATCH, false);
}

/* --- the view's mtime, canonical times --- */

static void assert_time(struct timespec time, int64_t sec, long nsec)
{
	assert_int_equal(time.tv_sec, sec);
	assert_int_equal(time.tv_nsec, nsec);
}

static void test_view_mtime(void **state)
{
	static const struct pyc_vote one[] = {{1000, 1}};
	struct pyc_policy policy = {.epoch = -5};
	struct timespec source = {1234, 567};

	(void)state;
	policy.view = PYC_VIEW_SOURCE;
	assert_time(pyc_view_mtime(&policy, source, one, 1), 1234, 567);
	policy.view = PYC_VIEW_EPOCH;
	assert_time(pyc_view_mtime(&policy, source, one, 1), -5, 0);
	policy.view = PYC_VIEW_EMBEDDED;
	assert_time(pyc_view_mtime(&policy, source, one, 1), 1000, 0);
	assert_time(pyc_view_mtime(&policy, source, NULL, 0), 1234, 567);
}

static void test_votes(void **state)
{
	static const struct pyc_vote majority[] = {{10, 1}, {20, 3}, {30, 2}};
	static const struct pyc_vote tie[] = {{10, 2}, {30, 2}, {20, 2}};
	static const struct pyc_vote split[] = {{10, 1}, {20, 2}, {10, 1}, {10, 1}};
	static const struct pyc_vote nobody[] = {{0, 0}, {10, 0}};
	static const struct pyc_vote zero[] = {{0, 1}};
	static const struct pyc_vote many[] = {{10, UINT32_MAX}, {20, UINT32_MAX}, {10, 1}};
	struct pyc_policy policy = {.view = PYC_VIEW_EMBEDDED};
	struct timespec source = {1234, 567};

	(void)state;
	assert_time(pyc_view_mtime(&policy, source, majority, 3), 20, 0);
	assert_time(pyc_view_mtime(&policy, source, tie, 3), 30, 0);
	assert_time(pyc_view_mtime(&policy, source, split, 4), 10, 0);
	assert_time(pyc_view_mtime(&policy, source, nobody, 2), 1234, 567);
	assert_time(pyc_view_mtime(&policy, source, zero, 1), 0, 0);
	assert_time(pyc_view_mtime(&policy, source, many, 3), 10, 0);
}

static void test_votes_for_the_own_time_keep_nanoseconds(void **state)
{
	static const struct pyc_vote votes[] = {{1700000001, 1}};
	struct pyc_policy policy = {.view = PYC_VIEW_EMBEDDED};
	struct timespec near = {1700000001, 5};
	struct timespec rounded = {1700000000, 999999900};
	struct timespec other = {1700000000, 5};

	(void)state;
	assert_time(pyc_view_mtime(&policy, near, votes, 1), 1700000001, 5);
	assert_time(pyc_view_mtime(&policy, rounded, votes, 1), 1700000000, 999999900);
	assert_time(pyc_view_mtime(&policy, other, votes, 1), 1700000001, 0);
}

static void test_is_canonical_time(void **state)
{
	struct pyc_policy policy = {.canonical = {[PYC_CANONICAL_MAX - 1] = -7}};

	(void)state;
	assert_true(pyc_is_canonical_time(&policy, at(0)));
	assert_true(pyc_is_canonical_time(&policy, at(1)));
	assert_true(pyc_is_canonical_time(&policy, at(315532800)));
	assert_true(pyc_is_canonical_time(&policy, at(315532801)));
	assert_false(pyc_is_canonical_time(&policy, at(2)));
	assert_false(pyc_is_canonical_time(&policy, at(-1)));
	assert_false(pyc_is_canonical_time(&policy, at(INT64_C(1) << 32)));
	assert_false(pyc_is_canonical_time(&policy, (struct timespec){0, 1}));
	assert_false(pyc_is_canonical_time(&policy, at(-7)));
	policy.canonical_count = PYC_CANONICAL_MAX;
	assert_true(pyc_is_canonical_time(&policy, at(-7)));
}

/* --- words --- */

static void test_names_for_output(void **state)
{
	static const char *const evidences[PYC_EVIDENCES] = {
		"none", "constant", "given", "pair", "empty", "proof",
	};
	static const char *const verdicts[] = {
		"fresh",  "restamped",	"stale",   "hash-checked", "hash-unchecked",
		"orphan", "sourceless", "foreign", "corrupt",
	};
	static const char *const reasons[] = {
		"matches",
		"view",
		"canonical",
		"canonical-later",
		"canonical-no-size",
		"canonical-pair",
		"empty",
		"proved",
		"disproved",
		"size",
		"newer",
		"not-canonical",
		"not-proved",
		"edited",
		"later-layer",
		"proofs-unread",
		"unmatchable",
		"unknown-flags",
		"hash-mismatch",
		"source-unknown",
		"body-unknown",
		"aliased",
		"hash-kept",
		"hash-unverified",
		"unchecked",
		"promoted",
		"no-source",
		"shadowed",
		"legacy",
		"magic",
		"tag",
		"pytest",
		"odd-name",
		"short",
		"body",
	};

	(void)state;
	assert_int_equal(LENGTH(verdicts), PYC_VERDICTS);
	assert_int_equal(LENGTH(reasons), PYC_REASONS);
	for (size_t i = 0; i < LENGTH(verdicts); i++)
		assert_string_equal(pyc_verdict_name((enum pyc_verdict)i), verdicts[i]);
	for (size_t i = 0; i < LENGTH(reasons); i++)
		assert_string_equal(pyc_reason_name((enum pyc_reason)i), reasons[i]);
	for (size_t i = 0; i < LENGTH(evidences); i++)
		assert_string_equal(pyc_evidence_name((enum pyc_evidence)i), evidences[i]);
}

/* A sentence of its own for each: two reasons that read alike explain nothing. */
static void test_texts_for_people(void **state)
{
	(void)state;
	for (int i = 0; i < PYC_EVIDENCES; i++)
		assert_true(strlen(pyc_evidence_text((enum pyc_evidence)i)) > 5);
	for (int i = 0; i < PYC_REASONS; i++) {
		const char *text = pyc_reason_text((enum pyc_reason)i);

		assert_true(strlen(text) > 10);
		assert_null(strchr(text, '\n'));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(text, pyc_reason_text((enum pyc_reason)k));
		assert_int_equal(pyc_reason_verdict((enum pyc_reason)i),
				 verdict_of((enum pyc_reason)i));
	}
}

/* Numbers may come out of a damaged cache. */
static void test_numbers_out_of_range(void **state)
{
	(void)state;
	assert_string_equal(pyc_verdict_name(PYC_VERDICTS), "unknown");
	assert_string_equal(pyc_reason_name(PYC_REASONS), "unknown");
	assert_string_equal(pyc_evidence_name(PYC_EVIDENCES), "unknown");
	assert_string_equal(pyc_evidence_text(PYC_EVIDENCES), "unknown");
	assert_string_equal(pyc_evidence_name((enum pyc_evidence) - 1), "unknown");
	assert_non_null(pyc_reason_text(PYC_REASONS));
	assert_int_equal(pyc_reason_verdict(PYC_REASONS), PYC_STALE);
	assert_string_equal(pyc_verdict_name((enum pyc_verdict) - 1), "unknown");
	assert_string_equal(pyc_reason_name((enum pyc_reason) - 1), "unknown");
}

/* --- the grid --- */

/* A file time with int(st_mtime) as the interpreters gave it, see test_mtime.c. */
struct grid_time {
	struct timespec time;
	int64_t as_int;
};

static const struct grid_time grid_times[] = {
	{{0, 0}, 0},
	{{0, 5}, 0},
	{{1, 0}, 1},
	{{5, 0}, 5},
	{{COMPILED, 0}, COMPILED},
	{{COMPILED, 999999999}, COMPILED + 1},
	{{-1, 0}, -1},
	{{INT64_C(4294967301), 0}, INT64_C(4294967301)}, /* 2^32 + 5 */
};

static const uint32_t grid_embedded[] = {0, 5, COMPILED, COMPILED + 1, UINT32_MAX};
static const int64_t grid_epochs[] = {0, COMPILED, -1, INT64_C(4294967301)};
static const int64_t grid_sizes[] = {0, SIZE, SIZE + (INT64_C(1) << 32)};

static const struct {
	uint16_t number;
	uint32_t flags;
} grid_headers[] = {
	{PYTHON27, 0},	{PYTHON32, 0},	{PYTHON36, 0},	{PYTHON311, 0},
	{PYTHON311, 1}, {PYTHON311, 2}, {PYTHON311, 3}, {PYTHON311, 4},
};

struct point {
	struct setting s;
	uint16_t number;
	uint32_t flags;
	int64_t source_int;
	int64_t served_int;
};

static size_t pick(size_t *n, size_t count)
{
	size_t digit = *n % count;

	*n /= count;
	return digit;
}

/* Its own name, one of another interpreter, one beside the source. */
static void set_grid_name(struct point *p, size_t which)
{
	if (which == 1)
		set_name(&p->s, "foo.rustpython-312.pyc", true);
	else if (which == 2)
		set_name(&p->s, "foo.pyc", false);
	else
		p->s.facts.name = usual_of(p->number).facts.name;
}

static void set_grid_view(struct point *p, size_t which)
{
	struct setting *s = &p->s;

	if (which < LENGTH(grid_epochs)) {
		set_epoch(s, grid_epochs[which]);
		p->served_int = grid_epochs[which];
	} else if (which == LENGTH(grid_epochs)) {
		s->policy.view = PYC_VIEW_EMBEDDED;
		s->facts.served_mtime = at(s->facts.header.mtime);
		p->served_int = s->facts.header.mtime;
	} else {
		s->facts.served_mtime = s->facts.source_mtime;
		p->served_int = p->source_int;
	}
}

/* The @n-th point; false when there are no more. Everything but body and hash. */
static bool grid_point(size_t n, struct point *p)
{
	const struct grid_time *source;
	size_t header = pick(&n, LENGTH(grid_headers)), doubt;
	uint32_t embedded = grid_embedded[pick(&n, LENGTH(grid_embedded))];

	memset(p, 0, sizeof(*p));
	p->number = grid_headers[header].number;
	p->flags = grid_headers[header].flags;
	set_header(&p->s, p->number, p->flags, embedded, pick(&n, 2) ? SIZE : 0);
	set_grid_name(p, pick(&n, 3));

	source = &grid_times[pick(&n, LENGTH(grid_times))];
	p->source_int = source->as_int;
	p->s.facts.source_mtime = source->time;
	p->s.facts.source = (enum pyc_source_state)pick(&n, PYC_SOURCE_REGULAR + 1);
	p->s.facts.source_size = grid_sizes[pick(&n, LENGTH(grid_sizes))];
	p->s.facts.mtime = source->time;
	p->s.policy.immutable = pick(&n, 2) != 0;
	p->s.facts.proof = (enum pyc_check)pick(&n, PYC_CHECK_BAD + 1);

	p->s.policy.trust = (enum pyc_trust)pick(&n, PYC_TRUST_VERIFIED + 1);
	p->s.policy.hash = (enum pyc_hash_policy)pick(&n, PYC_HASH_UNCHECK + 1);
	doubt = pick(&n, 4);
	p->s.policy.proofs_unread = doubt == 1;
	p->s.facts.record = doubt == 2 ? PYC_CHECK_BAD : PYC_CHECK_UNKNOWN;
	p->s.facts.layer = doubt == 3 ? PYC_CHECK_BAD : PYC_CHECK_UNKNOWN;
	set_grid_view(p, pick(&n, LENGTH(grid_epochs) + 2));
	return n == 0;
}

/* Whether the interpreter behind @number takes the time word in @raw for that of @mtime. */
static bool python_accepts_time(uint16_t number, const uint8_t *raw, struct timespec mtime,
				int64_t mtime_int)
{
	uint32_t word = load_le32(raw + (number == PYTHON311 ? 8 : 4));

	if (number == PYTHON311)
		return word == (uint32_t)(mtime_int & 0xffffffff);
	if (number == PYTHON36)
		return (int64_t)word == mtime_int;
	return (int64_t)(int32_t)word == (mtime.tv_sec & 0xffffffff);
}

static bool python_accepts_size(uint16_t number, const uint8_t *raw, int64_t size)
{
	if (number != PYTHON311 && number != PYTHON36)
		return true;
	return load_le32(raw + (number == PYTHON311 ? 12 : 8)) == (size & 0xffffffff);
}

static bool is_timestamp(const struct point *p)
{
	return p->flags == 0 || p->flags == 2;
}

/* Does any interpreter compare this pyc with a source at all? */
static bool is_compared(const struct point *p)
{
	const struct pyc_name *name = &p->s.facts.name;

	if (name->placement == PYC_PLACE_LEGACY)
		return p->number == PYTHON27;
	return name->tag_len > 0 && memcmp(name->tag, "cpython", 7) == 0;
}

static bool accepted_on_source(const struct point *p)
{
	const uint8_t *raw = p->s.facts.header.raw;

	return python_accepts_time(p->number, raw, p->s.facts.source_mtime,
				   p->source_int) &&
	       python_accepts_size(p->number, raw, p->s.facts.source_size);
}

/* DESIGN, "When is a mismatching mtime forgiven?" */
static bool forgiven(const struct point *p)
{
	const struct pyc_facts *facts = &p->s.facts;
	enum pyc_trust trust = p->s.policy.trust;
	int64_t embedded = load_le32(facts->header.raw + (p->number == PYTHON311 ? 8 : 4));
	bool sized = p->number == PYTHON36 || p->number == PYTHON311;
	/* Of the canonical times, 0 and 1 are in the grid, and of the embedded ones, 0. */
	bool canonical =
		facts->source_mtime.tv_nsec == 0 &&
		(facts->source_mtime.tv_sec == 0 || facts->source_mtime.tv_sec == 1);

	if (!python_accepts_size(p->number, facts->header.raw, facts->source_size) ||
	    facts->source_size > UINT32_MAX)
		return false;
	if (facts->proof == PYC_CHECK_OK)
		return true;
	if (trust == PYC_TRUST_VERIFIED || p->s.policy.proofs_unread ||
	    facts->record == PYC_CHECK_BAD)
		return false;
	if (sized && facts->source_size == 0)
		return true;
	if (facts->layer == PYC_CHECK_BAD)
		return false;
	/* In the grid, each pyc has its source's time. */
	if (p->s.policy.immutable && sized && facts->source_mtime.tv_nsec == 0 &&
	    p->source_int < embedded)
		return true;
	return canonical && (p->source_int < embedded ||
			     (sized && (trust == PYC_TRUST_SIZE || embedded == 0)));
}

/* What the three promises together allow for a timestamp pyc, no more and no less. */
static bool may_be_vouched(const struct point *p)
{
	static const uint32_t probes[] = {0, 1, 5, COMPILED, COMPILED + 1, UINT32_MAX};
	const struct pyc_facts *facts = &p->s.facts;
	uint8_t raw[PYC_HEADER_MAX] = {0};
	bool matchable = false;

	if (!is_compared(p) || facts->source != PYC_SOURCE_REGULAR ||
	    facts->proof == PYC_CHECK_BAD)
		return false;
	if (accepted_on_source(p) &&
	    python_accepts_time(p->number, facts->header.raw, facts->served_mtime,
				p->served_int))
		return true;
	/* Every time of the grid that has a word at all has one of these. */
	for (size_t i = 0; i < LENGTH(probes); i++) {
		store_le32(raw + (p->number == PYTHON311 ? 8 : 4), probes[i]);
		matchable |= python_accepts_time(p->number, raw, facts->served_mtime,
						 p->served_int);
	}
	return matchable && facts->body == PYC_CHECK_OK &&
	       (accepted_on_source(p) || forgiven(p));
}

static void require(bool holds, const char *promise, const struct point *p)
{
	const struct pyc_facts *f = &p->s.facts;

	if (holds)
		return;
	fail_msg("%s: magic %u flags %u embedded %u/%u tag %.*s source %d %lld.%09ld/%lld "
		 "served %lld body %d hash %d proof %d trust %d view %d hash policy %d",
		 promise, p->number, p->flags, f->header.mtime, f->header.source_size,
		 (int)f->name.tag_len, f->name.tag ? f->name.tag : "", f->source,
		 (long long)f->source_mtime.tv_sec, f->source_mtime.tv_nsec,
		 (long long)f->source_size, (long long)f->served_mtime.tv_sec, f->body,
		 f->hash, f->proof, p->s.policy.trust, p->s.policy.view, p->s.policy.hash);
}

static bool accepted_when_served(const struct point *p, const struct pyc_decision *d)
{
	return python_accepts_time(p->number, d->header.raw, p->s.facts.served_mtime,
				   p->served_int) &&
	       python_accepts_size(p->number, d->header.raw, p->s.facts.source_size);
}

static void check_match(const struct point *p, const struct pyc_decision *d)
{
	const struct pyc_facts *facts = &p->s.facts;

	if (!is_timestamp(p))
		return;
	require(d->vouched == may_be_vouched(p), "vouched for just what is allowed", p);
	if (d->vouched)
		require(accepted_when_served(p, d), "Match", p);
	else if (is_compared(p) && facts->source == PYC_SOURCE_REGULAR)
		require(!accepted_when_served(p, d), "never by accident", p);
	else if (is_compared(p) && facts->source == PYC_SOURCE_UNKNOWN &&
		 p->s.policy.view != PYC_VIEW_SOURCE)
		require(!python_accepts_time(p->number, d->header.raw, facts->served_mtime,
					     p->served_int),
			"never by accident, the source unknown", p);
}

/* Where nothing is vouched for and nothing disproved, the source view changes nothing. */
static void check_never_worse(const struct point *p, const struct pyc_decision *d)
{
	const struct pyc_facts *facts = &p->s.facts;

	if (facts->proof == PYC_CHECK_BAD)
		require(!d->vouched, "a disproof wins", p);
	else if (p->s.policy.view == PYC_VIEW_SOURCE && !d->vouched)
		require(!d->changed, "as on the bare source", p);
	if (d->changed && d->vouched)
		require(facts->body == PYC_CHECK_OK, "only a sound body is vouched for", p);
	if (d->verdict == PYC_ORPHAN || d->verdict == PYC_SOURCELESS)
		require(!d->changed && !d->vouched, "none of our business", p);
	if (d->verdict == PYC_FOREIGN && is_timestamp(p) &&
	    facts->source == PYC_SOURCE_REGULAR) {
		require(!d->vouched, "foreign is not vouched for", p);
		require(accepted_on_source(p) || !accepted_when_served(p, d),
			"foreign never matches because of the view", p);
		require(!d->changed || !accepted_on_source(p), "foreign as on the source",
			p);
	}
	if (p->flags == 3 && d->changed)
		require(facts->hash == PYC_CHECK_OK && is_compared(p) &&
				facts->source == PYC_SOURCE_REGULAR &&
				p->s.policy.hash == PYC_HASH_UNCHECK,
			"only a verified hash is promoted", p);
}

static void check_bytes(const struct point *p, const struct pyc_decision *d)
{
	const uint8_t *disk = p->s.facts.header.raw;
	const uint8_t *served = d->header.raw;
	size_t word = p->number == PYTHON311 ? 8 : 4;
	struct pyc_header again;

	if (!is_timestamp(p))
		word = 4; /* the flags */
	require(memcmp(disk, served, word) == 0 &&
			memcmp(disk + word + 4, served + word + 4, 16 - word - 4) == 0,
		"one word differs at most", p);
	require(d->changed == (memcmp(disk, served, 16) != 0), "changed says so", p);
	if (!is_timestamp(p) && d->changed)
		require(p->flags == 3 && load_le32(served + 4) == 1, "3 becomes 1", p);
	require(pyc_header_parse(served, 16, &again) == PYC_HEADER_OK, "parses", p);
	require(again.kind == d->header.kind && again.flags == d->header.flags &&
			again.mtime == d->header.mtime &&
			again.source_size == d->header.source_size &&
			memcmp(again.hash, d->header.hash, sizeof(again.hash)) == 0,
		"fields and bytes agree", p);
}

static bool same(const struct pyc_decision *a, const struct pyc_decision *b)
{
	return a->verdict == b->verdict && a->reason == b->reason &&
	       a->vouched == b->vouched && a->changed == b->changed &&
	       memcmp(a->header.raw, b->header.raw, 16) == 0;
}

/* The bits are set exactly where some pair of answers makes a difference. */
static void check_needs(struct point *p, struct pyc_decision decisions[3][3])
{
	unsigned needs = pyc_verdict_needs(&p->s.facts, &p->s.policy);
	unsigned differs = 0;

	for (int body = 0; body < 3; body++) {
		for (int hash = 0; hash < 3; hash++) {
			if (!same(&decisions[body][hash], &decisions[0][hash]))
				differs |= PYC_NEEDS_BODY;
			if (!same(&decisions[body][hash], &decisions[body][0]))
				differs |= PYC_NEEDS_HASH;
		}
	}
	require(needs == differs, "needs", p);
}

static void check_point(struct point *p)
{
	struct pyc_decision decisions[3][3];

	for (int body = 0; body < 3; body++) {
		for (int hash = 0; hash < 3; hash++) {
			struct pyc_decision *d = &decisions[body][hash];

			p->s.facts.body = (enum pyc_check)body;
			p->s.facts.hash = (enum pyc_check)hash;
			pyc_decide(&p->s.facts, &p->s.policy, d);
			require(d->verdict == verdict_of(d->reason), "verdict and reason",
				p);
			check_match(p, d);
			check_never_worse(p, d);
			check_bytes(p, d);
		}
	}
	check_needs(p, decisions);
}

static void test_promises_over_the_grid(void **state)
{
	struct point p;
	size_t n;

	(void)state;
	for (n = 0; grid_point(n, &p); n++)
		check_point(&p);
	assert_in_range(n, 1000000, 20000000);
}

/* Last of all: the tests above have reached every reason there is. */
static void test_every_reason_was_reached(void **state)
{
	(void)state;
	for (int i = 0; i < PYC_REASONS; i++) {
		if (!reason_seen[i])
			fail_msg("no test gives %s", pyc_reason_name((enum pyc_reason)i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_that_are_not_python_s),
		cmocka_unit_test(test_foreign_pycs_under_a_made_up_time),
		cmocka_unit_test(test_headers_that_do_not_parse),
		cmocka_unit_test(test_unknown_flags),
		cmocka_unit_test(test_legacy_names),
		cmocka_unit_test(test_cached_names),
		cmocka_unit_test(test_unknown_source_under_a_view),
		cmocka_unit_test(test_aliased),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_fresh_after_rounding),
		cmocka_unit_test(test_fresh_under_a_view),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_damaged_bodies),
		cmocka_unit_test(test_really_stale),
		cmocka_unit_test(test_stale_pycs_do_not_match_a_view),
		cmocka_unit_test(test_nanoseconds_are_not_canonical),
		cmocka_unit_test(test_canonical_times_of_the_policy),
		cmocka_unit_test(test_later_canonical_times),
		cmocka_unit_test(test_canonical_after_canonical),
		cmocka_unit_test(test_canonical_pairs),
		cmocka_unit_test(test_what_is_no_pair),
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_huge_sources),
		cmocka_unit_test(test_empty_sources),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_proofs_that_could_not_be_read),
		cmocka_unit_test(test_edited_sources),
		cmocka_unit_test(test_sources_of_later_layers),
		cmocka_unit_test(test_disproofs),
		cmocka_unit_test(test_times_that_nothing_matches),
		cmocka_unit_test(test_hash_pycs_are_kept),
		cmocka_unit_test(test_hash_pycs_are_promoted),
		cmocka_unit_test(test_hash_pycs_of_outside_sources),
		cmocka_unit_test(test_hash_pycs_in_doubt),
		cmocka_unit_test(test_view_mtime),
		cmocka_unit_test(test_votes),
		cmocka_unit_test(test_votes_for_the_own_time_keep_nanoseconds),
		cmocka_unit_test(test_is_canonical_time),
		cmocka_unit_test(test_names_for_output),
		cmocka_unit_test(test_texts_for_people),
		cmocka_unit_test(test_numbers_out_of_range),
		cmocka_unit_test(test_promises_over_the_grid),
		cmocka_unit_test(test_every_reason_was_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
