/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain for people: the source, the table of its bytecode, why, and what to do.
 */
#include "cli/explain/explain.h"

#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "cli/print/colour.h"
#include "cli/print/human.h"
#include "cli/print/shown.h"
#include "cli/trees/times.h"

/*
 * Breaks @text at blanks, so that no line is longer than the width allows. A line that ends
 * with a newline is a command: it stays whole, so that people can copy it.
 */
static void explain_print_wrapped(const char *text, int indent)
{
	size_t room = explain_width() - (size_t)indent;

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

/* What a time that is not forgiven looks like, if it looks like anything. */
static const char *explain_look(const struct explain_pyc *pyc)
{
	enum pyc_reason reason = pyc->given.reason;
	enum times_look look;
	int64_t shift_s;

	if (reason != PYC_R_NOT_CANONICAL && reason != PYC_R_NEWER)
		return NULL;
	look = times_look(pyc->disk.source_mtime, pyc->disk.header.mtime, &shift_s);
	return look == TIMES_ROUNDED || look == TIMES_SHIFTED ? times_look_text(look)
							      : NULL;
}

static char *explain_why(const struct explain_pyc *pyc)
{
	const char *look = explain_look(pyc);
	const struct pyc_decision *decision = &pyc->given;
	const char *mounted = pyc->mount_verdict ? "In the mount" : "With canonfs";

	if (pyc->problem)
		return explain_format("%s.", pyc->problem);
	if (!pyc->decided)
		return explain_format(
			"Python %s. No mount of the tree changes that: the link leads "
			"to something else than bytecode of the tree.",
			pyc_outcome_text(pyc->bare));
	if (pyc->bare == pyc->served)
		return explain_format("Python %s, with canonfs as well: %s.%s%s%s",
				      pyc_outcome_text(pyc->bare),
				      pyc_reason_text(decision->reason),
				      look ? " Its time looks like " : "", look ? look : "",
				      look ? "." : "");
	return explain_format("Python alone %s. %s it %s: %s.", pyc_outcome_text(pyc->bare),
			      mounted, pyc_outcome_text(pyc->served),
			      pyc_reason_text(decision->reason));
}

static char *explain_what_to_do(const struct explain_pyc *pyc)
{
	char *text = NULL;

	for (size_t i = 0; i < pyc->change_count; i++) {
		char *longer = explain_format("%s%s%s\n", text ? text : "",
					      text ? "or " : "", pyc->changes[i]);

		free(text);
		text = longer;
	}
	return text;
}

/*
 * Prints what @say says of the bytecode files, under their titles; files of which it says
 * the same share one text. Return: whether anything was said.
 */
static bool explain_print_each(const struct explanation *explanation, const char *heading,
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
		printf("%s  %s", said ? "" : heading, explanation->pycs[i].title);
		said = true;
		for (size_t j = i + 1; j < count; j++) {
			if (!texts[j] || strcmp(texts[i], texts[j]) != 0)
				continue;
			printf(", %s", explanation->pycs[j].title);
			free(take_ptr(texts[j]));
		}
		puts(":");
		explain_print_wrapped(texts[i], 4);
		free(texts[i]);
	}
	return said;
}

/* ---- what was asked ---- */

static void explain_print_asked(const struct explain_pyc *pyc,
				const struct explain_asked *asked)
{
	bool agrees = asked->expected == asked->observed;

	printf("  %s %s, %s: %s%s%s: %s%s%s\n", shown(asked->interpreter->name),
	       shown(asked->interpreter->release ? asked->interpreter->release : ""),
	       pyc->title, pyc_outcome_name(asked->observed), asked->error ? ", " : "",
	       shown(asked->error ? asked->error : ""),
	       colour_code(agrees ? COLOUR_GOOD : COLOUR_BAD),
	       agrees ? "as said" : "NOT as said", colour_code(COLOUR_NONE));
	if (!agrees)
		printf("    (said: %s)\n", pyc_outcome_name(asked->expected));
}

/* Of what -v printed, the lines about this module. */
static void explain_print_lines(const char *lines, const char *stem)
{
	scope_free char *mark = explain_format("/%s.", stem);

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
static void explain_print_all_asked(const struct explanation *explanation)
{
	bool any = false;

	for (size_t i = 0; i < explanation->pyc_count; i++) {
		const struct explain_pyc *pyc = &explanation->pycs[i];

		for (size_t j = 0; j < pyc->asked_count; j++) {
			if (!any)
				puts("\n  Asked:");
			any = true;
			explain_print_asked(pyc, &pyc->asked[j]);
			if (pyc->asked[j].observed != PYC_IGNORES)
				explain_print_lines(pyc->asked[j].lines, explanation->stem);
		}
	}
}

/* ---- the source ---- */

static void explain_print_source(const struct explanation *explanation)
{
	const struct source *source = &explanation->source;
	struct timespec time = statx_time(source->stx.stx_mtime);
	char date[HUMAN_DATE_MAX];

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
		printf(" (%s)%s\n", human_date(time.tv_sec, date),
		       pyc_is_canonical_time(&explanation->tree.policy, time)
			       ? ", a canonical time"
			       : "");
	}
}

static void explain_print_tree(const struct explain_tree *tree)
{
	if (tree->mount)
		printf("  in the canonfs mount %s of %s\n", shown(tree->mount),
		       shown(tree->mount_source ? tree->mount_source : ""));
	else
		printf("  in the tree %s\n", shown(tree->set->path));
}

static bool explain_needs_nothing(const struct explanation *explanation)
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

static void explain_print_advice(const struct explanation *explanation)
{
	if (explanation->pyc_count == 0)
		puts("\n  There is no bytecode: Python compiles the source in every run "
		     "that "
		     "cannot save it.");
	else if (!explain_print_each(explanation, "\n  To change that:\n",
				     explain_what_to_do))
		puts(explain_needs_nothing(explanation)
			     ? "\n  Nothing needs to be done."
			     : "\n  Nothing that canonfs does would change that.");
}

static void explain_print_explanation(const struct explanation *explanation)
{
	printf("%s%s%s\n", colour_code(COLOUR_BOLD), shown(explanation->path),
	       colour_code(COLOUR_NONE));
	explain_print_source(explanation);
	explain_print_tree(&explanation->tree);
	explain_print_table(explanation);
	explain_print_each(explanation, "\n", explain_why);
	explain_print_all_asked(explanation);
	explain_print_advice(explanation);
}

void explain_print(const struct explain_request *request)
{
	for (size_t i = 0; i < request->count; i++) {
		if (i > 0)
			putchar('\n');
		explain_print_explanation(&request->explanations[i]);
	}
}
