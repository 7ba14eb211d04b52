/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What would make Python use a bytecode file; see explain.h. Each try changes one fact or
 * one option and applies the rules of judge.c again.
 */
#include "cli/explain/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"
#include "cli/print/advice.h"
#include "cli/trees/times.h"

/**
 * struct explain_trial - a file and a policy to be tried out
 * @tree:          of the file
 * @pyc:           the file; its changes are written
 * @facts, @policy: copies that a try changes, and resets at its end
 */
struct explain_trial {
	const struct explain_request *request;
	const struct explanation *explanation;
	const struct explain_tree *tree;
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
	trial->policy = trial->tree->policy;
}

/* "canonfs umount POINT && " of a tree that is mounted; else "". */
static char *explain_umount_first(const struct explain_tree *tree)
{
	scope_free char *word = tree->mount ? shell_word(tree->mount) : NULL;

	if (!tree->mount)
		return strdup("");
	return word ? explain_format("canonfs umount %s && ", word) : NULL;
}

/*
 * Adds the command that shows the tree with one more option, after the command @before
 * ("", or with " && " at its end). A mount that is there already ends first: then its path
 * may be that of its source again.
 */
static void explain_add_mount(struct explain_trial *trial, const char *before,
			      const char *option)
{
	const struct explain_tree *tree = trial->tree;
	const struct mount_options *options = &trial->request->options;
	const char *root = strcmp(trial->request->root, "/") != 0 && !options->root
				   ? trial->request->root
				   : NULL;
	const char *source = tree->mount ? tree->mount_source : tree->set->path;
	const char *point = tree->mount ? tree->mount : source;
	scope_free char *umount = explain_umount_first(tree);
	scope_free char *mount =
		source ? advise_mount(source, point, options->given, option, root) : NULL;

	if (umount && mount)
		explain_add_change(trial, explain_format("%s%s%s", umount, before, mount));
}

/* Adds the mount with @option if the changed file or policy helps, and changes them back.
 */
static void explain_try(struct explain_trial *trial, const char *option)
{
	if (explain_trial_helps(trial))
		explain_add_mount(trial, "", option);
	explain_trial_reset(trial);
}

/*
 * The path of a file that can be written. In a mount that is the file at @relative in the
 * mount's source, elsewhere it is @path. The caller's.
 */
static char *explain_path_on_disk(const struct explain_trial *trial, const char *path,
				  const char *relative)
{
	const struct explain_tree *tree = trial->tree;
	const char *source = tree->mount ? tree->mount_source : NULL;
	const char *below = source ? path_below(source, trial->request->root) : NULL;

	if (!below)
		return strdup(path);
	return path_join(strcmp(trial->request->root, "/") != 0 ? below : source, relative);
}

/* Verify records a proof. A mount reads proofs when it begins, so there has to be a new
 * one. */
static void explain_try_verify(struct explain_trial *trial)
{
	const struct mount_options *options = &trial->request->options;
	bool has_root = strcmp(trial->request->root, "/") != 0;
	scope_free char *path =
		explain_path_on_disk(trial, trial->pyc->path, trial->pyc->relative);
	scope_free char *word = path ? shell_word(path) : NULL;
	scope_free char *root = shell_word(trial->request->root);
	scope_free char *cache = shell_word(options->cache ? options->cache : "");
	scope_free char *verify = NULL;

	if (trial->facts.proof != PYC_CHECK_UNKNOWN || options->no_cache ||
	    trial->policy.proofs_unread)
		return;
	trial->facts.proof = PYC_CHECK_OK;
	if (word && root && cache && explain_trial_helps(trial))
		verify = explain_format(
			"canonfs verify %s%s%s%s%s%s%s && ",
			options->cache ? "--cache " : "", options->cache ? cache : "",
			options->cache ? " " : "", has_root ? "--root " : "",
			has_root ? root : "", has_root ? " " : "", word);
	if (verify)
		explain_add_mount(trial, verify, NULL);
	explain_trial_reset(trial);
}

/* The source's time becomes a canonical one. */
static void explain_try_canonical(struct explain_trial *trial, enum pyc_trust trust)
{
	char option[TIMES_OPTION_MAX];

	if (times_make_canonical(&trial->policy, trial->facts.source_mtime, trust, option))
		explain_try(trial, option);
}

/* For a source with a time that fits into no header. */
static void explain_try_epoch(struct explain_trial *trial)
{
	trial->policy.view = PYC_VIEW_EPOCH;
	trial->policy.epoch = 1;
	trial->facts.served_mtime = (struct timespec){.tv_sec = 1};
	explain_try(trial, "mtime=1");
}

/* The version that the file belongs to: its header's, if the name agrees, or its name's. */
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
	const char *mount = trial->tree->mount;
	scope_free char *command = NULL;
	scope_free char *umount = NULL;

	if (!path || !program || level < 0 || facts->source != PYC_SOURCE_REGULAR)
		return;
	command = advise_compile(trial->request->root, program, level,
				 is_hash ? " -f --invalidation-mode checked-hash" : " -f",
				 path);
	/* A mount over its own source hides that source. */
	umount = mount && path_below(path, mount) ? explain_umount_first(trial->tree)
						  : strdup("");
	if (command && umount)
		explain_add_change(trial, explain_format("%s%s", umount, command));
}

static bool explain_is_bad(enum pyc_outcome outcome)
{
	return outcome == PYC_COMPILES || outcome == PYC_FAILS ||
	       outcome == PYC_OUTCOME_UNKNOWN;
}

void explain_find_changes(const struct explain_request *request,
			  const struct explanation *explanation, struct explain_pyc *pyc)
{
	struct explain_trial trial = {.request = request,
				      .explanation = explanation,
				      .tree = &explanation->tree,
				      .pyc = pyc};

	if (!explain_is_bad(pyc->bare) && pyc->bare != PYC_LOADS_CHECKED)
		return;
	/* The mount that is there is enough. */
	if (trial.tree->mount && pyc->served == PYC_LOADS)
		return;
	explain_trial_reset(&trial);
	if (!trial.tree->mount)
		explain_try(&trial, NULL);
	if (pyc->change_count == 0) {
		trial.policy.immutable = true;
		explain_try(&trial, "immutable");
		trial.policy.trust = PYC_TRUST_SIZE;
		explain_try(&trial, "trust=size");
		trial.policy.hash = PYC_HASH_UNCHECK;
		explain_try(&trial, "hash=unchecked");
		explain_try_verify(&trial);
		explain_try_canonical(&trial, PYC_TRUST_CANONICAL);
	}
	if (pyc->change_count < 2 && pyc->given.reason == PYC_R_NEWER)
		explain_try_canonical(&trial, PYC_TRUST_SIZE);
	if (pyc->given.reason == PYC_R_UNMATCHABLE)
		explain_try_epoch(&trial);
	else if (pyc->change_count == 0 && explain_is_bad(pyc->bare))
		explain_try_compile(&trial);
}
