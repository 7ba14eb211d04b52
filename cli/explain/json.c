/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain --json; cli/schema/explain.json describes it.
 */
#include "cli/explain/explain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fdio.h"
#include "base/hex.h"
#include "base/scope.h"
#include "cli/print/human.h"
#include "cli/print/json.h"
#include "pyc/mtime.h"

static void explain_add_date(struct json_object *object, int64_t seconds)
{
	char date[HUMAN_DATE_MAX];

	json_add_text(object, "date", human_date(seconds, date));
}

static void explain_add_hex(struct json_object *object, const char *key,
			    const uint8_t *bytes, size_t len)
{
	char hex[HEX_SIZE(EXPLAIN_HEAD_MAX)];

	json_add_text(object, key, hex_encode(bytes, len, hex));
}

/* ---- one bytecode file ---- */

static const char *explain_check_name(enum pyc_check check)
{
	return check == PYC_CHECK_OK ? "ok" : check == PYC_CHECK_BAD ? "bad" : "unknown";
}

static void explain_add_name(struct json_object *object, const struct pyc_name *name)
{
	static const char *const placements[] = {
		[PYC_PLACE_NONE] = "odd",      [PYC_PLACE_CACHE] = "cache",
		[PYC_PLACE_LEGACY] = "legacy", [PYC_PLACE_PYTEST] = "pytest",
		[PYC_PLACE_ODD] = "odd",
	};
	scope_free char *tag = strndup(name->tag ? name->tag : "", name->tag_len);
	scope_free char *opt = strndup(name->opt ? name->opt : "", name->opt_len);

	json_add_text(object, "placement", placements[name->placement]);
	json_add_text(object, "tag", tag);
	json_add_text(object, "optimization", opt);
}

static void explain_add_embedded(struct json_object *object, const struct pyc_facts *facts)
{
	const struct pyc_header *header = &facts->header;
	bool is_hash = header->flags & PYC_FLAG_HASH;
	struct json_object *mtime;

	json_add_number(object, "flags", header->flags);
	if (is_hash) {
		json_add_text(object, "mtime", NULL);
		json_add_text(object, "size", NULL);
		explain_add_hex(object, "hash", header->hash, PYC_HASH_SIZE);
		return;
	}
	mtime = json_add_object(object, "mtime");
	json_add_number(mtime, "seconds", header->mtime);
	explain_add_date(mtime, header->mtime);
	if (header->magic->size_offset)
		json_add_number(object, "size", header->source_size);
	else
		json_add_text(object, "size", NULL);
	json_add_text(object, "hash", NULL);
}

static void explain_add_header(struct json_object *object, const struct pyc_facts *facts)
{
	static const char *const states[] = {[PYC_HEADER_OK] = "ok",
					     [PYC_HEADER_SHORT] = "short",
					     [PYC_HEADER_UNKNOWN_MAGIC] = "unknown-magic"};
	struct json_object *header = json_add_object(object, "header");

	json_add_text(header, "status", states[facts->header_status]);
	if (facts->header_status != PYC_HEADER_OK)
		return;
	json_add_number(header, "magic", facts->header.magic->number);
	json_add_text(header, "version", facts->header.magic->version);
	json_add_text(header, "kind", explain_kind(facts->header.kind));
	explain_add_embedded(header, facts);
}

static void explain_add_match(struct json_object *object, const char *key,
			      enum pyc_check check)
{
	if (check == PYC_CHECK_UNKNOWN)
		json_add_text(object, key, NULL);
	else
		json_add_bool(object, key, check == PYC_CHECK_OK);
}

static void explain_add_matches(struct json_object *object, const struct pyc_facts *facts)
{
	struct json_object *matches = json_add_object(object, "matches");

	explain_add_match(matches, "mtime", explain_time_matches(facts));
	explain_add_match(matches, "size", explain_size_matches(facts));
	explain_add_match(matches, "hash", facts->hash);
}

static void explain_add_verdict(struct json_object *object, const char *key,
				const struct explain_pyc *pyc,
				const struct pyc_decision *decision)
{
	if (pyc->decided)
		json_add_decision(json_add_object(object, key), decision);
	else
		json_add_text(object, key, NULL);
}

static void explain_add_outcome(struct json_object *object, const char *key,
				enum pyc_outcome outcome)
{
	struct json_object *inner = json_add_object(object, key);

	json_add_text(inner, "outcome", pyc_outcome_name(outcome));
	json_add_text(inner, "text", pyc_outcome_text(outcome));
}

static void explain_add_asked(struct json_object *object, const struct explain_pyc *pyc)
{
	struct json_object *array = json_add_array(object, "asked");

	for (size_t i = 0; i < pyc->asked_count; i++) {
		const struct explain_asked *asked = &pyc->asked[i];
		struct json_object *one = json_append_object(array);

		json_add_text(one, "program", asked->interpreter->program);
		json_add_text(one, "release", asked->interpreter->release);
		json_add_text(one, "expected", pyc_outcome_name(asked->expected));
		json_add_text(one, "observed", pyc_outcome_name(asked->observed));
		json_add_bool(one, "agrees", asked->expected == asked->observed);
		json_add_text(one, "error", asked->error);
		json_add_text(one, "lines", asked->lines);
	}
}

static void explain_add_facts(struct json_object *object, const struct explain_pyc *pyc)
{
	static const char *const trust_names[TRUSTS] = {[PYC_TRUST_CANONICAL] = "canonical",
							[PYC_TRUST_SIZE] = "size",
							[PYC_TRUST_VERIFIED] = "verified"};
	struct json_object *inner;

	explain_add_name(object, &pyc->disk.name);
	explain_add_hex(object, "head", pyc->head, pyc->head_len);
	explain_add_header(object, &pyc->disk);
	explain_add_matches(object, &pyc->disk);
	json_add_text(object, "body", explain_check_name(pyc->disk.body));
	json_add_text(object, "proof", explain_check_name(pyc->disk.proof));
	json_add_text(object, "record", explain_check_name(pyc->disk.record));
	explain_add_outcome(object, "bare", pyc->bare);
	json_add_text(object, "reader", pyc->reader ? pyc->reader->program : NULL);
	explain_add_verdict(object, "canonfs", pyc, &pyc->given);
	inner = json_add_object(object, "trust");
	for (int i = 0; i < TRUSTS; i++)
		explain_add_verdict(inner, trust_names[i], pyc, &pyc->trust[i]);
	explain_add_outcome(object, "served", pyc->served);
	if (pyc->mount_verdict) {
		inner = json_add_object(object, "mount");
		json_add_text(inner, "verdict", pyc->mount_verdict);
		json_add_text(inner, "reason", pyc->mount_reason);
	} else {
		json_add_text(object, "mount", NULL);
	}
	inner = json_add_array(object, "changes");
	for (size_t i = 0; i < pyc->change_count; i++)
		json_object_array_add(inner, json_text(pyc->changes[i]));
	explain_add_asked(object, pyc);
}

static void explain_add_pyc_object(struct json_object *array, const struct explain_pyc *pyc)
{
	struct json_object *object = json_append_object(array);

	json_add_text(object, "path", pyc->path);
	json_add_text(object, "leads_to", pyc->real);
	json_add_text(object, "problem", pyc->problem);
	if (!pyc->problem)
		explain_add_facts(object, pyc);
}

/* ---- the source ---- */

static void explain_add_source(struct json_object *object,
			       const struct explanation *explanation)
{
	static const char *const states[] = {[PYC_SOURCE_UNKNOWN] = "unknown",
					     [PYC_SOURCE_NONE] = "none",
					     [PYC_SOURCE_REGULAR] = "regular"};
	const struct source *source = &explanation->source;
	struct timespec time = statx_time(source->stx.stx_mtime);
	struct json_object *mtime;

	json_add_text(object, "state",
		      states[explanation->stem ? source->state : PYC_SOURCE_NONE]);
	json_add_text(object, "link", explanation->link);
	if (!explanation->stem || source->state != PYC_SOURCE_REGULAR)
		return;
	json_add_number(object, "size", (int64_t)source->stx.stx_size);
	mtime = json_add_object(object, "mtime");
	json_add_number(mtime, "seconds", time.tv_sec);
	json_add_number(mtime, "nanoseconds", time.tv_nsec);
	json_add_number(mtime, "python", pyc_mtime_int(time));
	explain_add_date(mtime, time.tv_sec);
	json_add_bool(mtime, "canonical",
		      pyc_is_canonical_time(&explanation->tree.policy, time));
}

static void explain_add_tree(struct json_object *object, const struct explain_tree *tree)
{
	struct json_object *inner = json_add_object(object, "tree");

	json_add_text(inner, "path", tree->set->path);
	json_add_text(inner, "shared_mtime", NULL); /* no longer looked for */
	json_add_text(inner, "canonfs", tree->mount_source);
	json_add_text(inner, "proofs_unread", proof_book_unread(&tree->set->proofs));
}

void explain_print_json(const struct explain_request *request)
{
	struct json_object *top = json_object_new_object();
	struct json_object *sources = json_add_array(top, "sources");

	for (size_t i = 0; i < request->count; i++) {
		const struct explanation *explanation = &request->explanations[i];
		struct json_object *object = json_append_object(sources);
		struct json_object *pycs;

		json_add_text(object, "path", explanation->path);
		explain_add_source(object, explanation);
		explain_add_tree(object, &explanation->tree);
		pycs = json_add_array(object, "bytecode");
		for (size_t j = 0; j < explanation->pyc_count; j++)
			explain_add_pyc_object(pycs, &explanation->pycs[j]);
	}
	json_print(top);
}
