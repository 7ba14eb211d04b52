/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table with a column for each bytecode file of a source; as many columns as fit stand
 * beside each other. See explain.h.
 */
#include "cli/explain/explain.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/scope.h"
#include "cli/print/advice.h"
#include "cli/print/colour.h"
#include "cli/print/human.h"
#include "cli/print/terminal.h"

#define DEFAULT_WIDTH 80
#define LABEL_WIDTH   17
#define GAP	      2

size_t explain_width(void)
{
	unsigned columns = terminal_width();

	return columns > 40 ? columns : DEFAULT_WIDTH;
}

/* ---- cells ---- */

enum explain_row {
	ROW_TITLE,
	ROW_READER,
	ROW_FLAGS,
	ROW_TIME,
	ROW_DATE,
	ROW_SIZE,
	ROW_HASH,
	ROW_BODY,
	ROW_PROOF,
	ROW_BARE,
	ROW_SERVED,
	ROW_TRUST,
	ROW_MOUNT = ROW_TRUST + TRUSTS,
	EXPLAIN_ROWS
};

static const char *const explain_labels[EXPLAIN_ROWS] = {
	[ROW_TITLE] = "",
	[ROW_READER] = "written by",
	[ROW_FLAGS] = "flags",
	[ROW_TIME] = "embedded time",
	[ROW_DATE] = "  in UTC",
	[ROW_SIZE] = "embedded size",
	[ROW_HASH] = "embedded hash",
	[ROW_BODY] = "code",
	[ROW_PROOF] = "canonfs verify",
	[ROW_BARE] = "Python alone",
	[ROW_SERVED] = "with canonfs",
	[ROW_TRUST + PYC_TRUST_CANONICAL] = "trust=canonical",
	[ROW_TRUST + PYC_TRUST_SIZE] = "trust=size",
	[ROW_TRUST + PYC_TRUST_VERIFIED] = "trust=verified",
	[ROW_MOUNT] = "this mount",
};

/**
 * struct explain_column - one bytecode file's cells; owned; NULL where there is nothing to
 * say
 */
struct explain_column {
	char *cell[EXPLAIN_ROWS];
	size_t width;
};

static const char *explain_equal(enum pyc_check check)
{
	return check == PYC_CHECK_OK ? " equal" : check == PYC_CHECK_BAD ? " differs" : "";
}

static void explain_fill_header(const struct pyc_facts *facts, char **cell)
{
	static const char *const bodies[] = {[PYC_CHECK_UNKNOWN] = "not checked",
					     [PYC_CHECK_OK] = "parses",
					     [PYC_CHECK_BAD] = "damaged"};
	const struct pyc_header *header = &facts->header;
	const struct pyc_magic *magic = header->magic;
	char hash[HEX_SIZE(4)];
	char date[HUMAN_DATE_MAX];

	cell[ROW_READER] = explain_format(
		"%s%s%s", magic->implementation == PYC_CPYTHON ? "Python " : "",
		magic->version, advise_level(pyc_name_level(&facts->name, NULL)));
	if (magic->flags_offset)
		cell[ROW_FLAGS] =
			explain_format("%u, %s", header->flags, explain_kind(header->kind));
	cell[ROW_BODY] = strdup(bodies[facts->body]);
	if (facts->proof != PYC_CHECK_UNKNOWN)
		cell[ROW_PROOF] =
			strdup(facts->proof == PYC_CHECK_OK ? "proved" : "disproved");
	if (header->flags & PYC_FLAG_HASH) {
		cell[ROW_HASH] =
			explain_format("%s...%s", hex_encode(header->hash, 4, hash),
				       explain_equal(facts->hash));
		return;
	}
	cell[ROW_TIME] = explain_format("%u%s", header->mtime,
					explain_equal(explain_time_matches(facts)));
	cell[ROW_DATE] =
		strndup(human_date(header->mtime, date), strlen("1970-01-01 00:00:00"));
	if (magic->size_offset)
		cell[ROW_SIZE] = explain_format("%u%s", header->source_size,
						explain_equal(explain_size_matches(facts)));
}

static void explain_fill_column(const struct explain_pyc *pyc, char **cell)
{
	cell[ROW_TITLE] = strdup(pyc->title);
	cell[ROW_BARE] =
		strdup(pyc->problem ? "cannot use it" : pyc_outcome_name(pyc->bare));
	if (!pyc->problem)
		cell[ROW_SERVED] = strdup(pyc_outcome_name(pyc->served));
	if (!pyc->problem && pyc->disk.header_status == PYC_HEADER_OK)
		explain_fill_header(&pyc->disk, cell);
	else if (pyc->head_len >= 4 && memcmp(pyc->head + 2, "\r\n", 2) == 0)
		cell[ROW_READER] = explain_format("magic %u, unknown",
						  pyc->head[0] | pyc->head[1] << 8);
	else
		cell[ROW_READER] =
			strdup(pyc->head_len < 4 ? "too short" : "no magic number");
	for (size_t i = 0; i < TRUSTS; i++)
		if (pyc->decided)
			cell[ROW_TRUST + i] =
				strdup(pyc_verdict_name(pyc->trust[i].verdict));
	if (pyc->mount_verdict)
		cell[ROW_MOUNT] = strdup(pyc->mount_verdict);
}

/* ---- the table ---- */

static enum colour explain_colour(const char *cell)
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

static void explain_print_row(size_t row, const struct explain_column *columns,
			      size_t count)
{
	bool used = false;

	for (size_t i = 0; i < count; i++)
		used = used || columns[i].cell[row];
	if (!used)
		return;
	printf("  %-*s", LABEL_WIDTH - 2, explain_labels[row]);
	for (size_t i = 0; i < count; i++) {
		const char *cell = columns[i].cell[row] ? columns[i].cell[row] : "-";
		enum colour colour = row == 0 ? COLOUR_BOLD : explain_colour(cell);
		/* No blanks at the end of a line. */
		size_t pad = i + 1 < count ? columns[i].width - strlen(cell) : 0;

		printf("%*s%s%s%s%*s", GAP, "", colour_code(colour), cell,
		       colour == COLOUR_NONE ? "" : colour_code(COLOUR_NONE), (int)pad, "");
	}
	putchar('\n');
}

/* How many columns fit beside each other, at least one. */
static size_t explain_count_fitting(const struct explain_column *columns, size_t count)
{
	size_t used = LABEL_WIDTH;
	size_t fitting = 0;

	while (fitting < count && used + GAP + columns[fitting].width <= explain_width())
		used += GAP + columns[fitting++].width;
	return fitting > 0 ? fitting : 1;
}

static void explain_print_columns(const struct explain_column *columns, size_t count)
{
	for (size_t at = 0; at < count;) {
		size_t fitting = explain_count_fitting(columns + at, count - at);

		putchar('\n');
		for (size_t row = 0; row < EXPLAIN_ROWS; row++)
			explain_print_row(row, columns + at, fitting);
		at += fitting;
	}
}

static size_t explain_column_width(const struct explain_column *column)
{
	size_t width = 0;

	for (size_t row = 0; row < EXPLAIN_ROWS; row++) {
		size_t len = column->cell[row] ? strlen(column->cell[row]) : 0;

		width = len > width ? len : width;
	}
	return width;
}

void explain_print_table(const struct explanation *explanation)
{
	size_t count = explanation->pyc_count;
	scope_free struct explain_column *columns = calloc(count + 1, sizeof(*columns));

	for (size_t i = 0; columns && i < count; i++) {
		explain_fill_column(&explanation->pycs[i], columns[i].cell);
		columns[i].width = explain_column_width(&columns[i]);
	}
	if (columns)
		explain_print_columns(columns, count);
	for (size_t i = 0; columns && i < count; i++)
		for (size_t row = 0; row < EXPLAIN_ROWS; row++)
			free(columns[i].cell[row]);
}
