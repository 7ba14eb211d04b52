/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain --ask: what real interpreters do with the files, beside what we say; see
 * explain.h. One run for each interpreter and level of optimisation.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "base/scope.h"

/* Does the source have bytecode of that level? An interpreter is asked of no other. */
static bool explain_has_level(const struct explanation *explanation, int level)
{
	for (size_t i = 0; explanation->stem && i < explanation->pyc_count; i++)
		if (!explanation->pycs[i].problem &&
		    pyc_name_level(&explanation->pycs[i].seen.name, NULL) == level)
			return true;
	return false;
}

void explain_asked_fini(struct explain_asked *asked)
{
	free(asked->error);
	free(asked->lines);
}

static int explain_note(struct explain_pyc *pyc, const struct interpreter *interpreter,
			const struct ask_job *job)
{
	bool looked = job->answered && job->looked && strcmp(job->looked, pyc->path) == 0;
	struct explain_asked asked = {
		.interpreter = interpreter,
		.expected =
			pyc_outcome(&pyc->seen, pyc->seen.source_mtime, interpreter->magic),
		.observed = !job->answered ? PYC_OUTCOME_UNKNOWN
			    : looked	   ? job->outcome
					   : PYC_IGNORES,
		.error = looked && job->error ? strdup(job->error) : NULL,
		.lines = job->lines ? strdup(job->lines) : NULL,
	};
	int r = array_add(pyc->asked, pyc->asked_count, asked);

	if (r < 0)
		explain_asked_fini(&asked);
	return r;
}

static int explain_note_all(struct explanation *explanation,
			    const struct interpreter *interpreter, int level,
			    const struct ask_job *job)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < explanation->pyc_count; i++) {
		struct explain_pyc *pyc = &explanation->pycs[i];

		if (!pyc->problem && pyc_name_level(&pyc->seen.name, NULL) == level)
			r = explain_note(pyc, interpreter, job);
	}
	return r;
}

static int explain_ask_level(struct explain_request *request,
			     const struct interpreter *interpreter, int level)
{
	scope_free struct ask_job *jobs = calloc(request->count + 1, sizeof(*jobs));
	size_t count = 0;
	int r = jobs ? 0 : -ENOMEM;

	for (size_t i = 0; jobs && i < request->count; i++)
		if (explain_has_level(&request->explanations[i], level))
			jobs[count++] =
				(struct ask_job){.folder = request->explanations[i].folder,
						 .stem = request->explanations[i].stem};
	if (r == 0 && count > 0)
		r = ask(interpreter, (unsigned)level, jobs, count);
	for (size_t i = 0, at = 0; jobs && i < request->count; i++) {
		if (!explain_has_level(&request->explanations[i], level))
			continue;
		if (r != -ENOMEM && explain_note_all(&request->explanations[i], interpreter,
						     level, &jobs[at]) < 0)
			r = -ENOMEM;
		ask_job_fini(&jobs[at++]);
	}
	return r;
}

static const char *explain_ask_error(int error)
{
	return error == -ETIME	   ? "it did not end in time"
	       : error == -EBADMSG ? "it failed"
				   : strerror(-error);
}

int explain_ask(struct explain_request *request)
{
	int worst = 0;

	for (size_t i = 0; i < request->asked.count; i++) {
		const struct interpreter *interpreter = &request->asked.interpreters[i];

		for (int level = 0; level < EXPLAIN_LEVELS; level++) {
			int r = explain_ask_level(request, interpreter, level);

			if (r == 0)
				continue;
			log_error("cannot ask %s: %s", quoted(interpreter->program),
				  explain_ask_error(r));
			worst = r;
		}
	}
	return worst;
}
