/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading requests; see request.h.
 */
#include "fs/control/request.h"

#include <json-c/json.h>
#include <string.h>

/* Objects in objects: a request has none. */
#define MAX_DEPTH 4

static const char *control_request_take(struct json_object *object,
					struct control_request *ret_request)
{
	struct control_request request = {.all = false};
	struct json_object *member;
	const char *command;

	if (!json_object_is_type(object, json_type_object))
		return "the request is not a JSON object";
	if (!json_object_object_get_ex(object, "command", &member) ||
	    !json_object_is_type(member, json_type_string))
		return "the request has no command";
	command = json_object_get_string(member);
	if (strcmp(command, "trace") == 0)
		request.command = CONTROL_TRACE;
	else if (strcmp(command, "status") != 0)
		return "the command is not known";
	if (json_object_object_get_ex(object, "all", &member)) {
		if (!json_object_is_type(member, json_type_boolean))
			return "\"all\" must be true or false";
		request.all = json_object_get_boolean(member);
	}
	*ret_request = request;
	return NULL;
}

static bool control_request_is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!memchr(" \t\r\n", text[i], 4))
			return false;
	return true;
}

const char *control_request_parse(const char *text, size_t len,
				  struct control_request *ret_request)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	const char *why = "the request is not JSON";
	struct json_object *object;
	size_t used;

	if (!tokener)
		return "out of memory";
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, text, (int)len);
	used = (size_t)json_tokener_get_parse_end(tokener);
	if (object && control_request_is_blank(text + used, len - used))
		why = control_request_take(object, ret_request);
	json_object_put(object);
	json_tokener_free(tokener);
	return why;
}
