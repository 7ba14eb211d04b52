/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables for people, fit to the terminal.
 */
#ifndef CANONFS_CLI_PRINT_COLUMNS_H
#define CANONFS_CLI_PRINT_COLUMNS_H

#include <stddef.h>

#include "cli/print/colour.h"

#define COLUMNS_MAX 8

enum column_fit {
	COLUMN_LEFT,
	COLUMN_RIGHT,	 /* numbers */
	COLUMN_CUT_TAIL, /* left; what does not fit is cut at the end: sentences */
	COLUMN_CUT_HEAD, /* left; cut at the start: paths */
};

/**
 * struct column - one column
 * @heading: static
 * @fit:     only one of the columns of a table can be cut
 * @width:   at least so wide
 * @colour:  of its cells but "0", in rows without a colour; COLOUR_NONE for none
 */
struct column {
	const char *heading;
	enum column_fit fit;
	unsigned width;
	enum colour colour;
};

struct columns;

/**
 * columns_new() - an empty table
 * @column: COLUMNS_MAX at most; borrowed
 * Return: NULL when out of memory.
 */
struct columns *columns_new(const struct column *column, size_t count);

void columns_free(struct columns *columns);

/**
 * columns_add() - a row at the end
 * @colour: of the whole row; COLOUR_NONE for none
 * @cell:   one text for each column, copied; what quote_path() escapes is escaped
 *
 * Without memory, the row is missing.
 */
void columns_add(struct columns *columns, enum colour colour, const char *const *cell);

/**
 * columns_print() - prints to standard output
 * @width: columns of the terminal; 0: nothing is cut
 */
void columns_print(const struct columns *columns, unsigned width);

#endif
