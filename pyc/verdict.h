/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What canonfs decides about one bytecode file: a pure, total function of what is known
 * about the file and its source (facts) and of what the mount was told (policy).
 *
 * The three promises (HACKING) live here. In doubt the header is served as it is on disk;
 * and a pyc that is not vouched for never matches by accident under the mtime that the
 * mount shows for its source.
 */
#ifndef CANONFS_PYC_VERDICT_H
#define CANONFS_PYC_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "pyc/header.h"
#include "pyc/names.h"

enum pyc_verdict {
	PYC_FRESH,	    /* matches its source as it is */
	PYC_RESTAMPED,	    /* vouched for: served with another mtime word */
	PYC_STALE,	    /* really stale, or not proved to be anything else */
	PYC_HASH_CHECKED,   /* Python compares the hash with the source itself */
	PYC_HASH_UNCHECKED, /* Python compares nothing */
	PYC_ORPHAN,	    /* no source file beside it; Python ignores it */
	PYC_SOURCELESS, /* legacy foo.pyc without foo.py; Python checks the magic only */
	PYC_FOREIGN,	/* not a bytecode file of a known interpreter */
	PYC_CORRUPT,	/* too short, or the body does not parse */
	PYC_VERDICTS
};

/* Why. One verdict has several reasons; pyc_reason_verdict() is the map. */
enum pyc_reason {
	/* fresh */
	PYC_R_MATCHES,
	/* restamped */
	PYC_R_VIEW,		 /* fresh on the source; the view shows another mtime */
	PYC_R_CANONICAL,	 /* the source's mtime was canonicalised */
	PYC_R_CANONICAL_LATER,	 /* the same, to a time after the embedded one */
	PYC_R_CANONICAL_NO_SIZE, /* the same, in a layout that records no size */
	PYC_R_CANONICAL_PAIR,	 /* source and pyc were set to one time, whichever it is */
	PYC_R_EMPTY,		 /* source and embedded size are both 0 */
	PYC_R_PROVED,		 /* a recompile proved that the body is the source's */
	/* stale */
	PYC_R_DISPROVED,     /* a recompile proved that it is not */
	PYC_R_SIZE,	     /* the embedded size is not the source's */
	PYC_R_NEWER,	     /* the source is newer than the embedded time */
	PYC_R_NOT_CANONICAL, /* the source is older, but not by canonicalisation */
	PYC_R_NOT_PROVED,    /* trust=verified and there is no proof */
	PYC_R_EDITED,	   /* only times speak for it, and its package's record does not */
	PYC_R_LATER_LAYER, /* only times speak for it; its source is from a layer above */
	PYC_R_PROOFS_UNREAD, /* only times speak for it, and it may have been disproved */
	PYC_R_UNMATCHABLE,   /* no mtime word can match the source's time in this version */
	PYC_R_UNKNOWN_FLAGS, /* header flags that no interpreter knows */
	PYC_R_HASH_MISMATCH, /* hash pyc of another source */
	PYC_R_SOURCE_UNKNOWN, /* the source could not be looked at */
	PYC_R_BODY_UNKNOWN,   /* the body could not be read or is too large to be walked */
	PYC_R_ALIASED,	      /* reached through a link beside another source, too */
	/* hash-checked */
	PYC_R_HASH_KEPT,       /* served as it is */
	PYC_R_HASH_UNVERIFIED, /* hash=unchecked, but the hash could not be computed */
	/* hash-unchecked */
	PYC_R_UNCHECKED, /* unchecked on disk */
	PYC_R_PROMOTED,	 /* checked on disk, verified, served as unchecked */
	/* orphan */
	PYC_R_NO_SOURCE,
	PYC_R_SHADOWED, /* foo.pyc beside foo.py: Python 3.2+ looks in __pycache__ only */
	/* sourceless */
	PYC_R_LEGACY,
	/* foreign */
	PYC_R_MAGIC,	/* unknown magic */
	PYC_R_TAG,	/* the file name's tag belongs to another interpreter */
	PYC_R_PYTEST,	/* pytest's own format */
	PYC_R_ODD_NAME, /* no interpreter gives such a name */
	/* corrupt */
	PYC_R_SHORT, /* shorter than its header */
	PYC_R_BODY,  /* the body does not parse as one code object */
	PYC_REASONS
};

/* What it rests on that a mismatching time is forgiven. */
enum pyc_evidence {
	PYC_E_NONE,	/* nothing is forgiven */
	PYC_E_CONSTANT, /* 0, 1 or 1980: times that only tools set */
	PYC_E_GIVEN,	/* a time of the policy */
	PYC_E_PAIR,  /* the tree: the pyc's own time was set back to that of its source */
	PYC_E_EMPTY, /* an empty source */
	PYC_E_PROOF, /* a recompile */
	PYC_EVIDENCES
};

enum pyc_trust { PYC_TRUST_CANONICAL, PYC_TRUST_SIZE, PYC_TRUST_VERIFIED };
enum pyc_mtime_view { PYC_VIEW_SOURCE, PYC_VIEW_EPOCH, PYC_VIEW_EMBEDDED };
enum pyc_hash_policy { PYC_HASH_KEEP, PYC_HASH_UNCHECK };

#define PYC_CANONICAL_MAX 16

/**
 * struct pyc_policy - what the mount was told
 * @trust:           when a mismatching mtime is forgiven (-o trust=)
 * @view:            which mtime both sides show (-o mtime=)
 * @epoch:           seconds; the time of PYC_VIEW_EPOCH
 * @hash:            what becomes of checked-hash pycs (-o hash=)
 * @canonical:       further canonical times in seconds (-o canonical=); 0, 1, 315532800 and
 *                   315532801 always are
 * @canonical_count: how many
 * @immutable:       nothing in the tree can change: its times may speak for it
 * @proofs_unread:   there are proofs that could not be read, or there may be
 */
struct pyc_policy {
	enum pyc_trust trust;
	enum pyc_mtime_view view;
	int64_t epoch;
	enum pyc_hash_policy hash;
	int64_t canonical[PYC_CANONICAL_MAX];
	size_t canonical_count;
	bool immutable;
	bool proofs_unread;
};

enum pyc_source_state {
	PYC_SOURCE_UNKNOWN, /* could not be looked at: permissions, loops, i/o errors */
	PYC_SOURCE_NONE,    /* no such file, or not a regular file */
	PYC_SOURCE_REGULAR,
};

enum pyc_check { PYC_CHECK_UNKNOWN, PYC_CHECK_OK, PYC_CHECK_BAD };

/**
 * struct pyc_facts - what is known about one bytecode file
 * @name:          placement and tag
 * @header_status: what pyc_header_parse() said
 * @header:        meaningful if @header_status is PYC_HEADER_OK
 * @mtime:         the pyc's own st_mtime
 * @source:        what is where the name's source should be, symlinks followed
 * @irregular:     PYC_SOURCE_NONE: there is something, but no regular file
 * @outside:       a link leads out of the tree to the source: it can change
 * @source_size:   bytes; of a regular source
 * @source_mtime:  st_mtime as it is on disk; of a regular source
 * @served_mtime:  st_mtime as the mount shows it for that source: @source_mtime in the
 *                 source view; see pyc_view_mtime()
 * @aliased:       a symbolic link leads a reader with another source to this pyc
 * @body:          does the body parse as one code object (pyc/marshal.h)?
 * @hash:          is the embedded hash the source's?
 * @proof:         OK: a recompile gave this body; BAD: it gave another
 *
 * @record:        OK: the source is what its package installed; BAD: it is not, or the
 *                 record cannot be read. Matters only to pyc_reason_is_of_times()
 * @layer:         BAD: the source is from a layer of the image above the pyc's. Matters
 *                 where @record does
 *
 * @body, @hash and @proof cost something to find out; pyc_verdict_needs() tells which
 * of them the verdict depends on.
 */
struct pyc_facts {
	struct pyc_name name;
	enum pyc_header_status header_status;
	struct pyc_header header;
	struct timespec mtime;
	enum pyc_source_state source;
	bool irregular;
	bool outside;
	int64_t source_size;
	struct timespec source_mtime;
	struct timespec served_mtime;
	bool aliased;
	enum pyc_check body;
	enum pyc_check hash;
	enum pyc_check proof;
	enum pyc_check record;
	enum pyc_check layer;
};

/**
 * struct pyc_decision - the outcome
 * @verdict, @reason: what and why
 * @evidence:         what it rests on, if a mismatching time is forgiven
 * @forgiven_s:       that time: the source's, seconds
 * @vouched:          whether interpreters of the magic will load it from the mount
 *                    without reading the source
 * @header:           the header to serve; .raw is what differs from the disk
 * @changed:          whether @header.raw differs from the disk's
 */
struct pyc_decision {
	enum pyc_verdict verdict;
	enum pyc_reason reason;
	enum pyc_evidence evidence;
	int64_t forgiven_s;
	bool vouched;
	bool changed;
	struct pyc_header header;
};

#define PYC_NEEDS_BODY 0x1u
#define PYC_NEEDS_HASH 0x2u

/**
 * pyc_verdict_needs() - the expensive facts that the verdict depends on
 * @facts: everything but @body and @hash filled in
 *
 * Return: PYC_NEEDS_ bits; 0 where the verdict is settled without them.
 */
unsigned pyc_verdict_needs(const struct pyc_facts *facts, const struct pyc_policy *policy);

/**
 * pyc_decide() - the verdict
 * @ret: written always
 */
void pyc_decide(const struct pyc_facts *facts, const struct pyc_policy *policy,
		struct pyc_decision *ret);

/**
 * struct pyc_vote - a time that bytecode of one source embeds
 * @mtime: the embedded mtime, seconds
 * @count: how many pycs embed it
 */
struct pyc_vote {
	uint32_t mtime;
	unsigned count;
};

/**
 * pyc_view_mtime() - the st_mtime that the mount shows for a source file
 * @policy:       the view
 * @source_mtime: as it is on disk
 * @votes:        PYC_VIEW_EMBEDDED: the embedded mtimes of the pycs of this source that
 *                are fresh or forgiven; the majority decides, ties go to the latest
 * @vote_count:   how many
 *
 * Without votes the source keeps its own mtime. A majority that agrees with the
 * source's own time keeps its nanoseconds.
 */
struct timespec pyc_view_mtime(const struct pyc_policy *policy,
			       struct timespec source_mtime, const struct pyc_vote *votes,
			       size_t vote_count);

/* Is this one of the times that canonicalising tools set? */
bool pyc_is_canonical_time(const struct pyc_policy *policy, struct timespec mtime);

/* Names for output ("restamped") and sentences for people; static storage. */
const char *pyc_verdict_name(enum pyc_verdict verdict);
const char *pyc_reason_name(enum pyc_reason reason);
const char *pyc_reason_text(enum pyc_reason reason);
const char *pyc_evidence_name(enum pyc_evidence evidence);
const char *pyc_evidence_text(enum pyc_evidence evidence);
/* Does nothing but times and sizes speak for what is vouched for by this reason? */
bool pyc_reason_is_of_times(enum pyc_reason reason);
enum pyc_verdict pyc_reason_verdict(enum pyc_reason reason);

#endif
