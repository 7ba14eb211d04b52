/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON (json-c) with file names, which need not be UTF-8.
 */
#ifndef CANONFS_BASE_JSON_TEXT_H
#define CANONFS_BASE_JSON_TEXT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * json_text() - a JSON string
 * @text: any bytes; copied
 *
 * Bytes that are not UTF-8 become \udcXX, which Python's os.fsencode() takes back
 * (PEP 383).
 * Return: the caller's; NULL (JSON's null) when out of memory, and for NULL.
 */
struct json_object *json_text(const char *text);

/* Is all of a text UTF-8? */
bool json_is_utf8(const char *text);

/*
 * Members of @object; @key is static or lives as long as @object. A member that there is no
 * memory for is left out.
 */
void json_add_text(struct json_object *object, const char *key, const char *text);
void json_add_number(struct json_object *object, const char *key, int64_t number);
void json_add_bool(struct json_object *object, const char *key, bool value);

/* With @digits behind the point. */
void json_add_decimal(struct json_object *object, const char *key, double value,
		      int digits);

/* An empty one, to be filled. Return: what was added, borrowed; NULL when out of memory. */
struct json_object *json_add_object(struct json_object *object, const char *key);
struct json_object *json_add_array(struct json_object *object, const char *key);

/*
 * Members of what others sent, which may be anything: NULL or @other where there is no such
 * member, or it is of another type. Borrowed from the object.
 */
struct json_object *json_member(struct json_object *object, const char *key);
const char *json_member_text(struct json_object *object, const char *key,
			     const char *other);

#endif
