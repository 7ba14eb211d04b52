/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arrays that grow by one item at a time.
 *
 * How much room there is follows from the number of items, so nobody keeps it: 16 at first,
 * twice as many whenever the number is a power of two from there on.
 */
#ifndef CANONFS_BASE_ARRAY_H
#define CANONFS_BASE_ARRAY_H

#include <errno.h>
#include <stdlib.h>

/**
 * array_room() - make room for one more item
 * @array: NULL, or what the last call returned; free() it
 * @count: the items that it has now; there may have been more
 * @size:  of an item, in bytes
 *
 * Return: the array, which may have moved; NULL when out of memory: then @array is as it
 * was.
 */
static inline void *array_room(void *array, size_t count, size_t size)
{
	if (count > 0 && (count < 16 || (count & (count - 1)) != 0))
		return array;
	return reallocarray(array, count ? 2 * count : 16, size);
}

/* Puts an item at the end of @array, which has @count of them. Is 0 or -ENOMEM. */
#define array_add(array, count, ...)                                                       \
	({                                                                                 \
		__typeof__(array) grown_ = array_room((array), (count), sizeof(*(array))); \
		if (grown_) {                                                              \
			(array) = grown_;                                                  \
			grown_[(count)] = (__VA_ARGS__);                                   \
			(count)++;                                                         \
		}                                                                          \
		grown_ ? 0 : -ENOMEM;                                                      \
	})

#endif
