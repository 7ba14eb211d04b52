/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount in JSON; see status.h and cli/schema/status.json.
 */
#include "config.h"

#include "fs/control/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/json_text.h"
#include "base/scope.h"
#include "cache/store/store.h"
#include "fs/watch/stats.h"

/* Any bytes, as they are: the protocol is not for others' JSON parsers. */
static void control_add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

/* ---- memory ---- */

/* A number of KiB that follows @label in the text, if it is there. */
static void control_add_kib(struct json_object *object, const char *key, const char *text,
			    const char *label)
{
	const char *found = strstr(text, label);

	if (found)
		json_add_number(object, key,
				strtoll(found + strlen(label), NULL, 10) * 1024);
}

static void control_add_process(struct json_object *object, const char *key, pid_t pid)
{
	struct json_object *process = json_add_object(object, key);
	char path[sizeof("/proc//status") + 12];
	char text[4096];
	scope_fd int fd = -1;
	ssize_t n;

	json_add_number(process, "pid", pid);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : pread_full(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return;
	text[n] = '\0';
	control_add_kib(process, "resident_bytes", text, "\nVmRSS:");
	control_add_kib(process, "anonymous_bytes", text, "\nRssAnon:");
}

/* ---- the parts ---- */

static double control_seconds_since(struct timespec then)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double)(now.tv_sec - then.tv_sec) +
	       (double)(now.tv_nsec - then.tv_nsec) / 1e9;
}

static void control_add_requests(struct json_object *object, const struct stats *stats,
				 double uptime_s)
{
	struct json_object *requests = json_add_object(object, "requests");
	struct json_object *by_opcode = json_object_new_object();
	double over = uptime_s < STATS_RATE_OVER ? uptime_s : STATS_RATE_OVER;
	uint64_t total = 0, others = 0;

	for (uint32_t i = 0; i < STATS_OPCODES; i++) {
		uint64_t count = stats->requests[i];
		const char *name = stats_opcode_name(i);

		total += count;
		if (!name)
			others += count;
		else if (count > 0)
			json_add_number(by_opcode, name, count);
	}
	if (others > 0)
		json_add_number(by_opcode, "other", others);
	json_add_number(requests, "total", total);
	json_add_decimal(requests, "per_s", uptime_s > 0 ? (double)total / uptime_s : 0, 2);
	json_add_decimal(
		requests, "per_s_last_minute",
		over >= 1 ? (double)stats_recent(stats, (uint32_t)clock_coarse_s()) / over
			  : 0,
		2);
	json_object_object_add(requests, "by_opcode", by_opcode);
}

static void control_add_bytecode(struct json_object *object, const struct stats *stats)
{
	struct json_object *bytecode = json_add_object(object, "bytecode");
	struct json_object *verdicts = json_object_new_object();
	uint64_t total = 0;

	for (int i = 0; i < PYC_VERDICTS; i++) {
		uint64_t count = stats->verdicts[i];

		total += count;
		json_add_number(verdicts, pyc_verdict_name((enum pyc_verdict)i), count);
	}
	json_add_number(bytecode, "decisions", total);
	json_add_number(bytecode, "headers_changed", stats->changed);
	json_add_number(bytecode, "undecided", stats->undecided);
	json_object_object_add(bytecode, "verdicts", verdicts);
}

/* What forgiven times rest on, and those that were taken from the tree. */
static void control_add_evidence(struct json_object *object, const struct stats *stats)
{
	struct json_object *evidence = json_add_object(object, "evidence");
	struct json_object *times = json_add_array(object, "tree_times");

	for (int i = PYC_E_NONE + 1; i < PYC_EVIDENCES; i++)
		json_add_number(evidence, pyc_evidence_name((enum pyc_evidence)i),
				stats->evidence[i]);
	for (size_t i = 0; i < STATS_TIMES && stats->time_count[i]; i++) {
		struct json_object *time = json_object_new_object();

		json_add_number(time, "seconds", stats->time_s[i]);
		json_add_number(time, "files", stats->time_count[i]);
		json_object_array_add(times, time);
	}
}

static void control_add_errors(struct json_object *object, const struct stats *stats)
{
	struct json_object *errors = json_add_object(object, "errors");

	for (int i = 0; i < STATS_ERRORS; i++)
		json_add_number(errors, stats_error_name((enum stats_error_class)i),
				stats->errors[i]);
}

/* What is known of files without reading them. */
static void control_add_contents(struct json_object *object, struct front *front)
{
	struct resolver_counts counts = resolver_counts(front->resolver);
	struct json_object *contents = json_add_object(object, "contents");

	json_add_number(contents, "known", counts.known);
	json_add_number(contents, "not_known", counts.unknown);
	json_add_number(contents, "bodies_read", counts.bodies);
	json_add_number(contents, "sources_read", counts.sources);
}

static const char *control_why_no_cache(const struct control_view *view)
{
	if (view->options->no_cache)
		return "off (-o cache=off)";
	if (!view->ends->cache.path)
		return "there is no place for it that could be used";
	return "it is in use by another mount, or cannot be used; the log has the reason";
}

static void control_add_cache(struct json_object *object, const struct control_view *view)
{
	struct json_object *cache = json_add_object(object, "cache");
	struct store *store = view->front->store;
	struct store_counts counts;

	control_add_text(cache, "path", store ? view->ends->cache.path : NULL);
	if (!store) {
		control_add_text(cache, "why_none", control_why_no_cache(view));
		return;
	}
	counts = store_counts(store);
	json_add_number(cache, "rows_loaded", counts.loaded);
	json_add_number(cache, "rows_bad", counts.bad);
	json_add_number(cache, "rows_written", counts.written);
	json_add_number(cache, "rows_dropped", counts.dropped);
}

static void control_add_proofs(struct json_object *object, const struct proof_book *book)
{
	struct json_object *proofs = json_add_object(object, "proofs");
	size_t disproofs = 0;

	for (size_t i = 0; i < book->set.count; i++)
		disproofs += book->set.proofs[i].result == PYC_CHECK_BAD;
	control_add_text(proofs, "state", proof_state_name(book->state));
	if (book->state == PROOFS_UNREAD)
		control_add_text(proofs, "why_unread", book->why.text);
	json_add_number(proofs, "proved", (int64_t)(book->set.count - disproofs));
	json_add_number(proofs, "disproved", (int64_t)disproofs);
}

static void control_add_nodes(struct json_object *object, struct front *front)
{
	struct node_stats stats = front->kind->node_stats(front);
	struct json_object *nodes = json_add_object(object, "nodes");

	json_add_number(nodes, "count", stats.nodes);
	json_add_number(nodes, "bytes", stats.bytes);
}

/* How the server learns that the source changed. */
static void control_add_changes(struct json_object *object, const struct front *front)
{
	bool told = front->told;

	control_add_text(object, "changes",
			 front->immutable ? "none" : (told ? "told" : "asked"));
	control_add_text(object, "changes_why",
			 front->immutable || told ? "" : front->why_asked.text);
}

struct json_object *control_status(const struct control_view *view)
{
	const struct control *control = view->control;
	struct json_object *object = json_object_new_object();
	double uptime_s = control_seconds_since(control->started);
	char device[CONTROL_NAME_MAX];

	if (!object)
		return NULL;
	control_name(control->stats->device, device);
	control_add_text(object, "point", view->ends->point);
	control_add_text(object, "source", view->ends->source);
	control_add_text(object, "device", device);
	control_add_text(object, "version", PACKAGE_VERSION);
	control_add_text(object, "mode", control->mode);
	control_add_text(object, "mode_reason", control->mode_reason);
	control_add_text(object, "options",
			 view->options->given ? view->options->given : "");
	json_add_bool(object, "immutable", view->front->immutable);
	control_add_text(object, "immutable_reason",
			 mutability_name(view->ends->mutability.reason));
	control_add_text(object, "immutable_why",
			 mutability_text(view->ends->mutability.reason));
	control_add_changes(object, view->front);
	json_add_number(object, "started_s", control->started_s);
	json_add_decimal(object, "uptime_s", uptime_s, 3);
	control_add_process(object, "supervisor", control->supervisor);
	control_add_process(object, "worker", getpid());
	json_add_bool(object, "watched", trace_wanted(&view->front->trace, TRACE_DECISION));
	control_add_nodes(object, view->front);
	control_add_requests(object, control->stats, uptime_s);
	control_add_bytecode(object, control->stats);
	control_add_evidence(object, control->stats);
	control_add_contents(object, view->front);
	control_add_cache(object, view);
	control_add_proofs(object, &view->front->proofs);
	control_add_errors(object, control->stats);
	return object;
}

struct json_object *control_event(const struct trace_event *event)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	control_add_text(object, "event",
			 event->kind == TRACE_DECISION ? "decision" : "request");
	json_add_decimal(object, "time", (double)event->time_ns / 1e9, 6);
	json_add_number(object, "pid", event->pid);
	control_add_text(object, "process", event->process);
	if (event->kind == TRACE_REQUEST) {
		const char *opcode = stats_opcode_name(event->opcode);

		control_add_text(object, "opcode", opcode ? opcode : "other");
		control_add_text(object, "path", event->path);
		if (event->name)
			control_add_text(object, "name", event->name);
		return object;
	}
	control_add_text(object, "path", event->path);
	control_add_text(object, "verdict", pyc_verdict_name(event->verdict));
	control_add_text(object, "reason", pyc_reason_name(event->reason));
	control_add_text(object, "why", pyc_reason_text(event->reason));
	json_add_bool(object, "header_changed", event->changed);
	return object;
}
