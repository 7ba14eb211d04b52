/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UTF-8 (RFC 3629; the Unicode Standard's table 3-7).
 */
#ifndef CANONFS_BASE_UTF8_H
#define CANONFS_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * utf8_length() - bytes of the well-formed sequence at the beginning of @text
 * @left: bytes of @text, at least one. The end of a string ends a sequence, too.
 * Return: 1 to 4; 0 where there is none: cut off, overlong, a surrogate, above U+10FFFF.
 */
size_t utf8_length(const uint8_t *text, size_t left);

/* The same, but a surrogate (U+D800 to U+DFFF) counts, as for Python's "surrogatepass". */
size_t utf8_length_surrogatepass(const uint8_t *text, size_t left);

/**
 * utf8_shown_length() - utf8_length() of a character that a terminal shows as one
 *
 * Return: 0 also for control characters (C0, DEL, C1), and for those without a shape of
 * their own that change how others look: marks of direction, of zero width, line and
 * paragraph separators, tags. A name that has them can look like another name.
 */
size_t utf8_shown_length(const uint8_t *text, size_t left);

#endif
