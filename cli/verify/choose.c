/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which interpreters could have compiled a file; see verify.h.
 *
 * Any interpreter can prove that a source compiles to a body. A disproof holds only for the
 * interpreter that was asked: another patch release may compile to other code. So only the
 * file's own interpreter can disprove, the one that imports the file where it lies
 * (reader.c). It is one of the image that the file is in, or of this machine. Whoever names
 * an interpreter says that it is the one.
 */
#include "cli/verify/verify.h"

#include <stdlib.h>

/* The @n-th interpreter of a list that reads the magic. NULL: there are fewer, and *@n
 * is smaller by their number. */
static const struct interpreter *verify_nth_of(const struct interpreter_list *list,
					       const struct pyc_magic *magic,
					       const struct interpreter *except, size_t *n)
{
	const struct interpreter *one = NULL;

	/* Without a release it was told by its name only, and cannot be run. */
	while ((one = interpreters_next(list, magic, one)))
		if (one != except && one->release && (*n)-- == 0)
			return one;
	return NULL;
}

const struct interpreter *verify_choose(const struct verify_run *run,
					const struct verify_file *file, size_t turn,
					bool *ret_is_own)
{
	const struct interpreter *found;

	*ret_is_own = true;
	if (file->own && turn-- == 0)
		return file->own;
	found = verify_nth_of(&run->image, file->magic, file->own, &turn);
	if (found)
		return found;
	found = verify_nth_of(&run->machine, file->magic, file->own, &turn);
	*ret_is_own = found && found->was_named;
	return found;
}
