/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check --json, as in cli/schema/check.json, and the lines of --list.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/check/check.h"
#include "cli/print/json.h"

/* Raised when a member changes its meaning or goes. */
#define SCHEMA_VERSION 1

/* Rows of times that are not forgiven; a tree of checkouts has one for each file. */
#define TIMES_MAX 100

static void check_json_count(struct json_object *object, const char *key, uint64_t count)
{
	json_add_number(object, key, (int64_t)count);
}

static void check_json_totals(struct json_object *json, const struct check_tally *tally)
{
	struct json_object *bytecode = json_add_object(json, "bytecode");
	struct json_object *sources = json_add_object(json, "sources");

	check_json_count(bytecode, "files", tally->files);
	check_json_count(bytecode, "bytes", tally->file_bytes);
	check_json_count(bytecode, "stale", tally->stale);
	check_json_count(bytecode, "helped", tally->helped);
	check_json_count(bytecode, "hopeless", tally->hopeless);
	check_json_count(bytecode, "damaged", tally->damaged);
	check_json_count(bytecode, "links", tally->links);
	check_json_count(bytecode, "compiled_bytes", tally->stale_bytes);
	check_json_count(sources, "files", tally->sources);
	check_json_count(sources, "uncached", tally->uncached);
	check_json_count(sources, "uncached_bytes", tally->uncached_bytes);
}

static void check_json_verdicts(struct json_object *json, const struct check_tally *tally)
{
	struct json_object *verdicts = json_add_object(json, "verdicts");
	struct json_object *reasons = json_add_object(json, "reasons");

	for (int i = 0; i < PYC_VERDICTS; i++)
		check_json_count(verdicts, pyc_verdict_name((enum pyc_verdict)i),
				 tally->verdict[i]);
	for (int i = 0; i < PYC_REASONS; i++)
		check_json_count(reasons, pyc_reason_name((enum pyc_reason)i),
				 tally->reason[i]);
}

static void check_json_evidence(struct json_object *json, const struct check_tally *tally)
{
	struct json_object *evidence = json_add_object(json, "evidence");

	for (int i = PYC_E_NONE + 1; i < PYC_EVIDENCES; i++)
		check_json_count(evidence, pyc_evidence_name((enum pyc_evidence)i),
				 tally->evidence[i]);
}

/* Without an option only what the files look like is known. */
static void check_json_time(struct json_object *times, const struct times_row *row)
{
	struct json_object *time = json_object_new_object();
	bool forgivable = row->option[0] != '\0';

	check_json_count(time, "files", row->files);
	json_add_text(time, "option", forgivable ? row->option : NULL);
	if (forgivable && strcmp(row->option, "immutable") != 0)
		json_add_number(time, "seconds", row->seconds);
	else
		json_add_text(time, "seconds", NULL);
	json_add_text(time, "look", forgivable ? NULL : times_look_name(row->look));
	json_add_number(time, "shift_s", row->shift_s);
	json_object_array_add(times, time);
}

static void check_json_times(struct json_object *json, const struct check *check)
{
	struct json_object *times = json_add_array(json, "times");
	size_t count;
	const struct times_row **row = times_sorted(check->times, &count);

	for (size_t i = 0; i < count && i < TIMES_MAX; i++)
		check_json_time(times, row[i]);
}

static void check_json_programs(struct json_object *reader, const struct check *check,
				const struct pyc_magic *magic)
{
	struct json_object *programs = json_add_array(reader, "programs");

	for (size_t i = 0; i < check->interpreters.count; i++) {
		const struct interpreter *found = &check->interpreters.interpreters[i];
		struct json_object *program;

		if (found->magic != magic)
			continue;
		program = json_append_object(programs);
		json_add_text(program, "name", found->name);
		json_add_text(program, "program", found->program);
		json_add_text(program, "release", found->release);
	}
}

/* The last reader stands for unknown versions and has no magic. */
static void check_json_reader(struct json_object *readers, const struct check *check,
			      size_t index)
{
	const struct check_reader *counts = &check->tally.reader[index];
	const struct pyc_magic *magic =
		index < pyc_magic_count ? &pyc_magic_table[index] : NULL;
	struct json_object *reader;
	struct json_object *outcomes;

	if (counts->files == 0 && !counts->installed)
		return;
	reader = json_append_object(readers);
	json_add_text(reader, "version", magic ? magic->version : NULL);
	json_object_object_add(reader, "magic",
			       magic ? json_object_new_int(magic->number) : NULL);
	json_add_bool(reader, "installed", counts->installed);
	check_json_programs(reader, check, magic);
	check_json_count(reader, "files", counts->files);
	outcomes = json_add_object(reader, "outcomes");
	for (int i = 0; i < PYC_OUTCOMES; i++)
		check_json_count(outcomes, pyc_outcome_name((enum pyc_outcome)i),
				 counts->outcome[i]);
	check_json_count(reader, "compiled_bytes", counts->bytes);
}

static void check_json_groups(struct json_object *json, const struct check *check)
{
	struct json_object *groups = json_add_array(json, "groups");
	size_t count;
	const struct group **sorted = groups_sorted(check->groups, &count);

	for (size_t i = 0; i < count; i++) {
		struct json_object *group = json_append_object(groups);

		json_add_text(group, "name", sorted[i]->name);
		json_add_text(group, "path", sorted[i]->path[0] ? sorted[i]->path : NULL);
		check_json_count(group, "files", sorted[i]->counts.files);
		check_json_count(group, "stale", sorted[i]->counts.stale);
		check_json_count(group, "hopeless", sorted[i]->counts.hopeless);
		check_json_count(group, "compiled_bytes", sorted[i]->counts.bytes);
	}
}

void check_print_json(const struct check *check)
{
	struct json_object *json = json_object_new_object();
	struct json_object *paths;
	struct json_object *readers;

	json_add_number(json, "version", SCHEMA_VERSION);
	json_add_number(json, "status", check_status(check));
	json_add_text(json, "root", check->tree_count ? check->tree[0].set.root : NULL);
	paths = json_add_array(json, "paths");
	for (size_t i = 0; i < check->tree_count; i++)
		json_object_array_add(paths, json_text(check->tree[i].set.path));
	check_json_totals(json, &check->tally);
	check_json_verdicts(json, &check->tally);
	check_json_evidence(json, &check->tally);
	check_json_times(json, check);
	readers = json_add_array(json, "interpreters");
	for (size_t i = 0; i <= pyc_magic_count; i++)
		check_json_reader(readers, check, i);
	json_add_text(json, "grouped_by", check_by_name(check->request->by));
	check_json_groups(json, check);
	check_json_count(json, "directories", check->tally.directories);
	check_json_count(json, "unreadable", check->unreadable);
	check_json_count(json, "vanished", check->tally.vanished);
	check_json_count(json, "submounts", check->submounts);
	check_json_edited(json, check);
	json_add_text(json, "proofs_unread",
		      check->tree_count ? proof_book_unread(&check->tree[0].set.proofs)
					: NULL);
	json_print(json);
}

/* ---- --list ---- */

static bool check_is_listed(const struct check_request *request,
			    const struct resolution *resolution, enum pyc_outcome outcome)
{
	switch (request->list) {
	case LIST_ALL:
		return resolution != NULL;
	case LIST_VERDICT:
		return resolution && resolution->decision.verdict == request->verdict;
	case LIST_COMPILES:
		return resolution && outcome == PYC_COMPILES &&
		       resolution->decision.verdict != PYC_FOREIGN;
	case LIST_DAMAGED:
		return resolution && outcome == PYC_FAILS;
	case LIST_UNCACHED:
		return !resolution;
	default:
		return false;
	}
}

static void check_json_resolution(struct json_object *json,
				  const struct resolution *resolution,
				  enum pyc_outcome outcome)
{
	bool known = resolution->facts.header_status == PYC_HEADER_OK;

	json_add_decision(json, &resolution->decision);
	json_add_text(json, "outcome", pyc_outcome_name(outcome));
	json_add_text(json, "interpreter",
		      known ? resolution->facts.header.magic->version : NULL);
}

/* Names may have any bytes. A terminal gets them quoted, a pipe as they are.
 */
static void check_print_line(const char *path, const char *why)
{
	if (isatty(STDOUT_FILENO))
		printf("%s  %s\n", quoted(path), why);
	else
		printf("%s\t%s\n", path, why);
}

void check_list_line(const struct check_pass *pass, const char *path,
		     const struct resolution *resolution, enum pyc_outcome outcome)
{
	const struct check_request *request = pass->check->request;
	scope_free char *whole = NULL;
	struct json_object *json;

	if (!check_is_listed(request, resolution, outcome))
		return;
	whole = check_path(pass->tree, path);
	if (!request->json) {
		check_print_line(whole ? whole : path,
				 resolution ? pyc_reason_text(resolution->decision.reason)
					    : "no bytecode");
		return;
	}
	json = json_object_new_object();
	json_add_text(json, "path", whole ? whole : path);
	if (resolution)
		check_json_resolution(json, resolution, outcome);
	json_print_line(json);
}
