/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The summary of canonfs trace -- COMMAND; see trace.h.
 */
#include "cli/trace/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/print/advice.h"
#include "cli/print/human.h"
#include "cli/print/json.h"
#include "pyc/mtime.h"

#define EXAMPLES 3

/* ---- counting ---- */

/* Imports by what became of them. */
struct trace_tally {
	size_t by_how[IMPORT_HOWS];
	size_t all;
};

/* Of one program; of all where @program is NULL. */
static struct trace_tally trace_count_imports(const struct trace_report *report,
					      const char *program)
{
	struct trace_tally tally = {.all = 0};

	for (size_t i = 0; i < report->count; i++) {
		const struct import_record *record = report->records[i];

		if (program && strcmp(record->program, program) != 0)
			continue;
		tally.by_how[record->how] += record->processes;
		tally.all += record->processes;
	}
	return tally;
}

/* Whether record @i is the first of its program: they are sorted. */
static bool trace_begins_program(const struct trace_report *report, size_t i)
{
	return i == 0 ||
	       strcmp(report->records[i]->program, report->records[i - 1]->program) != 0;
}

/* ---- for people ---- */

static void trace_print_program(FILE *file, const struct trace_report *report,
				const char *program)
{
	struct trace_tally tally = trace_count_imports(report, program);
	size_t processes = import_tracker_processes(report->tracker, program);

	fprintf(file, "  %s, %zu %s, %zu imports:\n", quoted(program), processes,
		human_plural(processes, "process", "processes"), tally.all);
	for (int how = 0; how < IMPORT_HOWS; how++)
		if (tally.by_how[how] > 0)
			fprintf(file, "    %6zu  %s\n", tally.by_how[how],
				import_how_text((enum import_how)how));
}

static bool trace_is_same_tree(const struct trace_report *report, size_t a, size_t b)
{
	const char *left = report->reasons[a].tree;
	const char *right = report->reasons[b].tree;

	if (!left || !right)
		return left == right;
	return strcmp(left, right) == 0 &&
	       strcmp(report->records[a]->pyc.root, report->records[b]->pyc.root) == 0;
}

/* Is the same to be said of both records? Then it is said once. */
static bool trace_is_same_case(const struct trace_report *report, size_t a, size_t b)
{
	const struct import_reason *left = &report->reasons[a];
	const struct import_reason *right = &report->reasons[b];

	return report->records[a]->how == report->records[b]->how &&
	       strcmp(left->text, right->text) == 0 && left->advice == right->advice &&
	       trace_is_same_tree(report, a, b) &&
	       (left->advice != ADVICE_COMPILE ||
		strcmp(report->records[a]->program, report->records[b]->program) == 0);
}

static const char *trace_path_of(const struct import_record *record)
{
	return record->source ? record->source : record->pyc.path;
}

/* A path of ours as a process in the record's root calls it. */
static const char *trace_seen_path(const struct import_record *record, const char *path)
{
	const char *rest = record->pyc.root[0] ? path_below(path, record->pyc.root) : NULL;

	return rest && rest[0] ? rest : path;
}

/* The directory that holds the sources of all cases like the first one; the caller's. */
static char *trace_common_folder(const struct trace_report *report, size_t first)
{
	char *folder = path_parent(trace_path_of(report->records[first]));

	for (size_t i = first + 1; folder && i < report->count; i++) {
		while (trace_is_same_case(report, i, first) &&
		       !path_below(trace_path_of(report->records[i]), folder)) {
			char *slash = strrchr(folder, '/');

			slash[slash == folder] = '\0';
		}
	}
	return folder;
}

static char *trace_compile_command(const struct trace_report *report, size_t first)
{
	const struct import_record *record = report->records[first];
	scope_free char *folder = trace_common_folder(report, first);
	struct pyc_name name;

	pairing_name(record->pyc.path, &name);
	return folder ? advise_compile(record->pyc.root,
				       trace_seen_path(record, record->program),
				       pyc_name_level(&name, NULL), " -q",
				       trace_seen_path(record, folder))
		      : NULL;
}

static char *trace_explain_command(const struct import_record *record)
{
	scope_free char *root = shell_word(record->pyc.root);
	scope_free char *path = shell_word(trace_seen_path(record, trace_path_of(record)));
	char *text;

	if (!root || !path ||
	    asprintf(&text, "canonfs explain %s%s%s%s",
		     record->pyc.root[0] ? "--root " : "", record->pyc.root[0] ? root : "",
		     record->pyc.root[0] ? " " : "", path) < 0)
		return NULL;
	return text;
}

static void trace_print_advice(FILE *file, const struct trace_report *report, size_t first)
{
	const struct import_record *record = report->records[first];
	const struct import_reason *reason = &report->reasons[first];
	scope_free char *command = NULL;

	if (reason->advice == ADVICE_MOUNT && reason->tree)
		command = advise_mount(reason->tree, reason->tree, NULL, NULL,
				       record->pyc.root[0] ? record->pyc.root : NULL);
	else if (reason->advice == ADVICE_COMPILE)
		command = trace_compile_command(report, first);
	else if (reason->advice == ADVICE_EXPLAIN)
		command = trace_explain_command(record);
	if (reason->advice == ADVICE_NOTHING)
		fputs("            new bytecode was written, for the next run\n", file);
	else if (command)
		fprintf(file, "            -> %s\n", command);
}

/* Says what record @first is an example of, and marks all of its kind as @done. */
static void trace_print_case(FILE *file, const struct trace_report *report, size_t first,
			     bool all, bool *done)
{
	const struct import_reason *reason = &report->reasons[first];
	size_t imports = 0;
	size_t modules = 0;

	for (size_t i = first; i < report->count; i++)
		if (trace_is_same_case(report, i, first))
			imports += report->records[i]->processes;
	fprintf(file, "    %6zu  %s%s\n", imports,
		report->records[first]->how == IMPORT_NO_PYC ? "no bytecode: " : "",
		reason->text);
	trace_print_advice(file, report, first);
	for (size_t i = first; i < report->count; i++) {
		if (!trace_is_same_case(report, i, first))
			continue;
		done[i] = true;
		if (all || modules < EXAMPLES)
			fprintf(file, "            %s\n",
				quoted(trace_path_of(report->records[i])));
		modules++;
	}
	if (!all && modules > EXAMPLES)
		fprintf(file, "            and %zu more\n", modules - EXAMPLES);
}

static void trace_print_cases(FILE *file, const struct trace_report *report, bool all)
{
	bool *done = calloc(report->count, sizeof(*done));
	bool any = false;

	for (size_t i = 0; done && i < report->count; i++) {
		if (done[i] || import_used_bytecode(report->records[i]->how))
			continue;
		if (!any)
			fputs("  Why bytecode was not used:\n", file);
		any = true;
		trace_print_case(file, report, i, all, done);
	}
	free(done);
}

void trace_summary_print(FILE *file, const struct trace_report *report, bool all)
{
	size_t processes = import_tracker_processes(report->tracker, NULL);
	struct trace_tally tally = trace_count_imports(report, NULL);
	size_t used = 0;

	if (processes == 0) {
		fputs("canonfs: the command ran no Python that imports from files\n", file);
		return;
	}
	for (int how = 0; how < IMPORT_HOWS; how++)
		if (import_used_bytecode((enum import_how)how))
			used += tally.by_how[how];
	fprintf(file, "canonfs: %zu of %zu imports used bytecode\n", used, tally.all);
	for (size_t i = 0; i < report->count; i++)
		if (trace_begins_program(report, i))
			trace_print_program(file, report, report->records[i]->program);
	trace_print_cases(file, report, all);
	if (import_tracker_is_incomplete(report->tracker))
		fputs("  Memory ran out: there were more imports than these.\n", file);
}

/* ---- JSON ---- */

/* Of one program; of all where @program is NULL. */
static void trace_add_tally(struct json_object *object, const struct trace_report *report,
			    const char *program)
{
	struct trace_tally tally = trace_count_imports(report, program);

	json_add_number(object, "imports", (int64_t)tally.all);
	for (int how = 0; how < IMPORT_HOWS; how++)
		json_add_number(object, import_how_name((enum import_how)how),
				(int64_t)tally.by_how[how]);
}

static void trace_add_program(struct json_object *object, const struct trace_report *report,
			      const char *program)
{
	trace_add_tally(object, report, program);
	json_add_text(object, "program", program);
	json_add_number(object, "processes",
			(int64_t)import_tracker_processes(report->tracker, program));
}

static const char *const advice_names[ADVICES] = {
	[ADVICE_NONE] = "none",	      [ADVICE_MOUNT] = "mount",
	[ADVICE_COMPILE] = "compile", [ADVICE_EXPLAIN] = "explain",
	[ADVICE_NOTHING] = "nothing",
};

static void trace_add_times(struct json_object *object, const struct import_record *record)
{
	const struct pyc_header *header = &record->pyc.header;

	if (record->pyc.has_header && record->pyc.header_status == PYC_HEADER_OK) {
		json_add_text(object, "magic", header->magic->version);
		if (header->kind == PYC_KIND_TIMESTAMP) {
			json_add_number(object, "embedded_mtime", header->mtime);
			if (header->magic->size_offset)
				json_add_number(object, "embedded_size",
						header->source_size);
		}
	}
	if (record->source_st.st_ino) {
		json_add_number(object, "source_mtime", record->source_st.st_mtim.tv_sec);
		json_add_number(object, "source_size", record->source_st.st_size);
	}
}

static void trace_add_record(struct json_object *object, const struct import_record *record,
			     const struct import_reason *reason)
{
	bool used = import_used_bytecode(record->how);

	json_add_text(object, "program", record->program);
	json_add_text(object, "source", record->source);
	json_add_text(object, "bytecode", record->pyc.path);
	json_add_text(object, "how", import_how_name(record->how));
	json_add_number(object, "processes", (int64_t)record->processes);
	json_add_text(object, "verdict",
		      reason->judged ? pyc_verdict_name(reason->verdict) : NULL);
	json_add_text(object, "reason",
		      reason->judged ? pyc_reason_name(reason->reason) : NULL);
	json_add_text(object, "why", used ? NULL : reason->text);
	json_add_text(object, "advice", advice_names[reason->advice]);
	json_add_text(object, "tree", reason->tree);
	json_add_bool(object, "mounted", reason->mounted);
	json_add_bool(object, "elsewhere", record->pyc.elsewhere);
	json_add_number(object, "kept", (int64_t)record->kept);
	json_add_text(object, "keep_error",
		      record->keep_error ? strerror(record->keep_error) : NULL);
	trace_add_times(object, record);
}

void trace_summary_print_json(FILE *file, const struct trace_report *report)
{
	struct json_object *object = json_object_new_object();
	struct json_object *command = json_add_array(object, "command");
	struct json_object *programs;
	struct json_object *modules;

	for (char *const *word = report->command; *word; word++)
		json_object_array_add(command, json_text(*word));
	json_add_number(object, "status", report->status);
	json_add_bool(object, "complete", !import_tracker_is_incomplete(report->tracker));
	json_add_number(object, "processes",
			(int64_t)import_tracker_processes(report->tracker, NULL));
	trace_add_tally(json_add_object(object, "totals"), report, NULL);
	programs = json_add_array(object, "interpreters");
	modules = json_add_array(object, "modules");
	for (size_t i = 0; i < report->count; i++) {
		if (trace_begins_program(report, i))
			trace_add_program(json_append_object(programs), report,
					  report->records[i]->program);
		trace_add_record(json_append_object(modules), report->records[i],
				 &report->reasons[i]);
	}
	json_print_to(file, object, false);
}
