/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client of the control socket asks; from anybody's hands.
 */
#ifndef CANONFS_FS_CONTROL_REQUEST_H
#define CANONFS_FS_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum control_command { CONTROL_STATUS, CONTROL_TRACE };

/**
 * struct control_request - one request
 * @all: of CONTROL_TRACE: every request, not decisions only
 */
struct control_request {
	enum control_command command;
	bool all;
};

/**
 * control_request_parse() - read a request
 * @text: @len bytes, no terminator needed; one JSON object, white space around it
 *
 * Return: NULL, or why it is none; static storage. @ret_request is written on success
 * only.
 */
const char *control_request_parse(const char *text, size_t len,
				  struct control_request *ret_request);

#endif
