/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreters' own rules; see outcome.h. They know nothing of canonfs, so nothing
 * here is shared with verdict.c but the comparison of times.
 */
#include "pyc/outcome.h"

#include "base/scope.h"
#include "pyc/mtime.h"

/* PEP 3147: versions without a tag look beside the source. */
static bool uses_cache_dir(const struct pyc_magic *magic)
{
	return magic->tag[0] != '\0';
}

/* The bytecode was accepted by its header: now it has to load. */
static enum pyc_outcome load(const struct pyc_facts *facts, enum pyc_outcome outcome)
{
	if (facts->body == PYC_CHECK_BAD)
		return PYC_FAILS;
	return facts->body == PYC_CHECK_OK ? outcome : PYC_OUTCOME_UNKNOWN;
}

/* Nothing but the magic and the flags are looked at. */
static enum pyc_outcome load_sourceless(const struct pyc_facts *facts,
					const struct pyc_magic *reader)
{
	if (facts->header_status != PYC_HEADER_OK || facts->header.magic != reader ||
	    facts->header.kind == PYC_KIND_UNKNOWN_FLAGS)
		return PYC_FAILS;
	return load(facts, PYC_LOADS);
}

static enum pyc_outcome check_times(const struct pyc_facts *facts, struct timespec mtime)
{
	if (pyc_mtime_matches(&facts->header, mtime) &&
	    pyc_size_matches(&facts->header, facts->source_size))
		return load(facts, PYC_LOADS);
	return PYC_COMPILES;
}

static enum pyc_outcome check_hash(const struct pyc_facts *facts)
{
	if (facts->hash == PYC_CHECK_BAD)
		return PYC_COMPILES;
	if (facts->hash != PYC_CHECK_OK)
		return PYC_OUTCOME_UNKNOWN;
	return load(facts, PYC_LOADS_CHECKED);
}

static enum pyc_outcome load_beside_source(const struct pyc_facts *facts,
					   struct timespec mtime,
					   const struct pyc_magic *reader)
{
	if (facts->header_status != PYC_HEADER_OK || facts->header.magic != reader)
		return PYC_COMPILES;
	switch (facts->header.kind) {
	case PYC_KIND_TIMESTAMP:
		return check_times(facts, mtime);
	case PYC_KIND_HASH_CHECKED:
		return check_hash(facts);
	case PYC_KIND_HASH_UNCHECKED:
		return load(facts, PYC_LOADS);
	default:
		return PYC_COMPILES;
	}
}

/* Does the interpreter look for a file of this name in this place? */
static bool looks_for(const struct pyc_facts *facts, const struct pyc_magic *reader)
{
	if (pyc_name_level(&facts->name, reader) < 0)
		return false;
	switch (facts->name.placement) {
	case PYC_PLACE_CACHE:
		return facts->source != PYC_SOURCE_NONE &&
		       pyc_name_tag_agrees(&facts->name, reader);
	case PYC_PLACE_LEGACY:
		return facts->source != PYC_SOURCE_REGULAR || !uses_cache_dir(reader);
	default:
		return false;
	}
}

/* Does any version of the tag give such a name? All may, where no version is known. */
static bool is_read_by_tag(const struct pyc_name *name)
{
	bool known = false;

	for (size_t i = 0; i < pyc_magic_count; i++) {
		if (!pyc_name_tag_agrees(name, &pyc_magic_table[i]))
			continue;
		if (pyc_name_level(name, &pyc_magic_table[i]) >= 0)
			return true;
		known = true;
	}
	return !known;
}

/* Only the file's name says who reads it. */
static enum pyc_outcome outcome_for_tag(const struct pyc_facts *facts)
{
	if (facts->source == PYC_SOURCE_NONE || !is_read_by_tag(&facts->name))
		return PYC_IGNORES;
	if (facts->source != PYC_SOURCE_REGULAR)
		return PYC_OUTCOME_UNKNOWN;
	/* A newer version's magic may be just what that version expects. */
	return facts->header_status == PYC_HEADER_UNKNOWN_MAGIC ? PYC_OUTCOME_UNKNOWN
								: PYC_COMPILES;
}

/* The file's name and magic say who reads it. */
static enum pyc_outcome outcome_for_anybody(const struct pyc_facts *facts,
					    struct timespec mtime)
{
	enum pyc_placement placement = facts->name.placement;

	if (facts->header_status == PYC_HEADER_OK &&
	    pyc_name_tag_agrees(&facts->name, facts->header.magic))
		return pyc_outcome(facts, mtime, facts->header.magic);
	if (placement == PYC_PLACE_CACHE)
		return outcome_for_tag(facts);
	return placement == PYC_PLACE_LEGACY ? PYC_OUTCOME_UNKNOWN : PYC_IGNORES;
}

enum pyc_outcome pyc_outcome(const struct pyc_facts *facts, struct timespec mtime,
			     const struct pyc_magic *reader)
{
	if (!reader)
		return outcome_for_anybody(facts, mtime);
	if (!looks_for(facts, reader))
		return PYC_IGNORES;
	switch (facts->source) {
	case PYC_SOURCE_NONE:
		/* 2.7 opens whatever is there (find_module()), and compiles a directory. */
		return facts->irregular && !uses_cache_dir(reader)
			       ? PYC_FAILS
			       : load_sourceless(facts, reader);
	case PYC_SOURCE_REGULAR:
		return load_beside_source(facts, mtime, reader);
	default:
		return PYC_OUTCOME_UNKNOWN;
	}
}

static const struct {
	const char *name;
	const char *text;
} outcomes[] = {
	[PYC_OUTCOME_UNKNOWN] = {"unknown", "nobody can tell what the interpreter does"},
	[PYC_LOADS] = {"loads", "runs the bytecode"},
	[PYC_LOADS_CHECKED] = {"loads-checked",
			       "reads and hashes the source, then runs the bytecode"},
	[PYC_COMPILES] = {"compiles", "compiles the source again"},
	[PYC_FAILS] = {"fails", "fails to import it"},
	[PYC_IGNORES] = {"ignores", "never looks at it"},
};

_Static_assert(ARRAY_SIZE(outcomes) == PYC_OUTCOMES, "each outcome has a name");

const char *pyc_outcome_name(enum pyc_outcome outcome)
{
	return outcomes[(unsigned)outcome < PYC_OUTCOMES ? outcome : 0].name;
}

const char *pyc_outcome_text(enum pyc_outcome outcome)
{
	return outcomes[(unsigned)outcome < PYC_OUTCOMES ? outcome : 0].text;
}
