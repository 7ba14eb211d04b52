/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON on standard output; see json.h.
 */
#include "cli/json.h"

#include <stdio.h>

void json_add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_text(text));
}

void json_add_number(struct json_object *object, const char *key, int64_t number)
{
	json_object_object_add(object, key, json_object_new_int64(number));
}

void json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

static void print(struct json_object *object, int flags)
{
	puts(json_object_to_json_string_ext(object,
					    flags | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void json_print(struct json_object *object)
{
	print(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}

void json_print_line(struct json_object *object)
{
	print(object, JSON_C_TO_STRING_PLAIN);
}
