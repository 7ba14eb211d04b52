/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SANITIZED: the program is built with a sanitizer of addresses or threads, so what it
 * takes of memory and addresses says nothing.
 */
#ifndef CANONFS_TESTS_UNIT_SANITIZED_H
#define CANONFS_TESTS_UNIT_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
