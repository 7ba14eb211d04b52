/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the order of opened files says of imports; see import_tracker.h.
 */
#include "cli/trace/import_tracker.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/trace/import_private.h"
#include "pyc/outcome.h"

struct import_process {
	struct import_tracker *tracker;
	struct import_program *program;
	void *seen; /* tsearch(3) of char *: the bytecode files that counted */
};

/* At most one of @pyc and @source is there. */
struct import_thread {
	struct import_opened_file pyc;
	struct import_opened_file source;
	char *compiled; /* name of the bytecode of what it compiled last */
	struct import_record *compiled_record;
};

/* ---- names of files ---- */

static bool import_is_number(const char *text)
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
	    import_is_number(dot + 1))
		return IMPORT_FILE_NEW_BYTECODE;
	return IMPORT_FILE_OTHER;
}

/*
 * With PYTHONPYCACHEPREFIX=/prefix, the bytecode of /a/b.py is /prefix/a/b.TAG.pyc. No
 * module without a source is called so: a dot cannot be part of its name.
 */
static bool import_is_prefixed(const char *pyc, struct pyc_name *ret_name)
{
	if (pairing_name(pyc, ret_name) != PYC_PLACE_LEGACY ||
	    pyc_name_parse(path_last(pyc), true, ret_name) != PYC_PLACE_CACHE)
		return false;
	for (size_t i = 0; i < pyc_magic_count; i++)
		if (pyc_name_tag_agrees(ret_name, &pyc_magic_table[i]))
			return true;
	return false;
}

static bool import_pairs_in_prefix(const char *pyc, const struct pyc_name *name,
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

/* Would Python compile that source in place of this bytecode? Compares names only. */
static bool import_pairs(const char *pyc, const char *source)
{
	scope_free char *expected = NULL;
	struct pyc_name name;

	if (import_is_prefixed(pyc, &name))
		return import_pairs_in_prefix(pyc, &name, source);
	pairing_name(pyc, &name);
	if (pairing_source(pyc, &name, &expected) < 0)
		return false;
	return strcmp(expected, source) == 0;
}

/* ---- processes and threads ---- */

struct import_process *import_process_new(struct import_tracker *tracker,
					  const char *program)
{
	struct import_process *process = calloc(1, sizeof(*process));

	if (process)
		process->program = import_get_program(tracker, program);
	if (!process || !process->program) {
		tracker->incomplete = true;
		free(process);
		return NULL;
	}
	process->tracker = tracker;
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

void import_forget(struct import_opened_file *last)
{
	free(last->name);
	free(last->path);
	free(last->root);
	*last = (struct import_opened_file){.name = NULL};
}

static int import_compare_paths(const void *left, const void *right)
{
	return strcmp(left, right);
}

/* Return: whether this is the first time in this process; false when out of memory. */
static bool import_see(struct import_process *process, const char *path)
{
	char *copy = strdup(path);
	char **found = copy ? tsearch(copy, &process->seen, import_compare_paths) : NULL;
	bool is_new = found && *found == copy;

	if (!found)
		process->tracker->incomplete = true;
	if (!is_new)
		free(copy);
	return is_new;
}

/* @pyc becomes the record's. */
static struct import_record *import_record_new(struct import_program *program,
					       enum import_how how,
					       struct import_opened_file *pyc,
					       const struct import_opened_file *source)
{
	struct import_record *record = calloc(1, sizeof(*record));
	struct pyc_name name;

	if (!record)
		return NULL;
	*record = (struct import_record){
		.how = how,
		.program = program->path,
		.reader = program->magic,
		.pyc = *pyc,
	};
	*pyc = (struct import_opened_file){.name = NULL};
	record->prefixed = import_is_prefixed(record->pyc.path, &name);
	if (source) {
		record->source = strdup(source->path);
		record->source_st = source->st;
	} else if (!record->prefixed && how != IMPORT_SOURCELESS) {
		pairing_name(record->pyc.path, &name);
		pairing_source(record->pyc.path, &name, &record->source);
	}
	return record;
}

/* ---- what became of a module ---- */

/* What became of @pyc, if the same thread opened its source. */
static enum import_how import_judge_header(const struct import_program *program,
					   const struct import_opened_file *pyc,
					   const struct import_opened_file *source)
{
	struct pyc_facts facts = {
		.header_status = pyc->header_status,
		.header = pyc->header,
		.source = PYC_SOURCE_REGULAR,
		.source_size = source->st.st_size,
		.source_mtime = source->st.st_mtim,
		/* If not, the import fails, and nothing is compiled. */
		.body = PYC_CHECK_OK,
	};
	enum pyc_outcome outcome;

	if (pyc->error)
		return IMPORT_NO_PYC;
	if (source->error || !pyc->has_header || pyc->header_status != PYC_HEADER_OK)
		return IMPORT_COMPILED;
	if (!import_is_prefixed(pyc->name, &facts.name))
		pairing_name(pyc->name, &facts.name);
	outcome = pyc_outcome(&facts, source->st.st_mtim, program->magic);
	if (outcome == PYC_LOADS)
		return IMPORT_BYTECODE; /* somebody else read the source */
	if (outcome == PYC_OUTCOME_UNKNOWN && pyc->header.kind == PYC_KIND_HASH_CHECKED)
		return IMPORT_CHECKED;
	return IMPORT_COMPILED;
}

/* What became of @pyc, if nobody opened its source. */
static enum import_how import_judge_used(struct import_program *program,
					 const struct import_opened_file *pyc)
{
	struct pyc_name name;

	if (pairing_name(pyc->name, &name) == PYC_PLACE_LEGACY &&
	    !import_is_prefixed(pyc->name, &name))
		return IMPORT_SOURCELESS;
	if (pyc->has_header && pyc->header_status == PYC_HEADER_OK)
		program->magic = pyc->header.magic;
	return IMPORT_BYTECODE;
}

/* Settles what became of thread->pyc, and forgets it. @source: NULL if nobody opened it. */
static void import_settle(struct import_process *process, struct import_thread *thread,
			  const struct import_opened_file *source)
{
	struct import_opened_file *pyc = &thread->pyc;
	enum import_how how;

	/* There is neither bytecode nor source, so there is no module. */
	if (!pyc->name || (pyc->error && !source)) {
		import_forget(pyc);
		return;
	}
	how = source ? import_judge_header(process->program, pyc, source)
		     : import_judge_used(process->program, pyc);
	if (import_see(process, pyc->path)) {
		scope_free char *name = take_ptr(pyc->name);
		struct import_record *record = import_count_record(
			process->tracker,
			import_record_new(process->program, how, pyc, source));

		if (source) {
			free(thread->compiled);
			thread->compiled = take_ptr(name);
			thread->compiled_record = record;
		}
	}
	import_forget(pyc);
}

void import_thread_end(struct import_process *process, struct import_thread *thread)
{
	if (!thread)
		return;
	import_settle(process, thread, NULL);
	import_forget(&thread->source);
	free(thread->compiled);
	free(thread);
}

/* Return: false when out of memory. */
static bool import_remember(struct import_opened_file *last, const struct import_open *open)
{
	import_forget(last);
	*last = (struct import_opened_file){
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
	import_forget(last);
	return false;
}

static bool import_open_bytecode(struct import_process *process,
				 struct import_thread *thread,
				 const struct import_open *open)
{
	struct import_program *program = process->program;
	struct import_opened_file *pyc = &thread->pyc;
	struct import_opened_file source = thread->source;
	bool done;

	import_settle(process, thread, NULL);
	thread->source = (struct import_opened_file){.name = NULL};
	done = import_remember(pyc, open);
	if (!program->magic && pyc->has_header && pyc->header_status == PYC_HEADER_OK)
		program->magic = pyc->header.magic;
	/* Python 2: the source is open already. */
	if (done && source.name && !source.error && import_pairs(open->name, source.name))
		import_settle(process, thread, &source);
	import_forget(&source);
	return done;
}

static bool import_open_source(struct import_process *process, struct import_thread *thread,
			       const struct import_open *open)
{
	bool pairs = thread->pyc.name && import_pairs(thread->pyc.name, open->name);

	if (!import_remember(&thread->source, open))
		return false;
	import_settle(process, thread, pairs ? &thread->source : NULL);
	if (pairs)
		import_forget(&thread->source);
	return true;
}

static void import_open_for_writing(struct import_thread *thread,
				    const struct import_open *open)
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

void import_opened(struct import_process *process, struct import_thread *thread,
		   const struct import_open *open)
{
	enum import_file file = import_file_of(open->name);
	bool done = true;

	if (open->writes)
		import_open_for_writing(thread, open);
	else if (file == IMPORT_FILE_BYTECODE)
		done = import_open_bytecode(process, thread, open);
	else if (file == IMPORT_FILE_SOURCE)
		done = import_open_source(process, thread, open);
	if (!done)
		process->tracker->incomplete = true;
}
