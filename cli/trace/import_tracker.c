/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order in which interpreters open files; see import_tracker.h.
 */
#include "cli/trace/import_tracker.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "pyc/outcome.h"

/* An interpreter; what its magic is, the first bytecode tells that it opens or takes. */
struct program {
	char *path;
	size_t processes;
	const struct pyc_magic *magic;
	struct program *next;
};

struct import_tracker {
	struct program *programs;
	void *index; /* tsearch(3) of struct import_record; they are in records, too */
	struct import_record **records;
	size_t count;
	size_t room;
	bool incomplete;
};

struct import_process {
	struct program *program;
	void *seen; /* tsearch(3) of char *: the bytecode files that counted */
};

/* A file that a thread opened last; @name is NULL for none. */
struct last_open {
	char *name;
	char *path;
	char *root;
	bool elsewhere;
	int error;
	struct stat st;
	bool has_header;
	enum pyc_header_status header_status;
	struct pyc_header header;
};

/* At most one of @pyc and @source is there. */
struct import_thread {
	struct last_open pyc;
	struct last_open source;
	char *compiled; /* name of the bytecode of what it compiled last */
	struct import_record *compiled_record;
};

/* ---- names ---- */

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

enum import_file import_file_of(const char *name)
{
	const char *last = path_last(name);
	const char *dot = strrchr(last, '.');

	if (pyc_name_is_source(last))
		return IMPORT_FILE_SOURCE;
	if (pyc_name_is_bytecode(last))
		return IMPORT_FILE_BYTECODE;
	if (dot && dot - last >= 4 && strncmp(dot - 4, ".pyc", 4) == 0 &&
	    is_number(dot + 1))
		return IMPORT_FILE_NEW_BYTECODE;
	return IMPORT_FILE_OTHER;
}

/*
 * With PYTHONPYCACHEPREFIX=/prefix, the bytecode of /a/b.py is /prefix/a/b.TAG.pyc. No
 * module without a source is called so: a dot cannot be part of its name.
 */
static bool is_prefixed(const char *pyc, struct pyc_name *ret_name)
{
	if (pairing_name(pyc, ret_name) != PYC_PLACE_LEGACY ||
	    pyc_name_parse(path_last(pyc), true, ret_name) != PYC_PLACE_CACHE)
		return false;
	for (size_t i = 0; i < pyc_magic_count; i++)
		if (pyc_name_tag_agrees(ret_name, &pyc_magic_table[i]))
			return true;
	return false;
}

static bool pairs_in_prefix(const char *pyc, const struct pyc_name *name,
			    const char *source)
{
	size_t pyc_dir = (size_t)(path_last(pyc) - pyc);
	size_t source_dir = (size_t)(path_last(source) - source);
	char expected[PYC_NAME_MAX + 1];

	return source[0] == '/' && source_dir <= pyc_dir &&
	       strncmp(pyc + pyc_dir - source_dir, source, source_dir) == 0 &&
	       pyc_name_source(name, expected) &&
	       strcmp(source + source_dir, expected) == 0;
}

/* Is that the source which Python would compile instead of this bytecode? As texts. */
static bool pairs(const char *pyc, const char *source)
{
	scope_free char *expected = NULL;
	struct pyc_name name;

	if (is_prefixed(pyc, &name))
		return pairs_in_prefix(pyc, &name, source);
	pairing_name(pyc, &name);
	if (pairing_source(pyc, &name, &expected) < 0)
		return false;
	return strcmp(expected, source) == 0;
}

/* ---- programs, processes and threads ---- */

struct import_tracker *import_tracker_new(void)
{
	return calloc(1, sizeof(struct import_tracker));
}

static void keep(void *node)
{
	(void)node;
}

static void free_record(struct import_record *record)
{
	if (!record)
		return;
	free(record->bytecode);
	free(record->source);
	free(record->root);
	free(record);
}

void import_tracker_free(struct import_tracker *tracker)
{
	if (!tracker)
		return;
	tdestroy(tracker->index, keep);
	for (size_t i = 0; i < tracker->count; i++)
		free_record(tracker->records[i]);
	free(tracker->records);
	while (tracker->programs) {
		struct program *program = tracker->programs;

		tracker->programs = program->next;
		free(program->path);
		free(program);
	}
	free(tracker);
}

static struct program *get_program(struct import_tracker *tracker, const char *path)
{
	struct program *program = tracker->programs;

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

struct import_process *import_process_new(struct import_tracker *tracker,
					  const char *program)
{
	struct import_process *process = calloc(1, sizeof(*process));

	if (process)
		process->program = get_program(tracker, program);
	if (!process || !process->program) {
		tracker->incomplete = true;
		free(process);
		return NULL;
	}
	process->program->processes++;
	return process;
}

void import_process_free(struct import_process *process)
{
	if (!process)
		return;
	tdestroy(process->seen, free);
	free(process);
}

struct import_thread *import_thread_new(void)
{
	return calloc(1, sizeof(struct import_thread));
}

static void forget(struct last_open *last)
{
	free(last->name);
	free(last->path);
	free(last->root);
	*last = (struct last_open){.name = NULL};
}

/* ---- records ---- */

static int compare_records(const void *left, const void *right)
{
	const struct import_record *a = left;
	const struct import_record *b = right;

	if (a->program != b->program)
		return a->program < b->program ? -1 : 1;
	if (a->how != b->how)
		return a->how < b->how ? -1 : 1;
	if (a->elsewhere != b->elsewhere)
		return a->elsewhere ? 1 : -1;
	return strcmp(a->bytecode, b->bytecode);
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(left, right);
}

/* Return: whether this is the first time in this process; false when out of memory. */
static bool see(struct import_tracker *tracker, struct import_process *process,
		const char *path)
{
	char *copy = strdup(path);
	char **found = copy ? tsearch(copy, &process->seen, compare_names) : NULL;
	bool is_new = found && *found == copy;

	if (!found)
		tracker->incomplete = true;
	if (!is_new)
		free(copy);
	return is_new;
}

static bool make_room(struct import_tracker *tracker)
{
	size_t room = tracker->room ? 2 * tracker->room : 256;
	struct import_record **grown;

	if (tracker->count < tracker->room)
		return true;
	grown = realloc(tracker->records, room * sizeof(struct import_record *));
	if (!grown)
		return false;
	tracker->records = grown;
	tracker->room = room;
	return true;
}

/* The paths become the record's. */
static struct import_record *record_of(struct program *program, enum import_how how,
				       struct last_open *pyc,
				       const struct last_open *source)
{
	struct import_record *record = calloc(1, sizeof(*record));
	struct pyc_name name;

	if (!record)
		return NULL;
	*record = (struct import_record){
		.how = how,
		.program = program->path,
		.reader = program->magic,
		.bytecode = take_ptr(pyc->path),
		.root = take_ptr(pyc->root),
		.elsewhere = pyc->elsewhere,
		.error = pyc->error,
		.has_header = pyc->has_header,
		.header_status = pyc->header_status,
		.header = pyc->header,
		.pyc = pyc->st,
	};
	record->prefixed = is_prefixed(record->bytecode, &name);
	if (source) {
		record->source = strdup(source->path);
		record->source_st = source->st;
	} else if (!record->prefixed && how != IMPORT_SOURCELESS) {
		pairing_name(record->bytecode, &name);
		pairing_source(record->bytecode, &name, &record->source);
	}
	return record;
}

/* Return: the record that counts from now on; NULL when out of memory. */
static struct import_record *count_record(struct import_tracker *tracker,
					  struct import_record *record)
{
	struct import_record **found = NULL;

	if (record && make_room(tracker))
		found = tsearch(record, &tracker->index, compare_records);
	if (!found) {
		free_record(record);
		tracker->incomplete = true;
		return NULL;
	}
	if (*found == record)
		tracker->records[tracker->count++] = record;
	else
		free_record(record);
	(*found)->processes++;
	return *found;
}

/* Settles what became of thread->pyc, and forgets it. */
static void settle(struct import_tracker *tracker, struct import_process *process,
		   struct import_thread *thread, enum import_how how,
		   const struct last_open *source)
{
	struct last_open *pyc = &thread->pyc;

	if (see(tracker, process, pyc->path)) {
		struct import_record *record = count_record(
			tracker, record_of(process->program, how, pyc, source));

		if (source) {
			free(thread->compiled);
			thread->compiled = take_ptr(pyc->name);
			thread->compiled_record = record;
		}
	}
	forget(pyc);
}

/* ---- what became of a module ---- */

static enum import_how judge_header(const struct program *program,
				    const struct last_open *pyc,
				    const struct last_open *source)
{
	struct pyc_facts facts = {
		.header_status = pyc->header_status,
		.header = pyc->header,
		.source = PYC_SOURCE_REGULAR,
		.source_size = source->st.st_size,
		.source_mtime = source->st.st_mtim,
		.body = PYC_CHECK_OK, /* if not, the import fails, and nothing is compiled
				       */
	};
	enum pyc_outcome outcome;

	if (source->error || !pyc->has_header || pyc->header_status != PYC_HEADER_OK)
		return IMPORT_COMPILED;
	if (!is_prefixed(pyc->name, &facts.name))
		pairing_name(pyc->name, &facts.name);
	outcome = pyc_outcome(&facts, source->st.st_mtim, program->magic);
	if (outcome == PYC_LOADS)
		return IMPORT_BYTECODE; /* somebody else read the source */
	if (outcome == PYC_OUTCOME_UNKNOWN && pyc->header.kind == PYC_KIND_HASH_CHECKED)
		return IMPORT_CHECKED;
	return IMPORT_COMPILED;
}

/* The thread's bytecode, and nobody opened its source. */
static void settle_used(struct import_tracker *tracker, struct import_process *process,
			struct import_thread *thread)
{
	const struct last_open *pyc = &thread->pyc;
	struct pyc_name name;
	enum import_how how = IMPORT_BYTECODE;

	if (!pyc->name)
		return;
	if (pyc->error) {
		forget(&thread->pyc); /* looked for, and nothing was there: no module */
		return;
	}
	if (pairing_name(pyc->name, &name) == PYC_PLACE_LEGACY &&
	    !is_prefixed(pyc->name, &name))
		how = IMPORT_SOURCELESS;
	else if (pyc->has_header && pyc->header_status == PYC_HEADER_OK)
		process->program->magic = pyc->header.magic;
	settle(tracker, process, thread, how, NULL);
}

static void settle_with_source(struct import_tracker *tracker,
			       struct import_process *process, struct import_thread *thread,
			       const struct last_open *source)
{
	enum import_how how =
		thread->pyc.error ? IMPORT_NO_PYC
				  : judge_header(process->program, &thread->pyc, source);

	settle(tracker, process, thread, how, source);
}

void import_thread_end(struct import_tracker *tracker, struct import_process *process,
		       struct import_thread *thread)
{
	if (!thread)
		return;
	settle_used(tracker, process, thread);
	forget(&thread->pyc);
	forget(&thread->source);
	free(thread->compiled);
	free(thread);
}

/* Return: false when out of memory. */
static bool remember(struct last_open *last, const struct import_open *open)
{
	forget(last);
	*last = (struct last_open){
		.name = strdup(open->name),
		.path = strdup(open->path),
		.root = strdup(open->root),
		.elsewhere = open->elsewhere,
		.error = open->error,
		.st = open->st,
		.has_header = open->header && !open->error,
	};
	if (last->has_header)
		last->header_status =
			pyc_header_parse(open->header, open->header_len, &last->header);
	if (last->name && last->path && last->root)
		return true;
	forget(last);
	return false;
}

static bool open_bytecode(struct import_tracker *tracker, struct import_process *process,
			  struct import_thread *thread, const struct import_open *open)
{
	struct last_open source = thread->source;

	settle_used(tracker, process, thread);
	thread->source = (struct last_open){.name = NULL};
	if (!remember(&thread->pyc, open)) {
		forget(&source);
		return false;
	}
	if (!process->program->magic && thread->pyc.has_header &&
	    thread->pyc.header_status == PYC_HEADER_OK)
		process->program->magic = thread->pyc.header.magic;
	/* Python 2: the source is open already. */
	if (source.name && !source.error && pairs(open->name, source.name))
		settle_with_source(tracker, process, thread, &source);
	forget(&source);
	return true;
}

static bool open_source(struct import_tracker *tracker, struct import_process *process,
			struct import_thread *thread, const struct import_open *open)
{
	if (!remember(&thread->source, open))
		return false;
	if (thread->pyc.name && pairs(thread->pyc.name, open->name)) {
		settle_with_source(tracker, process, thread, &thread->source);
		forget(&thread->source);
	} else {
		settle_used(tracker, process, thread);
	}
	return true;
}

static void open_for_writing(struct import_thread *thread, const struct import_open *open)
{
	const char *name = thread->compiled;
	size_t len = name ? strlen(name) : 0;

	if (!name || !thread->compiled_record || strncmp(open->name, name, len) != 0 ||
	    (open->name[len] && open->name[len] != '.'))
		return;
	if (open->error)
		thread->compiled_record->keep_error = open->error;
	else
		thread->compiled_record->kept++;
	free(take_ptr(thread->compiled));
}

void import_opened(struct import_tracker *tracker, struct import_process *process,
		   struct import_thread *thread, const struct import_open *open)
{
	enum import_file file = import_file_of(open->name);
	bool done = true;

	if (open->writes)
		open_for_writing(thread, open);
	else if (file == IMPORT_FILE_BYTECODE)
		done = open_bytecode(tracker, process, thread, open);
	else if (file == IMPORT_FILE_SOURCE)
		done = open_source(tracker, process, thread, open);
	if (!done)
		tracker->incomplete = true;
}

/* ---- results ---- */

bool import_tracker_is_incomplete(const struct import_tracker *tracker)
{
	return tracker->incomplete;
}

size_t import_tracker_processes(const struct import_tracker *tracker, const char *program)
{
	size_t sum = 0;

	for (const struct program *each = tracker->programs; each; each = each->next)
		if (!program || strcmp(program, each->path) == 0)
			sum += each->processes;
	return sum;
}

static int compare_for_output(const void *left, const void *right)
{
	const struct import_record *a = *(struct import_record *const *)left;
	const struct import_record *b = *(struct import_record *const *)right;
	int order = strcmp(a->program, b->program);

	if (order == 0)
		order = strcmp(a->bytecode, b->bytecode);
	return order ? order : (int)a->how - (int)b->how;
}

struct import_record **import_tracker_records(const struct import_tracker *tracker,
					      size_t *ret_count)
{
	size_t size = tracker->count * sizeof(struct import_record *);
	struct import_record **records = size ? malloc(size) : NULL;

	*ret_count = records ? tracker->count : 0;
	if (!records)
		return NULL;
	memcpy(records, tracker->records, size);
	qsort(records, tracker->count, sizeof(struct import_record *), compare_for_output);
	return records;
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
