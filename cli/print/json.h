/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Printing JSON.
 */
#ifndef CANONFS_CLI_PRINT_JSON_H
#define CANONFS_CLI_PRINT_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json_text.h"
#include "pyc/verdict.h"

/**
 * json_retext() - a copy for others to read
 * @object: may hold strings of any bytes; borrowed
 * Return: the same with strings as json_text() makes them, without members whose names are
 * not UTF-8; the caller's.
 */
struct json_object *json_retext(struct json_object *object);

/* Seconds or a rate. Each one up to here is also a time_t, and has a year. */
#define JSON_DECIMAL_MAX 1e15

/* A number as above that is no member. */
uint64_t json_number(struct json_object *number);

/*
 * As json_member_text(); 0 where there is no such member. Numbers are counts and times: one
 * below 0, and a decimal above JSON_DECIMAL_MAX, is 0.
 */
uint64_t json_member_number(struct json_object *object, const char *key);
double json_member_decimal(struct json_object *object, const char *key);

/* Adds the verdict, the reason, its text, and whether it is vouched for. */
void json_add_decision(struct json_object *object, const struct pyc_decision *decision);

/* Adds an empty object at the end. Return: borrowed. */
struct json_object *json_append_object(struct json_object *array);

/*
 * Print @object and a newline, indented or, as in JSON Lines (jsonlines.org), in one line;
 * to standard output, where no @file is given. They take ownership.
 */
void json_print(struct json_object *object);
void json_print_line(struct json_object *object);
void json_print_to(FILE *file, struct json_object *object, bool is_line);

#endif
