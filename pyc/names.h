/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which source file Python pairs with which bytecode file, by name alone
 * (PEP 3147, PEP 488, importlib.util.cache_from_source()).
 */
#ifndef CANONFS_PYC_NAMES_H
#define CANONFS_PYC_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "pyc/magic.h"

#define PYC_CACHE_DIR "__pycache__"
#define PYC_NAME_MAX  255

enum pyc_placement {
	PYC_PLACE_NONE,	  /* pyc_name_is_bytecode() denies it */
	PYC_PLACE_CACHE,  /* __pycache__/NAME.TAG[.opt-LEVEL].pyc -> ../NAME.py */
	PYC_PLACE_LEGACY, /* NAME.pyc or NAME.pyo -> NAME.py in the same directory */
	PYC_PLACE_PYTEST, /* __pycache__/NAME.TAG-pytest-VERSION.pyc: pytest's own header */
	PYC_PLACE_ODD,	  /* in __pycache__, but not of the form NAME.TAG[.opt-LEVEL].pyc */
};

/**
 * struct pyc_name - the parts of a bytecode file's name
 * @stem, @stem_len: NAME, may contain dots, and of ".pyc" is empty; points into the name
 *                   that was parsed; NULL where there is none
 * @tag, @tag_len:   TAG, empty in legacy placement; points into the name
 * @opt, @opt_len:   LEVEL of ".opt-LEVEL", empty where there is none; points into the name
 * @is_pyo:          whether the name ends in ".pyo"
 */
struct pyc_name {
	enum pyc_placement placement;
	const char *stem;
	size_t stem_len;
	const char *tag;
	size_t tag_len;
	const char *opt;
	size_t opt_len;
	bool is_pyo;
};

/**
 * pyc_name_is_bytecode() - is a file named like bytecode?
 * @path: its path, or the last component alone; any bytes
 *
 * The suffix alone decides: ".pyc", or ".pyo" of 2.7 and 3.0 to 3.4. A bare ".pyc" counts:
 * Python 3 imports it as the module "package.". All of canonfs judges such files and no
 * others; the functions below tell whose they are.
 */
bool pyc_name_is_bytecode(const char *path);

/**
 * pyc_name_parse() - take a bytecode file's name apart
 * @name:     the last component of the path, NUL-terminated, any bytes
 * @in_cache: whether the directory that holds it is named __pycache__
 * @ret_name: written always; pointers are into @name, NULL/0 where a part is missing
 *
 * ".pyo" counts as ".pyc" (2.7 and 3.0-3.4 write it under -O).
 * Return: ret_name->placement; PYC_PLACE_NONE where pyc_name_is_bytecode() is false.
 */
enum pyc_placement pyc_name_parse(const char *name, bool in_cache,
				  struct pyc_name *ret_name);

/**
 * pyc_name_source() - the name of the source file that pairs with a bytecode file
 * @name:       any; PYC_PLACE_NONE and PYC_PLACE_ODD pair with nothing
 * @ret_source: NAME.py, NUL-terminated; at least PYC_NAME_MAX + 1 bytes
 *
 * Return: false where NAME.py would be longer than PYC_NAME_MAX (no such file can
 * exist), or where the name pairs with nothing.
 */
bool pyc_name_source(const struct pyc_name *name, char *ret_source);

/**
 * pyc_name_tag_agrees() - does the name's tag belong to the header's magic?
 *
 * RustPython writes CPython 3.12's magic under its own tag; its code is not CPython's.
 * Legacy names carry no tag and agree with every magic.
 */
bool pyc_name_tag_agrees(const struct pyc_name *name, const struct pyc_magic *magic);

/**
 * pyc_name_level() - the optimisation level that an interpreter reads the file at
 * @magic: the interpreter's; NULL for any that asks for such a name
 *
 * Return: 0, 1 or 2; 1 for ".pyo", which -O and -OO share (up to 3.4); -1 where no
 * interpreter of that magic asks for such a name.
 */
int pyc_name_level(const struct pyc_name *name, const struct pyc_magic *magic);

/*
 * Whether @name, the last component, ends in ".py" and has something before it: Python
 * takes the bytecode of ".py" from where that of "py.py" is, so its time is left alone.
 */
bool pyc_name_is_source(const char *name);

#endif
