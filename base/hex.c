/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hexadecimal digits; see hex.h.
 */
#include "base/hex.h"

#include <errno.h>

static const char hex_digits[] = "0123456789abcdef";

char *hex_encode(const uint8_t *bytes, size_t len, char *ret_text)
{
	for (size_t i = 0; i < len; i++) {
		ret_text[2 * i] = hex_digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = hex_digits[bytes[i] & 15];
	}
	ret_text[2 * len] = '\0';
	return ret_text;
}

/* Return: -1 for what is no digit. isxdigit(3) would ask the locale. */
static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

ssize_t hex_decode(const char *text, uint8_t *ret_bytes, size_t size)
{
	size_t len = 0;

	for (; *text; text += 2) {
		int high = hex_value(text[0]);
		int low = high < 0 ? -1 : hex_value(text[1]);

		if (low < 0)
			return -EINVAL;
		if (len == size)
			return -ENOSPC;
		ret_bytes[len++] = (uint8_t)(high << 4 | low);
	}
	return (ssize_t)len;
}
