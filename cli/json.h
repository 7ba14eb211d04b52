/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A printer of JSON: two spaces an indent, one member a line.
 */
#ifndef CANONFS_CLI_JSON_H
#define CANONFS_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed is the beginning; prints to standard output. */
struct json {
	int depth;
	bool has_members; /* of the innermost object or array, so far */
};

/* @key is NULL in an array and at the top; it is printed as it is. */
void json_begin(struct json *json, const char *key, char bracket);
void json_end(struct json *json, char bracket);
void json_number(struct json *json, const char *key, int64_t number);
void json_bool(struct json *json, const char *key, bool value);

/* Bytes that are not UTF-8 become \udcXX, which Python's os.fsencode() takes back. */
void json_string(struct json *json, const char *key, const char *text);

#endif
