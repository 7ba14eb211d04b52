/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking real interpreters; see ask.h.
 *
 * Everything comes back on standard error, so that what -v prints stays between the lines
 *of the script, which begin with MARK:
 *
 *	canonfs-ask begin NUMBER
 *	canonfs-ask end NUMBER KIND LOOKED READ COMPILED ERROR
 *
 * KIND: source, bytecode or none, that is what was found, or irregular: 2.7 takes a
 * directory for a source; LOOKED: a path in hexadecimal;
 * READ: whether the source was read; COMPILED: whether it was compiled; ERROR: the
 * exception. "-" stands for nothing, and for what 2.7 does not tell.
 */
#include "cli/python/ask.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/scope.h"
#include "cli/python/ask_script_py.h"
#include "cli/python/child.h"

#define MARK	      "canonfs-ask "
#define TIMEOUT_MS    60000
#define BYTES_AT_ONCE (1u << 20)
#define BYTES_PER_JOB (16u << 10)

void ask_job_fini(struct ask_job *job)
{
	free(job->looked);
	free(job->error);
	free(job->lines);
	job->looked = job->error = job->lines = NULL;
}

/* ---- what the lines say ---- */

/**
 * struct ask_answer - the words of an "end" line
 */
struct ask_answer {
	char kind[16];
	char *looked;
	char read[4];
	char compiled[8];
	char error[128];
};

/* Text from hexadecimal, "" where it is none; the caller's. */
static char *from_hex(const char *hex)
{
	size_t size = strlen(hex) / 2;
	char *text = calloc(1, size + 1);

	if (text && hex_decode(hex, (uint8_t *)text, size) < 0)
		text[0] = '\0';
	return text;
}

/* 2.7 says it only in what it prints. */
static enum pyc_outcome outcome_of_lines(const struct ask_answer *answer, const char *lines)
{
	if (strstr(lines, " # precompiled from "))
		return PYC_LOADS;
	if (strstr(lines, " # from "))
		return PYC_COMPILES;
	if (strcmp(answer->kind, "source") != 0 || strstr(lines, " matches "))
		return PYC_FAILS;
	return PYC_COMPILES;
}

/* "# code object from '/dir/module.pyc'", in either quotes; a source has none. */
static bool says_loaded_from_bytecode(const char *lines)
{
	const char *found = strstr(lines, "# code object from ");
	const char *end = found ? found + strcspn(found, "\n") : NULL;

	return end && end - found > 5 && strncmp(end - 5, ".pyc", 4) == 0;
}

/* 3.x; what it prints must agree with what was recorded. */
static enum pyc_outcome outcome_of_record(const struct ask_answer *answer,
					  const char *lines)
{
	bool says_loaded = says_loaded_from_bytecode(lines);

	if (strcmp(answer->compiled, "0") != 0)
		return says_loaded ? PYC_OUTCOME_UNKNOWN : PYC_COMPILES;
	if (strcmp(answer->error, "-") != 0)
		return PYC_FAILS;
	if (!says_loaded)
		return PYC_OUTCOME_UNKNOWN;
	return strcmp(answer->read, "1") == 0 ? PYC_LOADS_CHECKED : PYC_LOADS;
}

static void ask_take_answer(const struct ask_answer *answer, const char *lines, size_t len,
			    struct ask_job *job)
{
	job->lines = strndup(lines, len);
	if (!job->lines)
		return;
	job->answered = true;
	if (strcmp(answer->error, "-") != 0)
		job->error = strdup(answer->error);
	if (strcmp(answer->kind, "none") == 0) {
		job->outcome = PYC_IGNORES;
		return;
	}
	job->looked = from_hex(answer->looked);
	job->outcome = strcmp(answer->read, "-") == 0
			       ? outcome_of_lines(answer, job->lines)
			       : outcome_of_record(answer, job->lines);
}

/* The "end" line at @line belongs to the lines from @lines on. */
static void ask_read_end(const char *line, const char *lines, struct ask_job *jobs,
			 size_t count)
{
	struct ask_answer answer = {0};
	size_t number;

	if (sscanf(line, MARK "end %zu %15s %ms %3s %7s %127s", &number, answer.kind,
		   &answer.looked, answer.read, answer.compiled, answer.error) == 6 &&
	    number < count && !jobs[number].answered)
		ask_take_answer(&answer, lines, (size_t)(line - lines), &jobs[number]);
	free(answer.looked);
}

static void ask_read_output(const char *text, struct ask_job *jobs, size_t count)
{
	const char *lines = text;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, MARK "begin ", sizeof(MARK "begin ") - 1) == 0) {
			lines = strchr(line, '\n');
			lines = lines ? lines + 1 : "";
		} else if (strncmp(line, MARK "end ", sizeof(MARK "end ") - 1) == 0) {
			ask_read_end(line, lines, jobs, count);
		}
	}
}

/* ---- the run ---- */

/* The jobs for standard input; a descriptor or -errno. */
static int ask_write_jobs(const struct ask_job *jobs, size_t count)
{
	scope_fd int fd = memfd_create("canonfs-ask", MFD_CLOEXEC);
	FILE *stream;
	int copy = fd < 0 ? -1 : dup(fd);

	if (copy < 0)
		return -errno;
	stream = fdopen(copy, "w");
	if (!stream) {
		close(copy);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		fprintf(stream, "%s%c%s%c", jobs[i].folder, '\0', jobs[i].stem, '\0');
	if (fclose(stream) != 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return take_fd(&fd);
}

int ask(const struct interpreter *interpreter, unsigned level, struct ask_job *jobs,
	size_t count)
{
	static const char *const optimise[] = {"-E", "-O", "-OO"};
	const char *const argv[] = {interpreter->program,
				    "-E",
				    "-s",
				    "-B",
				    "-v",
				    optimise[level < 3 ? level : 0],
				    "-c",
				    ask_script_py,
				    NULL};
	scope_fd int input = ask_write_jobs(jobs, count);
	const struct child_command command = {
		.argv = argv,
		.root = interpreter->root,
		.input = input,
		.errors = true,
		.max_bytes = BYTES_AT_ONCE + BYTES_PER_JOB * count,
	};
	struct child child;
	int r = input < 0 ? input : child_start(&command, &child);

	if (r < 0)
		return r;
	children_wait(&child, 1, TIMEOUT_MS);
	if (child.text)
		ask_read_output(child.text, jobs, count);
	r = !child.finished ? -ETIME : child_succeeded(&child) ? 0 : -EBADMSG;
	child_fini(&child);
	return r;
}
