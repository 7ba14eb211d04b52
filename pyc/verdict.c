/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decision, in two steps. judge() looks at everything that is known and finds the
 * reason; serve() makes the header from little more than the reason. So a verdict and its
 * bytes cannot disagree, and judge() alone tells what a verdict depends on.
 *
 * In doubt a rule leaves a file what it is on the bare source.
 */
#include "pyc/verdict.h"

#include "base/scope.h"
#include "pyc/mtime.h"

/*
 * A pyc that must not match gets the top bit of its mtime word flipped: 68 years away, so
 * that no other time that this source may get matches either.
 */
#define SPOIL_BIT 0x80000000u

#define CHECKS (PYC_CHECK_BAD + 1)

/* ostree sets 0, Nix 1, zip archives 1980-01-01, buildpacks a second later. */
static const int64_t canonical_times[] = {0, 1, 315532800, 315532801};

struct reason_entry {
	enum pyc_verdict verdict;
	const char *name;
	const char *text;
};

/* clang-format off */
static const struct reason_entry reasons[] = {
	[PYC_R_MATCHES] = {PYC_FRESH, "matches",
		"it matches its source file as it is"},
	[PYC_R_VIEW] = {PYC_RESTAMPED, "view",
		"it matches its source file, for which the mount shows another time"},
	[PYC_R_CANONICAL] = {PYC_RESTAMPED, "canonical",
		"the source file's time was set back to a canonical one; the size agrees"},
	[PYC_R_CANONICAL_LATER] = {PYC_RESTAMPED, "canonical-later",
		"the source file's time was set forward to a canonical one; the size agrees"},
	[PYC_R_CANONICAL_NO_SIZE] = {PYC_RESTAMPED, "canonical-no-size",
		"the source file's time was set back to a canonical one; this version records no size"},
	[PYC_R_CANONICAL_PAIR] = {PYC_RESTAMPED, "canonical-pair",
		"the source file and it were set back to one and the same time; the size agrees"},
	[PYC_R_EMPTY] = {PYC_RESTAMPED, "empty",
		"the source file is empty, and was when it was compiled"},
	[PYC_R_PROVED] = {PYC_RESTAMPED, "proved",
		"compiling the source file again gave the same code"},
	[PYC_R_DISPROVED] = {PYC_STALE, "disproved",
		"compiling the source file again gave other code"},
	[PYC_R_SIZE] = {PYC_STALE, "size",
		"it was compiled from a file of another size"},
	[PYC_R_NEWER] = {PYC_STALE, "newer",
		"the source file is newer than the one it was compiled from"},
	[PYC_R_NOT_CANONICAL] = {PYC_STALE, "not-canonical",
		"the source file is older than the one it was compiled from, "
		"and its time is not a canonical one"},
	[PYC_R_NOT_PROVED] = {PYC_STALE, "not-proved",
		"the times differ, and nothing proves that it was compiled from the source file"},
	[PYC_R_EDITED] = {PYC_STALE, "edited",
		"the source file is not what its package installed, and only times speak for the bytecode"},
	[PYC_R_LATER_LAYER] = {PYC_STALE, "later-layer",
		"the source file is from a later layer of the image than it, and only times speak for it"},
	[PYC_R_PROOFS_UNREAD] = {PYC_STALE, "proofs-unread",
		"only times speak for it, and whether it was disproved could not be read"},
	[PYC_R_UNMATCHABLE] = {PYC_STALE, "unmatchable",
		"this version of Python accepts no bytecode for a source file with such a time"},
	[PYC_R_UNKNOWN_FLAGS] = {PYC_STALE, "unknown-flags",
		"its header has flags that no known version of Python sets"},
	[PYC_R_HASH_MISMATCH] = {PYC_STALE, "hash-mismatch",
		"its hash is not that of the source file"},
	[PYC_R_SOURCE_UNKNOWN] = {PYC_STALE, "source-unknown",
		"its source file could not be looked at"},
	[PYC_R_BODY_UNKNOWN] = {PYC_STALE, "body-unknown",
		"its code could not be checked: unreadable, too large, or in an unknown format"},
	[PYC_R_ALIASED] = {PYC_STALE, "aliased",
		"a symbolic link leads to it from beside another source file as well"},
	[PYC_R_HASH_KEPT] = {PYC_HASH_CHECKED, "hash-kept",
		"Python compares its hash with the source file on every import"},
	[PYC_R_HASH_UNVERIFIED] = {PYC_HASH_CHECKED, "hash-unverified",
		"its hash or its code could not be checked, so Python goes on comparing the hash"},
	[PYC_R_UNCHECKED] = {PYC_HASH_UNCHECKED, "unchecked",
		"Python loads it without looking at the source file"},
	[PYC_R_PROMOTED] = {PYC_HASH_UNCHECKED, "promoted",
		"its hash is that of the source file, so Python need not compare it again"},
	[PYC_R_NO_SOURCE] = {PYC_ORPHAN, "no-source",
		"there is no source file, and without one Python ignores it"},
	[PYC_R_SHADOWED] = {PYC_ORPHAN, "shadowed",
		"it lies beside its source file, where this version of Python does not look"},
	[PYC_R_LEGACY] = {PYC_SOURCELESS, "legacy",
		"it stands in for a source file; Python checks its magic number only"},
	[PYC_R_MAGIC] = {PYC_FOREIGN, "magic",
		"its magic number belongs to no known version of Python"},
	[PYC_R_TAG] = {PYC_FOREIGN, "tag",
		"its name says another interpreter than its magic number"},
	[PYC_R_PYTEST] = {PYC_FOREIGN, "pytest",
		"pytest wrote it, in a format of its own"},
	[PYC_R_ODD_NAME] = {PYC_FOREIGN, "odd-name",
		"no version of Python looks for a file of this name"},
	[PYC_R_SHORT] = {PYC_CORRUPT, "short",
		"it is shorter than a header"},
	[PYC_R_BODY] = {PYC_CORRUPT, "body",
		"its code is damaged and would not load"},
};
/* clang-format on */

static const char *const verdict_names[] = {
	[PYC_FRESH] = "fresh",
	[PYC_RESTAMPED] = "restamped",
	[PYC_STALE] = "stale",
	[PYC_HASH_CHECKED] = "hash-checked",
	[PYC_HASH_UNCHECKED] = "hash-unchecked",
	[PYC_ORPHAN] = "orphan",
	[PYC_SOURCELESS] = "sourceless",
	[PYC_FOREIGN] = "foreign",
	[PYC_CORRUPT] = "corrupt",
};

static const struct {
	const char *name;
	const char *text;
} evidences[] = {
	[PYC_E_NONE] = {"none", "nothing"},
	[PYC_E_CONSTANT] = {"constant", "a source file's time that only tools set"},
	[PYC_E_GIVEN] = {"given", "a time that was given with canonical="},
	[PYC_E_PAIR] = {"pair", "a time that a tool set on source and bytecode"},
	[PYC_E_EMPTY] = {"empty", "an empty source file"},
	[PYC_E_PROOF] = {"proof", "a proof"},
};

_Static_assert(ARRAY_SIZE(reasons) == PYC_REASONS, "each reason has an entry");
_Static_assert(ARRAY_SIZE(evidences) == PYC_EVIDENCES, "each evidence has a name");
_Static_assert(ARRAY_SIZE(verdict_names) == PYC_VERDICTS, "each verdict has a name");

static bool records_size(const struct pyc_facts *facts)
{
	return facts->header.magic->size_offset != 0;
}

/*
 * The interpreters compare modulo 2^32; a layout without a size agrees with any. outcome.c
 * uses pyc_size_matches() instead, so that the tests can hold one answer against the other.
 */
static bool size_agrees(const struct pyc_facts *facts)
{
	return !records_size(facts) ||
	       facts->header.source_size == (uint32_t)facts->source_size;
}

static bool contains(const int64_t *times, size_t count, int64_t time)
{
	for (size_t i = 0; i < count; i++) {
		if (times[i] == time)
			return true;
	}
	return false;
}

static bool is_constant(int64_t time)
{
	return contains(canonical_times, ARRAY_SIZE(canonical_times), time);
}

static bool time_agrees(const struct pyc_facts *facts, struct timespec mtime)
{
	return pyc_mtime_matches(&facts->header, mtime);
}

/* Whether Python 3.2 and later, which look in __pycache__ only, write this magic. */
static bool uses_cache_dir(const struct pyc_magic *magic)
{
	return magic->tag[0] != '\0';
}

/*
 * Did a tool set source and pyc to one time? No interpreter writes a pyc before there is
 * the source that it embeds. So a pyc whose own time is earlier than the embedded one was
 * set back. If its source has that very time, one tool set both, after one was compiled
 * from the other. This holds whatever the tool, and whatever else it left alone: clamping
 * (SOURCE_DATE_EPOCH) leaves what is older. What replaces a source later (an edit, a
 * release, a rollback) does not set its pyc to the same time. Where files can change, there
 * is a way: two releases of one time, the second without the pyc.
 */
static bool is_set_pair(const struct pyc_facts *facts, const struct pyc_policy *policy)
{
	struct timespec source = facts->source_mtime;

	return policy->immutable && !facts->outside && records_size(facts) &&
	       source.tv_nsec == 0 && facts->mtime.tv_nsec == 0 &&
	       facts->mtime.tv_sec == source.tv_sec &&
	       source.tv_sec < (int64_t)facts->header.mtime;
}

/*
 * Was the source's time canonicalised? Canonicalising moves times back to one value, an
 * edit or a downgrade gives a file a time of its own. For empty files the size is enough:
 * ostree leaves them the time of the checkout.
 */
static enum pyc_reason judge_times(const struct pyc_facts *facts,
				   const struct pyc_policy *policy)
{
	bool earlier = pyc_mtime_int(facts->source_mtime) < (int64_t)facts->header.mtime;

	if (records_size(facts) && facts->source_size == 0)
		return PYC_R_EMPTY;
	if (!pyc_is_canonical_time(policy, facts->source_mtime)) {
		if (is_set_pair(facts, policy))
			return PYC_R_CANONICAL_PAIR;
		return earlier ? PYC_R_NOT_CANONICAL : PYC_R_NEWER;
	}
	if (earlier)
		return records_size(facts) ? PYC_R_CANONICAL : PYC_R_CANONICAL_NO_SIZE;
	/*
	 * A later time is what an edit leaves too; then the size has to speak. Not if the
	 * source had a canonical time before: one tool set 0, the next one 1.
	 */
	if (records_size(facts) &&
	    (policy->trust == PYC_TRUST_SIZE || is_constant((int64_t)facts->header.mtime)))
		return PYC_R_CANONICAL_LATER;
	return PYC_R_NEWER;
}

/* Is a mismatch with the source as it is on disk forgiven? */
static enum pyc_reason judge_mismatch(const struct pyc_facts *facts,
				      const struct pyc_policy *policy)
{
	enum pyc_reason reason;

	/*
	 * No mtime word helps against another size, so this comes before any proof. Sizes
	 * of 4 GiB and more agree only modulo 2^32, which says nothing.
	 */
	if (!size_agrees(facts) || facts->source_size > UINT32_MAX)
		return PYC_R_SIZE;
	if (facts->proof == PYC_CHECK_OK)
		return PYC_R_PROVED;
	if (policy->trust == PYC_TRUST_VERIFIED)
		return PYC_R_NOT_PROVED;
	reason = judge_times(facts, policy);
	if (!pyc_reason_is_of_times(reason))
		return reason;
	if (facts->record == PYC_CHECK_BAD)
		return PYC_R_EDITED;
	/* Sources without content are equal, whoever made them. */
	if (facts->layer == PYC_CHECK_BAD && reason != PYC_R_EMPTY)
		return PYC_R_LATER_LAYER;
	return policy->proofs_unread ? PYC_R_PROOFS_UNREAD : reason;
}

static enum pyc_reason judge_timestamp(const struct pyc_facts *facts,
				       const struct pyc_policy *policy)
{
	bool matches = size_agrees(facts) && time_agrees(facts, facts->source_mtime);
	enum pyc_reason reason;
	uint32_t word;

	/* Nothing changes here, so the body is Python's business, as on the source. */
	if (matches && time_agrees(facts, facts->served_mtime))
		return PYC_R_MATCHES;
	reason = matches ? PYC_R_VIEW : judge_mismatch(facts, policy);
	if (pyc_reason_verdict(reason) != PYC_RESTAMPED)
		return reason;
	if (!pyc_mtime_embed(facts->header.magic, facts->served_mtime, &word))
		return PYC_R_UNMATCHABLE;
	/* With a header that matches, a body that does not load fails the import. */
	if (facts->body == PYC_CHECK_BAD)
		return PYC_R_BODY;
	return facts->body == PYC_CHECK_OK ? reason : PYC_R_BODY_UNKNOWN;
}

static enum pyc_reason judge_checked_hash(const struct pyc_facts *facts,
					  const struct pyc_policy *policy)
{
	/* Promoting is for ever: nobody compares the source again. */
	if (policy->hash == PYC_HASH_KEEP || facts->aliased || facts->outside)
		return PYC_R_HASH_KEPT;
	if (facts->hash == PYC_CHECK_BAD)
		return PYC_R_HASH_MISMATCH;
	if (facts->hash != PYC_CHECK_OK)
		return PYC_R_HASH_UNVERIFIED;
	if (facts->body == PYC_CHECK_BAD)
		return PYC_R_BODY;
	return facts->body == PYC_CHECK_OK ? PYC_R_PROMOTED : PYC_R_HASH_UNVERIFIED;
}

/* A good header in its place, beside a regular source file. */
static enum pyc_reason judge_pair(const struct pyc_facts *facts,
				  const struct pyc_policy *policy)
{
	if (facts->header.kind == PYC_KIND_UNKNOWN_FLAGS)
		return PYC_R_UNKNOWN_FLAGS;
	/* A disproof wins over every policy, and over a time that matches. */
	if (facts->proof == PYC_CHECK_BAD)
		return PYC_R_DISPROVED;
	if (facts->header.kind == PYC_KIND_HASH_UNCHECKED)
		return PYC_R_UNCHECKED;
	if (facts->header.kind == PYC_KIND_HASH_CHECKED)
		return judge_checked_hash(facts, policy);
	return judge_timestamp(facts, policy);
}

/* A good header: does the interpreter that wrote it look here, and for which source? */
static enum pyc_reason judge_place(const struct pyc_facts *facts,
				   const struct pyc_policy *policy)
{
	if (!pyc_name_tag_agrees(&facts->name, facts->header.magic))
		return PYC_R_TAG;
	/* Whose time it should match depends on who reads it. */
	if (facts->aliased && facts->header.kind == PYC_KIND_TIMESTAMP)
		return PYC_R_ALIASED;
	if (facts->name.placement == PYC_PLACE_LEGACY) {
		if (facts->source == PYC_SOURCE_NONE)
			return PYC_R_LEGACY;
		if (uses_cache_dir(facts->header.magic))
			return PYC_R_SHADOWED;
	}
	if (facts->source == PYC_SOURCE_NONE)
		return PYC_R_NO_SOURCE;
	if (facts->source != PYC_SOURCE_REGULAR)
		return PYC_R_SOURCE_UNKNOWN;
	return judge_pair(facts, policy);
}

static enum pyc_reason judge(const struct pyc_facts *facts, const struct pyc_policy *policy)
{
	enum pyc_placement placement = facts->name.placement;

	if (placement == PYC_PLACE_PYTEST)
		return PYC_R_PYTEST;
	if (placement != PYC_PLACE_CACHE && placement != PYC_PLACE_LEGACY)
		return PYC_R_ODD_NAME;
	if (facts->header_status == PYC_HEADER_SHORT)
		return PYC_R_SHORT;
	if (facts->header_status != PYC_HEADER_OK)
		return PYC_R_MAGIC;
	return judge_place(facts, policy);
}

/*
 * Would Python accept the header as it is on disk, under the time that is shown? The source
 * view shows every source's own time, as the bare source does. Other views may show any
 * time for a source that could not be looked at, and for the other source of an alias.
 */
static bool would_match(const struct pyc_facts *facts, const struct pyc_policy *policy)
{
	if (facts->header.kind != PYC_KIND_TIMESTAMP)
		return false;
	if (facts->source == PYC_SOURCE_UNKNOWN || facts->aliased)
		return policy->view != PYC_VIEW_SOURCE;
	return time_agrees(facts, facts->served_mtime) && size_agrees(facts);
}

/*
 * Must this header differ from the time that is shown? A file that another program wrote
 * is not judged, but it must not match only because of the view (pytest compares times and
 * sizes as Python does).
 */
static bool must_not_match(const struct pyc_facts *facts,
			   const struct pyc_decision *decision)
{
	if (decision->verdict == PYC_FOREIGN)
		return facts->source == PYC_SOURCE_REGULAR &&
		       !time_agrees(facts, facts->source_mtime);
	return decision->verdict == PYC_STALE || decision->verdict == PYC_CORRUPT;
}

static void set_mtime(struct pyc_decision *decision, uint32_t mtime)
{
	decision->changed = decision->header.mtime != mtime;
	pyc_header_set_mtime(&decision->header, mtime);
}

/* The header that goes with a judgement; @ret->header is the disk's. */
static void serve(const struct pyc_facts *facts, const struct pyc_policy *policy,
		  struct pyc_decision *ret)
{
	uint32_t word = facts->header.mtime;

	if (ret->verdict == PYC_RESTAMPED) {
		/* It exists, or the reason would be PYC_R_UNMATCHABLE. */
		pyc_mtime_embed(facts->header.magic, facts->served_mtime, &word);
		set_mtime(ret, word);
	} else if (ret->reason == PYC_R_PROMOTED) {
		pyc_header_set_unchecked(&ret->header);
		ret->changed = true;
	} else if (must_not_match(facts, ret) && would_match(facts, policy)) {
		set_mtime(ret, word ^ SPOIL_BIT);
	}
}

static enum pyc_evidence evidence_of(const struct pyc_facts *facts, enum pyc_reason reason)
{
	switch (reason) {
	case PYC_R_CANONICAL:
	case PYC_R_CANONICAL_LATER:
	case PYC_R_CANONICAL_NO_SIZE:
		return is_constant(facts->source_mtime.tv_sec) ? PYC_E_CONSTANT
							       : PYC_E_GIVEN;
	case PYC_R_CANONICAL_PAIR:
		return PYC_E_PAIR;
	case PYC_R_EMPTY:
		return PYC_E_EMPTY;
	case PYC_R_PROVED:
		return PYC_E_PROOF;
	default:
		return PYC_E_NONE;
	}
}

void pyc_decide(const struct pyc_facts *facts, const struct pyc_policy *policy,
		struct pyc_decision *ret)
{
	*ret = (struct pyc_decision){.reason = judge(facts, policy)};
	ret->verdict = pyc_reason_verdict(ret->reason);
	ret->evidence = evidence_of(facts, ret->reason);
	if (ret->evidence != PYC_E_NONE)
		ret->forgiven_s = facts->source_mtime.tv_sec;
	ret->vouched = ret->verdict == PYC_FRESH || ret->verdict == PYC_RESTAMPED ||
		       ret->verdict == PYC_HASH_UNCHECKED;
	if (facts->header_status != PYC_HEADER_OK)
		return;
	ret->header = facts->header;
	serve(facts, policy, ret);
}

/* Tries every answer instead of repeating the rules, which is cheap beside any i/o. */
unsigned pyc_verdict_needs(const struct pyc_facts *facts, const struct pyc_policy *policy)
{
	struct pyc_facts trial = *facts;
	enum pyc_reason reason[CHECKS][CHECKS];
	unsigned needs = 0;

	for (int body = 0; body < CHECKS; body++) {
		for (int hash = 0; hash < CHECKS; hash++) {
			trial.body = (enum pyc_check)body;
			trial.hash = (enum pyc_check)hash;
			reason[body][hash] = judge(&trial, policy);
			if (reason[body][hash] != reason[0][hash])
				needs |= PYC_NEEDS_BODY;
			if (reason[body][hash] != reason[body][0])
				needs |= PYC_NEEDS_HASH;
		}
	}
	return needs;
}

/* How many pycs embed @mtime; a list may name one time twice. */
static uint64_t count_votes(const struct pyc_vote *votes, size_t vote_count, uint32_t mtime)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < vote_count; i++) {
		if (votes[i].mtime == mtime)
			sum += votes[i].count;
	}
	return sum;
}

static struct timespec majority_mtime(struct timespec source_mtime,
				      const struct pyc_vote *votes, size_t vote_count)
{
	uint32_t winner = 0;
	uint64_t most = 0;

	for (size_t i = 0; i < vote_count; i++) {
		uint64_t sum = count_votes(votes, vote_count, votes[i].mtime);

		if (sum > most || (sum == most && votes[i].mtime > winner)) {
			winner = votes[i].mtime;
			most = sum;
		}
	}
	if (most == 0 || pyc_mtime_int(source_mtime) == (int64_t)winner)
		return source_mtime;
	return (struct timespec){.tv_sec = (time_t)winner};
}

struct timespec pyc_view_mtime(const struct pyc_policy *policy,
			       struct timespec source_mtime, const struct pyc_vote *votes,
			       size_t vote_count)
{
	switch (policy->view) {
	case PYC_VIEW_EPOCH:
		return (struct timespec){.tv_sec = (time_t)policy->epoch};
	case PYC_VIEW_EMBEDDED:
		return majority_mtime(source_mtime, votes, vote_count);
	default:
		return source_mtime;
	}
}

/* Tools set whole seconds; an edit almost never happens on one. */
bool pyc_is_canonical_time(const struct pyc_policy *policy, struct timespec mtime)
{
	if (mtime.tv_nsec != 0)
		return false;
	return is_constant(mtime.tv_sec) ||
	       contains(policy->canonical, policy->canonical_count, mtime.tv_sec);
}

/* Numbers may come from a cache on disk, so a wrong one must not lead out of a table. */
static const struct reason_entry *entry_of(enum pyc_reason reason)
{
	static const struct reason_entry unknown = {PYC_STALE, "unknown",
						    "for no known reason"};

	return (unsigned)reason < PYC_REASONS ? &reasons[reason] : &unknown;
}

const char *pyc_verdict_name(enum pyc_verdict verdict)
{
	return (unsigned)verdict < PYC_VERDICTS ? verdict_names[verdict] : "unknown";
}

const char *pyc_reason_name(enum pyc_reason reason)
{
	return entry_of(reason)->name;
}

const char *pyc_reason_text(enum pyc_reason reason)
{
	return entry_of(reason)->text;
}

const char *pyc_evidence_name(enum pyc_evidence evidence)
{
	return (unsigned)evidence < PYC_EVIDENCES ? evidences[evidence].name : "unknown";
}

const char *pyc_evidence_text(enum pyc_evidence evidence)
{
	return (unsigned)evidence < PYC_EVIDENCES ? evidences[evidence].text : "unknown";
}

enum pyc_verdict pyc_reason_verdict(enum pyc_reason reason)
{
	return entry_of(reason)->verdict;
}

bool pyc_reason_is_of_times(enum pyc_reason reason)
{
	return pyc_reason_verdict(reason) == PYC_RESTAMPED && reason != PYC_R_VIEW &&
	       reason != PYC_R_PROVED;
}
