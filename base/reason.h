/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why something did not work, for a message that somebody else writes.
 *
 * Libraries do not log: they return -errno, and where that says too little, a reason.
 */
#ifndef CANONFS_BASE_REASON_H
#define CANONFS_BASE_REASON_H

#include <string.h>

/* With the end of the string; a longer text is cut. */
#define REASON_MAX 512

/**
 * struct reason - one line, without a newline; "" where there is none
 */
struct reason {
	char text[REASON_MAX];
};

/**
 * reason_set() - say why, and return an error: return reason_set(why, -EPERM, "...");
 * Return: @error.
 */
int reason_set(struct reason *reason, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with ": " and the text of @error, a -errno, at the end. @format: a literal */
#define reason_set_errno(reason, error, format, ...)                       \
	({                                                                 \
		int error_ = (error);                                      \
		reason_set((reason), error_, format ": %s", ##__VA_ARGS__, \
			   strerror(-error_));                             \
	})

#endif
