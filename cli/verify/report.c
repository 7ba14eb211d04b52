/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What canonfs verify prints; see verify.h.
 */
#include "cli/verify/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/print/columns.h"
#include "cli/print/human.h"
#include "cli/print/json.h"
#include "cli/print/shown.h"

/* Disproved files that are named without being asked for. */
#define NAMED_MAX 20

#define SENTENCE_MAX 512

/* ---- names ---- */

static const struct {
	enum verify_result result;
	const char *name;
	const char *text;
} whys[VERIFY_WHYS] = {
	[VERIFY_NOT_YET] = {VERIFY_NOT_TRIED, "not-yet", "was not reached"},
	[VERIFY_SAME] = {VERIFY_PROVED, "same", "its source compiles to the same code"},
	[VERIFY_KNOWN_SAME] = {VERIFY_PROVED, "known-same",
			       "its source compiles to the same code, the cache says"},
	[VERIFY_DIFFERS] = {VERIFY_DISPROVED, "differs",
			    "its source compiles to other code"},
	[VERIFY_KNOWN_DIFFERS] = {VERIFY_DISPROVED, "known-differs",
				  "its source compiles to other code, the cache says"},
	[VERIFY_OTHER_COMPILER] = {VERIFY_UNKNOWN, "other-compiler",
				   "its source compiles to other code, but perhaps another "
				   "release compiled it"},
	[VERIFY_NOT_COMPILED] = {VERIFY_UNKNOWN, "not-compiled",
				 "its source does not compile"},
	[VERIFY_CRASHED] = {VERIFY_UNKNOWN, "crashed", "the interpreter crashed"},
	[VERIFY_TIMED_OUT] = {VERIFY_UNKNOWN, "timed-out",
			      "compiling took too long (see --timeout)"},
	[VERIFY_UNDECIDED] = {VERIFY_UNKNOWN, "undecided",
			      "the code is too odd to be compared"},
	[VERIFY_CHANGED] = {VERIFY_UNKNOWN, "changed", "it changed in the meantime"},
	[VERIFY_NO_INTERPRETER] = {VERIFY_NOT_TRIED, "no-interpreter",
				   "no interpreter reads such bytecode"},
	[VERIFY_CANNOT_RUN] = {VERIFY_NOT_TRIED, "cannot-run",
			       "its interpreter cannot be run"},
	/* what is said instead is the verdict's reason */
	[VERIFY_NOT_VERIFIED] = {VERIFY_NOT_TRIED, "not-verified", ""},
	[VERIFY_NO_LEVEL] = {VERIFY_NOT_TRIED, "no-level",
			     "no interpreter has such a level of optimisation"},
	[VERIFY_UNREADABLE] = {VERIFY_NOT_TRIED, "unreadable", "it cannot be read"},
};

enum verify_result verify_why_result(enum verify_why why)
{
	return whys[why].result;
}

const char *verify_result_name(enum verify_result result)
{
	static const char *const names[VERIFY_RESULTS] = {
		[VERIFY_PROVED] = "proved",
		[VERIFY_DISPROVED] = "disproved",
		[VERIFY_UNKNOWN] = "unknown",
		[VERIFY_NOT_TRIED] = "not-tried",
	};

	return names[result];
}

/* ---- counts ---- */

/* A row of the table: what an interpreter found out, or (NULL) what the cache knew. */
struct verify_row {
	const struct interpreter *by;
	size_t counts[VERIFY_RESULTS];
};

/* Files of which the same sentence is said. */
struct verify_group {
	enum verify_result result;
	const struct verify_file *first;
	size_t count;
};

/* @rows, @groups: there is room for one of each file; NULL when out of memory. */
struct verify_summary {
	size_t counts[VERIFY_RESULTS];
	struct verify_row *rows;
	size_t row_count;
	struct verify_group *groups;
	size_t group_count;
};

/* Is the same said of both? */
static bool verify_is_same_group(const struct verify_file *a, const struct verify_file *b)
{
	if (a->why != b->why)
		return false;
	if (a->why == VERIFY_NOT_VERIFIED)
		return a->reason == b->reason;
	if (a->why == VERIFY_NO_INTERPRETER || a->why == VERIFY_CANNOT_RUN)
		return a->magic == b->magic && a->by == b->by;
	return true;
}

static void verify_count_group(struct verify_summary *summary,
			       const struct verify_file *file)
{
	size_t i = 0;

	while (i < summary->group_count &&
	       !verify_is_same_group(summary->groups[i].first, file))
		i++;
	if (i == summary->group_count)
		summary->groups[summary->group_count++] = (struct verify_group){
			.result = verify_why_result(file->why), .first = file};
	summary->groups[i].count++;
}

static void verify_count_row(struct verify_summary *summary, const struct verify_file *file)
{
	enum verify_result result = verify_why_result(file->why);
	size_t i = 0;

	if (result == VERIFY_NOT_TRIED)
		return;
	while (i < summary->row_count && summary->rows[i].by != file->by)
		i++;
	if (i == summary->row_count)
		summary->rows[summary->row_count++].by = file->by;
	summary->rows[i].counts[result]++;
}

static int verify_compare_rows(const void *a, const void *b)
{
	const struct verify_row *first = a, *second = b;

	if (!first->by || !second->by)
		return !first->by - !second->by;
	return first->by->magic != second->by->magic
		       ? strverscmp(first->by->magic->version, second->by->magic->version)
		       : strverscmp(first->by->release, second->by->release);
}

static int verify_compare_groups(const void *a, const void *b)
{
	const struct verify_group *first = a, *second = b;

	if (first->result != second->result)
		return (int)first->result - (int)second->result;
	return (first->count < second->count) - (first->count > second->count);
}

static void verify_summarise(const struct verify_list *list, struct verify_summary *ret)
{
	*ret = (struct verify_summary){
		.rows = calloc(list->count + 1, sizeof(*ret->rows)),
		.groups = calloc(list->count + 1, sizeof(*ret->groups)),
	};
	for (size_t i = 0; i < list->count; i++) {
		const struct verify_file *file = &list->files[i];

		ret->counts[verify_why_result(file->why)]++;
		if (ret->rows)
			verify_count_row(ret, file);
		if (ret->groups)
			verify_count_group(ret, file);
	}
	if (ret->rows)
		qsort(ret->rows, ret->row_count, sizeof(*ret->rows), verify_compare_rows);
	if (ret->groups)
		qsort(ret->groups, ret->group_count, sizeof(*ret->groups),
		      verify_compare_groups);
}

/* ---- words ---- */

/* What is said of a file, and of all of its group. */
static const char *verify_sentence(const struct verify_file *file, char text[SENTENCE_MAX])
{
	scope_free char *program = NULL;

	switch (file->why) {
	case VERIFY_NOT_VERIFIED:
		return pyc_reason_text(file->reason);
	case VERIFY_NO_INTERPRETER:
		program = interpreter_program(file->magic);
		snprintf(
			text, SENTENCE_MAX,
			"no interpreter for bytecode of %s: install %.64s, or name it with "
			"--python",
			file->magic->version, program ? program : "it");
		return text;
	case VERIFY_CANNOT_RUN:
		snprintf(text, SENTENCE_MAX, "%.128s cannot be run%s", file->by->program,
			 file->by->root ? " in the image's sandbox" : "");
		return text;
	default:
		return whys[file->why].text;
	}
}

/* "differs in its constants", or what the interpreter said; "" where there is no more. */
static const char *verify_detail(const struct verify_file *file, char text[SENTENCE_MAX])
{
	text[0] = '\0';
	if (file->why == VERIFY_NOT_COMPILED && file->error)
		snprintf(text, SENTENCE_MAX, " (%s)", file->error);
	else if (file->field)
		snprintf(text, SENTENCE_MAX, " (%s)", file->field);
	return text;
}

/* ---- as text ---- */

static void verify_add_row(struct columns *columns, const struct verify_row *row)
{
	char label[SENTENCE_MAX] = "recorded before";

	if (row->by)
		snprintf(label, sizeof(label), "%.64s (%.64s)", row->by->name,
			 row->by->release);
	columns_add(columns, COLOUR_NONE,
		    (const char *[]){label, HUMAN_COUNT(row->counts[VERIFY_PROVED]),
				     HUMAN_COUNT(row->counts[VERIFY_DISPROVED]),
				     HUMAN_COUNT(row->counts[VERIFY_UNKNOWN])});
}

static void verify_print_table(const struct verify_summary *summary)
{
	static const struct column column[] = {
		{"INTERPRETER", COLUMN_LEFT, .width = 36},
		{"PROVED", COLUMN_RIGHT, .width = 7, .colour = COLOUR_GOOD},
		{"DISPROVED", COLUMN_RIGHT, .colour = COLOUR_BAD},
		{"UNKNOWN", COLUMN_RIGHT, .colour = COLOUR_WARN},
	};
	struct columns *columns =
		summary->row_count ? columns_new(column, ARRAY_SIZE(column)) : NULL;

	for (size_t i = 0; columns && i < summary->row_count; i++)
		verify_add_row(columns, &summary->rows[i]);
	if (columns)
		columns_print(columns, 0);
	columns_free(columns);
}

static void verify_print_groups(const struct verify_summary *summary,
				enum verify_result result, const char *title)
{
	char text[SENTENCE_MAX];

	if (summary->counts[result] == 0)
		return;
	printf("%s: %s\n", title, HUMAN_COUNT(summary->counts[result]));
	for (size_t i = 0; i < summary->group_count; i++)
		if (summary->groups[i].result == result)
			printf("%9s  %s\n", HUMAN_COUNT(summary->groups[i].count),
			       shown(verify_sentence(summary->groups[i].first, text)));
}

static void verify_print_file(const struct verify_file *file, const char *indent,
			      bool with_why)
{
	scope_free char *path = verify_file_path(file);
	char why[SENTENCE_MAX], more[SENTENCE_MAX];

	if (!path)
		return;
	printf("%s%s", indent, quoted(path));
	if (with_why)
		printf(": %s", shown(verify_sentence(file, why)));
	printf("%s\n", verify_detail(file, more));
}

static void verify_print_disproved(const struct verify_list *list, size_t count)
{
	size_t named = 0;

	if (count == 0)
		return;
	printf("%sdisproved: %s%s\n", colour_code(COLOUR_BAD), HUMAN_COUNT(count),
	       colour_code(COLOUR_NONE));
	for (size_t i = 0; i < list->count && named < NAMED_MAX; i++) {
		if (verify_why_result(list->files[i].why) != VERIFY_DISPROVED)
			continue;
		verify_print_file(&list->files[i], "  ", false);
		named++;
	}
	if (count > named)
		printf("  and %s more: --list disproved\n", HUMAN_COUNT(count - named));
}

static void verify_print_text(const struct verify_report *report,
			      const struct verify_list *list)
{
	struct verify_summary summary;

	verify_summarise(list, &summary);
	verify_print_table(&summary);
	if (list->count == 0)
		printf("there is no bytecode\n");
	verify_print_disproved(list, summary.counts[VERIFY_DISPROVED]);
	verify_print_groups(&summary, VERIFY_UNKNOWN, "unknown");
	verify_print_groups(&summary, VERIFY_NOT_TRIED, "not tried");
	if (report->cache && report->recorded > 0)
		printf("%s new results are recorded in %s\n", HUMAN_COUNT(report->recorded),
		       quoted(report->cache));
	free(summary.rows);
	free(summary.groups);
}

static void verify_print_list(const struct verify_report *report,
			      const struct verify_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (report->selected[verify_why_result(list->files[i].why)])
			verify_print_file(&list->files[i], "", true);
}

/* ---- as JSON ---- */

static void verify_add_counts(struct json_object *json, const size_t counts[VERIFY_RESULTS])
{
	json_add_number(json, "proved", (int64_t)counts[VERIFY_PROVED]);
	json_add_number(json, "disproved", (int64_t)counts[VERIFY_DISPROVED]);
	json_add_number(json, "unknown", (int64_t)counts[VERIFY_UNKNOWN]);
}

static void verify_add_interpreters(struct json_object *array,
				    const struct verify_summary *summary)
{
	for (size_t i = 0; i < summary->row_count; i++) {
		const struct verify_row *row = &summary->rows[i];
		struct json_object *json;

		if (!row->by)
			continue;
		json = json_append_object(array);
		json_add_text(json, "name", row->by->name);
		json_add_text(json, "program", row->by->program);
		json_add_text(json, "root", row->by->root ? row->by->root : "/");
		json_add_text(json, "release", row->by->release);
		json_add_text(json, "version", row->by->magic->version);
		verify_add_counts(json, row->counts);
	}
}

static const char *verify_reason_name(const struct verify_file *file)
{
	return file->why == VERIFY_NOT_VERIFIED ? pyc_reason_name(file->reason)
						: whys[file->why].name;
}

static void verify_add_reasons(struct json_object *array,
			       const struct verify_summary *summary)
{
	for (size_t i = 0; i < summary->group_count; i++) {
		const struct verify_group *group = &summary->groups[i];
		struct json_object *json = json_append_object(array);
		char text[SENTENCE_MAX];

		json_add_text(json, "result", verify_result_name(group->result));
		json_add_text(json, "reason", verify_reason_name(group->first));
		json_add_text(json, "text", verify_sentence(group->first, text));
		json_add_number(json, "count", (int64_t)group->count);
	}
}

static void verify_add_file_json(struct json_object *json, const struct verify_file *file)
{
	scope_free char *path = verify_file_path(file);

	json_add_text(json, "path", path);
	json_add_text(json, "result", verify_result_name(verify_why_result(file->why)));
	json_add_text(json, "reason", verify_reason_name(file));
	json_add_text(json, "version", file->magic ? file->magic->version : NULL);
	json_add_text(json, "interpreter", file->by ? file->by->program : NULL);
	json_add_text(json, "release", file->by ? file->by->release : NULL);
	json_add_text(json, "differs_in", file->field);
	json_add_text(json, "error", file->why == VERIFY_NOT_COMPILED ? file->error : NULL);
}

static void verify_print_json(const struct verify_report *report,
			      const struct verify_list *list)
{
	struct json_object *json = json_object_new_object();
	struct json_object *files;
	struct verify_summary summary;

	verify_summarise(list, &summary);
	json_add_text(json, "root", report->root);
	json_add_text(json, "cache", report->cache);
	json_add_number(json, "recorded", (int64_t)report->recorded);
	json_add_number(json, "pycs", (int64_t)list->count);
	verify_add_counts(json, summary.counts);
	json_add_number(json, "not_tried", (int64_t)summary.counts[VERIFY_NOT_TRIED]);
	verify_add_interpreters(json_add_array(json, "interpreters"), &summary);
	verify_add_reasons(json_add_array(json, "reasons"), &summary);
	files = json_add_array(json, "files");
	for (size_t i = 0; i < list->count; i++)
		if (report->selected[verify_why_result(list->files[i].why)])
			verify_add_file_json(json_append_object(files), &list->files[i]);
	json_print(json);
	free(summary.rows);
	free(summary.groups);
}

void verify_print(const struct verify_report *report, const struct verify_list *list)
{
	if (report->json)
		verify_print_json(report, list);
	else if (report->only)
		verify_print_list(report, list);
	else
		verify_print_text(report, list);
}
