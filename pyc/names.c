/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the name of a bytecode file to the name of its source.
 *
 * The interpreter goes the other way: for NAME.py it asks for exactly
 * "__pycache__/" NAME "." TAG [".opt-" LEVEL] ".pyc" (cache_from_source() in
 * importlib/_bootstrap_external.py). A tag and a level have no dots while NAME may, so
 * the parts are taken off from the right.
 */
#include "pyc/names.h"

#include <string.h>

#define SUFFIX_LEN    4 /* ".pyc", ".pyo" */
#define SOURCE_SUFFIX ".py"
#define OPT_PREFIX    "opt-"
#define PYTEST_MARK   "-pytest-"

/* A run of bytes inside the name that is being parsed. */
struct span {
	const char *start;
	size_t len;
};

static bool ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name);
	size_t suffix_len = strlen(suffix);

	return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

bool pyc_name_is_bytecode(const char *path)
{
	return ends_with(path, ".pyc") || ends_with(path, ".pyo");
}

/* Take the part after the last dot off @rest; false where there is no dot. */
static bool split_last(struct span *rest, struct span *ret_last)
{
	size_t i = rest->len;

	while (i > 0 && rest->start[i - 1] != '.')
		i--;
	if (i == 0)
		return false;
	*ret_last = (struct span){rest->start + i, rest->len - i};
	rest->len = i - 1;
	return true;
}

static bool begins_with(struct span span, const char *prefix)
{
	size_t len = strlen(prefix);

	return span.len >= len && memcmp(span.start, prefix, len) == 0;
}

/* PEP 488: the level is alphanumeric. Not isalnum(), which knows locales. */
static bool is_level(struct span span)
{
	if (span.len == 0)
		return false;
	for (size_t i = 0; i < span.len; i++) {
		char c = span.start[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		      (c >= 'A' && c <= 'Z')))
			return false;
	}
	return true;
}

/* NAME.TAG-pytest-VERSION (_pytest/assertion/rewrite.py), the suffix already gone. */
static enum pyc_placement parse_pytest(struct span rest, struct pyc_name *name)
{
	struct span tag;

	rest.len = (size_t)(strstr(rest.start, PYTEST_MARK) - rest.start);
	if (split_last(&rest, &tag) && rest.len > 0) {
		name->stem = rest.start;
		name->stem_len = rest.len;
	}
	return PYC_PLACE_PYTEST;
}

/* NAME.TAG[.opt-LEVEL], the suffix already gone. */
static enum pyc_placement parse_cached(struct span rest, struct pyc_name *name)
{
	struct span tag;
	struct span opt = {NULL, 0};

	/* pytest's versions have dots of their own, so nothing is split before this. */
	if (strstr(rest.start, PYTEST_MARK))
		return parse_pytest(rest, name);
	if (!split_last(&rest, &tag))
		return PYC_PLACE_ODD;
	if (begins_with(tag, OPT_PREFIX)) {
		opt.start = tag.start + strlen(OPT_PREFIX);
		opt.len = tag.len - strlen(OPT_PREFIX);
		if (!is_level(opt) || !split_last(&rest, &tag))
			return PYC_PLACE_ODD;
	}
	if (tag.len == 0 || rest.len == 0)
		return PYC_PLACE_ODD;

	name->stem = rest.start;
	name->stem_len = rest.len;
	name->tag = tag.start;
	name->tag_len = tag.len;
	name->opt = opt.start;
	name->opt_len = opt.len;
	return PYC_PLACE_CACHE;
}

enum pyc_placement pyc_name_parse(const char *name, bool in_cache,
				  struct pyc_name *ret_name)
{
	struct span rest;

	*ret_name = (struct pyc_name){.placement = PYC_PLACE_NONE};
	if (!pyc_name_is_bytecode(name))
		return PYC_PLACE_NONE;
	rest = (struct span){name, strlen(name) - SUFFIX_LEN};
	if (in_cache) {
		ret_name->placement = parse_cached(rest, ret_name);
	} else {
		ret_name->placement = PYC_PLACE_LEGACY;
		ret_name->stem = rest.start;
		ret_name->stem_len = rest.len;
	}
	ret_name->is_pyo = name[strlen(name) - 1] == 'o';
	return ret_name->placement;
}

bool pyc_name_source(const struct pyc_name *name, char *ret_source)
{
	if (!name->stem || name->stem_len + strlen(SOURCE_SUFFIX) > PYC_NAME_MAX)
		return false;
	memcpy(ret_source, name->stem, name->stem_len);
	memcpy(ret_source + name->stem_len, SOURCE_SUFFIX, sizeof(SOURCE_SUFFIX));
	return true;
}

bool pyc_name_tag_agrees(const struct pyc_name *name, const struct pyc_magic *magic)
{
	struct span tag = {name->tag, name->tag_len};

	if (name->placement == PYC_PLACE_LEGACY)
		return true;
	/* A magic without a tag is older than PEP 3147: nothing in a cache is its. */
	if (name->placement != PYC_PLACE_CACHE || magic->tag[0] == '\0')
		return false;
	if (!begins_with(tag, magic->tag))
		return false;
	return magic->tag_is_prefix || tag.len == strlen(magic->tag);
}

/* PEP 488: ".opt-LEVEL" replaced ".pyo" in 3.5. GraalPy's magics do not tell Python's
 * version; its first one was later. */
static bool has_opt_levels(const struct pyc_magic *magic)
{
	return magic->implementation == PYC_GRAALPY || magic->major > 3 ||
	       (magic->major == 3 && magic->minor >= 5);
}

int pyc_name_level(const struct pyc_name *name, const struct pyc_magic *magic)
{
	if (name->is_pyo)
		return (magic && has_opt_levels(magic)) || name->opt_len > 0 ? -1 : 1;
	if (name->opt_len == 0)
		return 0;
	if (name->opt_len != 1 || (magic && !has_opt_levels(magic)))
		return -1;
	return *name->opt == '1' ? 1 : *name->opt == '2' ? 2 : -1;
}

bool pyc_name_is_source(const char *name)
{
	return ends_with(name, SOURCE_SUFFIX) && strcmp(name, SOURCE_SUFFIX) != 0;
}
