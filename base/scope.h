/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ownership that ends with the scope, and its visible transfer.
 *
 *	scope_fd int fd = open(...);
 *	scope_free char *name = strdup(...);
 *	return take_fd(&fd);
 */
#ifndef CANONFS_BASE_SCOPE_H
#define CANONFS_BASE_SCOPE_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void scope_free_(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes and empties @fd; errno survives. */
static inline void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Frees on leaving the scope; for any pointer that free() takes. */
#define scope_free __attribute__((cleanup(scope_free_)))

/* Closes on leaving the scope; -1 is empty. */
#define scope_fd __attribute__((cleanup(close_fd)))

#define take_ptr(pointer)                                \
	({                                               \
		__typeof__(pointer) *from_ = &(pointer); \
		__typeof__(pointer) taken_ = *from_;     \
		*from_ = NULL;                           \
		taken_;                                  \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
