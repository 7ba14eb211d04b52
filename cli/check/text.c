/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs check, for people: what is the matter, how bad it is, what to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "cli/check/check.h"
#include "cli/print/advice.h"
#include "cli/print/columns.h"
#include "cli/print/human.h"
#include "cli/print/colour.h"
#include "cli/print/terminal.h"

#define CELL_MAX 256

/* Rows of times that are not forgiven; what only one file has is its own matter. */
#define TIMES_SHOWN  5
#define TIMES_SHARED 2

/* check speaks of the bare tree: there, Python compiles what a mount would vouch for. */
static enum colour check_colour_of(enum pyc_verdict verdict)
{
	return verdict == PYC_RESTAMPED ? COLOUR_WARN : colour_of_verdict(verdict);
}

/* ---- the headline ---- */

static void check_print_help(const struct check_tally *tally)
{
	if (tally->helped == tally->stale)
		printf("canonfs would vouch for %s.\n",
		       tally->stale == 1 ? "it" : "all of them");
	else if (tally->helped == 0)
		printf("canonfs would not vouch for %s: see the reasons below.\n",
		       tally->stale == 1 ? "it" : "any of them");
	else
		printf("canonfs would vouch for %s of them; for %s it would not: see the "
		       "reasons below.\n",
		       HUMAN_COUNT(tally->helped),
		       HUMAN_COUNT(tally->stale - tally->helped));
}

static void check_print_stale(const struct check_tally *tally)
{
	printf("%s%s of %s bytecode %s %s stale%s: Python compiles up to %s of source "
	       "again "
	       "at every start.\n",
	       colour_code(COLOUR_BOLD), HUMAN_COUNT(tally->stale),
	       HUMAN_COUNT(tally->files), human_plural(tally->files, "file", "files"),
	       human_plural(tally->stale, "is", "are"), colour_code(COLOUR_NONE),
	       HUMAN_BYTES(tally->stale_bytes));
	check_print_help(tally);
}

static void check_print_headline(const struct check_tally *tally)
{
	if (tally->files == 0)
		printf("There are no bytecode files here.\n");
	else if (tally->stale == 0)
		printf("%sNone of %s bytecode %s is stale.%s\n", colour_code(COLOUR_BOLD),
		       HUMAN_COUNT(tally->files),
		       human_plural(tally->files, "file", "files"),
		       colour_code(COLOUR_NONE));
	else
		check_print_stale(tally);
	if (tally->damaged)
		printf("%s%s %s damaged: importing %s fails.%s\n", colour_code(COLOUR_BAD),
		       HUMAN_COUNT(tally->damaged),
		       human_plural(tally->damaged, "file is", "files are"),
		       human_plural(tally->damaged, "it", "them"),
		       colour_code(COLOUR_NONE));
	if (tally->uncached)
		printf("%s of %s source files (%s) %s no bytecode at all.\n",
		       HUMAN_COUNT(tally->uncached), HUMAN_COUNT(tally->sources),
		       HUMAN_BYTES(tally->uncached_bytes),
		       human_plural(tally->uncached, "has", "have"));
}

/* ---- tables ---- */

static void check_print_table(struct columns *columns)
{
	putchar('\n');
	if (columns)
		columns_print(columns, terminal_width());
	columns_free(columns);
}

static void check_print_verdicts(const struct check_tally *tally)
{
	static const struct column column[] = {
		{"VERDICT", .fit = COLUMN_LEFT},
		{"FILES", .fit = COLUMN_RIGHT},
		{"WHY", .fit = COLUMN_CUT_TAIL},
	};
	struct columns *columns = columns_new(column, ARRAY_SIZE(column));

	for (int i = 0; columns && i < PYC_REASONS; i++) {
		enum pyc_reason reason = (enum pyc_reason)i;
		enum pyc_verdict verdict = pyc_reason_verdict(reason);

		if (tally->reason[i])
			columns_add(columns, check_colour_of(verdict),
				    (const char *[]){pyc_verdict_name(verdict),
						     HUMAN_COUNT(tally->reason[i]),
						     pyc_reason_text(reason)});
	}
	check_print_table(columns);
}

/* The interpreter whose libraries these are; else one that reads such bytecode. */
static const struct interpreter *check_find_reader(const struct check *check, size_t index)
{
	const struct pyc_magic *magic = &pyc_magic_table[index];
	const char *path = check->tree[0].set.tree.view_path;
	const struct interpreter *owner =
		interpreters_owner(&check->interpreters, magic, path);

	return owner ? owner : interpreters_next(&check->interpreters, magic, NULL);
}

/* "python3.11 (3.11.2)", "3.9 (not installed)" */
static const char *check_name_reader(const struct check *check, size_t index,
				     char text[CELL_MAX])
{
	const struct pyc_magic *magic;
	const struct interpreter *found;

	if (index == pyc_magic_count)
		return "others";
	magic = &pyc_magic_table[index];
	found = check_find_reader(check, index);
	if (!found)
		snprintf(text, CELL_MAX, "%s (not installed)", magic->version);
	else if (found->release)
		snprintf(text, CELL_MAX, "%s (%s)", found->name, found->release);
	else
		snprintf(text, CELL_MAX, "%s", found->name);
	return text;
}

static void check_add_reader_row(struct columns *columns, const struct check *check,
				 size_t index)
{
	const struct check_reader *reader = &check->tally.reader[index];
	char name[CELL_MAX];

	if (reader->files == 0)
		return;
	columns_add(columns,
		    reader->outcome[PYC_FAILS]	    ? COLOUR_BAD
		    : reader->outcome[PYC_COMPILES] ? COLOUR_WARN
						    : COLOUR_NONE,
		    (const char *[]){
			    check_name_reader(check, index, name),
			    HUMAN_COUNT(reader->outcome[PYC_LOADS] +
					reader->outcome[PYC_LOADS_CHECKED]),
			    HUMAN_COUNT(reader->outcome[PYC_COMPILES]),
			    HUMAN_COUNT(reader->outcome[PYC_FAILS]),
			    HUMAN_COUNT(reader->outcome[PYC_IGNORES]),
			    HUMAN_COUNT(reader->outcome[PYC_OUTCOME_UNKNOWN]),
			    HUMAN_BYTES(reader->bytes),
		    });
}

static void check_print_readers(const struct check *check)
{
	static const struct column column[] = {
		{"INTERPRETER", .fit = COLUMN_CUT_TAIL},   {"LOADS", .fit = COLUMN_RIGHT},
		{"COMPILES", .fit = COLUMN_RIGHT},	   {"FAILS", .fit = COLUMN_RIGHT},
		{"IGNORES", .fit = COLUMN_RIGHT},	   {"UNKNOWN", .fit = COLUMN_RIGHT},
		{"A START COMPILES", .fit = COLUMN_RIGHT},
	};
	struct columns *columns = columns_new(column, ARRAY_SIZE(column));

	for (size_t i = 0; columns && i <= pyc_magic_count; i++)
		check_add_reader_row(columns, check, i);
	check_print_table(columns);
}

static void check_add_group_row(struct columns *columns, const struct group *group,
				bool named)
{
	const char *cells[5] = {HUMAN_COUNT(group->counts.stale),
				HUMAN_COUNT(group->counts.hopeless),
				HUMAN_BYTES(group->counts.bytes)};
	size_t count = 3;

	if (named)
		cells[count++] = group->name ? group->name : "";
	cells[count++] = group->path;
	columns_add(columns, COLOUR_NONE, cells);
}

/* The worst, as many as were asked for. */
static void check_print_groups(const struct check *check)
{
	struct column column[] = {
		{"STALE", .fit = COLUMN_RIGHT},	       {"HOPELESS", .fit = COLUMN_RIGHT},
		{"SOURCE", .fit = COLUMN_RIGHT},       {"NAME", .fit = COLUMN_LEFT},
		{"DIRECTORY", .fit = COLUMN_CUT_HEAD},
	};
	size_t count, shown = 0;
	const struct group **group = groups_sorted(check->groups, &count);
	struct columns *columns;
	bool named = false;

	while (shown < count && (check->request->top == 0 || shown < check->request->top) &&
	       (group[shown]->counts.stale || group[shown]->counts.hopeless)) {
		named |= group[shown]->name != NULL;
		shown++;
	}
	if (shown == 0)
		return;
	if (!named)
		column[3] = column[4];
	columns = columns_new(column, named ? 5 : 4);
	for (size_t i = 0; columns && i < shown; i++)
		check_add_group_row(columns, group[i], named);
	check_print_table(columns);
	if (shown < count && check->request->top && shown == check->request->top)
		printf("%sthe worst %zu; --top 0 shows all%s\n", colour_code(COLOUR_DIM),
		       shown, colour_code(COLOUR_NONE));
}

static void check_describe_times(const struct times_row *row, char text[CELL_MAX])
{
	char date[HUMAN_DATE_MAX];

	if (strcmp(row->option, "immutable") == 0)
		snprintf(text, CELL_MAX, "was set by a tool, together with the bytecode's");
	else if (row->option[0])
		snprintf(text, CELL_MAX, "%lld (%s)", (long long)row->seconds,
			 human_date(row->seconds, date));
	else if (row->look == TIMES_SHIFTED)
		snprintf(text, CELL_MAX, "%s (%+.2f h)", times_look_text(row->look),
			 (double)row->shift_s / 3600);
	else
		snprintf(text, CELL_MAX, "%s", times_look_text(row->look));
}

/* The most frequent times that are not forgiven, and what would forgive them. */
static void check_print_times(const struct check *check)
{
	static const struct column column[] = {
		{"STALE", .fit = COLUMN_RIGHT},
		{"FORGIVEN BY", .fit = COLUMN_LEFT},
		{"TIME OF THE SOURCE FILE", .fit = COLUMN_CUT_TAIL},
	};
	size_t count;
	const struct times_row **row = times_sorted(check->times, &count);
	struct columns *columns = columns_new(column, ARRAY_SIZE(column));
	char text[CELL_MAX];
	char option[TIMES_OPTION_MAX + sizeof("-o ")];

	while (count > 0 && row[count - 1]->files < TIMES_SHARED)
		count--;
	for (size_t i = 0; columns && i < count && i < TIMES_SHOWN; i++) {
		check_describe_times(row[i], text);
		snprintf(option, sizeof(option), "-o %s", row[i]->option);
		columns_add(columns, COLOUR_NONE,
			    (const char *[]){HUMAN_COUNT(row[i]->files),
					     row[i]->option[0] ? option : "a proof only",
					     text});
	}
	if (count > 0)
		check_print_table(columns);
	else
		columns_free(columns);
}

/* ---- what to do ---- */

/* A command on a line of its own, to be copied; NULL when out of memory. */
static void check_print_command(char *command, const char *what_it_does)
{
	if (command)
		printf("  %s\n      %s\n", command, what_it_does);
	free(command);
}

static const char *other_root(const struct check *check)
{
	const char *root = check->tree[0].set.root;

	return strcmp(root, "/") == 0 ? NULL : root;
}

static char *inspect_command(const struct check *check, const char *command,
			     const char *path)
{
	const char *given = check->request->options.given;
	const char *root = check->request->options.root ? NULL : other_root(check);
	scope_free char *root_word = shell_word(root ? root : "");
	scope_free char *given_word = shell_word(given ? given : "");
	scope_free char *word = path ? shell_word(path) : NULL;
	char *text;

	if (!root_word || !given_word || !word ||
	    asprintf(&text, "canonfs %s%s%s%s%s %s", command, root ? " --root " : "",
		     root ? root_word : "", given ? " -o " : "", given ? given_word : "",
		     word) < 0)
		return NULL;
	return text;
}

/* All of a PATH, as readers call it. */
static char *check_view_of(const struct check_tree *tree)
{
	if (strcmp(tree->start, ".") == 0)
		return strdup(tree->set.tree.view_path);
	return check_view_path(&tree->set, tree->start);
}

static void advise_about_tree(const struct check *check, const struct check_tree *tree)
{
	const struct check_tally *tally = &check->tally;
	const struct check_request *request = check->request;
	const char *path = tree->set.path;
	scope_free char *view = check_view_of(tree);

	if (tally->helped)
		check_print_command(
			advise_mount(path, path, request->options.given, NULL,
				     request->options.root ? NULL : other_root(check)),
			"shows it with bytecode that Python accepts");
	if (tally->verdict[PYC_STALE])
		check_print_command(
			inspect_command(check, "check --list stale", view),
			"names those that are really stale, or not proved to be "
			"anything else");
	if (tally->verdict[PYC_CORRUPT])
		check_print_command(inspect_command(check, "check --list corrupt", view),
				    "names those that are damaged");
	if (tally->damaged)
		check_print_command(inspect_command(check, "check --list damaged", view),
				    "names those that make an import fail");
}

/* compileall skips files whose header is right; -f compiles them, too. */
static void advise_to_compile(const struct check *check, const struct check_tree *tree)
{
	scope_free char *view = check_view_of(tree);

	if (!view || (faccessat(AT_FDCWD, tree->set.path, W_OK, 0) < 0 && errno == EROFS))
		return;
	for (size_t i = 0; i < pyc_magic_count; i++) {
		const struct check_reader *reader = &check->tally.reader[i];
		const struct interpreter *found = check_find_reader(check, i);

		if (found && reader->outcome[PYC_COMPILES] + reader->outcome[PYC_FAILS])
			check_print_command(
				advise_compile(tree->set.root, found->program, 0,
					       reader->outcome[PYC_FAILS] ? " -q -f"
									  : " -q",
					       view),
				"compiles it anew");
	}
}

static void advise_to_explain(const struct check *check)
{
	const struct check_tally *tally = &check->tally;
	scope_free char *path =
		tally->example ? check_view_path(tally->example_tree, tally->example)
			       : NULL;

	check_print_command(inspect_command(check, "explain", path),
			    "says all about one of them");
}

static void check_print_advice(const struct check *check)
{
	const struct check_tally *tally = &check->tally;

	if (tally->stale == 0 && tally->hopeless == 0)
		return;
	printf("\nWhat to do:\n");
	for (size_t i = 0; i < check->tree_count; i++)
		advise_about_tree(check, &check->tree[i]);
	for (size_t i = 0; tally->hopeless && i < check->tree_count; i++)
		advise_to_compile(check, &check->tree[i]);
	advise_to_explain(check);
}

static void check_print_notes(const struct check *check)
{
	const struct check_tally *tally = &check->tally;

	if (check->submounts)
		printf("Not looked at: %s %s mounted below, which a mount would leave out, "
		       "too.\n",
		       HUMAN_COUNT(check->submounts),
		       human_plural(check->submounts, "file system is",
				    "file systems are"));
	if (tally->links)
		printf("%s %s to bytecode %s left to the files that %s to.\n",
		       HUMAN_COUNT(tally->links),
		       human_plural(tally->links, "symbolic link", "symbolic links"),
		       human_plural(tally->links, "is", "are"),
		       human_plural(tally->links, "it leads", "they lead"));
	if (check->unreadable)
		printf("%s%s %s not be looked at.%s\n", colour_code(COLOUR_BAD),
		       HUMAN_COUNT(check->unreadable),
		       human_plural(check->unreadable, "file or directory could",
				    "files or directories could"),
		       colour_code(COLOUR_NONE));
}

void check_print_text(const struct check *check)
{
	const struct check_tally *tally = &check->tally;

	check_print_headline(tally);
	if (tally->files) {
		check_print_verdicts(tally);
		check_print_times(check);
		check_print_readers(check);
		check_print_groups(check);
		check_print_edited(check);
		check_print_advice(check);
	}
	check_print_notes(check);
}
