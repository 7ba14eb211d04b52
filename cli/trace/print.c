/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Printing events; see trace.h and fs/control/server.h.
 */
#include "cli/trace/trace.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli/print/human.h"
#include "cli/print/json.h"
#include "cli/print/shown.h"
#include "cli/print/colour.h"

/* Room for the longest verdict, "hash-unchecked", and most opcodes. */
#define WORD_WIDTH 14

/* A text of the event; @other where it is missing or empty. */
static const char *trace_member_or(struct json_object *event, const char *key,
				   const char *other)
{
	const char *text = json_member_text(event, key, "");

	return *text ? text : other;
}

static void trace_print_time(FILE *file, struct json_object *event)
{
	double seconds = json_member_decimal(event, "time"); /* up to JSON_DECIMAL_MAX */
	time_t whole = (time_t)seconds;
	struct tm local;

	if (!localtime_r(&whole, &local))
		return;
	fprintf(file, "%02d:%02d:%02d.%03d  ", local.tm_hour, local.tm_min, local.tm_sec,
		(int)((seconds - (double)whole) * 1000));
}

/* @rest: NULL for none */
static void trace_print_line(FILE *file, struct json_object *event, enum colour colour,
			     const char *word, const char *path, const char *rest)
{
	trace_print_time(file, event);
	fprintf(file, "%s[%" PRIu64 "]  %s%-*s%s %s%s%s\n",
		shown(trace_member_or(event, "process", "?")),
		json_member_number(event, "pid"), colour_code(colour), WORD_WIDTH,
		shown(word), colour_code(COLOUR_NONE), shown(path), rest ? ": " : "",
		rest ? shown(rest) : "");
}

static void trace_print_decision(FILE *file, struct json_object *event)
{
	const char *verdict = trace_member_or(event, "verdict", "?");

	trace_print_line(file, event, colour_of_verdict_name(verdict), verdict,
			 trace_member_or(event, "path", "?"),
			 trace_member_or(event, "why", "?"));
}

static void trace_print_request(FILE *file, struct json_object *event)
{
	trace_print_line(file, event, COLOUR_DIM, trace_member_or(event, "opcode", "?"),
			 trace_member_or(event, "path", "-"),
			 json_member_text(event, "name", NULL));
}

static void trace_print_lost(FILE *file, struct json_object *event)
{
	fprintf(file, "%s... %s lines lost%s\n", colour_code(COLOUR_WARN),
		HUMAN_COUNT(json_member_number(event, "lines")), colour_code(COLOUR_NONE));
}

/* Return: whether it is one. */
static bool trace_print_event(FILE *file, struct json_object *event, bool json)
{
	const char *kind = json_member_text(event, "event", NULL);

	if (!kind)
		return false;
	if (json)
		json_print_to(file, json_retext(event), true);
	else if (strcmp(kind, "decision") == 0)
		trace_print_decision(file, event);
	else if (strcmp(kind, "request") == 0)
		trace_print_request(file, event);
	else if (strcmp(kind, "lost") == 0)
		trace_print_lost(file, event);
	return true;
}

bool trace_print(FILE *file, char *packet, bool json)
{
	bool understood = false;
	char *save = NULL;

	for (char *line = strtok_r(packet, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct json_object *event = json_tokener_parse(line);

		understood |= trace_print_event(file, event, json);
		json_object_put(event);
	}
	return understood;
}
