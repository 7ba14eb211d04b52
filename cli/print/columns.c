/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables; see columns.h. A character counts as one column wide: names of Python's modules
 * are hardly ever anything else.
 */
#include "cli/print/columns.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/print/shown.h"

#define GAP	 2 /* spaces between columns */
#define CUT_MARK "..."

struct columns_row {
	enum colour colour;
	char *cell[COLUMNS_MAX];
};

struct columns {
	const struct column *column;
	size_t column_count;
	struct columns_row *row;
	size_t row_count;
};

/* The length in characters: all bytes but those that go on with one (RFC 3629). */
static size_t text_length(const char *text)
{
	size_t len = 0;

	for (; *text; text++)
		len += (*text & 0xc0) != 0x80;
	return len;
}

/* The byte after the first @count characters. */
static const char *text_after(const char *text, size_t count)
{
	while (*text && (count > 0 || (*text & 0xc0) == 0x80)) {
		count -= (*text & 0xc0) != 0x80;
		text++;
	}
	return text;
}

struct columns *columns_new(const struct column *column, size_t count)
{
	struct columns *columns = calloc(1, sizeof(*columns));

	if (columns) {
		columns->column = column;
		columns->column_count = count;
	}
	return columns;
}

static void columns_row_fini(struct columns_row *row)
{
	for (size_t i = 0; i < COLUMNS_MAX; i++)
		free(row->cell[i]);
}

void columns_free(struct columns *columns)
{
	if (!columns)
		return;
	for (size_t i = 0; i < columns->row_count; i++)
		columns_row_fini(&columns->row[i]);
	free(columns->row);
	free(columns);
}

void columns_add(struct columns *columns, enum colour colour, const char *const *cell)
{
	struct columns_row row = {.colour = colour};
	bool whole = true;

	for (size_t i = 0; whole && i < columns->column_count; i++) {
		row.cell[i] = shown_bare(cell[i]);
		whole = row.cell[i] != NULL;
	}
	if (!whole || array_add(columns->row, columns->row_count, row) < 0)
		columns_row_fini(&row);
}

static bool can_be_cut(enum column_fit fit)
{
	return fit == COLUMN_CUT_TAIL || fit == COLUMN_CUT_HEAD;
}

/* Each column is as wide as its widest cell. If the table is too wide, the column that can
 * be cut gets narrower.
 */
static void columns_measure(const struct columns *columns, unsigned width,
			    size_t ret_width[COLUMNS_MAX])
{
	size_t sum = 0;

	for (size_t c = 0; c < columns->column_count; c++) {
		ret_width[c] = text_length(columns->column[c].heading);
		if (ret_width[c] < columns->column[c].width)
			ret_width[c] = columns->column[c].width;
		for (size_t r = 0; r < columns->row_count; r++) {
			size_t len = text_length(columns->row[r].cell[c]);

			if (len > ret_width[c])
				ret_width[c] = len;
		}
		sum += ret_width[c] + (c ? GAP : 0);
	}
	for (size_t c = 0; width && sum > width && c < columns->column_count; c++) {
		size_t least = text_length(columns->column[c].heading);
		size_t over = sum - width;

		if (!can_be_cut(columns->column[c].fit))
			continue;
		sum -= ret_width[c];
		ret_width[c] = ret_width[c] > least + over ? ret_width[c] - over : least;
		sum += ret_width[c];
	}
}

static void columns_print_padding(size_t count)
{
	printf("%*s", (int)count, "");
}

/* Begins to print in @colour; ends it with COLOUR_NONE as @code. */
static void columns_print_colour(enum colour colour, enum colour code)
{
	fputs(colour == COLOUR_NONE ? "" : colour_code(code), stdout);
}

/* @text in @width columns, cut where it is longer. */
static void columns_print_cell(const char *text, enum column_fit fit, size_t width,
			       bool last)
{
	size_t len = text_length(text);
	size_t mark = strlen(CUT_MARK) < width ? strlen(CUT_MARK) : 0;

	if (fit == COLUMN_RIGHT && len < width)
		columns_print_padding(width - len);
	if (len <= width || !can_be_cut(fit))
		fputs(text, stdout);
	else if (fit == COLUMN_CUT_TAIL)
		printf("%.*s%.*s", (int)(text_after(text, width - mark) - text), text,
		       (int)mark, CUT_MARK);
	else
		printf("%.*s%s", (int)mark, CUT_MARK,
		       text_after(text, len - (width - mark)));
	if (fit != COLUMN_RIGHT && len < width && !last)
		columns_print_padding(width - len);
}

/* A whole row has a colour, or each cell its column's. */
static enum colour columns_cell_colour(enum colour row, const struct column *column,
				       const char *cell)
{
	return row != COLOUR_NONE || strcmp(cell, "0") == 0 ? COLOUR_NONE : column->colour;
}

static void columns_print_cells(const struct columns *columns, const size_t *width,
				enum colour row, const char *const *cell)
{
	columns_print_colour(row, row);
	for (size_t c = 0; c < columns->column_count; c++) {
		const struct column *column = &columns->column[c];
		enum colour colour = columns_cell_colour(row, column, cell[c]);

		if (c)
			columns_print_padding(GAP);
		columns_print_colour(colour, colour);
		columns_print_cell(cell[c], column->fit, width[c],
				   c + 1 == columns->column_count);
		columns_print_colour(colour, COLOUR_NONE);
	}
	columns_print_colour(row, COLOUR_NONE);
	putchar('\n');
}

void columns_print(const struct columns *columns, unsigned width)
{
	size_t widths[COLUMNS_MAX];
	const char *heading[COLUMNS_MAX];

	columns_measure(columns, width, widths);
	for (size_t c = 0; c < columns->column_count; c++)
		heading[c] = columns->column[c].heading;
	columns_print_cells(columns, widths, COLOUR_BOLD, heading);
	for (size_t r = 0; r < columns->row_count; r++)
		columns_print_cells(columns, widths, columns->row[r].colour,
				    (const char *const *)columns->row[r].cell);
}
