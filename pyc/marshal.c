/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over a marshalled code object: r_object() of CPython's Python/marshal.c and
 * PyPy's marshal_impl.py, without the objects.
 *
 * A loader recurses; the walk keeps a stack of open containers, because a body comes
 * from an image that nobody vouched for. It refuses what the loader of its version
 * refuses, and some things that no writer produces but a lenient loader would take: an
 * object inside itself, a NULL for a dict's value, a back reference marked as referable.
 */
#include <stdlib.h>
#include <string.h>

#include "pyc/marshal_private.h"

#define NO_REF UINT32_MAX

/* Enough for most bodies without malloc(); the stack of a caller's thread may be small. */
#define INLINE_FRAMES 24
#define INLINE_REFS   256

const struct marshal_type marshal_types[MARSHAL_TYPES] = {
	['0'] = {SHAPE_SINGLETON, VALUE_NULL, 0, 0},
	['N'] = {SHAPE_SINGLETON, VALUE_SCALAR, 0, 0},
	['F'] = {SHAPE_SINGLETON, VALUE_SCALAR, 0, 0},
	['T'] = {SHAPE_SINGLETON, VALUE_SCALAR, 0, 0},
	['S'] = {SHAPE_SINGLETON, VALUE_SCALAR, 0, 0}, /* StopIteration */
	['.'] = {SHAPE_SINGLETON, VALUE_SCALAR, 0, 0},
	['i'] = {SHAPE_FIXED, VALUE_SCALAR, 4, 0},
	['I'] = {SHAPE_FIXED, VALUE_SCALAR, 8, 0},
	['g'] = {SHAPE_FIXED, VALUE_SCALAR, 8, 0},
	['y'] = {SHAPE_FIXED, VALUE_SCALAR, 16, 0},
	['l'] = {SHAPE_LONG, VALUE_SCALAR, 0, 0},
	['f'] = {SHAPE_FLOATS, VALUE_SCALAR, 1, 0},
	['x'] = {SHAPE_FLOATS, VALUE_SCALAR, 2, 0},
	['s'] = {SHAPE_STRING, VALUE_BYTES, 0, 0},
	['u'] = {SHAPE_STRING, VALUE_STR, 0, 0},
	['t'] = {SHAPE_STRING, VALUE_STR, 0, DIALECT_INTERNED},
	['a'] = {SHAPE_STRING, VALUE_STR, 0, DIALECT_REFS},
	['A'] = {SHAPE_STRING, VALUE_STR, 0, DIALECT_REFS},
	['z'] = {SHAPE_SHORT, VALUE_STR, 0, DIALECT_REFS},
	['Z'] = {SHAPE_SHORT, VALUE_STR, 0, DIALECT_REFS},
	['r'] = {SHAPE_REF, VALUE_OPEN, 0, DIALECT_REFS},
	['R'] = {SHAPE_REF, VALUE_OPEN, 0, DIALECT_PY2},
	['('] = {SHAPE_ITEMS, VALUE_OPEN, 0, 0},
	[')'] = {SHAPE_FEW, VALUE_OPEN, 0, DIALECT_REFS},
	['['] = {SHAPE_ITEMS, VALUE_OPEN, 0, 0},
	['<'] = {SHAPE_ITEMS, VALUE_OPEN, 0, 0},
	['>'] = {SHAPE_ITEMS, VALUE_OPEN, 0, 0},
	[':'] = {SHAPE_TRIPLE, VALUE_OPEN, 0, DIALECT_SLICE},
	['{'] = {SHAPE_DICT, VALUE_OPEN, 0, 0},
	['}'] = {SHAPE_DICT, VALUE_OPEN, 0, DIALECT_FROZENDICT},
	['c'] = {SHAPE_CODE, VALUE_OPEN, 0, 0},
};

/**
 * struct frame - a container whose items are being read
 * @start: where its type code stands
 * @ref:   its index among the back references, or NO_REF
 * @left:  items still to come; for dicts, odd while a value is
 * @type:  its type code
 * @all:   TRAIT_ bits that every item so far had
 * @code:  code objects only
 */
struct frame {
	uint32_t start;
	uint32_t ref;
	uint32_t left;
	uint8_t type;
	uint8_t all;
	struct marshal_code code;
};

struct stack {
	struct frame *frames; /* few, or malloc()ed */
	uint32_t depth, capacity;
	struct frame few[INLINE_FRAMES];
};

/*
 * Objects that can be referred to, by index: class << MARSHAL_OFFSET_BITS | start.
 * Those of fewer than four bytes are few (strings of one letter, the empty tuple): past
 * INLINE_REFS entries the table never takes more memory than the body.
 */
struct refs {
	uint32_t *entries; /* few, or malloc()ed */
	uint32_t count, capacity, limit;
	uint32_t few[INLINE_REFS];
};

struct walk {
	const struct marshal_dialect *dialect;
	struct marshal_input in;
	struct stack stack;
	struct refs refs;
};

const uint8_t marshal_class_traits[VALUE_CLASSES] = {
	[VALUE_SCALAR] = TRAIT_HASHABLE,
	[VALUE_STR] = TRAIT_HASHABLE | TRAIT_STR,
	[VALUE_BYTES] = TRAIT_HASHABLE | TRAIT_BYTES,
	[VALUE_OLD_STR] = TRAIT_HASHABLE | TRAIT_STR | TRAIT_BYTES,
	[VALUE_NAMES] = TRAIT_HASHABLE | TRAIT_TUPLE | TRAIT_NAMES,
	[VALUE_TUPLE] = TRAIT_HASHABLE | TRAIT_TUPLE,
	[VALUE_TUPLE_MIXED] = TRAIT_TUPLE,
};

/*
 * Moves a table to larger memory; NULL, and nothing changed, where there is none. @few
 * is the part of the walk itself, which is not freed.
 */
static void *grow(void *old, const void *few, size_t used, size_t size)
{
	void *larger = malloc(size);

	if (!larger)
		return NULL;
	memcpy(larger, old, used);
	if (old != few)
		free(old);
	return larger;
}

static bool refs_grow(struct refs *refs)
{
	uint32_t capacity = refs->capacity * 4;
	uint32_t *entries;

	if (capacity > refs->limit)
		capacity = refs->limit;
	if (capacity <= refs->count)
		return false;
	entries = grow(refs->entries, refs->few, refs->count * sizeof(*entries),
		       capacity * sizeof(*entries));
	if (!entries)
		return false;
	refs->entries = entries;
	refs->capacity = capacity;
	return true;
}

static void refs_set(struct refs *refs, uint32_t index, struct marshal_value value)
{
	refs->entries[index] = (uint32_t)value.class << MARSHAL_OFFSET_BITS | value.start;
}

static enum pyc_marshal_status refs_add(struct refs *refs, struct marshal_value value)
{
	if (refs->count == refs->capacity && !refs_grow(refs))
		return PYC_MARSHAL_NO_MEMORY;
	refs_set(refs, refs->count++, value);
	return PYC_MARSHAL_OK;
}

static enum pyc_marshal_status refs_get(const struct refs *refs, uint32_t index,
					struct marshal_value *ret_value)
{
	uint32_t entry;

	if (index >= refs->count)
		return PYC_MARSHAL_BAD_REF;
	entry = refs->entries[index];
	if (entry >> MARSHAL_OFFSET_BITS == VALUE_OPEN)
		return PYC_MARSHAL_BAD_REF;
	ret_value->class = (uint8_t)(entry >> MARSHAL_OFFSET_BITS);
	ret_value->start = entry & (MARSHAL_MAX_BODY - 1);
	return PYC_MARSHAL_OK;
}

static bool stack_grow(struct stack *stack)
{
	uint32_t capacity = stack->capacity * 4 < MARSHAL_MAX_DEPTH ? stack->capacity * 4
								    : MARSHAL_MAX_DEPTH;
	struct frame *frames =
		grow(stack->frames, stack->few, stack->depth * sizeof(*frames),
		     capacity * sizeof(*frames));

	if (!frames)
		return false;
	stack->frames = frames;
	stack->capacity = capacity;
	return true;
}

static struct frame *stack_top(struct stack *stack)
{
	return &stack->frames[stack->depth - 1];
}

/* r_PyLong(): digits below 2^15, the topmost not 0. */
static enum pyc_marshal_status read_long(struct marshal_input *in)
{
	const uint8_t *digits;
	uint32_t n;

	if (!marshal_read_le32(in, &n))
		return PYC_MARSHAL_TRUNCATED;
	if (n > INT32_MAX)
		n = -n;
	if (n > INT32_MAX)
		return PYC_MARSHAL_BAD_VALUE;
	if (n > marshal_left(in) / 2)
		return PYC_MARSHAL_TRUNCATED;
	digits = in->body + in->pos;
	for (uint32_t i = 0; i < n; i++) {
		if (digits[2 * i + 1] & 0x80)
			return PYC_MARSHAL_BAD_VALUE;
	}
	if (n > 0 && digits[2 * n - 2] == 0 && digits[2 * n - 1] == 0)
		return PYC_MARSHAL_BAD_VALUE;
	in->pos += 2 * n;
	return PYC_MARSHAL_OK;
}

/* A length or a count; an item takes one byte at least. */
static enum pyc_marshal_status read_length(struct marshal_input *in, bool is_short,
					   uint32_t *ret_n)
{
	uint32_t n;

	if (is_short) {
		if (marshal_left(in) < 1)
			return PYC_MARSHAL_TRUNCATED;
		n = in->body[in->pos++];
	} else if (!marshal_read_le32(in, &n)) {
		return PYC_MARSHAL_TRUNCATED;
	}
	if (n > INT32_MAX)
		return PYC_MARSHAL_BAD_VALUE;
	if (n > marshal_left(in))
		return PYC_MARSHAL_TRUNCATED;
	*ret_n = n;
	return PYC_MARSHAL_OK;
}

static enum pyc_marshal_status read_floats(struct marshal_input *in, unsigned count)
{
	for (; count > 0; count--) {
		enum pyc_marshal_status status;
		uint32_t n;

		status = read_length(in, true, &n);
		if (status != PYC_MARSHAL_OK)
			return status;
		if (!marshal_text_is_float(in->body + in->pos, n))
			return PYC_MARSHAL_BAD_VALUE;
		in->pos += n;
	}
	return PYC_MARSHAL_OK;
}

/*
 * Is the content what this type may hold? CPython takes any byte in its ASCII types (as
 * Latin-1); PyPy takes it for UTF-8 unseen, and would have a broken str.
 */
static bool string_fits(unsigned features, uint8_t type, const uint8_t *text, uint32_t len)
{
	switch (type) {
	case 's':
		return true;
	case 't':
		return (features & DIALECT_PY2) || marshal_text_is_utf8(text, len);
	case 'u':
		return marshal_text_is_utf8(text, len);
	default:
		return !(features & DIALECT_PYPY) || marshal_text_is_ascii(text, len);
	}
}

static enum pyc_marshal_status read_string(struct walk *w, uint8_t type,
					   struct marshal_value *value)
{
	struct marshal_input *in = &w->in;
	unsigned features = w->dialect->features;
	enum pyc_marshal_status status;
	uint32_t n;

	status = read_length(in, marshal_types[type].shape == SHAPE_SHORT, &n);
	if (status != PYC_MARSHAL_OK)
		return status;
	if (!string_fits(features, type, in->body + in->pos, n))
		return PYC_MARSHAL_BAD_VALUE;
	in->pos += n;
	if (features & DIALECT_PY2)
		value->class = type == 'u' ? VALUE_SCALAR : VALUE_OLD_STR;
	return PYC_MARSHAL_OK;
}

static enum pyc_marshal_status read_ref(struct walk *w, struct marshal_value *ret_value)
{
	uint32_t index;

	if (!marshal_read_le32(&w->in, &index))
		return PYC_MARSHAL_TRUNCATED;
	return refs_get(&w->refs, index, ret_value);
}

/* Opens a container of @left items. */
static enum pyc_marshal_status push(struct walk *w, uint8_t type, uint32_t start,
				    uint32_t left, bool referable)
{
	struct stack *stack = &w->stack;
	struct frame *frame;
	uint32_t ref = NO_REF;

	if (referable) {
		struct marshal_value open = {start, VALUE_OPEN};
		enum pyc_marshal_status status = refs_add(&w->refs, open);

		if (status != PYC_MARSHAL_OK)
			return status;
		ref = w->refs.count - 1;
	}
	if (stack->depth == stack->capacity && !stack_grow(stack))
		return PYC_MARSHAL_NO_MEMORY;
	stack->depth++;
	frame = stack_top(stack);
	*frame = (struct frame){
		.start = start, .ref = ref, .left = left, .type = type, .all = 0xff};
	if (type == 'c')
		return marshal_code_ints(w->dialect, &w->in, &frame->code);
	return PYC_MARSHAL_OK;
}

/* Closes the innermost container, which becomes the value. */
static void finish(struct walk *w, struct marshal_value *ret_value)
{
	struct frame *frame = stack_top(&w->stack);
	uint8_t class;

	switch (frame->type) {
	case '(':
	case ')':
		class = frame->all & TRAIT_STR	      ? VALUE_NAMES
			: frame->all & TRAIT_HASHABLE ? VALUE_TUPLE
						      : VALUE_TUPLE_MIXED;
		break;
	case '>':
		class = VALUE_SCALAR;
		break;
	case ':':
		class = frame->all & TRAIT_HASHABLE ? VALUE_SCALAR : VALUE_UNHASHABLE;
		break;
	case 'c':
		class = VALUE_CODE;
		break;
	default:
		class = VALUE_UNHASHABLE;
	}
	ret_value->start = frame->start;
	ret_value->class = class;
	if (frame->ref != NO_REF)
		refs_set(&w->refs, frame->ref, *ret_value);
	w->stack.depth--;
}

static enum pyc_marshal_status open_container(struct walk *w, uint8_t type, bool referable,
					      struct marshal_value *value)
{
	enum pyc_marshal_status status;
	uint32_t left;

	switch (marshal_types[type].shape) {
	case SHAPE_ITEMS:
	case SHAPE_FEW:
		status = read_length(&w->in, marshal_types[type].shape == SHAPE_FEW, &left);
		if (status != PYC_MARSHAL_OK)
			return status;
		break;
	case SHAPE_TRIPLE:
		left = 3;
		break;
	default: /* not known beforehand; even, see take_pair() */
		left = UINT32_MAX - 1;
	}
	status = push(w, type, value->start, left, referable);
	if (status == PYC_MARSHAL_OK && left == 0)
		finish(w, value);
	return status;
}

/* All but containers, once the type code is read. */
static enum pyc_marshal_status read_plain(struct walk *w, uint8_t type,
					  struct marshal_value *value)
{
	const struct marshal_type *info = &marshal_types[type];

	switch (info->shape) {
	case SHAPE_SINGLETON:
		return PYC_MARSHAL_OK;
	case SHAPE_FIXED:
		if (marshal_left(&w->in) < info->size)
			return PYC_MARSHAL_TRUNCATED;
		w->in.pos += info->size;
		return PYC_MARSHAL_OK;
	case SHAPE_LONG:
		return read_long(&w->in);
	case SHAPE_FLOATS:
		return read_floats(&w->in, info->size);
	case SHAPE_STRING:
	case SHAPE_SHORT:
		return read_string(w, type, value);
	default:
		return read_ref(w, value);
	}
}

/*
 * One object, or the head of a container: then the value's class is VALUE_OPEN. On
 * failure the value means nothing.
 */
static enum pyc_marshal_status read_object(struct walk *w, struct marshal_value *value)
{
	enum pyc_marshal_status status;
	const struct marshal_type *info;
	bool referable = false;
	uint8_t type;

	if (marshal_left(&w->in) == 0)
		return PYC_MARSHAL_TRUNCATED;
	if (w->stack.depth == MARSHAL_MAX_DEPTH)
		return PYC_MARSHAL_TOO_DEEP;
	value->start = w->in.pos;
	type = w->in.body[w->in.pos++];
	if (w->dialect->features & DIALECT_REFS) {
		referable = type & MARSHAL_FLAG_REF;
		type &= (uint8_t)~MARSHAL_FLAG_REF;
	} else if (w->dialect->features & DIALECT_PY2) {
		referable = type == 't';
	}
	if (type >= MARSHAL_TYPES)
		return PYC_MARSHAL_BAD_TYPE;
	info = &marshal_types[type];
	if (info->shape == SHAPE_UNKNOWN || (info->needs & ~w->dialect->features))
		return PYC_MARSHAL_BAD_TYPE;
	/* CPython ignores the flag here, PyPy gives an index: no writer sets it. */
	if (referable && (info->shape == SHAPE_SINGLETON || info->shape == SHAPE_REF))
		return PYC_MARSHAL_BAD_TYPE;
	value->class = info->class;
	if (info->shape >= SHAPE_ITEMS)
		return open_container(w, type, referable, value);
	status = read_plain(w, type, value);
	if (status == PYC_MARSHAL_OK && referable)
		status = refs_add(&w->refs, *value);
	return status;
}

/* An item of a dict: a key, a value, or the end. */
static enum pyc_marshal_status take_pair(struct frame *frame, enum marshal_class class)
{
	bool is_value = frame->left % 2;

	if (class == VALUE_NULL) {
		frame->left = 0;
		return is_value ? PYC_MARSHAL_BAD_VALUE : PYC_MARSHAL_OK;
	}
	frame->left--;
	if (!is_value && !(marshal_traits(class) & TRAIT_HASHABLE))
		return PYC_MARSHAL_BAD_VALUE;
	return PYC_MARSHAL_OK;
}

/* A field of a code object, and the integers that follow it. */
static enum pyc_marshal_status take_field(struct walk *w, struct frame *frame,
					  struct marshal_value value)
{
	enum pyc_marshal_status status;

	status = marshal_code_take(w->dialect, w->in.body, &frame->code, value);
	if (status == PYC_MARSHAL_OK)
		status = marshal_code_ints(w->dialect, &w->in, &frame->code);
	if (marshal_code_done(w->dialect, &frame->code))
		frame->left = 0;
	return status;
}

/*
 * Gives a whole object to the innermost container. If that is whole now, it becomes the
 * value; if not, the value's class becomes VALUE_OPEN.
 */
static enum pyc_marshal_status give(struct walk *w, struct marshal_value *value)
{
	struct frame *frame = stack_top(&w->stack);
	enum pyc_marshal_status status = PYC_MARSHAL_OK;
	unsigned traits = marshal_traits(value->class);

	switch (frame->type) {
	case '{':
	case '}':
		status = take_pair(frame, value->class);
		break;
	case 'c':
		status = take_field(w, frame, *value);
		break;
	case '<':
	case '>':
		frame->left--;
		if (!(traits & TRAIT_HASHABLE))
			return PYC_MARSHAL_BAD_VALUE;
		break;
	default:
		frame->left--;
		frame->all &= (uint8_t)traits;
		if (value->class == VALUE_NULL)
			return PYC_MARSHAL_BAD_VALUE;
	}
	value->class = VALUE_OPEN;
	if (status == PYC_MARSHAL_OK && frame->left == 0)
		finish(w, value);
	return status;
}

static enum pyc_marshal_status walk_body(struct walk *w)
{
	for (;;) {
		struct marshal_value value;
		enum pyc_marshal_status status = read_object(w, &value);

		while (status == PYC_MARSHAL_OK && value.class != VALUE_OPEN) {
			if (w->stack.depth == 0)
				return value.class == VALUE_CODE ? PYC_MARSHAL_OK
								 : PYC_MARSHAL_NOT_CODE;
			status = give(w, &value);
		}
		if (status != PYC_MARSHAL_OK)
			return status;
	}
}

/* Walks a body from its first byte on. walk_fini() in any case. */
static enum pyc_marshal_status walk_run(struct walk *w, const struct pyc_magic *magic,
					const uint8_t *body, size_t len)
{
	w->stack.frames = w->stack.few;
	w->stack.depth = 0;
	w->stack.capacity = INLINE_FRAMES;
	w->refs.entries = w->refs.few;
	w->refs.count = 0;
	w->refs.capacity = INLINE_REFS;
	w->refs.limit = (uint32_t)(len / sizeof(uint32_t));
	w->dialect = marshal_dialect_of(magic);
	if (!w->dialect)
		return PYC_MARSHAL_UNSUPPORTED;
	if (len >= MARSHAL_MAX_BODY)
		return PYC_MARSHAL_NO_MEMORY;
	w->in = (struct marshal_input){body, (uint32_t)len, 0};
	return walk_body(w);
}

static void walk_fini(struct walk *w)
{
	if (w->stack.frames != w->stack.few)
		free(w->stack.frames);
	if (w->refs.entries != w->refs.few)
		free(w->refs.entries);
}

enum pyc_marshal_status pyc_marshal_check(const struct pyc_magic *magic,
					  const uint8_t *body, size_t len, size_t *ret_len)
{
	struct walk w;
	enum pyc_marshal_status status = walk_run(&w, magic, body, len);

	if (status == PYC_MARSHAL_OK && ret_len)
		*ret_len = w.in.pos;
	walk_fini(&w);
	return status;
}

/* A copy, without the classes; one word more than there are, as malloc(0) may be NULL. */
static enum pyc_marshal_status take_refs(const struct refs *refs, struct marshal_map *map)
{
	map->refs = malloc((refs->count + (size_t)1) * sizeof(*map->refs));
	if (!map->refs)
		return PYC_MARSHAL_NO_MEMORY;
	for (uint32_t i = 0; i < refs->count; i++)
		map->refs[i] = refs->entries[i] & (MARSHAL_MAX_BODY - 1);
	map->ref_count = refs->count;
	return PYC_MARSHAL_OK;
}

enum pyc_marshal_status marshal_map_init(struct marshal_map *map,
					 const struct pyc_magic *magic, const uint8_t *body,
					 size_t len)
{
	struct walk w;
	enum pyc_marshal_status status = walk_run(&w, magic, body, len);

	*map = (struct marshal_map){.body = body};
	if (status == PYC_MARSHAL_OK) {
		map->dialect = w.dialect;
		map->len = w.in.pos;
		status = take_refs(&w.refs, map);
	}
	walk_fini(&w);
	return status;
}

void marshal_map_fini(struct marshal_map *map)
{
	free(map->refs);
	map->refs = NULL;
}
