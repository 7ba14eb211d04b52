/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to standard error or syslog; see log.h. The level and the destination are set
 * once, before threads start.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

static enum log_level shown_level = LOG_LEVEL_WARNING;
static bool use_syslog;

void log_set_level(enum log_level level)
{
	shown_level = level;
}

void log_to_syslog(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	tzset();
	openlog("canonfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	use_syslog = true;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (null >= 0)
			dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

void log_message(enum log_level level, const char *format, ...)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	int saved_errno = errno;
	char line[2048];
	va_list arguments;

	if (level > shown_level)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (use_syslog)
		syslog(priorities[level], "%s", line);
	else
		fprintf(stderr, "canonfs: %s\n", line);
	errno = saved_errno;
}

/* The quoted form of the character at *@text, which is moved behind it; at most 4 bytes. */
static size_t quote_character(const char **text, char *out)
{
	const uint8_t *in = (const uint8_t *)*text;
	size_t len = utf8_shown_length(in, SIZE_MAX);

	*text += len ? len : 1;
	if (*in == '\\' || *in == '\'') {
		out[0] = '\\';
		out[1] = (char)*in;
		return 2;
	}
	if (len == 0)
		return (size_t)snprintf(out, 5, "\\x%02x", *in);
	memcpy(out, in, len);
	return len;
}

const char *quote_path(const char *path, char *buffer, size_t size)
{
	static const char cut[] = "...'";
	size_t used = 0;

	buffer[used++] = '\'';
	while (*path) {
		if (used + 5 + sizeof(cut) > size) {
			memcpy(buffer + used, cut, sizeof(cut));
			return buffer;
		}
		used += quote_character(&path, buffer + used);
	}
	buffer[used++] = '\'';
	buffer[used] = '\0';
	return buffer;
}
