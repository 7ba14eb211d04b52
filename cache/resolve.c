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

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/content.h"
#include "cache/store/store.h"
#include "cache/table.h"
#include "cache/tree/alias.h"
#include "cache/tree/pairing.h"
#include "cache/tree/sample.h"
#include "cache/tree/source.h"
#include "cache/votes.h"
#include "pyc/outcome.h"

/*
 * What a walk remembers: files with several names (a pyc's three levels are often one file)
 * lie beside each other, and memory that is not touched costs nothing.
 */
#define WALK_CAPACITY 4096

struct resolver {
	const struct tree *tree;
	struct table *table;
	struct alias_set *aliases;
	struct store *store;		/* NULL: nothing outlives the mount */
	const struct proof_set *proofs; /* may be NULL */
	uint64_t mount_id;
	struct pyc_policy policy; /* complete once sampled is true */
	pthread_mutex_t sample_lock;
	_Atomic bool sampled; /* release: policy has the tree's own canonical time */
	_Atomic uint64_t known, unknown, bodies, sources; /* for people only: relaxed */
};

/* Takes ownership of @table, NULL when out of memory. */
static struct resolver *new_with_table(const struct tree *tree,
				       const struct pyc_policy *policy,
				       const struct proof_set *proofs, struct table *table)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver) {
		table_free(table);
		return NULL;
	}
	resolver->tree = tree;
	resolver->policy = *policy;
	resolver->mount_id = identity_mount_id(tree->root_fd);
	pthread_mutex_init(&resolver->sample_lock, NULL);
	resolver->table = table;
	resolver->aliases = alias_set_new();
	resolver->proofs = proofs;
	if (!resolver->table || !resolver->aliases) {
		resolver_free(resolver);
		return NULL;
	}
	return resolver;
}

struct resolver *resolver_new(const struct tree *tree, const struct pyc_policy *policy,
			      struct store *store, struct table *table)
{
	struct resolver *resolver =
		new_with_table(tree, policy, store ? store_proofs(store) : NULL,
			       table ? table : table_new(TABLE_CAPACITY));

	if (resolver)
		resolver->store = store;
	return resolver;
}

struct resolver *resolver_new_for_walk(const struct tree *tree,
				       const struct pyc_policy *policy,
				       const struct proof_set *proofs)
{
	return new_with_table(tree, policy, proofs, table_new(WALK_CAPACITY));
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	table_free(resolver->table);
	alias_set_free(resolver->aliases);
	pthread_mutex_destroy(&resolver->sample_lock);
	free(resolver);
}

/* One pyc on its way to a decision. */
struct work {
	struct resolver *resolver;
	const char *path;
	int source_dir;	   /* open, if the caller has it; else -1 */
	char *source_path; /* the source's, by its name; @source may be at a link's end */
	struct content_file file;
	struct source source;
	struct pyc_facts facts;
};

static void add_relaxed(_Atomic uint64_t *counter, uint64_t more)
{
	if (more)
		atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static void end_work(struct work *work)
{
	add_relaxed(&work->resolver->bodies, work->file.bodies);
	add_relaxed(&work->resolver->sources, work->file.sources);
	source_fini(&work->source);
	free(work->source_path);
}

static void find_source(struct work *work)
{
	int r = pairing_source(work->path, &work->facts.name, &work->source_path);

	if (r == 0)
		source_find_in(work->resolver->tree, work->source_path, work->source_dir,
			       &work->source);
	else
		work->source.state = r == -ENOENT ? PYC_SOURCE_NONE : PYC_SOURCE_UNKNOWN;
	work->facts.source = work->source.state;
	work->facts.irregular =
		work->source.state == PYC_SOURCE_NONE && work->source.stx.stx_mode != 0;
	if (work->source.state != PYC_SOURCE_REGULAR)
		return;
	work->facts.source_size = (int64_t)work->source.stx.stx_size;
	work->facts.source_mtime = statx_time(work->source.stx.stx_mtime);
	work->facts.served_mtime = work->facts.source_mtime;
}

/* ---- the decision ---- */

/*
 * The time that the tree's sources share counts as canonical. Finding it walks a part of
 * the tree, so that is done once, and only when a pyc needs it.
 */
static void sample_once(struct resolver *resolver)
{
	int64_t time;

	pthread_mutex_lock(&resolver->sample_lock);
	if (!resolver->sampled) {
		struct pyc_policy *policy = &resolver->policy;

		if (policy->canonical_count < PYC_CANONICAL_MAX &&
		    sample_canonical_time(resolver->tree, &time))
			policy->canonical[policy->canonical_count++] = time;
		atomic_store_explicit(&resolver->sampled, true, memory_order_release);
	}
	pthread_mutex_unlock(&resolver->sample_lock);
}

/* A copy of the policy; without the sampled time as long as nobody needed it. */
static struct pyc_policy current_policy(struct resolver *resolver)
{
	struct pyc_policy policy;

	if (atomic_load_explicit(&resolver->sampled, memory_order_acquire))
		return resolver->policy;
	pthread_mutex_lock(&resolver->sample_lock);
	policy = resolver->policy;
	pthread_mutex_unlock(&resolver->sample_lock);
	return policy;
}

static bool could_be_canonical(enum pyc_reason reason)
{
	return reason == PYC_R_NOT_CANONICAL || reason == PYC_R_NEWER;
}

/* In this mount. */
static void remember(struct work *work)
{
	struct content content = content_to_remember(&work->file);

	table_put(work->resolver->table, &work->file.identity, &content);
}

/* For the next mount. */
static void keep(struct work *work)
{
	const struct content *content = &work->file.content;
	struct store_row row = {
		.pyc = work->file.identity,
		.header = content->header,
		.body = content->body,
		.digest = content->digest,
	};

	if (work->resolver->store && content->body != PYC_CHECK_UNKNOWN)
		store_put(work->resolver->store, &row, work->file.is_confirmed);
}

static void check_body(struct work *work)
{
	if (content_check_body(&work->file)) {
		remember(work);
		keep(work);
	}
	work->facts.body = work->file.content.body;
}

/* The hash and the digest are worth what the source was when it was read just now. */
static void check_source(struct work *work)
{
	scope_fd int fd =
		source_open(work->resolver->tree, work->source_path, &work->source);

	if (fd < 0)
		return;
	if (content_check_source(&work->file, fd))
		remember(work);
	if (work->file.content.has_source)
		work->facts.hash = work->file.content.hash;
}

/* Would a proof of this kind, if there is one, change the verdict? */
static bool proof_matters(const struct work *work, const struct pyc_policy *policy,
			  const struct proof_set *proofs, enum pyc_check result)
{
	struct pyc_facts trial = work->facts;
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
static void find_proof(struct work *work)
{
	const struct content *content = &work->file.content;
	int level = pyc_name_level(&work->facts.name, content->header.magic);

	if (level < 0)
		return;
	check_body(work);
	check_source(work);
	if (content->body != PYC_CHECK_UNKNOWN && content->has_source)
		work->facts.proof = proof_set_find(
			work->resolver->proofs, content->source_digest, content->digest,
			content->header.magic->number, (uint8_t)level);
}

static void look_up_proof(struct work *work, const struct pyc_policy *policy)
{
	const struct proof_set *proofs = work->resolver->proofs;

	if (!proofs || (!proof_matters(work, policy, proofs, PYC_CHECK_BAD) &&
			!proof_matters(work, policy, proofs, PYC_CHECK_OK)))
		return;
	find_proof(work);
}

/* Decides with the expensive facts filled in as far as the verdict needs them. */
static void decide(struct work *work, struct pyc_decision *ret)
{
	struct pyc_policy policy = current_policy(work->resolver);
	unsigned needs;

	pyc_decide(&work->facts, &policy, ret);
	if (could_be_canonical(ret->reason) && !work->resolver->sampled) {
		sample_once(work->resolver);
		policy = current_policy(work->resolver);
	}
	/* Under the complete policy: what is stale anyway asks for no disproof. */
	look_up_proof(work, &policy);
	needs = pyc_verdict_needs(&work->facts, &policy);
	if (needs & PYC_NEEDS_BODY)
		check_body(work);
	if (needs & PYC_NEEDS_HASH)
		check_source(work);
	pyc_decide(&work->facts, &policy, ret);
}

/* What is known of the file's bytes, or else its header. */
static int recall_or_read(struct work *work, const struct statx *stx)
{
	struct resolver *resolver = work->resolver;
	struct content_file *file = &work->file;
	bool is_current = false;
	int r = content_open(file, stx);

	if (r < 0)
		return r;
	table_get(resolver->table, &file->identity, &file->earlier, &is_current);
	add_relaxed(is_current ? &resolver->known : &resolver->unknown, 1);
	if (is_current) {
		content_believe(file);
		return 0;
	}
	/* Not remembered yet: that would push out an entry whose digest can vouch. */
	return content_read_header(file);
}

/* Everything but the mtime that the view shows. The caller ends it with end_work()
 * in any case. */
static int gather(struct resolver *resolver, const struct pyc_question *question,
		  struct work *work)
{
	int r;

	*work = (struct work){
		.resolver = resolver,
		.path = question->path,
		.source_dir = question->source_dir,
		.file = {.mount_id = resolver->mount_id, .fd = question->fd},
	};
	if (pairing_name(question->path, &work->facts.name) == PYC_PLACE_NONE)
		return -EINVAL;
	r = recall_or_read(work, question->stx);
	if (r < 0)
		return r;
	work->facts.header_status = work->file.content.header_status;
	work->facts.header = work->file.content.header;
	work->facts.body = work->file.content.body;
	work->facts.aliased = alias_set_has(resolver->aliases, work->file.identity.device,
					    work->file.identity.inode);
	find_source(work);
	return 0;
}

/* ---- the mtime that both sides show ---- */

/* A pyc votes for the time that it embeds if it would be vouched for under that time. */
static bool ask_pyc(void *context, const char *path, uint32_t *ret_mtime)
{
	struct resolver *resolver = context;
	struct statx stx;
	struct pyc_question question = {.path = path, .stx = &stx, .source_dir = -1};
	struct pyc_decision decision = {.vouched = false};
	scope_fd int fd = -1;
	struct work work;

	fd = tree_openat(resolver->tree, path, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || statx_at(fd, "", &stx) < 0)
		return false;
	question.fd = fd;
	if (gather(resolver, &question, &work) == 0) {
		*ret_mtime = work.facts.header.mtime;
		work.facts.served_mtime.tv_sec = (time_t)work.facts.header.mtime;
		work.facts.served_mtime.tv_nsec = 0;
		decide(&work, &decision);
	}
	end_work(&work);
	return decision.vouched && work.facts.header.kind == PYC_KIND_TIMESTAMP;
}

struct timespec resolve_mtime(struct resolver *resolver, const char *path,
			      const struct statx *stx)
{
	struct timespec own = statx_time(stx->stx_mtime);

	if (resolver->policy.view == PYC_VIEW_SOURCE || !S_ISREG(stx->stx_mode) ||
	    !pyc_name_is_source(path_last(path)))
		return own;
	if (resolver->policy.view == PYC_VIEW_EPOCH)
		return pyc_view_mtime(&resolver->policy, own, NULL, 0);
	return votes_mtime(resolver->tree, &resolver->policy, path, own, ask_pyc, resolver);
}

/* What decide() would look at only where the verdict depends on it. */
static void look_at_all(struct work *work)
{
	if (work->facts.header_status != PYC_HEADER_OK)
		return;
	check_body(work);
	if (work->source.state != PYC_SOURCE_REGULAR)
		return;
	check_source(work);
	if (work->resolver->proofs)
		find_proof(work);
}

/* The same, as far as it decides what an interpreter does with the file on the disk. */
static void look_for_outcome(struct work *work)
{
	struct pyc_facts *facts = &work->facts;

	if (facts->header_status != PYC_HEADER_OK ||
	    pyc_outcome(facts, facts->source_mtime, NULL) != PYC_OUTCOME_UNKNOWN)
		return;
	check_body(work);
	if (facts->header.kind == PYC_KIND_HASH_CHECKED &&
	    work->source.state == PYC_SOURCE_REGULAR)
		check_source(work);
}

int resolve_pyc(struct resolver *resolver, const struct pyc_question *question,
		struct resolution *ret_resolution)
{
	struct work work;
	int r = gather(resolver, question, &work);

	if (r == 0) {
		if (question->depth == PYC_DEPTH_WHOLE)
			look_at_all(&work);
		else if (question->depth == PYC_DEPTH_OUTCOME)
			look_for_outcome(&work);
		if (work.source.path)
			work.facts.served_mtime =
				resolve_mtime(resolver, work.source.path, &work.source.stx);
		decide(&work, &ret_resolution->decision);
		ret_resolution->facts = work.facts;
		ret_resolution->pyc = work.file.identity;
		ret_resolution->source = identity_of(&work.source.stx, resolver->mount_id);
	}
	end_work(&work);
	return r;
}

struct pyc_policy resolver_policy(struct resolver *resolver)
{
	sample_once(resolver);
	return current_policy(resolver);
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
