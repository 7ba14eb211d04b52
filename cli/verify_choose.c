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
#include "cli/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/scope.h"

/* Replaces a path by where it leads; it stays where it leads nowhere. */
static void resolve(char **path)
{
	char *real = *path && **path == '/' ? realpath(*path, NULL) : NULL;

	if (!real)
		return;
	free(*path);
	*path = real;
}

void verify_resolve_libraries(struct interpreter_list *machine)
{
	for (size_t i = 0; i < machine->count; i++) {
		resolve(&machine->interpreters[i].prefix);
		for (char **library = machine->interpreters[i].libraries; *library;
		     library++)
			resolve(library);
	}
}

/* Length of @dir if @path lies below it; 0 if not. */
static size_t depth_below(const char *path, const char *dir)
{
	return dir && path_below(path, dir) ? strlen(dir) : 0;
}

/* How closely a file belongs to an interpreter of this machine; 0: not at all. */
static size_t closeness(const struct interpreter *interpreter, const char *path)
{
	size_t closest = depth_below(path, interpreter->prefix);

	for (char **library = interpreter->libraries; *library; library++) {
		size_t depth = depth_below(path, *library);

		closest = depth > closest ? depth : closest;
	}
	return closest;
}

/* The one that a file belongs to most closely, the newest of several. */
static const struct interpreter *find_owner(const struct verify_run *run,
					    const struct verify_file *file)
{
	scope_free char *path = verify_file_path(file);
	const struct interpreter *owner = NULL;
	size_t closest = 0;

	for (size_t i = run->machine.count; path && i-- > 0;) {
		const struct interpreter *interpreter = &run->machine.interpreters[i];
		size_t depth;

		if (interpreter->magic != file->magic)
			continue;
		depth = closeness(interpreter, path);
		if (depth > closest) {
			closest = depth;
			owner = interpreter;
		}
	}
	return owner;
}

/* The @n-th of a list of the file's magic, the last one first; NULL: *@n are fewer. */
static const struct interpreter *nth_of(const struct interpreter_list *list,
					const struct pyc_magic *magic,
					const struct interpreter *except, size_t *n)
{
	for (size_t i = list->count; i-- > 0;) {
		const struct interpreter *interpreter = &list->interpreters[i];

		/* Without a release it was told by its name only, and cannot be run. */
		if (interpreter->magic != magic || interpreter == except ||
		    !interpreter->release)
			continue;
		if ((*n)-- == 0)
			return interpreter;
	}
	return NULL;
}

const struct interpreter *verify_choose(const struct verify_run *run,
					const struct verify_file *file, size_t turn,
					bool *ret_is_own)
{
	bool in_image = strcmp(file->inspection->root, "/") != 0;
	const struct interpreter *owner = in_image ? NULL : find_owner(run, file);
	const struct interpreter *found;

	*ret_is_own = true;
	if (owner && turn-- == 0)
		return owner;
	found = nth_of(&run->image, file->magic, NULL, &turn);
	if (found)
		return found;
	*ret_is_own = false;
	return nth_of(&run->machine, file->magic, owner, &turn);
}
