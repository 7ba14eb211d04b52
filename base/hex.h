/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes as text: two lower-case digits each.
 */
#ifndef CANONFS_BASE_HEX_H
#define CANONFS_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Characters of @len bytes, with the end of the string. */
#define HEX_SIZE(len) (2 * (len) + 1)

/**
 * hex_encode() - bytes to text
 * @ret_text: HEX_SIZE(@len) characters
 * Return: @ret_text.
 */
char *hex_encode(const uint8_t *bytes, size_t len, char *ret_text);

/**
 * hex_decode() - text to bytes
 * @text: digits of either case
 * @size: bytes that @ret_bytes has room for
 * Return: how many bytes there were; -EINVAL where @text is anything but pairs of digits;
 * -ENOSPC where there is no room. What @ret_bytes has then is not defined.
 */
ssize_t hex_decode(const char *text, uint8_t *ret_bytes, size_t size);

#endif
