/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the programs: one line each, to standard error or to syslog.
 *
 * Libraries return errors; the mount and the commands log them.
 */
#ifndef CANONFS_BASE_LOG_H
#define CANONFS_BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Shows messages up to @level; LOG_LEVEL_WARNING at start. */
void log_set_level(enum log_level level);

/*
 * For a process that goes on in the background: lets go of the standard streams and sends
 * messages to syslog from now on. Opens the connection and loads the time zone at once:
 * later, both may lie under the mount that this process serves.
 */
void log_to_syslog(void);

/* One message, without a newline at its end. errno survives. */
void log_message(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_message(LOG_LEVEL_INFO, __VA_ARGS__)

/**
 * quote_path() - a path for a message: in single quotes; bytes that are not UTF-8 or that
 * utf8_shown_length() does not show as \xNN; backslash and quote escaped
 * @buffer, @size: where to; cut with "..." when too small
 *
 * Return: @buffer.
 */
const char *quote_path(const char *path, char *buffer, size_t size);

/* The same in a buffer that lives until the end of the calling block. */
#define QUOTED_MAX   1024
#define quoted(path) quote_path((path), (char[QUOTED_MAX]){0}, QUOTED_MAX)

#endif
