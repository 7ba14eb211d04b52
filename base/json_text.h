/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names in JSON (json-c): bytes that need not be UTF-8.
 */
#ifndef CANONFS_BASE_JSON_TEXT_H
#define CANONFS_BASE_JSON_TEXT_H

#include <json-c/json.h>

/**
 * json_text() - a JSON string
 * @text: any bytes; copied
 *
 * Bytes that are not UTF-8 become \udcXX, which Python's os.fsencode() takes back
 * (PEP 383).
 * Return: the caller's; NULL (JSON's null) when out of memory, and for NULL.
 */
struct json_object *json_text(const char *text);

#endif
