/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON on standard output.
 */
#ifndef CANONFS_CLI_JSON_H
#define CANONFS_CLI_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/json_text.h"

/* Members of @object; @key is static or lives as long as @object. */
void json_add_text(struct json_object *object, const char *key, const char *text);
void json_add_number(struct json_object *object, const char *key, int64_t number);
void json_add_bool(struct json_object *object, const char *key, bool value);

/* Prints @object, indented and ended by a newline; takes ownership. */
void json_print(struct json_object *object);

/* Prints @object in one line, as in JSON Lines (jsonlines.org); takes ownership. */
void json_print_line(struct json_object *object);

#endif
