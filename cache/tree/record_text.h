/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What package managers wrote down of the sources that they installed: the text of pip's
 * RECORD and of dpkg's md5sums. The text is an image's, and may be anything.
 *
 * RECORD is CSV: path, sha256=DIGEST in URL-safe base64 without padding, size. Paths are
 * relative to the directory that holds the *.dist-info (Python packaging specifications,
 * "Recording installed projects"; PEP 376, PEP 627). A line of md5sums is a digest in
 * hexadecimal, two spaces, and a path relative to the root directory (deb-md5sums(5)).
 */
#ifndef CANONFS_CACHE_TREE_RECORD_TEXT_H
#define CANONFS_CACHE_TREE_RECORD_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum record_kind { RECORD_SHA256, RECORD_MD5 };

#define RECORD_HASH_MAX 32

/**
 * record_line_fn() - takes what is said of one source file
 * @path: relative, without "." and ".." and empty components, of a .py file; not terminated
 * @hash: 32 or 16 bytes, by @kind
 */
typedef void record_line_fn(void *context, const char *path, size_t len,
			    enum record_kind kind, const uint8_t *hash);

/* Reads a RECORD; quoted paths are put right in @text. Lines that are none are passed over.
 */
void record_parse_pip(char *text, size_t len, record_line_fn *take, void *context);

/* The same for a file md5sums. */
void record_parse_dpkg(const char *text, size_t len, record_line_fn *take, void *context);

#endif
