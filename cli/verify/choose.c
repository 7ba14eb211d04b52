/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which interpreters could have compiled a file; see verify.h.
 *
 * That a source gives a body is true whichever interpreter finds it out. That it does not
 * is only known of the interpreter that was asked: another patch release may compile
 * otherwise. So a disproof takes the interpreter that imports the file where it lies: one
 * of the image that the file is in, or one below whose prefix or on whose path it lies.
 * What it would have written is what should be there.
 */
#include "cli/verify/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"

/* The machine's one that a file belongs to. */
static const struct interpreter *verify_find_owner(const struct verify_run *run,
						   const struct verify_file *file)
{
	scope_free char *path = verify_file_path(file);

	return path ? interpreters_owner(&run->machine, file->magic, path) : NULL;
}

/* The @n-th of a list that reads the magic; NULL: there are fewer, *@n are still to go. */
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
	bool in_image = strcmp(file->set->root, "/") != 0;
	const struct interpreter *owner = in_image ? NULL : verify_find_owner(run, file);
	const struct interpreter *found;

	*ret_is_own = true;
	if (owner && turn-- == 0)
		return owner;
	found = verify_nth_of(&run->image, file->magic, NULL, &turn);
	if (found)
		return found;
	*ret_is_own = false;
	return verify_nth_of(&run->machine, file->magic, owner, &turn);
}
