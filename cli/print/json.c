/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Printing JSON; see json.h.
 */
#include "cli/print/json.h"

static struct json_object *json_retext_object(struct json_object *object)
{
	struct json_object *copy = json_object_new_object();
	struct json_object_iter i;

	json_object_object_foreachC(object, i)
		json_object_object_add(copy, i.key, json_retext(i.val));
	return copy;
}

static struct json_object *json_retext_array(struct json_object *array)
{
	struct json_object *copy = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(array); i++)
		json_object_array_add(copy,
				      json_retext(json_object_array_get_idx(array, i)));
	return copy;
}

/* The parser's bound on depth is ours. */
struct json_object *json_retext(struct json_object *object)
{
	switch (json_object_get_type(object)) {
	case json_type_object:
		return json_retext_object(object);
	case json_type_array:
		return json_retext_array(object);
	case json_type_string:
		return json_text(json_object_get_string(object));
	default:
		return json_object_get(object);
	}
}

struct json_object *json_member(struct json_object *object, const char *key)
{
	struct json_object *found = NULL;

	json_object_object_get_ex(object, key, &found);
	return found;
}

int64_t json_member_number(struct json_object *object, const char *key)
{
	return json_object_get_int64(json_member(object, key));
}

double json_member_decimal(struct json_object *object, const char *key)
{
	return json_object_get_double(json_member(object, key));
}

const char *json_member_text(struct json_object *object, const char *key, const char *other)
{
	struct json_object *found = json_member(object, key);

	return json_object_is_type(found, json_type_string) ? json_object_get_string(found)
							    : other;
}

void json_print_to(FILE *file, struct json_object *object, bool is_line)
{
	int flags = is_line ? JSON_C_TO_STRING_PLAIN
			    : JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;

	fprintf(file, "%s\n",
		json_object_to_json_string_ext(object,
					       flags | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void json_print(struct json_object *object)
{
	json_print_to(stdout, object, false);
}

void json_print_line(struct json_object *object)
{
	json_print_to(stdout, object, true);
}
