/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain for people: the source's line, a column for each bytecode file, as many
 * beside each other as fit, then in words why, and what to do.
 */
#include "cli/explain/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/print/advice.h"
#include "cli/print/human.h"
#include "cli/print/shown.h"
#include "cli/print/terminal.h"
#include "cli/print/colour.h"

#define DEFAULT_WIDTH 80
#define LABEL_WIDTH   17
#define GAP	      2

/* NULL when out of memory: then a cell stays empty. */
static char *format(const char *text, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *text, ...)
{
	va_list arguments;
	char *result;
	int n;

	va_start(arguments, text);
	n = vasprintf(&result, text, arguments);
	va_end(arguments);
	return n < 0 ? NULL : result;
}

static size_t width(void)
{
	unsigned columns = terminal_width();

	return columns > 40 ? columns : DEFAULT_WIDTH;
}

/* ---- cells ---- */

static bool has_header(const struct explain_pyc *pyc)
{
	return !pyc->problem && pyc->disk.header_status == PYC_HEADER_OK;
}

/* What tells this file from the others of its source. */
static char *cell_title(const struct explain_pyc *pyc)
{
	const char *last = path_last(pyc->path);
	struct pyc_name name;

	if (pairing_name(pyc->path, &name) == PYC_PLACE_CACHE)
		last = name.tag;
	/* Its suffix says nothing then. */
	return format("%.*s", (int)(strlen(shown(last)) - (last == name.tag ? 4 : 0)),
		      shown(last));
}

static char *cell_reader(const struct explain_pyc *pyc)
{
	const struct pyc_magic *magic = pyc->disk.header.magic;

	if (has_header(pyc))
		return format("%s%s%s",
			      magic->implementation == PYC_CPYTHON ? "Python " : "",
			      magic->version,
			      advise_level(pyc_name_level(&pyc->disk.name, NULL)));
	if (pyc->head_len >= 4 && memcmp(pyc->head + 2, "\r\n", 2) == 0)
		return format("magic %u, unknown", pyc->head[0] | pyc->head[1] << 8);
	return strdup(pyc->head_len < 4 ? "too short" : "no magic number");
}

static char *cell_flags(const struct explain_pyc *pyc)
{
	if (!has_header(pyc) || !pyc->disk.header.magic->flags_offset)
		return NULL;
	return format("%u, %s", pyc->disk.header.flags,
		      explain_kind(pyc->disk.header.kind));
}

static const char *equal(enum pyc_check check)
{
	return check == PYC_CHECK_OK ? " equal" : check == PYC_CHECK_BAD ? " differs" : "";
}

static bool has_times(const struct explain_pyc *pyc)
{
	return has_header(pyc) && !(pyc->disk.header.flags & PYC_FLAG_HASH);
}

static char *cell_time(const struct explain_pyc *pyc)
{
	if (!has_times(pyc))
		return NULL;
	return format("%u%s", pyc->disk.header.mtime,
		      equal(explain_time_matches(&pyc->disk)));
}

static char *cell_date(const struct explain_pyc *pyc)
{
	char date[EXPLAIN_DATE_MAX];

	if (!has_times(pyc))
		return NULL;
	explain_date(pyc->disk.header.mtime, date);
	return strndup(date, strlen("1970-01-01 00:00:00"));
}

static char *cell_size(const struct explain_pyc *pyc)
{
	if (!has_times(pyc) || !pyc->disk.header.magic->size_offset)
		return NULL;
	return format("%u%s", pyc->disk.header.source_size,
		      equal(explain_size_matches(&pyc->disk)));
}

static char *cell_hash(const struct explain_pyc *pyc)
{
	const uint8_t *hash = pyc->disk.header.hash;

	if (!has_header(pyc) || !(pyc->disk.header.flags & PYC_FLAG_HASH))
		return NULL;
	return format("%02x%02x%02x%02x...%s", hash[0], hash[1], hash[2], hash[3],
		      equal(pyc->disk.hash));
}

static char *cell_body(const struct explain_pyc *pyc)
{
	static const char *const words[] = {[PYC_CHECK_UNKNOWN] = "not checked",
					    [PYC_CHECK_OK] = "parses",
					    [PYC_CHECK_BAD] = "damaged"};

	return has_header(pyc) ? strdup(words[pyc->disk.body]) : NULL;
}

static char *cell_proof(const struct explain_pyc *pyc)
{
	if (!has_header(pyc) || pyc->disk.proof == PYC_CHECK_UNKNOWN)
		return NULL;
	return strdup(pyc->disk.proof == PYC_CHECK_OK ? "proved" : "disproved");
}

static char *cell_bare(const struct explain_pyc *pyc)
{
	return strdup(pyc->problem ? "cannot use it" : pyc_outcome_name(pyc->bare));
}

static char *cell_served(const struct explain_pyc *pyc)
{
	return pyc->problem ? NULL : strdup(pyc_outcome_name(pyc->served));
}

static char *cell_verdict(const struct explain_verdict *verdict)
{
	return verdict->known ? strdup(pyc_verdict_name(verdict->decision.verdict)) : NULL;
}

static char *cell_canonical(const struct explain_pyc *pyc)
{
	return cell_verdict(&pyc->trust[PYC_TRUST_CANONICAL]);
}

static char *cell_trust_size(const struct explain_pyc *pyc)
{
	return cell_verdict(&pyc->trust[PYC_TRUST_SIZE]);
}

static char *cell_verified(const struct explain_pyc *pyc)
{
	return cell_verdict(&pyc->trust[PYC_TRUST_VERIFIED]);
}

static char *cell_mount(const struct explain_pyc *pyc)
{
	return pyc->mount_verdict ? strdup(pyc->mount_verdict) : NULL;
}

static const struct {
	const char *label;
	char *(*cell)(const struct explain_pyc *pyc);
} rows[] = {
	{"", cell_title},
	{"written by", cell_reader},
	{"flags", cell_flags},
	{"embedded time", cell_time},
	{"  in UTC", cell_date},
	{"embedded size", cell_size},
	{"embedded hash", cell_hash},
	{"code", cell_body},
	{"canonfs verify", cell_proof},
	{"Python alone", cell_bare},
	{"with canonfs", cell_served},
	{"trust=canonical", cell_canonical},
	{"trust=size", cell_trust_size},
	{"trust=verified", cell_verified},
	{"this mount", cell_mount},
};

#define ROWS ARRAY_SIZE(rows)

/* ---- the table ---- */

/**
 * struct column - one bytecode file's cells; owned
 */
struct column {
	char *cell[ROWS];
	size_t width;
};

static void fill_column(const struct explain_pyc *pyc, struct column *column)
{
	for (size_t i = 0; i < ROWS; i++) {
		size_t len;

		column->cell[i] = rows[i].cell(pyc);
		len = column->cell[i] ? strlen(column->cell[i]) : 0;
		column->width = len > column->width ? len : column->width;
	}
}

static enum colour colour_of(const char *cell)
{
	static const struct {
		const char *word;
		enum colour colour;
	} colours[] = {
		{"loads", COLOUR_GOOD},	   {"loads-checked", COLOUR_WARN},
		{"compiles", COLOUR_WARN}, {"fails", COLOUR_BAD},
		{"damaged", COLOUR_BAD},   {"proved", COLOUR_GOOD},
		{"disproved", COLOUR_BAD}, {"cannot use it", COLOUR_BAD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(colours); i++)
		if (strcmp(cell, colours[i].word) == 0)
			return colours[i].colour;
	return colour_of_verdict_name(cell);
}

static void print_row(size_t row, const struct column *columns, size_t count)
{
	bool used = false;

	for (size_t i = 0; i < count; i++)
		used = used || columns[i].cell[row];
	if (!used)
		return;
	printf("  %-*s", LABEL_WIDTH - 2, rows[row].label);
	for (size_t i = 0; i < count; i++) {
		const char *cell = columns[i].cell[row] ? columns[i].cell[row] : "-";
		enum colour colour = row == 0 ? COLOUR_BOLD : colour_of(cell);
		/* No blanks at the end of a line. */
		size_t pad = i + 1 < count ? columns[i].width - strlen(cell) : 0;

		printf("%*s%s%s%s%*s", GAP, "", colour_code(colour), cell,
		       colour == COLOUR_NONE ? "" : colour_code(COLOUR_NONE), (int)pad, "");
	}
	putchar('\n');
}

/* How many columns fit beside each other, at least one. */
static size_t count_fitting(const struct column *columns, size_t count)
{
	size_t used = LABEL_WIDTH;
	size_t fitting = 0;

	while (fitting < count && used + GAP + columns[fitting].width <= width())
		used += GAP + columns[fitting++].width;
	return fitting > 0 ? fitting : 1;
}

static void print_columns(const struct column *columns, size_t count)
{
	for (size_t at = 0; at < count;) {
		size_t fitting = count_fitting(columns + at, count - at);

		putchar('\n');
		for (size_t row = 0; row < ROWS; row++)
			print_row(row, columns + at, fitting);
		at += fitting;
	}
}

static void print_table(const struct explanation *explanation)
{
	size_t count = explanation->pyc_count;
	scope_free struct column *columns = calloc(count + 1, sizeof(*columns));

	for (size_t i = 0; columns && i < count; i++)
		fill_column(&explanation->pycs[i], &columns[i]);
	if (columns)
		print_columns(columns, count);
	for (size_t i = 0; columns && i < count; i++)
		for (size_t row = 0; row < ROWS; row++)
			free(columns[i].cell[row]);
}

/* ---- words ---- */

/*
 * Breaks @text at blanks, so that no line is longer than the width allows, and at newlines.
 * Lines that a newline ends are commands: to be copied, so they stay whole.
 */
static void print_wrapped(const char *text, int indent)
{
	size_t room = width() - (size_t)indent;

	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > room && text[len] != '\n') {
			len = room;
			while (len > 0 && text[len] != ' ')
				len--;
			if (len == 0) /* one long word */
				len = strcspn(text, " ");
		}
		printf("%*s%.*s\n", indent, "", (int)len, text);
		text += len + strspn(text + len, " \n");
	}
}

static char *why(const struct explain_pyc *pyc)
{
	const struct pyc_decision *decision = &pyc->given.decision;
	const char *mounted = pyc->mount_verdict ? "In the mount" : "With canonfs";

	if (pyc->problem)
		return format("%s.", pyc->problem);
	if (!pyc->given.known)
		return format(
			"Python %s. No mount of the tree changes that: the link leads "
			"to something else than bytecode of the tree.",
			pyc_outcome_text(pyc->bare));
	if (pyc->bare == pyc->served)
		return format("Python %s, with canonfs as well: %s.",
			      pyc_outcome_text(pyc->bare),
			      pyc_reason_text(decision->reason));
	return format("Python alone %s. %s it %s: %s.", pyc_outcome_text(pyc->bare),
		      mounted, pyc_outcome_text(pyc->served),
		      pyc_reason_text(decision->reason));
}

static char *what_to_do(const struct explain_pyc *pyc)
{
	char *text = NULL;

	for (size_t i = 0; i < pyc->change_count; i++) {
		char *longer = format("%s%s%s\n", text ? text : "", text ? "or " : "",
				      pyc->changes[i]);

		free(text);
		text = longer;
	}
	return text;
}

/*
 * Prints what @say says of each bytecode file, once for all of which it says the same,
 * under their titles. Return: whether anything was said.
 */
static bool print_each(const struct explanation *explanation, const char *heading,
		       char *(*say)(const struct explain_pyc *pyc))
{
	size_t count = explanation->pyc_count;
	scope_free char **texts = calloc(count + 1, sizeof(*texts));
	bool said = false;

	for (size_t i = 0; texts && i < count; i++)
		texts[i] = say(&explanation->pycs[i]);
	for (size_t i = 0; texts && i < count; i++) {
		if (!texts[i])
			continue;
		printf("%s", said ? "" : heading);
		said = true;
		printf("  ");
		for (size_t j = i; j < count; j++) {
			scope_free char *title = NULL;

			if (!texts[j] || strcmp(texts[i], texts[j]) != 0)
				continue;
			title = cell_title(&explanation->pycs[j]);
			printf("%s%s", j > i ? ", " : "", title ? title : "?");
			if (j > i) {
				free(texts[j]);
				texts[j] = NULL;
			}
		}
		puts(":");
		print_wrapped(texts[i], 4);
		free(texts[i]);
		texts[i] = NULL;
	}
	return said;
}

/* ---- what was asked ---- */

static void print_asked(const struct explain_pyc *pyc, const struct explain_asked *asked)
{
	bool agrees = asked->expected == asked->observed;
	scope_free char *title = cell_title(pyc);

	printf("  %s %s, %s: %s%s%s: %s%s%s\n", shown(asked->interpreter->name),
	       shown(asked->interpreter->release ? asked->interpreter->release : ""),
	       title ? title : "?", pyc_outcome_name(asked->observed),
	       asked->error ? ", " : "", shown(asked->error ? asked->error : ""),
	       colour_code(agrees ? COLOUR_GOOD : COLOUR_BAD),
	       agrees ? "as said" : "NOT as said", colour_code(COLOUR_NONE));
	if (!agrees)
		printf("    (said: %s)\n", pyc_outcome_name(asked->expected));
}

/* What -v printed of this module: other lines tell of what reading the source needed. */
static void print_lines(const char *lines, const char *stem)
{
	scope_free char *mark = format("/%s.", stem);

	while (mark && lines && *lines) {
		size_t len = strcspn(lines, "\n");
		scope_free char *line = strndup(lines, len);
		scope_free char *bare =
			line && strstr(line, mark) ? shown_bare(line) : NULL;

		if (bare)
			printf("    %s%s%s\n", colour_code(COLOUR_DIM), bare,
			       colour_code(COLOUR_NONE));
		lines += len + (lines[len] == '\n');
	}
}

/* One run tells of all bytecode files of a level; its lines are shown once. */
static void print_all_asked(const struct explanation *explanation)
{
	bool any = false;

	for (size_t i = 0; i < explanation->pyc_count; i++) {
		const struct explain_pyc *pyc = &explanation->pycs[i];

		for (size_t j = 0; j < pyc->asked_count; j++) {
			if (!any)
				puts("\n  Asked:");
			any = true;
			print_asked(pyc, &pyc->asked[j]);
			if (pyc->asked[j].observed != PYC_IGNORES)
				print_lines(pyc->asked[j].lines, explanation->stem);
		}
	}
}

/* ---- the source ---- */

static void print_source(const struct explanation *explanation)
{
	const struct source *source = &explanation->source;
	struct timespec time = statx_time(source->stx.stx_mtime);
	char date[EXPLAIN_DATE_MAX];

	if (explanation->link)
		printf("  a link to %s\n", shown(explanation->link));
	if (!explanation->stem) {
		puts("  no source: no version of Python looks for a file of this name");
	} else if (source->state == PYC_SOURCE_UNKNOWN) {
		printf("  the source cannot be looked at: %s\n", strerror(-source->error));
	} else if (source->state == PYC_SOURCE_NONE) {
		puts("  no source: there is no such file, or it is not a regular one");
	} else {
		printf("  %s bytes, mtime %lld", HUMAN_COUNT(source->stx.stx_size),
		       (long long)time.tv_sec);
		if (time.tv_nsec)
			printf(".%09ld", time.tv_nsec);
		printf(" (%s)%s\n", explain_date(time.tv_sec, date),
		       pyc_is_canonical_time(&explanation->tree->policy, time)
			       ? ", a canonical time"
			       : "");
	}
}

static void print_tree(const struct explain_tree *tree)
{
	if (tree->mount)
		printf("  in the canonfs mount %s of %s\n", shown(tree->mount),
		       shown(tree->mount_source ? tree->mount_source : ""));
	else
		printf("  in the tree %s", shown(tree->set.path));
	if (!tree->mount && tree->has_time)
		printf(", most of whose sources have mtime %lld", (long long)tree->time);
	if (!tree->mount)
		putchar('\n');
}

static bool needs_nothing(const struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->pyc_count; i++) {
		const struct explain_pyc *pyc = &explanation->pycs[i];

		if (pyc->problem ||
		    (pyc->served != PYC_LOADS && pyc->served != PYC_IGNORES &&
		     pyc->served != PYC_LOADS_CHECKED))
			return false;
	}
	return true;
}

static void print_advice(const struct explanation *explanation)
{
	if (explanation->pyc_count == 0)
		puts("\n  There is no bytecode: Python compiles the source in every run "
		     "that "
		     "cannot save it.");
	else if (!print_each(explanation, "\n  To change that:\n", what_to_do))
		puts(needs_nothing(explanation)
			     ? "\n  Nothing needs to be done."
			     : "\n  Nothing that canonfs does would change that.");
}

static void print_explanation(const struct explanation *explanation)
{
	printf("%s%s%s\n", colour_code(COLOUR_BOLD), shown(explanation->path),
	       colour_code(COLOUR_NONE));
	print_source(explanation);
	print_tree(explanation->tree);
	print_table(explanation);
	print_each(explanation, "\n", why);
	print_all_asked(explanation);
	print_advice(explanation);
}

void explain_print(const struct explain_request *request)
{
	for (size_t i = 0; i < request->count; i++) {
		if (i > 0)
			putchar('\n');
		print_explanation(&request->explanations[i]);
	}
}
