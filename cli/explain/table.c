/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A column for each bytecode file of a source, as many beside each other as fit; see
 * explain.h.
 */
#include "cli/explain/explain.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/print/advice.h"
#include "cli/print/colour.h"
#include "cli/print/shown.h"
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

static bool explain_has_header(const struct explain_pyc *pyc)
{
	return !pyc->problem && pyc->disk.header_status == PYC_HEADER_OK;
}

/* What tells this file from the others of its source. */
char *explain_cell_title(const struct explain_pyc *pyc)
{
	const char *last = path_last(pyc->path);
	struct pyc_name name;

	if (pairing_name(pyc->path, &name) == PYC_PLACE_CACHE)
		last = name.tag;
	/* Its suffix says nothing then. */
	return explain_format("%.*s",
			      (int)(strlen(shown(last)) - (last == name.tag ? 4 : 0)),
			      shown(last));
}

static char *explain_cell_reader(const struct explain_pyc *pyc)
{
	const struct pyc_magic *magic = pyc->disk.header.magic;

	if (explain_has_header(pyc))
		return explain_format("%s%s%s",
				      magic->implementation == PYC_CPYTHON ? "Python " : "",
				      magic->version,
				      advise_level(pyc_name_level(&pyc->disk.name, NULL)));
	if (pyc->head_len >= 4 && memcmp(pyc->head + 2, "\r\n", 2) == 0)
		return explain_format("magic %u, unknown",
				      pyc->head[0] | pyc->head[1] << 8);
	return strdup(pyc->head_len < 4 ? "too short" : "no magic number");
}

static char *explain_cell_flags(const struct explain_pyc *pyc)
{
	if (!explain_has_header(pyc) || !pyc->disk.header.magic->flags_offset)
		return NULL;
	return explain_format("%u, %s", pyc->disk.header.flags,
			      explain_kind(pyc->disk.header.kind));
}

static const char *explain_equal(enum pyc_check check)
{
	return check == PYC_CHECK_OK ? " equal" : check == PYC_CHECK_BAD ? " differs" : "";
}

static bool explain_has_times(const struct explain_pyc *pyc)
{
	return explain_has_header(pyc) && !(pyc->disk.header.flags & PYC_FLAG_HASH);
}

static char *explain_cell_time(const struct explain_pyc *pyc)
{
	if (!explain_has_times(pyc))
		return NULL;
	return explain_format("%u%s", pyc->disk.header.mtime,
			      explain_equal(explain_time_matches(&pyc->disk)));
}

static char *explain_cell_date(const struct explain_pyc *pyc)
{
	char date[EXPLAIN_DATE_MAX];

	if (!explain_has_times(pyc))
		return NULL;
	explain_date(pyc->disk.header.mtime, date);
	return strndup(date, strlen("1970-01-01 00:00:00"));
}

static char *explain_cell_size(const struct explain_pyc *pyc)
{
	if (!explain_has_times(pyc) || !pyc->disk.header.magic->size_offset)
		return NULL;
	return explain_format("%u%s", pyc->disk.header.source_size,
			      explain_equal(explain_size_matches(&pyc->disk)));
}

static char *explain_cell_hash(const struct explain_pyc *pyc)
{
	const uint8_t *hash = pyc->disk.header.hash;
	char text[HEX_SIZE(4)];

	if (!explain_has_header(pyc) || !(pyc->disk.header.flags & PYC_FLAG_HASH))
		return NULL;
	return explain_format("%s...%s", hex_encode(hash, 4, text),
			      explain_equal(pyc->disk.hash));
}

static char *explain_cell_body(const struct explain_pyc *pyc)
{
	static const char *const words[] = {[PYC_CHECK_UNKNOWN] = "not checked",
					    [PYC_CHECK_OK] = "parses",
					    [PYC_CHECK_BAD] = "damaged"};

	return explain_has_header(pyc) ? strdup(words[pyc->disk.body]) : NULL;
}

static char *explain_cell_proof(const struct explain_pyc *pyc)
{
	if (!explain_has_header(pyc) || pyc->disk.proof == PYC_CHECK_UNKNOWN)
		return NULL;
	return strdup(pyc->disk.proof == PYC_CHECK_OK ? "proved" : "disproved");
}

static char *explain_cell_bare(const struct explain_pyc *pyc)
{
	return strdup(pyc->problem ? "cannot use it" : pyc_outcome_name(pyc->bare));
}

static char *explain_cell_served(const struct explain_pyc *pyc)
{
	return pyc->problem ? NULL : strdup(pyc_outcome_name(pyc->served));
}

static char *explain_cell_verdict(const struct explain_verdict *verdict)
{
	return verdict->known ? strdup(pyc_verdict_name(verdict->decision.verdict)) : NULL;
}

static char *explain_cell_canonical(const struct explain_pyc *pyc)
{
	return explain_cell_verdict(&pyc->trust[PYC_TRUST_CANONICAL]);
}

static char *explain_cell_trust_size(const struct explain_pyc *pyc)
{
	return explain_cell_verdict(&pyc->trust[PYC_TRUST_SIZE]);
}

static char *explain_cell_verified(const struct explain_pyc *pyc)
{
	return explain_cell_verdict(&pyc->trust[PYC_TRUST_VERIFIED]);
}

static char *explain_cell_mount(const struct explain_pyc *pyc)
{
	return pyc->mount_verdict ? strdup(pyc->mount_verdict) : NULL;
}

static const struct {
	const char *label;
	char *(*cell)(const struct explain_pyc *pyc);
} explain_rows[] = {
	{"", explain_cell_title},
	{"written by", explain_cell_reader},
	{"flags", explain_cell_flags},
	{"embedded time", explain_cell_time},
	{"  in UTC", explain_cell_date},
	{"embedded size", explain_cell_size},
	{"embedded hash", explain_cell_hash},
	{"code", explain_cell_body},
	{"canonfs verify", explain_cell_proof},
	{"Python alone", explain_cell_bare},
	{"with canonfs", explain_cell_served},
	{"trust=canonical", explain_cell_canonical},
	{"trust=size", explain_cell_trust_size},
	{"trust=verified", explain_cell_verified},
	{"this mount", explain_cell_mount},
};

#define EXPLAIN_ROWS ARRAY_SIZE(explain_rows)

/* ---- the table ---- */

/**
 * struct explain_column - one bytecode file's cells; owned
 */
struct explain_column {
	char *cell[EXPLAIN_ROWS];
	size_t width;
};

static void explain_fill_column(const struct explain_pyc *pyc,
				struct explain_column *column)
{
	for (size_t i = 0; i < EXPLAIN_ROWS; i++) {
		size_t len;

		column->cell[i] = explain_rows[i].cell(pyc);
		len = column->cell[i] ? strlen(column->cell[i]) : 0;
		column->width = len > column->width ? len : column->width;
	}
}

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
	printf("  %-*s", LABEL_WIDTH - 2, explain_rows[row].label);
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

void explain_print_table(const struct explanation *explanation)
{
	size_t count = explanation->pyc_count;
	scope_free struct explain_column *columns = calloc(count + 1, sizeof(*columns));

	for (size_t i = 0; columns && i < count; i++)
		explain_fill_column(&explanation->pycs[i], &columns[i]);
	if (columns)
		explain_print_columns(columns, count);
	for (size_t i = 0; columns && i < count; i++)
		for (size_t row = 0; row < EXPLAIN_ROWS; row++)
			free(columns[i].cell[row]);
}
