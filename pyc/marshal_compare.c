/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are two bodies the same code? See pyc_marshal_compare().
 *
 * The same code can have other bytes. An object that several others hold is written once
 * and then referred to, or written again (w_ref() in Python/marshal.c); the items of a
 * frozenset come in the order of their hashes. So both bodies are read side by side as the
 * trees that a loader would build, back references followed.
 *
 * Code objects in an interpreter do not show everything: 3.11 and later hide specialised
 * instructions, inline caches (co_code is cleaned) and the kinds of local variables.
 *
 * One function gives an order: 0 is equality, and sets are sorted by it.
 */
#include <stdlib.h>
#include <string.h>

#include "pyc/marshal_private.h"

/*
 * Objects, and runs of STEP_BYTES bytes, that are looked at in all. A tree may be larger
 * than its body by any factor, as tuples of references to tuples of references show; what
 * compilers write is not.
 */
#define MAX_STEPS  (UINT64_C(1) << 26)
#define STEP_BYTES 64

/* Compared first. Any order will do. */
enum kind {
	KIND_SINGLETON,
	KIND_NUMBER,
	KIND_BYTES,
	KIND_TEXT,
	KIND_LATIN1, /* CPython takes what is not ASCII in its ASCII types for this */
	KIND_SEQUENCE,
	KIND_SET,
	KIND_CODE,
	KIND_UNKNOWN, /* dicts: no compiler writes one */
};

/**
 * struct token - one object without its items
 * @type:    the type code, one for all that are of the same type
 * @content, @size: bytes that say its value
 * @items:   how many objects follow; not for code objects
 */
struct token {
	uint8_t kind;
	uint8_t type;
	const uint8_t *content;
	uint32_t size;
	uint32_t items;
};

/* A place in a body. */
struct cursor {
	const struct marshal_map *map;
	uint32_t pos;
};

/**
 * struct comparison - two bodies
 * @filename: of each body, what its outermost code object calls the file
 * @steps:    taken so far
 * @depth:    of nesting, back references followed
 * @sorting:  more than 0 while a set is sorted: @field is not set then
 * @gave_up:  the order that is returned means nothing
 * @field:    the first difference, NULL before
 */
struct comparison {
	struct marshal_map maps[2];
	struct token filename[2];
	uint64_t steps;
	unsigned depth;
	unsigned sorting;
	bool gave_up;
	const char *field;
};

static int order_of(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* ---- one object ---- */

static uint32_t take_le32(struct cursor *at)
{
	uint32_t n = load_le32(at->map->body + at->pos);

	at->pos += 4;
	return n;
}

static uint32_t take_length(struct cursor *at, bool is_short)
{
	return is_short ? at->map->body[at->pos++] : take_le32(at);
}

static void take_content(struct cursor *at, uint32_t size, struct token *token)
{
	token->content = at->map->body + at->pos;
	token->size = size;
	at->pos += size;
}

/* Digits of two bytes after a count that has the sign. */
static void take_long(struct cursor *at, struct token *token)
{
	uint32_t n = load_le32(at->map->body + at->pos);

	take_content(at, 4 + 2 * (n > INT32_MAX ? -n : n), token);
}

static void take_floats(struct cursor *at, unsigned count, struct token *token)
{
	const uint8_t *start = at->map->body + at->pos;
	uint32_t size = 0;

	for (; count > 0; count--)
		size += 1 + (uint32_t)start[size];
	take_content(at, size, token);
}

/* Which of the types of strings an interpreter makes of it. */
static void classify_string(const struct cursor *at, struct token *token)
{
	bool is_py2 = at->map->dialect->features & DIALECT_PY2;

	switch (token->type) {
	case 's':
		token->kind = KIND_BYTES;
		break;
	case 't':
		token->kind = is_py2 ? KIND_BYTES : KIND_TEXT;
		break;
	case 'u':
		token->kind = KIND_TEXT;
		break;
	default:
		token->kind = marshal_text_is_ascii(token->content, token->size)
				      ? KIND_TEXT
				      : KIND_LATIN1;
	}
	token->type = 0;
}

/* How many items follow, and what they make. */
static void open_items(struct cursor *at, enum marshal_shape shape, struct token *token)
{
	token->items = shape == SHAPE_TRIPLE ? 3 : take_length(at, shape == SHAPE_FEW);
	token->kind = token->type == '<' || token->type == '>' ? KIND_SET : KIND_SEQUENCE;
	if (token->type == ')')
		token->type = '(';
}

/*
 * Reads an object without its items, which come next. A back reference is read as the
 * object that it leads to; then the items come at *@ret_items.
 */
static struct token read_token(struct cursor *at, struct cursor *ret_items)
{
	uint8_t type = at->map->body[at->pos++];
	struct token token = {.kind = KIND_UNKNOWN};
	enum marshal_shape shape;

	/* Without FLAG_REF in a dialect, no type code that was walked has the bit. */
	token.type = type & (uint8_t)~MARSHAL_FLAG_REF;
	shape = marshal_types[token.type].shape;
	if (shape == SHAPE_REF) {
		*ret_items = (struct cursor){at->map, at->map->refs[take_le32(at)]};
		return read_token(ret_items, &(struct cursor){0});
	}
	switch (shape) {
	case SHAPE_SINGLETON:
		token.kind = KIND_SINGLETON;
		break;
	case SHAPE_FIXED:
	case SHAPE_LONG:
	case SHAPE_FLOATS:
		token.kind = KIND_NUMBER;
		if (shape == SHAPE_FIXED)
			take_content(at, marshal_types[token.type].size, &token);
		else if (shape == SHAPE_LONG)
			take_long(at, &token);
		else
			take_floats(at, marshal_types[token.type].size, &token);
		break;
	case SHAPE_STRING:
	case SHAPE_SHORT:
		take_content(at, take_length(at, shape == SHAPE_SHORT), &token);
		classify_string(at, &token);
		break;
	case SHAPE_ITEMS:
	case SHAPE_FEW:
	case SHAPE_TRIPLE:
		open_items(at, shape, &token);
		break;
	case SHAPE_CODE:
		token.kind = KIND_CODE;
		break;
	default:
		break;
	}
	ret_items->map = NULL;
	return token;
}

/* ---- past an object ---- */

static bool skip_object(struct cursor *at);

/* Skips the fields of a code object that come before the first of a kind. */
static bool skip_fields(struct cursor *at, enum marshal_field_kind until)
{
	enum marshal_field_kind kind;
	const char *name;

	for (unsigned i = 0;
	     (kind = marshal_code_field(at->map->dialect, i, &name)) != until; i++) {
		if (kind == MARSHAL_FIELD_INT)
			at->pos += 4;
		else if (!skip_object(at))
			return false;
	}
	return true;
}

/* Follows no back reference, so it goes no deeper than the walk did. */
static bool skip_object(struct cursor *at)
{
	struct cursor items;
	struct token token = read_token(at, &items);

	if (items.map)
		return true;
	if (token.kind == KIND_CODE)
		return skip_fields(at, MARSHAL_FIELD_END);
	for (uint32_t i = 0; i < token.items; i++)
		if (!skip_object(at))
			return false;
	return token.kind != KIND_UNKNOWN;
}

/* ---- two objects ---- */

static int compare_objects(struct comparison *c, struct cursor *a, struct cursor *b);

static int give_up(struct comparison *c)
{
	c->gave_up = true;
	return 1;
}

static bool spend(struct comparison *c, uint32_t bytes)
{
	c->steps += 1 + bytes / STEP_BYTES;
	return c->steps <= MAX_STEPS;
}

static int compare_tokens(struct comparison *c, const struct token *a,
			  const struct token *b)
{
	int order = order_of(a->kind, b->kind);

	if (order == 0)
		order = order_of(a->type, b->type);
	if (order == 0)
		order = order_of(a->size, b->size);
	if (order == 0)
		order = order_of(a->items, b->items);
	if (order != 0 || a->size == 0)
		return order;
	if (!spend(c, a->size))
		return give_up(c);
	return memcmp(a->content, b->content, a->size);
}

/* Which of the two bodies is it? */
static unsigned side_of(const struct comparison *c, const struct cursor *at)
{
	return at->map == &c->maps[1];
}

/* The bodies may name the file differently, but each has one name for it throughout. */
static int compare_filename(struct comparison *c, struct cursor *at)
{
	struct cursor unused;
	struct token name = read_token(at, &unused);

	return compare_tokens(c, &name, &c->filename[side_of(c, at)]);
}

static int compare_field(struct comparison *c, enum marshal_field_kind kind,
			 struct cursor *a, struct cursor *b)
{
	int order;

	switch (kind) {
	case MARSHAL_FIELD_INT:
		return order_of(take_le32(a), take_le32(b));
	case MARSHAL_FIELD_FILENAME:
		order = compare_filename(c, a);
		return order ? order : compare_filename(c, b);
	default:
		return compare_objects(c, a, b);
	}
}

static int compare_code(struct comparison *c, struct cursor *a, struct cursor *b)
{
	enum marshal_field_kind kind;
	const char *name;

	for (unsigned i = 0;
	     (kind = marshal_code_field(a->map->dialect, i, &name)) != MARSHAL_FIELD_END;
	     i++) {
		int order = compare_field(c, kind, a, b);

		if (order == 0)
			continue;
		if (!c->field && !c->sorting)
			c->field = name;
		return order;
	}
	return 0;
}

static int compare_items(struct comparison *c, uint32_t count, struct cursor *a,
			 struct cursor *b)
{
	int order = 0;

	for (uint32_t i = 0; order == 0 && i < count; i++)
		order = compare_objects(c, a, b);
	return order;
}

/* ---- sets ---- */

/* What qsort_r() hands on. */
struct sort {
	struct comparison *c;
	const struct marshal_map *map;
};

static int compare_offsets(const void *a, const void *b, void *closure)
{
	struct sort *sort = closure;
	struct cursor first = {sort->map, *(const uint32_t *)a};
	struct cursor second = {sort->map, *(const uint32_t *)b};

	/* Nothing that is returned from now on matters. */
	return sort->c->gave_up ? 0 : compare_objects(sort->c, &first, &second);
}

/* Where each item stands, sorted by what it is; moves past them. */
static bool sort_items(struct comparison *c, struct cursor *at, uint32_t count,
		       uint32_t *ret_offsets)
{
	struct sort sort = {c, at->map};

	for (uint32_t i = 0; i < count; i++) {
		ret_offsets[i] = at->pos;
		if (!skip_object(at))
			return false;
	}
	c->sorting++;
	qsort_r(ret_offsets, count, sizeof(*ret_offsets), compare_offsets, &sort);
	c->sorting--;
	return true;
}

static int compare_sets(struct comparison *c, uint32_t count, struct cursor *a,
			struct cursor *b)
{
	uint32_t *offsets;
	int order = 0;

	if (count == 0)
		return 0;
	offsets = malloc(2 * (size_t)count * sizeof(*offsets));
	if (!offsets || !sort_items(c, a, count, offsets) ||
	    !sort_items(c, b, count, offsets + count))
		order = give_up(c);
	for (uint32_t i = 0; order == 0 && i < count; i++) {
		struct cursor first = {a->map, offsets[i]};
		struct cursor second = {b->map, offsets[count + i]};

		order = compare_objects(c, &first, &second);
	}
	free(offsets);
	return order;
}

/* ---- all of it ---- */

static int compare_inside(struct comparison *c, const struct token *token, struct cursor *a,
			  struct cursor *b)
{
	switch (token->kind) {
	case KIND_CODE:
		return compare_code(c, a, b);
	case KIND_SET:
		return compare_sets(c, token->items, a, b);
	case KIND_SEQUENCE:
		return compare_items(c, token->items, a, b);
	case KIND_UNKNOWN:
		return give_up(c);
	default:
		return 0;
	}
}

/* Moves both past an object each, unless they differ. */
static int compare_objects(struct comparison *c, struct cursor *a, struct cursor *b)
{
	struct cursor a_items, b_items;
	struct token a_token = read_token(a, &a_items);
	struct token b_token = read_token(b, &b_items);
	int order;

	if (c->depth == MARSHAL_MAX_DEPTH || !spend(c, 0))
		return give_up(c);
	order = compare_tokens(c, &a_token, &b_token);
	if (order != 0)
		return order;
	c->depth++;
	order = compare_inside(c, &a_token, a_items.map ? &a_items : a,
			       b_items.map ? &b_items : b);
	c->depth--;
	return c->gave_up ? 1 : order;
}

/* What the outermost code object calls the file. */
static bool find_filename(const struct marshal_map *map, struct token *ret_filename)
{
	struct cursor at = {map, 0}, items;

	read_token(&at, &items);
	if (!skip_fields(&at, MARSHAL_FIELD_FILENAME))
		return false;
	*ret_filename = read_token(&at, &items);
	return true;
}

static enum pyc_marshal_match compare_maps(struct comparison *c)
{
	struct cursor a = {&c->maps[0], 0}, b = {&c->maps[1], 0};
	int order;

	if (!find_filename(&c->maps[0], &c->filename[0]) ||
	    !find_filename(&c->maps[1], &c->filename[1]))
		return PYC_MARSHAL_UNDECIDED;
	order = compare_objects(c, &a, &b);
	if (c->gave_up)
		return PYC_MARSHAL_UNDECIDED;
	return order == 0 ? PYC_MARSHAL_SAME : PYC_MARSHAL_DIFFERS;
}

enum pyc_marshal_match pyc_marshal_compare(const struct pyc_magic *magic, const uint8_t *a,
					   size_t a_len, const uint8_t *b, size_t b_len,
					   const char **ret_field)
{
	struct comparison c = {.steps = 0};
	enum pyc_marshal_match match = PYC_MARSHAL_UNDECIDED;

	if (marshal_map_init(&c.maps[0], magic, a, a_len) == PYC_MARSHAL_OK &&
	    marshal_map_init(&c.maps[1], magic, b, b_len) == PYC_MARSHAL_OK)
		match = compare_maps(&c);
	if (ret_field)
		*ret_field = match == PYC_MARSHAL_DIFFERS ? c.field : NULL;
	marshal_map_fini(&c.maps[0]);
	marshal_map_fini(&c.maps[1]);
	return match;
}
