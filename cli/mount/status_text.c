/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints what a server told of its mount. The server is another process, so nothing is
 * taken for granted: what is missing shows as 0 or "?", and what is not printable is
 * quoted.
 */
#include "cli/mount/mount.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "cli/print/human.h"
#include "cli/print/json.h"
#include "cli/print/shown.h"

#define LABEL "  %-10s"

/* For people: "12,345"; lives until the end of the calling block. */
#define count(object, key) HUMAN_COUNT(json_member_number(object, key))

/* Text of any kind, made safe. */
#define text(object, key) shown(json_member_text(object, key, "?"))

/* ---- the lines ---- */

static void status_print_uptime(double seconds)
{
	int64_t s = (int64_t)seconds;

	if (s >= 86400)
		printf("%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		printf("%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		printf("%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
	else
		printf("%.1f s", seconds);
}

#define bytes(process, key) HUMAN_BYTES(json_member_number(process, key))

static void status_print_processes(struct json_object *status)
{
	struct json_object *worker = json_member(status, "worker");
	struct json_object *supervisor = json_member(status, "supervisor");
	struct json_object *nodes = json_member(status, "nodes");

	printf(LABEL, "up");
	status_print_uptime(json_member_decimal(status, "uptime_s"));
	printf("; canonfs %s, supervisor %" PRIu64 ", worker %" PRIu64 "\n",
	       text(status, "version"), json_member_number(supervisor, "pid"),
	       json_member_number(worker, "pid"));
	printf(LABEL "worker %s (%s anonymous), supervisor %s\n", "memory",
	       bytes(worker, "resident_bytes"), bytes(worker, "anonymous_bytes"),
	       bytes(supervisor, "resident_bytes"));
	if (strcmp(json_member_text(status, "mode", "?"), "stacked") == 0)
		printf(LABEL "%s whose bytes are served changed\n", "files",
		       count(nodes, "count"));
	else
		printf(LABEL "%s that the kernel knows\n", "names", count(nodes, "count"));
}

static int status_larger_first(const void *a, const void *b)
{
	const struct json_object_iter *one = a, *other = b;
	uint64_t left = json_number(one->val);
	uint64_t right = json_number(other->val);

	if (left != right)
		return left < right ? 1 : -1;
	return strcmp(one->key, other->key);
}

/* "A 3, B 2", without those that are 0; "none". */
static void status_print_counts(struct json_object *counts)
{
	size_t kinds = json_object_is_type(counts, json_type_object)
			       ? (size_t)json_object_object_length(counts)
			       : 0;
	scope_free struct json_object_iter *sorted = calloc(kinds + 1, sizeof(*sorted));
	struct json_object_iter i;
	const char *comma = "";
	size_t used = 0;

	if (!sorted || kinds == 0) {
		fputs("none", stdout);
		return;
	}
	json_object_object_foreachC(counts, i) sorted[used++] = i;
	qsort(sorted, used, sizeof(*sorted), status_larger_first);
	for (size_t k = 0; k < used && json_number(sorted[k].val) > 0; k++) {
		printf("%s%s %s", comma, shown(sorted[k].key),
		       HUMAN_COUNT(json_number(sorted[k].val)));
		comma = ", ";
	}
	if (!*comma)
		fputs("none", stdout);
}

static void status_print_requests(struct json_object *status)
{
	struct json_object *requests = json_member(status, "requests");
	double uptime_s = json_member_decimal(status, "uptime_s");

	printf(LABEL "%s", "requests", count(requests, "total"));
	/* A mount younger than a minute shows the rate over its life. */
	if (uptime_s >= 60)
		printf("; %.1f a second in the last minute",
		       json_member_decimal(requests, "per_s_last_minute"));
	else if (uptime_s >= 1)
		printf("; %.1f a second", json_member_decimal(requests, "per_s"));
	putchar('\n');
	if (json_member_number(requests, "total") > 0) {
		printf(LABEL, "");
		status_print_counts(json_member(requests, "by_opcode"));
		putchar('\n');
	}
}

static void status_print_bytecode(struct json_object *status)
{
	struct json_object *bytecode = json_member(status, "bytecode");
	struct json_object *contents = json_member(status, "contents");

	printf(LABEL "%s headers read, %s served changed", "bytecode",
	       count(bytecode, "decisions"), count(bytecode, "headers_changed"));
	if (json_member_number(bytecode, "undecided") > 0)
		printf(", %s as they are for want of a decision",
		       count(bytecode, "undecided"));
	putchar('\n');
	if (json_member_number(bytecode, "decisions") > 0) {
		printf(LABEL, "");
		status_print_counts(json_member(bytecode, "verdicts"));
		putchar('\n');
	}
	printf(LABEL "%s known, %s not; %s bodies and %s sources read\n", "contents",
	       count(contents, "known"), count(contents, "not_known"),
	       count(contents, "bodies_read"), count(contents, "sources_read"));
}

/* "pair 300 (1750000000: 300)": what forgiven times rest on. */
static void status_print_evidence(struct json_object *status)
{
	struct json_object *times = json_member(status, "tree_times");
	size_t count = json_object_is_type(times, json_type_array)
			       ? json_object_array_length(times)
			       : 0;

	printf(LABEL, "evidence");
	status_print_counts(json_member(status, "evidence"));
	for (size_t i = 0; i < count; i++) {
		struct json_object *time = json_object_array_get_idx(times, i);

		printf("%s%" PRId64 ": %s",
		       i ? ", " : " (times of pairs: ", json_member_number(time, "seconds"),
		       count(time, "files"));
	}
	puts(count ? ")" : "");
}

static void status_print_cache(struct json_object *status)
{
	struct json_object *cache = json_member(status, "cache");

	if (!json_object_is_type(json_member(cache, "path"), json_type_string)) {
		printf(LABEL "none: %s\n", "cache", text(cache, "why_none"));
		return;
	}
	printf(LABEL "%s: %s rows loaded, %s written", "cache", text(cache, "path"),
	       count(cache, "rows_loaded"), count(cache, "rows_written"));
	if (json_member_number(cache, "rows_dropped") > 0)
		printf(", %s dropped", count(cache, "rows_dropped"));
	if (json_member_number(cache, "rows_bad") > 0)
		printf(", %s were damaged", count(cache, "rows_bad"));
	putchar('\n');
}

static void status_print_proofs(struct json_object *status)
{
	struct json_object *proofs = json_member(status, "proofs");
	const char *state = json_member_text(proofs, "state", "?");

	if (strcmp(state, "unread") == 0)
		printf(LABEL "could not be read: %s; bytecode for which only times speak "
			     "is stale\n",
		       "proofs", text(proofs, "why_unread"));
	else if (strcmp(state, "read") == 0)
		printf(LABEL "%s proved, %s disproved\n", "proofs", count(proofs, "proved"),
		       count(proofs, "disproved"));
}

static void status_print_changes(struct json_object *status)
{
	const char *changes = json_member_text(status, "changes", "?");

	if (strcmp(changes, "told") == 0)
		printf(LABEL "the kernel tells them\n", "changes");
	else if (strcmp(changes, "asked") == 0)
		printf(LABEL "asked for each second: %s\n", "changes",
		       text(status, "changes_why"));
}

static void status_print_answer(struct json_object *status)
{
	const char *options = json_member_text(status, "options", "?");

	printf(LABEL "%s (%s)\n", "mode", text(status, "mode"),
	       text(status, "mode_reason"));
	printf(LABEL "%s\n", "source", text(status, "immutable_why"));
	status_print_changes(status);
	printf(LABEL "%s\n", "options", *options ? text(status, "options") : "none given");
	status_print_processes(status);
	status_print_requests(status);
	status_print_bytecode(status);
	status_print_evidence(status);
	status_print_cache(status);
	status_print_proofs(status);
	printf(LABEL, "errors");
	status_print_counts(json_member(status, "errors"));
	putchar('\n');
}

void status_print_mount(const struct known_mount *mount)
{
	printf("%s: %s%s\n", shown(mount->point ? mount->point : "?"),
	       shown(mount->source ? mount->source : "?"),
	       mount->visible ? ""
			      : " (not mounted here: in another namespace, or unmounted "
				"while in use)");
	if (mount->state == MOUNT_ANSWERS)
		status_print_answer(mount->answer);
	else
		printf("  %s\n", mount_state_text(mount->state));
}
