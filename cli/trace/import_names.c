/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the names of files say of imports; see import_tracker.h.
 */
#include <string.h>

#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/trace/import_private.h"

static bool import_is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

enum import_file import_file_of(const char *name)
{
	const char *last = path_last(name);
	const char *dot = strrchr(last, '.');

	if (pyc_name_is_source(last))
		return IMPORT_FILE_SOURCE;
	if (pyc_name_is_bytecode(last))
		return IMPORT_FILE_BYTECODE;
	if (dot && dot - last >= 4 && strncmp(dot - 4, ".pyc", 4) == 0 &&
	    import_is_number(dot + 1))
		return IMPORT_FILE_NEW_BYTECODE;
	return IMPORT_FILE_OTHER;
}

bool import_is_prefixed(const char *pyc, struct pyc_name *ret_name)
{
	if (pairing_name(pyc, ret_name) != PYC_PLACE_LEGACY ||
	    pyc_name_parse(path_last(pyc), true, ret_name) != PYC_PLACE_CACHE)
		return false;
	for (size_t i = 0; i < pyc_magic_count; i++)
		if (pyc_name_tag_agrees(ret_name, &pyc_magic_table[i]))
			return true;
	return false;
}

static bool import_pairs_in_prefix(const char *pyc, const struct pyc_name *name,
				   const char *source)
{
	size_t pyc_dir = (size_t)(path_last(pyc) - pyc);
	size_t source_dir = (size_t)(path_last(source) - source);
	char expected[PYC_NAME_MAX + 1];

	return source[0] == '/' && source_dir <= pyc_dir &&
	       strncmp(pyc + pyc_dir - source_dir, source, source_dir) == 0 &&
	       pyc_name_source(name, expected) &&
	       strcmp(source + source_dir, expected) == 0;
}

bool import_pairs(const char *pyc, const char *source)
{
	scope_free char *expected = NULL;
	struct pyc_name name;

	if (import_is_prefixed(pyc, &name))
		return import_pairs_in_prefix(pyc, &name, source);
	pairing_name(pyc, &name);
	if (pairing_source(pyc, &name, &expected) < 0)
		return false;
	return strcmp(expected, source) == 0;
}
