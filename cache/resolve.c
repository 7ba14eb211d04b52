/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a path to a decision; see resolve.h.
 *
 * Facts are gathered cheapest first: the name, the header and the source's stat settle
 * most pycs; the body is walked and the source hashed only if the verdict depends on it.
 */
#include "cache/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/content.h"
#include "cache/store/proof_file.h"
#include "cache/store/store.h"
#include "cache/table.h"
#include "cache/tree/alias.h"
#include "cache/tree/layers.h"
#include "cache/tree/pairing.h"
#include "cache/tree/records.h"
#include "cache/tree/source.h"
#include "cache/votes.h"
#include "pyc/outcome.h"

/*
 * What a walk remembers: files with several names (a pyc's three levels are often one file)
 * lie beside each other, and memory that is not touched costs nothing.
 */
#define WALK_CAPACITY 4096

/* Sources whose comparison with a record is remembered: those of a few directories. */
#define RECORD_SLOTS 1024

/* @claim: NULL where the slot is empty */
struct record_slot {
	struct identity source;
	const struct record_entry *claim;
	enum pyc_check record;
};

struct resolver {
	const struct tree *tree;
	struct table *table;
	struct alias_set *aliases;
	struct store *store; /* NULL: nothing outlives the mount */
	const struct proof_set *proofs;
	struct records *records;
	pthread_mutex_t record_lock; /* of the next; no i/o */
	struct record_slot record_slots[RECORD_SLOTS];
	uint64_t mount_id;
	struct pyc_policy policy;
	_Atomic uint64_t known, unknown, bodies, sources; /* for people only: relaxed */
};

/* Takes ownership of @table, NULL when out of memory. */
static struct resolver *resolver_new_with(const struct tree *tree,
					  const struct pyc_policy *policy,
					  const struct proof_book *proofs,
					  struct table *table)
{
	static const struct proof_set no_proofs = {.count = 0};
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver) {
		table_free(table);
		return NULL;
	}
	resolver->tree = tree;
	resolver->policy = *policy;
	resolver->policy.proofs_unread = proofs && proofs->state == PROOFS_UNREAD;
	resolver->mount_id = identity_mount_id(tree->root_fd);
	resolver->table = table;
	resolver->aliases = alias_set_new();
	resolver->proofs = proofs ? &proofs->set : &no_proofs;
	resolver->records = records_new(tree);
	pthread_mutex_init(&resolver->record_lock, NULL);
	if (!resolver->table || !resolver->aliases || !resolver->records) {
		resolver_free(resolver);
		return NULL;
	}
	return resolver;
}

struct resolver *resolver_new(const struct tree *tree, const struct pyc_policy *policy,
			      const struct proof_book *proofs, struct store *store,
			      struct table *table)
{
	struct resolver *resolver = resolver_new_with(
		tree, policy, proofs, table ? table : table_new(TABLE_CAPACITY));

	if (resolver)
		resolver->store = store;
	return resolver;
}

struct resolver *resolver_new_for_walk(const struct tree *tree,
				       const struct pyc_policy *policy,
				       const struct proof_book *proofs)
{
	return resolver_new_with(tree, policy, proofs, table_new(WALK_CAPACITY));
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	table_free(resolver->table);
	alias_set_free(resolver->aliases);
	records_free(resolver->records);
	pthread_mutex_destroy(&resolver->record_lock);
	free(resolver);
}

/* One pyc on its way to a decision. */
struct inquiry {
	struct resolver *resolver;
	const char *path;
	const struct statx *stx; /* of the pyc; the caller's */
	int source_dir;		 /* open, if the caller has it; else -1 */
	char *source_path; /* the source's, by its name; @source may be at a link's end */
	struct content_file file;
	struct source source;
	struct pyc_facts facts;
	bool is_survey;
	bool has_one_name;
	const char *record; /* what facts.record rests on */
};

static void resolver_count(_Atomic uint64_t *counter, uint64_t more)
{
	if (more)
		atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static void inquiry_end(struct inquiry *inquiry)
{
	resolver_count(&inquiry->resolver->bodies, inquiry->file.bodies);
	resolver_count(&inquiry->resolver->sources, inquiry->file.sources);
	source_fini(&inquiry->source);
	free(inquiry->source_path);
}

static void inquiry_find_source(struct inquiry *inquiry)
{
	int r = pairing_source(inquiry->path, &inquiry->facts.name, &inquiry->source_path);

	if (r == 0)
		source_find_in(inquiry->resolver->tree, inquiry->source_path,
			       inquiry->source_dir, &inquiry->source);
	else
		inquiry->source.state = r == -ENOENT ? PYC_SOURCE_NONE : PYC_SOURCE_UNKNOWN;
	inquiry->facts.source = inquiry->source.state;
	inquiry->facts.irregular = inquiry->source.state == PYC_SOURCE_NONE &&
				   inquiry->source.stx.stx_mode != 0;
	if (inquiry->source.state != PYC_SOURCE_REGULAR)
		return;
	inquiry->facts.outside = !inquiry->source.path;
	inquiry->facts.source_size = (int64_t)inquiry->source.stx.stx_size;
	inquiry->facts.source_mtime = statx_time(inquiry->source.stx.stx_mtime);
	inquiry->facts.served_mtime = inquiry->facts.source_mtime;
}

/* ---- the decision ---- */

/* In this mount. */
static void inquiry_remember(struct inquiry *inquiry)
{
	struct content content = content_to_remember(&inquiry->file);

	table_put(inquiry->resolver->table, &inquiry->file.identity, &content);
}

/* For the next mount. */
static void inquiry_store(struct inquiry *inquiry)
{
	const struct content *content = &inquiry->file.content;
	struct store_row row = {
		.pyc = inquiry->file.identity,
		.header = content->header,
		.body = content->body,
		.digest = content->digest,
	};

	if (inquiry->resolver->store && content->body != PYC_CHECK_UNKNOWN)
		store_put(inquiry->resolver->store, &row, inquiry->file.is_confirmed);
}

static void inquiry_check_body(struct inquiry *inquiry)
{
	if (content_check_body(&inquiry->file)) {
		inquiry_remember(inquiry);
		inquiry_store(inquiry);
	}
	inquiry->facts.body = inquiry->file.content.body;
}

/* The hash counts only if the source could be read, or is still as it was read. */
static void inquiry_check_source(struct inquiry *inquiry)
{
	scope_fd int fd = source_open(inquiry->resolver->tree, inquiry->source_path,
				      &inquiry->source);

	if (fd < 0)
		return;
	if (content_check_source(&inquiry->file, fd))
		inquiry_remember(inquiry);
	if (inquiry->file.content.has_source)
		inquiry->facts.hash = inquiry->file.content.hash;
}

/* Would a proof of this kind, if there is one, change the verdict? */
static bool inquiry_needs_proof(const struct inquiry *inquiry,
				const struct pyc_policy *policy,
				const struct proof_set *proofs, enum pyc_check result)
{
	struct pyc_facts trial = inquiry->facts;
	struct pyc_decision without, with;

	if (!proofs->has[result] || trial.header_status != PYC_HEADER_OK)
		return false;
	trial.body = PYC_CHECK_OK;
	pyc_decide(&trial, policy, &without);
	trial.proof = result;
	pyc_decide(&trial, policy, &with);
	return without.verdict != with.verdict;
}

/* Proofs go by content: both files are read, unless what was read is still known. */
static void inquiry_find_proof(struct inquiry *inquiry)
{
	const struct content *content = &inquiry->file.content;
	int level = pyc_name_level(&inquiry->facts.name, content->header.magic);

	if (level < 0)
		return;
	inquiry_check_body(inquiry);
	inquiry_check_source(inquiry);
	if (content->body != PYC_CHECK_UNKNOWN && content->has_source)
		inquiry->facts.proof = proof_set_find(
			inquiry->resolver->proofs, content->source_digest, content->digest,
			content->header.magic->number, (uint8_t)level);
}

static void inquiry_look_up_proof(struct inquiry *inquiry, const struct pyc_policy *policy)
{
	const struct proof_set *proofs = inquiry->resolver->proofs;

	if (!inquiry_needs_proof(inquiry, policy, proofs, PYC_CHECK_BAD) &&
	    !inquiry_needs_proof(inquiry, policy, proofs, PYC_CHECK_OK))
		return;
	inquiry_find_proof(inquiry);
}

/* ---- records of packages ---- */

static struct record_slot *resolver_record_slot(struct resolver *resolver,
						const struct identity *source)
{
	return &resolver->record_slots[identity_hash(source) % RECORD_SLOTS];
}

/* The levels of a source are asked for one after the other: it is read once for all of
 * them. */
static enum pyc_check resolver_recall_record(struct resolver *resolver,
					     const struct identity *source,
					     const struct record_claims *claims)
{
	const struct record_slot *slot = resolver_record_slot(resolver, source);
	enum pyc_check record = PYC_CHECK_UNKNOWN;

	pthread_mutex_lock(&resolver->record_lock);
	if (slot->claim == claims->entries[0] && identity_equal(&slot->source, source))
		record = slot->record;
	pthread_mutex_unlock(&resolver->record_lock);
	return record;
}

/* What can change is read each time: a store through a mapping leaves no trace. */
static void resolver_remember_record(struct resolver *resolver,
				     const struct identity *source,
				     const struct record_claims *claims,
				     enum pyc_check record)
{
	if (!resolver->policy.immutable || !identity_is_settled(source, clock_real()))
		return;
	pthread_mutex_lock(&resolver->record_lock);
	*resolver_record_slot(resolver, source) = (struct record_slot){
		.source = *source, .claim = claims->entries[0], .record = record};
	pthread_mutex_unlock(&resolver->record_lock);
}

/* Reads the source; where it cannot be read, it is not what a record says of it. */
static enum pyc_check inquiry_compare_record(struct inquiry *inquiry,
					     const struct record_claims *claims)
{
	struct resolver *resolver = inquiry->resolver;
	struct identity source = identity_of(&inquiry->source.stx, resolver->mount_id);
	enum pyc_check record = resolver_recall_record(resolver, &source, claims);
	scope_free uint8_t *data = NULL;
	scope_fd int fd = -1;
	size_t len = 0;

	if (record != PYC_CHECK_UNKNOWN)
		return record;
	fd = source_open(resolver->tree, inquiry->source_path, &inquiry->source);
	if (fd >= 0)
		data = content_read_source(fd, resolver->mount_id, &len);
	if (!data)
		return PYC_CHECK_BAD;
	resolver_count(&resolver->sources, 1);
	record = record_claims_check(claims, data, len);
	resolver_remember_record(resolver, &source, claims, record);
	return record;
}

/* Is the source what its package installed? */
static void inquiry_check_record(struct inquiry *inquiry)
{
	struct record_claims claims;

	if (!inquiry->source.path || (inquiry->is_survey && inquiry->has_one_name) ||
	    !records_find(inquiry->resolver->records, inquiry->source.path, &claims))
		return;
	inquiry->record = claims.record;
	if (!inquiry->is_survey)
		inquiry->facts.record = claims.count > 0
						? inquiry_compare_record(inquiry, &claims)
						: PYC_CHECK_BAD;
}

/* Is the source from a layer of the image above the pyc's? */
static void inquiry_check_layer(struct inquiry *inquiry)
{
	struct layers_file pyc = {.path = inquiry->path, .stx = inquiry->stx};
	struct layers_file source = {.path = inquiry->source.path,
				     .stx = &inquiry->source.stx};

	if (source.path)
		inquiry->facts.layer =
			layers_compare(&inquiry->resolver->tree->layers, &pyc, &source);
}

/* Decides with the expensive facts filled in as far as the verdict needs them. */
static void inquiry_decide(struct inquiry *inquiry, struct pyc_decision *ret)
{
	const struct pyc_policy *policy = &inquiry->resolver->policy;
	unsigned needs;

	inquiry_look_up_proof(inquiry, policy);
	needs = pyc_verdict_needs(&inquiry->facts, policy);
	if (needs & PYC_NEEDS_BODY)
		inquiry_check_body(inquiry);
	if (needs & PYC_NEEDS_HASH)
		inquiry_check_source(inquiry);
	pyc_decide(&inquiry->facts, policy, ret);
	if (!pyc_reason_is_of_times(ret->reason))
		return;
	inquiry_check_record(inquiry);
	inquiry_check_layer(inquiry);
	/* The edit may have been compiled, too; until now a proof did not matter. */
	if (inquiry->facts.record == PYC_CHECK_BAD || inquiry->facts.layer == PYC_CHECK_BAD)
		inquiry_look_up_proof(inquiry, policy);
	pyc_decide(&inquiry->facts, policy, ret);
}

/* What is known of the file's bytes, or else its header. */
static int inquiry_open_content(struct inquiry *inquiry, const struct statx *stx)
{
	struct resolver *resolver = inquiry->resolver;
	struct content_file *file = &inquiry->file;
	bool is_current = false;
	int r = content_open(file, stx);

	if (r < 0)
		return r;
	table_get(resolver->table, &file->identity, &file->earlier, &is_current);
	resolver_count(is_current ? &resolver->known : &resolver->unknown, 1);
	if (is_current) {
		content_believe(file);
		return 0;
	}
	/* Not remembered yet: that would push out an entry whose digest can vouch. */
	return content_read_header(file);
}

/* Finds all but the mtime that the view shows. inquiry_end() it in any case. */
static int inquiry_begin(struct resolver *resolver, const struct pyc_question *question,
			 struct inquiry *inquiry)
{
	int r;

	*inquiry = (struct inquiry){
		.resolver = resolver,
		.path = question->path,
		.stx = question->stx,
		.source_dir = question->source_dir,
		.is_survey = question->depth == PYC_DEPTH_SURVEY,
		.has_one_name = question->stx->stx_nlink <= 1,
		.file = {.mount_id = resolver->mount_id, .fd = question->fd},
	};
	if (pairing_name(question->path, &inquiry->facts.name) == PYC_PLACE_NONE)
		return -EINVAL;
	r = inquiry_open_content(inquiry, question->stx);
	if (r < 0)
		return r;
	inquiry->facts.header_status = inquiry->file.content.header_status;
	inquiry->facts.header = inquiry->file.content.header;
	inquiry->facts.body = inquiry->file.content.body;
	inquiry->facts.mtime = statx_time(question->stx->stx_mtime);
	inquiry->facts.aliased =
		alias_set_has(resolver->aliases, inquiry->file.identity.device,
			      inquiry->file.identity.inode);
	inquiry_find_source(inquiry);
	return 0;
}

/* ---- the mtime that both sides show ---- */

/* A pyc votes for the time that it embeds if it would be vouched for under that time. */
static bool resolver_vote(void *context, const char *path, uint32_t *ret_mtime)
{
	struct resolver *resolver = context;
	struct statx stx;
	struct pyc_question question = {.path = path, .stx = &stx, .source_dir = -1};
	struct pyc_decision decision = {.vouched = false};
	scope_fd int fd = -1;
	struct inquiry inquiry;

	fd = tree_openat(resolver->tree, path, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || statx_at(fd, "", &stx) < 0)
		return false;
	question.fd = fd;
	if (inquiry_begin(resolver, &question, &inquiry) == 0) {
		*ret_mtime = inquiry.facts.header.mtime;
		inquiry.facts.served_mtime.tv_sec = (time_t)inquiry.facts.header.mtime;
		inquiry.facts.served_mtime.tv_nsec = 0;
		inquiry_decide(&inquiry, &decision);
	}
	inquiry_end(&inquiry);
	return decision.vouched && inquiry.facts.header.kind == PYC_KIND_TIMESTAMP;
}

static bool resolve_is_source(const char *path, const struct statx *stx)
{
	return S_ISREG(stx->stx_mode) && pyc_name_is_source(path_last(path));
}

bool resolve_mtime_is_voted(const struct resolver *resolver, const char *path,
			    const struct statx *stx)
{
	return resolver->policy.view == PYC_VIEW_EMBEDDED && resolve_is_source(path, stx);
}

struct timespec resolve_mtime(struct resolver *resolver, const char *path,
			      const struct statx *stx)
{
	struct timespec own = statx_time(stx->stx_mtime);

	if (resolver->policy.view == PYC_VIEW_EPOCH && resolve_is_source(path, stx))
		return pyc_view_mtime(&resolver->policy, own, NULL, 0);
	if (!resolve_mtime_is_voted(resolver, path, stx))
		return own;
	return votes_mtime(resolver->tree, &resolver->policy, path, own, resolver_vote,
			   resolver);
}

/* Finds all facts, also those that the verdict does not depend on. */
static void inquiry_look_at_all(struct inquiry *inquiry)
{
	if (inquiry->facts.header_status != PYC_HEADER_OK)
		return;
	inquiry_check_body(inquiry);
	if (inquiry->source.state != PYC_SOURCE_REGULAR)
		return;
	inquiry_check_source(inquiry);
	inquiry_find_proof(inquiry);
	inquiry_check_record(inquiry);
	inquiry_check_layer(inquiry);
}

/* Finds the facts that decide what an interpreter does with the file on the disk. */
static void inquiry_look_for_outcome(struct inquiry *inquiry)
{
	struct pyc_facts *facts = &inquiry->facts;

	if (facts->header_status != PYC_HEADER_OK ||
	    pyc_outcome(facts, facts->source_mtime, NULL) != PYC_OUTCOME_UNKNOWN)
		return;
	inquiry_check_body(inquiry);
	if (facts->header.kind == PYC_KIND_HASH_CHECKED &&
	    inquiry->source.state == PYC_SOURCE_REGULAR)
		inquiry_check_source(inquiry);
}

int resolve_pyc(struct resolver *resolver, const struct pyc_question *question,
		struct resolution *ret_resolution)
{
	struct inquiry inquiry;
	int r = inquiry_begin(resolver, question, &inquiry);

	if (r == 0) {
		if (question->depth == PYC_DEPTH_WHOLE)
			inquiry_look_at_all(&inquiry);
		else if (question->depth == PYC_DEPTH_OUTCOME)
			inquiry_look_for_outcome(&inquiry);
		if (inquiry.source.path)
			inquiry.facts.served_mtime = resolve_mtime(
				resolver, inquiry.source.path, &inquiry.source.stx);
		inquiry_decide(&inquiry, &ret_resolution->decision);
		ret_resolution->facts = inquiry.facts;
		ret_resolution->record = inquiry.record;
		ret_resolution->pyc = inquiry.file.identity;
		ret_resolution->source =
			identity_of(&inquiry.source.stx, resolver->mount_id);
	}
	inquiry_end(&inquiry);
	return r;
}

const struct pyc_policy *resolver_policy(const struct resolver *resolver)
{
	return &resolver->policy;
}

struct resolver_counts resolver_counts(const struct resolver *resolver)
{
	return (struct resolver_counts){
		.known = resolver->known,
		.unknown = resolver->unknown,
		.bodies = resolver->bodies,
		.sources = resolver->sources,
	};
}

int resolve_link(struct resolver *resolver, const char *path, alias_found_fn *found,
		 void *context)
{
	return alias_check(resolver->aliases, resolver->tree, path, found, context);
}
