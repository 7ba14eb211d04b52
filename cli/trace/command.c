/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs trace -- COMMAND: from the files that it opens to the summary; see trace.h.
 */
#include "cli/trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/trace/python_process.h"
#include "cli/trace/syscall_watch.h"

/**
 * struct traced_process - a process that opened a file that is Python's by its name
 * @decided: whether it is a Python was decided, by its name or its first bytecode
 * @imports: what it imports, if it is a Python; else NULL
 */
struct traced_process {
	struct python_process process;
	bool decided;
	struct import_process *imports;
};

/* ---- from system calls to imports ---- */

static bool trace_wants(void *context, const char *name)
{
	(void)context;
	return import_file_of(name) != IMPORT_FILE_OTHER;
}

static void trace_process_ended(void *context, void *data)
{
	struct traced_process *traced = data;

	(void)context;
	if (!traced)
		return;
	import_process_free(traced->imports);
	python_process_close(&traced->process);
	free(traced);
}

static void trace_thread_ended(void *context, void *process_data, void *thread_data)
{
	struct traced_process *traced = process_data;

	(void)context;
	if (thread_data)
		import_thread_end(traced->imports, thread_data);
}

static struct traced_process *trace_get_process(const struct watch_open *open)
{
	struct traced_process *traced = *open->process_data;

	if (traced)
		return traced;
	traced = calloc(1, sizeof(*traced));
	if (traced && python_process_open(&traced->process, open->process) < 0) {
		trace_process_ended(NULL, traced);
		traced = NULL;
	}
	*open->process_data = traced;
	return traced;
}

/* Decides whether it is a Python. A program that was one is one in each later process. */
static void trace_decide(struct import_tracker *tracker, struct traced_process *traced,
			 const struct watch_open *open)
{
	bool opens_bytecode = import_file_of(open->name) == IMPORT_FILE_BYTECODE;
	const char *program = traced->process.program;
	bool is_python = import_tracker_processes(tracker, program) > 0 ||
			 python_process_is_python(&traced->process,
						  opens_bytecode ? open->name : NULL);

	traced->decided = is_python || opens_bytecode;
	if (is_python)
		traced->imports = import_process_new(tracker, program);
}

static struct import_thread *trace_get_thread(const struct watch_open *open)
{
	if (!*open->thread_data)
		*open->thread_data = import_thread_new();
	return *open->thread_data;
}

static void trace_report_open(struct traced_process *traced, const struct watch_open *open)
{
	const struct python_process *process = &traced->process;
	struct import_thread *thread = trace_get_thread(open);
	scope_free char *path = python_process_path(process, open->dir, open->name);
	bool is_pyc = import_file_of(open->name) == IMPORT_FILE_BYTECODE;
	struct import_open event = {
		.name = open->name,
		.path = path,
		.root = process->root,
		.elsewhere = process->elsewhere,
		.writes = (open->flags & (O_ACCMODE | O_CREAT)) != O_RDONLY,
		.error = open->result < 0 ? -open->result : 0,
	};
	uint8_t header[PYC_HEADER_MAX];

	if (!thread || !path)
		return;
	if (open->result >= 0 && !event.writes) {
		ssize_t len = python_process_file(process, open->result,
						  is_pyc ? header : NULL, &event.st);

		if (len == -EINVAL) /* a directory, a pipe */
			return;
		if (len >= 0 && is_pyc) {
			event.header = header;
			event.header_len = (size_t)len;
		}
	}
	import_opened(traced->imports, thread, &event);
}

static void trace_opened(void *context, const struct watch_open *open)
{
	struct traced_process *traced = trace_get_process(open);

	if (traced && !traced->decided)
		trace_decide(context, traced, open);
	if (traced && traced->imports)
		trace_report_open(traced, open);
}

/* ---- the summary ---- */

static FILE *trace_open_output(const char *path)
{
	FILE *file = path ? fopen(path, "we") : stderr;

	if (!file)
		log_error("cannot write to %s: %s", quoted(path), strerror(errno));
	return file;
}

/* Return: 0 or -errno. */
static int trace_print_report(FILE *file, struct trace_report *report,
			      const struct trace_command_options *options)
{
	report->records = import_tracker_records(report->tracker, &report->count);
	report->reasons = import_judge_all(report->records, report->count);
	if (report->reasons && options->json)
		trace_summary_print_json(file, report);
	else if (report->reasons)
		trace_summary_print(file, report, options->verbose);
	import_reasons_free(report->reasons, report->count);
	if (!report->reasons)
		return -ENOMEM;
	return fflush(file) == 0 && !ferror(file) ? 0 : errno ? -errno : -EIO;
}

static int trace_finish(FILE *file, struct trace_report *report,
			const struct trace_command_options *options)
{
	int r = trace_print_report(file, report, options);

	if (file != stderr && fclose(file) != 0 && r == 0)
		r = -errno;
	if (r == 0)
		return report->status;
	log_error("cannot write the summary: %s", strerror(-r));
	return report->status ? report->status : EXIT_WATCH_FAILED;
}

int trace_command(char *const argv[], const struct trace_command_options *options)
{
	static const struct watch_events events = {
		.wanted = trace_wants,
		.opened = trace_opened,
		.thread_ended = trace_thread_ended,
		.process_ended = trace_process_ended,
	};
	struct import_tracker *tracker = import_tracker_new();
	FILE *file = tracker ? trace_open_output(options->output) : NULL;
	struct trace_report report = {.command = argv, .tracker = tracker};
	bool started = false;
	int status = EXIT_WATCH_FAILED;

	if (!tracker)
		log_error("cannot watch %s: out of memory", quoted(argv[0]));
	if (file)
		status = syscall_watch(argv, &events, tracker, &started);
	report.status = status;
	if (started)
		status = trace_finish(file, &report, options);
	else if (file && file != stderr)
		fclose(file);
	import_tracker_free(tracker);
	return status;
}
