/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What would change what Python does with a bytecode file: the rules of judge.c asked
 * again, as if something were otherwise; see explain.h.
 */
#include "cli/explain/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"
#include "cli/print/advice.h"

/**
 * struct explain_trial - a file and a policy that are not what they are
 * @pyc:           the file, which gets what would help
 * @facts, @policy: of it and of its tree, changed at will
 */
struct explain_trial {
	struct explain_request *request;
	const struct explanation *explanation;
	struct explain_pyc *pyc;
	struct pyc_facts facts;
	struct pyc_policy policy;
};

static void explain_add_change(struct explain_trial *trial, char *text)
{
	struct explain_pyc *pyc = trial->pyc;

	if (text && pyc->change_count < EXPLAIN_CHANGES)
		pyc->changes[pyc->change_count++] = text;
	else
		free(text);
}

/* Would a mount make Python use it? */
static bool explain_trial_helps(const struct explain_trial *trial)
{
	struct pyc_decision decision;

	pyc_decide(&trial->facts, &trial->policy, &decision);
	return decision.vouched &&
	       explain_outcome_after(&trial->facts, &decision, NULL) == PYC_LOADS;
}

static void explain_trial_reset(struct explain_trial *trial)
{
	trial->facts = trial->pyc->disk;
	trial->policy = trial->explanation->tree.policy;
}

static char *explain_after_umount(const char *point, const char *command)
{
	scope_free char *word = shell_word(point);

	return word && command ? explain_format("canonfs umount %s && %s", word, command)
			       : NULL;
}

/*
 * The command that shows the tree with one more option. A mount that is there already ends
 * first: by then its path may be that of its source again.
 */
static char *explain_mount_command(const struct explain_trial *trial, const char *option)
{
	const struct explain_tree *tree = &trial->explanation->tree;
	const struct mount_options *options = trial->request->options;
	const char *root = strcmp(trial->request->root, "/") != 0 && !options->root
				   ? trial->request->root
				   : NULL;
	const char *source = tree->mount ? tree->mount_source : tree->set->path;
	const char *point = tree->mount ? tree->mount : source;
	scope_free char *mount =
		source ? advise_mount(source, point, options->given, option, root) : NULL;

	return tree->mount ? explain_after_umount(point, mount) : take_ptr(mount);
}

/* The command that mounts the tree over itself, with the options given. */
static void explain_try_mount(struct explain_trial *trial)
{
	explain_trial_reset(trial);
	if (!trial->explanation->tree.mount && explain_trial_helps(trial))
		explain_add_change(trial, explain_mount_command(trial, NULL));
}

static void explain_try_trust_size(struct explain_trial *trial)
{
	explain_trial_reset(trial);
	trial->policy.trust = PYC_TRUST_SIZE;
	if (explain_trial_helps(trial))
		explain_add_change(trial, explain_mount_command(trial, "trust=size"));
}

static void explain_try_unchecked(struct explain_trial *trial)
{
	explain_trial_reset(trial);
	trial->policy.hash = PYC_HASH_UNCHECK;
	if (explain_trial_helps(trial))
		explain_add_change(trial, explain_mount_command(trial, "hash=unchecked"));
}

/*
 * Where a reader finds on disk what it calls @path and lies at @relative in the tree: in
 * the source of a mount, as a mount cannot be written to. The caller's.
 */
static char *explain_path_on_disk(const struct explain_trial *trial, const char *path,
				  const char *relative)
{
	const struct explain_tree *tree = &trial->explanation->tree;
	const char *source = tree->mount ? tree->mount_source : NULL;
	const char *below = source ? path_below(source, trial->request->root) : NULL;

	if (!below)
		return strdup(path);
	return path_join(strcmp(trial->request->root, "/") != 0 ? below : source, relative);
}

/* Compiles and records; then the mount of the tree knows. One at a time uses the cache. */
static void explain_try_verify(struct explain_trial *trial)
{
	const struct mount_options *options = trial->request->options;
	const struct explain_tree *tree = &trial->explanation->tree;
	bool has_root = strcmp(trial->request->root, "/") != 0;
	scope_free char *path =
		explain_path_on_disk(trial, trial->pyc->path, trial->pyc->relative);
	scope_free char *word = path ? shell_word(path) : NULL;
	scope_free char *root = shell_word(trial->request->root);
	scope_free char *cache = shell_word(options->cache ? options->cache : "");
	scope_free char *mount = NULL;
	const char *again;

	explain_trial_reset(trial);
	if (trial->facts.proof != PYC_CHECK_UNKNOWN || options->no_cache)
		return;
	trial->facts.proof = PYC_CHECK_OK;
	if (!explain_trial_helps(trial))
		return;
	mount = explain_mount_command(trial, NULL);
	again = mount && tree->mount ? strstr(mount, " && ") + strlen(" && ") : mount;
	if (!word || !root || !cache || !mount)
		return;
	explain_add_change(trial,
			   explain_format("%.*scanonfs verify %s%s%s%s%s%s%s && %s",
					  (int)(again - mount), mount,
					  options->cache ? "--cache " : "",
					  options->cache ? cache : "",
					  options->cache ? " " : "",
					  has_root ? "--root " : "", has_root ? root : "",
					  has_root ? " " : "", word, again));
}

/* The source's time as a canonical one; where it is the later one, with trust=size. */
static void explain_try_canonical(struct explain_trial *trial, enum pyc_trust trust)
{
	int64_t time = trial->pyc->disk.source_mtime.tv_sec;
	char option[sizeof("trust=size,canonical=-9223372036854775808")];

	explain_trial_reset(trial);
	if (trial->policy.canonical_count == PYC_CANONICAL_MAX ||
	    pyc_is_canonical_time(&trial->policy, trial->facts.source_mtime))
		return;
	trial->policy.trust = trust;
	trial->policy.canonical[trial->policy.canonical_count++] = time;
	snprintf(option, sizeof(option), "%scanonical=%lld",
		 trust == PYC_TRUST_SIZE ? "trust=size," : "", (long long)time);
	if (explain_trial_helps(trial))
		explain_add_change(trial, explain_mount_command(trial, option));
}

/* Where no header can match the time that the source has. */
static void explain_try_epoch(struct explain_trial *trial)
{
	explain_trial_reset(trial);
	trial->policy.view = PYC_VIEW_EPOCH;
	trial->policy.epoch = 1;
	trial->facts.served_mtime = (struct timespec){.tv_sec = 1};
	if (explain_trial_helps(trial))
		explain_add_change(trial, explain_mount_command(trial, "mtime=1"));
}

/* Whose file it would be, by its name, or by its magic where the name tells nobody's. */
static const struct pyc_magic *explain_owner(const struct pyc_facts *facts)
{
	const struct pyc_magic *found = NULL;

	if (facts->header_status == PYC_HEADER_OK &&
	    pyc_name_tag_agrees(&facts->name, facts->header.magic))
		return facts->header.magic;
	if (facts->name.placement != PYC_PLACE_CACHE)
		return NULL;
	for (size_t i = 0; i < pyc_magic_count; i++)
		if (pyc_name_tag_agrees(&facts->name, &pyc_magic_table[i]))
			found = &pyc_magic_table[i];
	return found;
}

static void explain_try_compile(struct explain_trial *trial)
{
	const struct pyc_facts *facts = &trial->pyc->disk;
	const struct pyc_magic *owner = explain_owner(facts);
	int level = pyc_name_level(&facts->name, NULL);
	scope_free char *program = owner ? interpreter_program(owner) : NULL;
	bool is_hash = facts->header_status == PYC_HEADER_OK &&
		       facts->header.kind == PYC_KIND_HASH_CHECKED;
	const struct explanation *explanation = trial->explanation;
	scope_free char *path =
		explain_path_on_disk(trial, explanation->path, explanation->relative);
	const char *mount = explanation->tree.mount;
	scope_free char *command = NULL;

	if (!path || !program || level < 0 || facts->source != PYC_SOURCE_REGULAR)
		return;
	command = advise_compile(trial->request->root, program, level,
				 is_hash ? " -f --invalidation-mode checked-hash" : " -f",
				 path);
	/* A mount over its own source hides it. */
	explain_add_change(trial, mount && path_below(path, mount)
					  ? explain_after_umount(mount, command)
					  : take_ptr(command));
}

static bool explain_is_bad(enum pyc_outcome outcome)
{
	return outcome == PYC_COMPILES || outcome == PYC_FAILS ||
	       outcome == PYC_OUTCOME_UNKNOWN;
}

void explain_find_changes(struct explain_request *request,
			  const struct explanation *explanation, struct explain_pyc *pyc)
{
	struct explain_trial trial = {
		.request = request, .explanation = explanation, .pyc = pyc};

	if (!explain_is_bad(pyc->bare) && pyc->bare != PYC_LOADS_CHECKED)
		return;
	/* It is mounted, and that was enough. */
	if (explanation->tree.mount && pyc->served == PYC_LOADS)
		return;
	explain_try_mount(&trial);
	if (pyc->change_count == 0) {
		explain_try_trust_size(&trial);
		explain_try_unchecked(&trial);
		explain_try_verify(&trial);
		explain_try_canonical(&trial, PYC_TRUST_CANONICAL);
	}
	if (pyc->change_count < 2 && pyc->given.decision.reason == PYC_R_NEWER)
		explain_try_canonical(&trial, PYC_TRUST_SIZE);
	if (pyc->given.decision.reason == PYC_R_UNMATCHABLE)
		explain_try_epoch(&trial);
	else if (pyc->change_count == 0 && explain_is_bad(pyc->bare))
		explain_try_compile(&trial);
}
