/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to standard error or syslog; see log.h. The level and the destination are set
 * once, before threads start.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

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

bool log_ratelimit(_Atomic int64_t *last_s)
{
	struct timespec now;
	int64_t last = atomic_load_explicit(last_s, memory_order_relaxed);

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	/* Relaxed: only one of several threads must win; nothing else hangs on it. */
	return now.tv_sec > last && atomic_compare_exchange_strong_explicit(
					    last_s, &last, now.tv_sec, memory_order_relaxed,
					    memory_order_relaxed);
}

/*
 * Bytes of the UTF-8 character at @text that a terminal can show as it is; 0 for control
 * characters (C1 too), overlong forms, surrogates and anything else that is not one.
 */
static size_t printable_length(const unsigned char *text)
{
	uint32_t c = text[0];
	size_t len = c < 0x80	    ? 1
		     : c >> 5 == 6  ? 2
		     : c >> 4 == 14 ? 3
		     : c >> 3 == 30 ? 4
				    : 0;

	if (len < 2)
		return len && c >= 0x20 && c != 0x7f;
	c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		if (text[i] >> 6 != 2) /* the end of the string, too */
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	if (c < 0xa0 || (len == 3 && (c < 0x800 || c >> 11 == 0x1b)) ||
	    (len == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return len;
}

/* The quoted form of the character at *@text, which is moved behind it; at most 4 bytes. */
static size_t quote_character(const char **text, char *out)
{
	const unsigned char *in = (const unsigned char *)*text;
	size_t len = printable_length(in);

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
