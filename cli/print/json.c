/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Printing JSON; see json.h.
 */
#include "cli/print/json.h"

static struct json_object *json_retext_object(struct json_object *object)
{
	struct json_object *copy = json_object_new_object();
	struct json_object_iter i;

	/* Names are printed as they are. */
	json_object_object_foreachC(object, i) if (json_is_utf8(i.key))
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

/* json-c would also read numbers from texts, and convert decimals without a look. */
uint64_t json_number(struct json_object *number)
{
	int64_t value = json_object_is_type(number, json_type_int)
				? json_object_get_int64(number)
				: 0;

	return value > 0 ? (uint64_t)value : 0;
}

uint64_t json_member_number(struct json_object *object, const char *key)
{
	return json_number(json_member(object, key));
}

double json_member_decimal(struct json_object *object, const char *key)
{
	struct json_object *found = json_member(object, key);
	bool is_number = json_object_is_type(found, json_type_double) ||
			 json_object_is_type(found, json_type_int);
	double value = is_number ? json_object_get_double(found) : 0;

	/* A comparison with NaN is false. */
	return value >= 0 && value <= JSON_DECIMAL_MAX ? value : 0;
}

void json_add_decision(struct json_object *object, const struct pyc_decision *decision)
{
	json_add_text(object, "verdict", pyc_verdict_name(decision->verdict));
	json_add_text(object, "reason", pyc_reason_name(decision->reason));
	json_add_text(object, "text", pyc_reason_text(decision->reason));
	json_add_bool(object, "vouched", decision->vouched);
}

struct json_object *json_append_object(struct json_object *array)
{
	struct json_object *object = json_object_new_object();

	json_object_array_add(array, object);
	return object;
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
