/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Printing JSON.
 */
#ifndef CANONFS_CLI_PRINT_JSON_H
#define CANONFS_CLI_PRINT_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/json_text.h"

/**
 * json_retext() - a copy for others to read
 * @object: may hold strings of any bytes; borrowed
 * Return: the same with strings as json_text() makes them; the caller's.
 */
struct json_object *json_retext(struct json_object *object);

/*
 * Members of what others sent, which may be anything: NULL, 0 or @other where there is no
 * such member, or it is of another type. json_member_text() is borrowed from the object.
 */
struct json_object *json_member(struct json_object *object, const char *key);
int64_t json_member_number(struct json_object *object, const char *key);
double json_member_decimal(struct json_object *object, const char *key);
const char *json_member_text(struct json_object *object, const char *key,
			     const char *other);

/*
 * Print @object and a newline, indented or, as in JSON Lines (jsonlines.org), in one line;
 * to standard output, where no @file is given. They take ownership.
 */
void json_print(struct json_object *object);
void json_print_line(struct json_object *object);
void json_print_to(FILE *file, struct json_object *object, bool is_line);

#endif
