/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The programs and the records of a tracker; see import_tracker.h.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/scope.h"
#include "cli/trace/import_private.h"

struct import_tracker *import_tracker_new(void)
{
	return calloc(1, sizeof(struct import_tracker));
}

static void import_keep_node(void *node)
{
	(void)node;
}

static void import_record_free(struct import_record *record)
{
	if (!record)
		return;
	import_forget(&record->pyc);
	free(record->source);
	free(record);
}

void import_tracker_free(struct import_tracker *tracker)
{
	if (!tracker)
		return;
	tdestroy(tracker->index, import_keep_node);
	for (size_t i = 0; i < tracker->count; i++)
		import_record_free(tracker->records[i]);
	free(tracker->records);
	while (tracker->programs) {
		struct import_program *program = tracker->programs;

		tracker->programs = program->next;
		free(program->path);
		free(program);
	}
	free(tracker);
}

struct import_program *import_get_program(struct import_tracker *tracker, const char *path)
{
	struct import_program *program = tracker->programs;

	while (program && strcmp(program->path, path) != 0)
		program = program->next;
	if (program)
		return program;
	program = calloc(1, sizeof(*program));
	if (!program)
		return NULL;
	program->path = strdup(path);
	if (!program->path) {
		free(program);
		return NULL;
	}
	program->next = tracker->programs;
	tracker->programs = program;
	return program;
}

static int import_compare_records(const void *left, const void *right)
{
	const struct import_record *a = left;
	const struct import_record *b = right;

	if (a->program != b->program)
		return a->program < b->program ? -1 : 1;
	if (a->how != b->how)
		return a->how < b->how ? -1 : 1;
	if (a->pyc.elsewhere != b->pyc.elsewhere)
		return a->pyc.elsewhere ? 1 : -1;
	return strcmp(a->pyc.path, b->pyc.path);
}

struct import_record *import_count_record(struct import_tracker *tracker,
					  struct import_record *record)
{
	struct import_record **grown =
		array_room(tracker->records, tracker->count, sizeof(*grown));
	struct import_record **found = NULL;

	if (grown)
		tracker->records = grown;
	if (grown && record)
		found = tsearch(record, &tracker->index, import_compare_records);
	if (!found) {
		import_record_free(record);
		tracker->incomplete = true;
		return NULL;
	}
	if (*found == record)
		tracker->records[tracker->count++] = record;
	else
		import_record_free(record);
	(*found)->processes++;
	return *found;
}

bool import_tracker_is_incomplete(const struct import_tracker *tracker)
{
	return tracker->incomplete;
}

size_t import_tracker_processes(const struct import_tracker *tracker, const char *program)
{
	size_t sum = 0;

	for (const struct import_program *each = tracker->programs; each; each = each->next)
		if (!program || strcmp(program, each->path) == 0)
			sum += each->processes;
	return sum;
}

static int import_compare_for_output(const void *left, const void *right)
{
	const struct import_record *a = *(struct import_record *const *)left;
	const struct import_record *b = *(struct import_record *const *)right;
	int order = strcmp(a->program, b->program);

	if (order == 0)
		order = strcmp(a->pyc.path, b->pyc.path);
	return order ? order : (int)a->how - (int)b->how;
}

struct import_record *const *import_tracker_records(struct import_tracker *tracker,
						    size_t *ret_count)
{
	if (tracker->count > 0)
		qsort(tracker->records, tracker->count, sizeof(*tracker->records),
		      import_compare_for_output);
	*ret_count = tracker->count;
	return tracker->records;
}

static const struct {
	const char *name;
	const char *text;
} hows[] = {
	[IMPORT_BYTECODE] = {"bytecode", "from bytecode"},
	[IMPORT_CHECKED] = {"checked",
			    "from bytecode, after the source was read and hashed"},
	[IMPORT_SOURCELESS] = {"sourceless", "from bytecode without a source"},
	[IMPORT_COMPILED] = {"compiled", "compiled although there is bytecode"},
	[IMPORT_NO_PYC] = {"no-bytecode", "compiled for want of bytecode"},
	[IMPORT_FAILED] = {"failed", "failed: the bytecode is damaged"},
};

_Static_assert(ARRAY_SIZE(hows) == IMPORT_HOWS, "each has a name");

const char *import_how_name(enum import_how how)
{
	return hows[how].name;
}

const char *import_how_text(enum import_how how)
{
	return hows[how].text;
}

bool import_used_bytecode(enum import_how how)
{
	return how == IMPORT_BYTECODE || how == IMPORT_CHECKED || how == IMPORT_SOURCELESS;
}
