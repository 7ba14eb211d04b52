/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compiles and compares, on all processors; see verify.h.
 *
 * Of files with the same content one is compiled. The files are sorted by interpreter and
 * each thread takes the next ones, so that few interpreters run at a time.
 */
#include "cli/verify/verify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/scope.h"
#include "cli/print/progress.h"
#include "pyc/marshal.h"

/* Interpreters that a thread keeps running; and for starting one. */
#define WORKERS		 4
#define START_TIMEOUT_MS 20000

#define REDRAW_MS 100

/* A file that is to be compiled, and the interpreter to be asked first. */
struct verify_task {
	struct verify_file *file;
	const struct interpreter *first;
};

/**
 * struct verify_crew - what the threads share
 * @tasks: sorted; no thread has taken those from @next on
 * @broken: interpreters that do not run; has room for each
 */
struct verify_crew {
	const struct verify_run *run;
	const struct verify_task *tasks;
	size_t count;
	pthread_mutex_t lock;
	pthread_cond_t progressed;
	size_t next;			   /* lock */
	size_t done;			   /* lock */
	size_t working;			   /* lock: threads */
	const struct interpreter **broken; /* lock */
	size_t broken_count;		   /* lock */
};

/**
 * struct verify_member - one thread
 * @slots: its interpreters; .used counts, the highest is the last one that was asked
 */
struct verify_member {
	struct verify_crew *crew;
	uint64_t clock;
	struct slot {
		const struct interpreter *interpreter;
		int level;
		uint64_t used;
		struct verify_worker worker;
	} slots[WORKERS];
};

/* ---- interpreters ---- */

static bool crew_is_broken_locked(const struct verify_crew *crew,
				  const struct interpreter *interpreter)
{
	bool found = false;

	for (size_t i = 0; i < crew->broken_count; i++)
		found |= crew->broken[i] == interpreter;
	return found;
}

static bool crew_is_broken(struct verify_crew *crew, const struct interpreter *interpreter)
{
	bool found;

	pthread_mutex_lock(&crew->lock);
	found = crew_is_broken_locked(crew, interpreter);
	pthread_mutex_unlock(&crew->lock);
	return found;
}

static void crew_note_broken(struct verify_crew *crew,
			     const struct interpreter *interpreter)
{
	pthread_mutex_lock(&crew->lock);
	if (!crew_is_broken_locked(crew, interpreter))
		crew->broken[crew->broken_count++] = interpreter;
	pthread_mutex_unlock(&crew->lock);
}

/* The slot that has the interpreter at this level; else the least recently used one.
 */
static struct slot *member_find_slot(struct verify_member *member,
				     const struct interpreter *interpreter, int level)
{
	struct slot *oldest = &member->slots[0];

	for (size_t i = 0; i < WORKERS; i++) {
		struct slot *slot = &member->slots[i];

		if (slot->interpreter == interpreter && slot->level == level)
			return slot;
		if (slot->used < oldest->used)
			oldest = slot;
	}
	return oldest;
}

/* A worker that runs; NULL where it cannot be started. */
static struct verify_worker *member_hire(struct verify_member *member,
					 const struct interpreter *interpreter, int level)
{
	int fixed = verify_worker_has_one_level(interpreter) ? level : 0;
	struct slot *slot = member_find_slot(member, interpreter, fixed);

	slot->used = ++member->clock;
	if (slot->interpreter == interpreter && slot->level == fixed &&
	    slot->worker.is_running)
		return &slot->worker;
	verify_worker_stop(&slot->worker);
	slot->interpreter = interpreter;
	slot->level = fixed;
	if (crew_is_broken(member->crew, interpreter))
		return NULL;
	if (verify_worker_start(&slot->worker, interpreter, fixed, START_TIMEOUT_MS) < 0) {
		crew_note_broken(member->crew, interpreter);
		return NULL;
	}
	return &slot->worker;
}

/* ---- one file ---- */

static enum verify_why why_of_match(enum pyc_marshal_match match)
{
	return match == PYC_MARSHAL_SAME      ? VERIFY_SAME
	       : match == PYC_MARSHAL_DIFFERS ? VERIFY_DIFFERS
					      : VERIFY_UNDECIDED;
}

/* What an interpreter makes of the source at a level, against what the file holds. */
static enum verify_why member_ask_level(struct verify_member *member,
					const struct interpreter *interpreter, int level,
					const struct verify_bytes *bytes,
					struct verify_file *file)
{
	struct verify_worker *worker = member_hire(member, interpreter, level);
	struct verify_answer answer;
	size_t header = file->magic->header_size;
	enum verify_why why;
	int r;

	if (!worker)
		return VERIFY_CANNOT_RUN;
	r = verify_worker_compile(worker, level, bytes->source, bytes->source_len,
				  member->crew->run->timeout_ms, &answer);
	if (r < 0)
		return r == -ETIMEDOUT ? VERIFY_TIMED_OUT : VERIFY_CRASHED;
	if (!answer.compiled) {
		free(file->error);
		file->error = (char *)answer.data;
		return VERIFY_NOT_COMPILED;
	}
	why = why_of_match(pyc_marshal_compare(file->magic, bytes->pyc + header,
					       bytes->pyc_len - header, answer.data,
					       answer.len, &file->field));
	free(answer.data);
	return why;
}

/* -O and -OO both write ".pyo", so either may match there. */
static enum verify_why member_ask(struct verify_member *member,
				  const struct interpreter *interpreter,
				  const struct verify_bytes *bytes,
				  struct verify_file *file)
{
	enum verify_why why =
		member_ask_level(member, interpreter, file->level, bytes, file);

	if (why == VERIFY_DIFFERS && file->name.is_pyo)
		why = member_ask_level(member, interpreter, 2, bytes, file);
	return why;
}

/* Asks one interpreter after another until one compiles to the same code. If none does, the
 * first answer of one that runs counts. */
static void member_ask_all(struct verify_member *member, const struct verify_bytes *bytes,
			   struct verify_file *file)
{
	const struct interpreter *interpreter;
	const char *field = NULL;
	bool is_own;

	for (size_t turn = 0;
	     (interpreter = verify_choose(member->crew->run, file, turn, &is_own));
	     turn++) {
		enum verify_why why = member_ask(member, interpreter, bytes, file);

		if (why == VERIFY_DIFFERS && !is_own)
			why = VERIFY_OTHER_COMPILER;
		if (why == VERIFY_SAME || file->why == VERIFY_NOT_YET ||
		    file->why == VERIFY_CANNOT_RUN) {
			file->why = why;
			file->by = interpreter;
			field = file->field;
		}
		if (why == VERIFY_SAME)
			break;
	}
	file->field = file->why == VERIFY_SAME ? NULL : field;
}

static bool is_as_it_was(const struct verify_file *file, const struct verify_bytes *bytes)
{
	size_t header = file->magic->header_size;

	return bytes->pyc_len >= header &&
	       digest_equal(digest_of(bytes->pyc + header, bytes->pyc_len - header),
			    file->body) &&
	       digest_equal(digest_of(bytes->source, bytes->source_len), file->source);
}

static void member_verify_file(struct verify_member *member, struct verify_file *file)
{
	struct verify_bytes bytes;

	if (verify_read(file, &bytes) < 0 || !is_as_it_was(file, &bytes))
		file->why = VERIFY_CHANGED;
	else
		member_ask_all(member, &bytes, file);
	verify_bytes_fini(&bytes);
}

/* ---- files of the same content ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_content(const struct verify_file *a, const struct verify_file *b)
{
	int order = compare_numbers(a->magic->number, b->magic->number);

	if (order == 0)
		order = compare_numbers((uint64_t)a->level, (uint64_t)b->level);
	if (order == 0)
		order = memcmp(&a->source, &b->source, sizeof(a->source));
	return order ? order : memcmp(&a->body, &b->body, sizeof(a->body));
}

/* By interpreter, and so that files of the same content are neighbours. */
static int verify_compare_tasks(const void *a, const void *b)
{
	const struct verify_task *first = a, *second = b;
	int order = compare_numbers((uintptr_t)first->first, (uintptr_t)second->first);

	return order ? order : compare_content(first->file, second->file);
}

static void copy_outcome(struct verify_file *file, const struct verify_file *of)
{
	file->why = of->why;
	file->by = of->by;
	file->field = of->field;
}

/*
 * Tasks of the same content. A proof or disproof of one holds for all of them. If one stays
 * unknown, the next is tried: it may lie where it has an interpreter of its own.
 */
static void member_verify_group(struct verify_member *member,
				const struct verify_task *tasks, size_t count)
{
	const struct verify_file *decided = NULL;

	for (size_t i = 0; i < count; i++) {
		struct verify_file *file = tasks[i].file;

		if (decided)
			copy_outcome(file, decided);
		else
			member_verify_file(member, file);
		if (verify_why_result(file->why) <= VERIFY_DISPROVED)
			decided = file;
	}
}

/* ---- the threads ---- */

/* Takes the next group; 0 at the end. */
static size_t crew_take_group(struct verify_crew *crew, size_t finished,
			      const struct verify_task **ret_tasks)
{
	size_t end;
	size_t count;

	pthread_mutex_lock(&crew->lock);
	crew->done += finished;
	end = crew->next;
	*ret_tasks = &crew->tasks[crew->next];
	while (end < crew->count &&
	       verify_compare_tasks(*ret_tasks, &crew->tasks[end]) == 0)
		end++;
	count = end - crew->next;
	crew->next = end;
	crew->working -= count == 0;
	pthread_cond_signal(&crew->progressed);
	pthread_mutex_unlock(&crew->lock);
	return count;
}

static void *crew_work(void *closure)
{
	struct verify_member member = {.crew = closure};
	const struct verify_task *tasks;
	size_t count = 0;

	while ((count = crew_take_group(member.crew, count, &tasks)) > 0)
		member_verify_group(&member, tasks, count);
	for (size_t i = 0; i < WORKERS; i++)
		verify_worker_stop(&member.slots[i].worker);
	return NULL;
}

static void crew_show_progress(struct verify_crew *crew, bool quiet)
{
	struct progress progress;

	progress_begin(&progress, "verifying");
	progress.wanted &= !quiet;
	pthread_mutex_lock(&crew->lock);
	while (crew->working > 0) {
		size_t done = crew->done;
		const struct timespec until = clock_deadline(REDRAW_MS);

		pthread_mutex_unlock(&crew->lock);
		progress_update(&progress, done, crew->count, "files");
		pthread_mutex_lock(&crew->lock);
		if (crew->working > 0 && crew->done == done)
			pthread_cond_timedwait(&crew->progressed, &crew->lock, &until);
	}
	pthread_mutex_unlock(&crew->lock);
	progress_end(&progress);
}

static int crew_run(struct verify_crew *crew, const struct verify_run *run)
{
	scope_free pthread_t *threads = calloc(run->jobs, sizeof(*threads));
	unsigned started = 0;
	int r = threads ? 0 : -ENOMEM;

	crew->working = run->jobs;
	while (r == 0 && started < run->jobs) {
		r = -pthread_create(&threads[started], NULL, crew_work, crew);
		started += r == 0;
	}
	/* If some threads did not start, the others do their work. */
	pthread_mutex_lock(&crew->lock);
	crew->working -= run->jobs - started;
	pthread_mutex_unlock(&crew->lock);
	crew_show_progress(crew, run->quiet);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return started > 0 ? 0 : r;
}

/* ---- what there is to do ---- */

/* Settles what is known without compiling. Return: whether something is left to do. */
static bool verify_make_task(const struct verify_run *run, struct verify_file *file,
			     struct verify_task *ret_task)
{
	bool is_own;

	if (file->why != VERIFY_NOT_YET)
		return false;
	switch (proof_set_find(run->known, file->source, file->body, file->magic->number,
			       (uint8_t)file->level)) {
	case PYC_CHECK_OK:
		file->why = VERIFY_KNOWN_SAME;
		return false;
	case PYC_CHECK_BAD:
		file->why = VERIFY_KNOWN_DIFFERS;
		return false;
	default:
		break;
	}
	*ret_task = (struct verify_task){file, verify_choose(run, file, 0, &is_own)};
	if (!ret_task->first)
		file->why = VERIFY_NO_INTERPRETER;
	return ret_task->first != NULL;
}

int verify_all(const struct verify_run *run, struct verify_list *list)
{
	size_t interpreters = run->image.count + run->machine.count;
	scope_free struct verify_task *tasks = calloc(list->count + 1, sizeof(*tasks));
	scope_free const struct interpreter **broken =
		calloc(interpreters + 1, sizeof(*broken));
	struct verify_crew crew = {.run = run, .tasks = tasks, .broken = broken};
	int r = 0;

	if (!tasks || !broken)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++)
		crew.count += verify_make_task(run, &list->files[i], &tasks[crew.count]);
	if (crew.count == 0)
		return 0;
	qsort(tasks, crew.count, sizeof(*tasks), verify_compare_tasks);
	pthread_mutex_init(&crew.lock, NULL);
	clock_condition_init(&crew.progressed);
	r = crew_run(&crew, run);
	pthread_cond_destroy(&crew.progressed);
	pthread_mutex_destroy(&crew.lock);
	return r;
}
