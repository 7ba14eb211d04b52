/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking interpreters what they are; see interpreters.h.
 */
#include "cli/python/interpreters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/path.h"
#include "base/reason.h"
#include "base/scope.h"
#include "cli/python/child.h"
#include "cli/python/places.h"

/* All of them together; starting one takes some 20 ms of processor time, PyPy 200. */
#define TIMEOUT_MS 10000

#define MAX_ANSWER (64u << 10)

/* Fields of the answer, each ended by a NUL byte; the libraries follow, then an empty one.
 */
enum answer_field { FIELD_MAGIC, FIELD_RELEASE, FIELD_PREFIX, FIELD_PROGRAM, FIELDS };

/*
 * For 2.7 to 3.15, PyPy and GraalPy. With -c, sys.path begins with the current directory.
 * It is left out: it is no library. Nothing that is imported here is looked for in it.
 */
static const char question[] =
	"import os, sys\n"
	"try:\n"
	"    from _frozen_importlib_external import MAGIC_NUMBER as magic\n"
	"except ImportError:\n"
	"    import imp\n"
	"    magic = imp.get_magic()\n"
	"encode = getattr(os, 'fsencode', lambda text: text)\n"
	"release = sys.version.split()[0]\n"
	"name = getattr(getattr(sys, 'implementation', None), 'name', '')\n"
	"if hasattr(sys, 'pypy_version_info'):\n"
	"    release = 'PyPy %d.%d.%d (%s)' % (tuple(sys.pypy_version_info[:3]) + "
	"(release,))\n"
	"elif name == 'graalpy':\n"
	"    release = 'GraalPy (%s)' % release\n"
	"fields = [''.join('%02x' % byte for byte in bytearray(magic)), release,\n"
	"          getattr(sys, 'base_prefix', sys.prefix), sys.executable]\n"
	"fields += [path for path in sys.path if path]\n"
	"os.write(1, b''.join(encode(field) + b'\\0' for field in fields) + b'\\0')\n";

/* ---- the list ---- */

/* Replaces a path by its target; a path that leads nowhere stays. */
static void resolve_links(char **path)
{
	char *real = *path && **path == '/' ? realpath(*path, NULL) : NULL;

	if (!real)
		return;
	free(*path);
	*path = real;
}

void interpreters_resolve_libraries(struct interpreter_list *machine)
{
	for (size_t i = 0; i < machine->count; i++) {
		resolve_links(&machine->interpreters[i].prefix);
		for (char **library = machine->interpreters[i].libraries; *library;
		     library++)
			resolve_links(library);
	}
}

const struct interpreter *interpreters_next(const struct interpreter_list *list,
					    const struct pyc_magic *magic,
					    const struct interpreter *after)
{
	size_t i = after ? (size_t)(after - list->interpreters) : list->count;

	while (i-- > 0)
		if (list->interpreters[i].magic == magic)
			return &list->interpreters[i];
	return NULL;
}

/* Length of @dir if @path lies below it; 0 if not. */
static size_t depth_below(const char *path, const char *dir)
{
	return dir && path_below(path, dir) ? strlen(dir) : 0;
}

/* How closely a file belongs to an interpreter of this machine; 0: not at all. */
static size_t interpreter_closeness(const struct interpreter *interpreter, const char *path)
{
	size_t closest = depth_below(path, interpreter->prefix);

	for (char **library = interpreter->libraries; *library; library++) {
		size_t depth = depth_below(path, *library);

		closest = depth > closest ? depth : closest;
	}
	return closest;
}

const struct interpreter *interpreters_owner(const struct interpreter_list *list,
					     const struct pyc_magic *magic,
					     const char *path)
{
	const struct interpreter *owner = NULL;
	const struct interpreter *one = NULL;
	size_t closest = 0;

	while ((one = interpreters_next(list, magic, one))) {
		size_t depth = interpreter_closeness(one, path);

		if (depth > closest) {
			closest = depth;
			owner = one;
		}
	}
	return owner;
}

/* ---- by their names ---- */

static const char *const program_names[] = {
	[PYC_CPYTHON] = "python", [PYC_PYPY] = "pypy", [PYC_GRAALPY] = "graalpy"};

char *interpreter_program(const struct pyc_magic *magic)
{
	const char *name = program_names[magic->implementation];
	char *program;

	if (magic->implementation == PYC_GRAALPY)
		return strdup(name);
	return asprintf(&program, "%s%d.%d", name, magic->major, magic->minor) < 0
		       ? NULL
		       : program;
}

static bool is_version(const struct pyc_magic *magic, const char *prefix, int prefix_len,
		       unsigned major, unsigned minor)
{
	const char *name = program_names[magic->implementation];

	return magic->major == major && magic->minor == minor &&
	       strncmp(name, prefix, (size_t)prefix_len) == 0 && !name[prefix_len];
}

/*
 * The magic of a version's final release: the last one, or 2.7's last but one (62212 was
 * never released).
 */
static const struct pyc_magic *magic_of_name(const char *name)
{
	const struct pyc_magic *found = NULL;
	unsigned major, minor;
	int prefix_len = (int)strcspn(name, "0123456789");
	int end = 0;

	if (sscanf(name + prefix_len, "%1u.%2u%n", &major, &minor, &end) != 2 ||
	    name[prefix_len + end] == '.')
		return NULL;
	if (major == 2)
		return strncmp(name, "python", 6) == 0 && minor == 7
			       ? pyc_magic_lookup(62211)
			       : NULL;
	for (size_t i = 0; i < pyc_magic_count; i++)
		if (is_version(&pyc_magic_table[i], name, prefix_len, major, minor))
			found = &pyc_magic_table[i];
	return found;
}

/* ---- by what they say ---- */

/* The fields of a complete answer, NUL-terminated; NULL for any other. */
static char **answer_split(const struct child *child)
{
	size_t count = 0;
	char **fields;

	if (child->len < 2 || child->text[child->len - 1] || child->text[child->len - 2])
		return NULL;
	for (size_t i = 0; i + 1 < child->len; i++)
		count += !child->text[i];
	fields = calloc(count + 1, sizeof(*fields));
	for (size_t i = 0, at = 0; fields && i < count; i++) {
		fields[i] = strdup(child->text + at);
		at += strlen(child->text + at) + 1;
	}
	return fields;
}

static size_t count_strings(char *const *strings)
{
	size_t count = 0;

	while (strings && strings[count])
		count++;
	return count;
}

/* The magic in hexadecimal, as it stands in a file: with CR LF. */
static const struct pyc_magic *magic_of_answer(const char *text)
{
	char *end;
	unsigned long bytes = strtoul(text, &end, 16);

	if (strlen(text) != 8 || *end || (bytes & 0xffff) != 0x0d0a)
		return NULL;
	return pyc_magic_lookup((uint16_t)((bytes >> 24 & 0xff) | (bytes >> 8 & 0xff00)));
}

/* Takes @fields. Return: false where they are no answer; then they stay the caller's. */
static bool interpreter_take_fields(struct interpreter *interpreter, char **fields)
{
	size_t count = count_strings(fields);

	interpreter->magic = count >= FIELDS ? magic_of_answer(fields[FIELD_MAGIC]) : NULL;
	if (!interpreter->magic)
		return false;
	interpreter->release = fields[FIELD_RELEASE];
	interpreter->prefix = fields[FIELD_PREFIX];
	free(fields[FIELD_MAGIC]);
	free(fields[FIELD_PROGRAM]);
	memmove(fields, fields + FIELDS, (count - FIELDS + 1) * sizeof(*fields));
	interpreter->libraries = fields;
	return true;
}

static int interpreter_ask(const struct interpreter *interpreter, const char *root,
			   struct child *ret_child)
{
	/* -I would be better, but 2.7 has none. */
	const char *const argv[] = {
		interpreter->program, "-E", "-s", "-B", "-c", question, NULL};
	const struct child_command command = {
		.argv = argv, .root = root, .input = -1, .max_bytes = MAX_ANSWER};

	return child_start(&command, ret_child);
}

/* An interpreter that does not answer in an image may be of another architecture, or was
 * not asked. */
static int interpreter_learn(struct interpreter *interpreter, const char *root,
			     const struct child *child)
{
	char **fields = child_succeeded(child) ? answer_split(child) : NULL;

	interpreter->root = root ? strdup(root) : NULL;
	if (root && !interpreter->root) {
		free_strings(fields);
		return -ENOMEM;
	}
	if (fields && interpreter_take_fields(interpreter, fields))
		return 0;
	free_strings(fields);
	if (!root)
		return 0;
	interpreter->magic = magic_of_name(interpreter->name);
	interpreter->libraries = calloc(1, sizeof(char *));
	return interpreter->libraries ? 0 : -ENOMEM;
}

static int interpreter_compare(const void *left, const void *right)
{
	const struct interpreter *a = left, *b = right;
	int order = a->magic->implementation - b->magic->implementation;

	if (order == 0)
		order = a->magic->major - b->magic->major;
	if (order == 0)
		order = a->magic->minor - b->magic->minor;
	if (order == 0)
		order = strverscmp(a->release ? a->release : "",
				   b->release ? b->release : "");
	return order ? order : strcmp(a->program, b->program);
}

/* ---- both ---- */

/**
 * struct search_root - the root directory in which interpreters are looked for
 * @fd:   O_PATH
 * @path: absolute, without symlinks; NULL for our own; owned
 */
struct search_root {
	int fd;
	char *path;
};

static int search_root_open(struct search_root *place, const char *root)
{
	*place = (struct search_root){.fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)};
	if (place->fd < 0)
		return -errno;
	place->path = path_of_fd(place->fd);
	if (!place->path)
		return -errno;
	if (strcmp(place->path, "/") == 0) {
		free(place->path);
		place->path = NULL;
	}
	return 0;
}

static void search_root_close(struct search_root *place)
{
	close_fd(&place->fd);
	free(place->path);
}

static bool interpreters_can_run(const struct search_root *place, struct reason *ret_why)
{
	struct reason why = {""};

	if (!place->path || child_can_run_in(place->path, &why))
		return true;
	reason_set(ret_why, -EPERM, "there is no sandbox for programs of the image %s: %s",
		   quoted(place->path), why.text);
	return false;
}

/*
 * Asks all programs of @list at the same time, or looks at their names only. Those that are
 * no interpreter that we know are removed.
 */
static int interpreters_learn(const struct search_root *place, bool may_run,
			      struct interpreter_list *list)
{
	scope_free struct child *children = calloc(list->count + 1, sizeof(*children));
	size_t known = 0;
	int r = 0;

	if (!children)
		return -ENOMEM;
	for (size_t i = 0; may_run && i < list->count; i++)
		(void)interpreter_ask(&list->interpreters[i], place->path, &children[i]);
	if (may_run)
		children_wait(children, list->count, TIMEOUT_MS);
	for (size_t i = 0; i < list->count; i++) {
		struct interpreter *one = &list->interpreters[i];

		if (r == 0)
			r = interpreter_learn(one, place->path, &children[i]);
		child_fini(&children[i]);
		if (r == 0 && one->magic)
			list->interpreters[known++] = *one;
		else
			interpreter_fini(one);
	}
	list->count = known;
	return r;
}

/* Where an image's cannot be run, their names have to do. */
static bool interpreters_decide_to_run(const struct search_root *place,
				       enum interpreters_how how)
{
	struct reason why = {""};

	if (place->path && how == INTERPRETERS_NAMED)
		return false;
	if (interpreters_can_run(place, &why))
		return true;
	log_warning("the image's interpreters are not run: %s", why.text);
	return false;
}

static void interpreters_tell_distrusted(const char *program)
{
	if (program)
		log_warning("interpreters that other users can change are left out: %s",
			    quoted(program));
}

static int interpreters_search(const struct search_root *place, enum interpreters_how how,
			       struct interpreter_list *list)
{
	int r = candidates_find(place->fd, !place->path, list);

	interpreters_tell_distrusted(list->distrusted);
	if (r < 0 || list->count == 0)
		return r;
	r = interpreters_learn(place, interpreters_decide_to_run(place, how), list);
	if (r == 0 && list->count > 0)
		qsort(list->interpreters, list->count, sizeof(struct interpreter),
		      interpreter_compare);
	return r;
}

int interpreters_find(const char *root, enum interpreters_how how,
		      struct interpreter_list *ret_list)
{
	struct search_root place;
	int r = search_root_open(&place, root);

	*ret_list = (struct interpreter_list){0};
	if (r == 0)
		r = interpreters_search(&place, how, ret_list);
	if (r < 0)
		interpreters_free(ret_list);
	search_root_close(&place);
	return r;
}

/* Puts the program that a script starts in its place. */
static int interpreter_follow_script(const struct search_root *place,
				     struct interpreter *script)
{
	struct child child;
	char **fields = NULL;
	int r = interpreter_ask(script, place->path, &child);

	if (r < 0)
		return r;
	children_wait(&child, 1, TIMEOUT_MS);
	if (child_succeeded(&child))
		fields = answer_split(&child);
	child_fini(&child);
	r = -ENOTSUP;
	if (count_strings(fields) >= FIELDS) {
		interpreter_fini(script);
		r = candidate_named(place->fd, !place->path, fields[FIELD_PROGRAM], script);
	}
	free_strings(fields);
	return r > 0 ? -ENOTSUP : r;
}

/* Moves a program to the end of the list, if it is there. */
static bool interpreters_move_to_end(struct interpreter_list *list,
				     const struct interpreter *program)
{
	struct interpreter *same = interpreters_find_same(list, program);
	struct interpreter moved;

	if (!same)
		return false;
	moved = *same;
	memmove(same, same + 1,
		(size_t)(list->interpreters + list->count - same - 1) * sizeof(moved));
	list->interpreters[list->count - 1] = moved;
	return true;
}

static int interpreters_add_named(const struct search_root *place, const char *program,
				  struct interpreter_list *list, struct reason *ret_why)
{
	struct interpreter found = {.program = NULL};
	struct interpreter_list alone = {.interpreters = &found, .count = 1};
	int r = candidate_named(place->fd, !place->path, program, &found);

	if (r >= 0 && !interpreters_can_run(place, ret_why))
		r = -EPERM;
	if (r > 0)
		r = interpreter_follow_script(place, &found);
	if (r == 0 && !interpreters_move_to_end(list, &found)) {
		r = interpreters_learn(place, true, &alone);
		if (r == 0)
			r = alone.count ? interpreters_put(list, &found) : -ENOTSUP;
	}
	interpreter_fini(&found);
	return r;
}

/* Takes those out of @found that are in the list. */
static void interpreters_drop_known(const struct interpreter_list *list,
				    struct interpreter_list *found)
{
	size_t kept = 0;

	for (size_t i = 0; i < found->count; i++) {
		if (interpreters_find_same(list, &found->interpreters[i]))
			interpreter_fini(&found->interpreters[i]);
		else
			found->interpreters[kept++] = found->interpreters[i];
	}
	found->count = kept;
}

int interpreters_find_in(const char *root, const char *dir, struct interpreter_list *list)
{
	struct interpreter_list found = {.count = 0};
	struct search_root place;
	struct reason why;
	int r = search_root_open(&place, root);

	if (r == 0)
		r = candidates_find_in(place.fd, !place.path, dir, &found);
	if (!list->distrusted) {
		list->distrusted = take_ptr(found.distrusted);
		interpreters_tell_distrusted(list->distrusted);
	}
	interpreters_drop_known(list, &found);
	if (r == 0 && found.count > 0)
		r = interpreters_learn(&place, interpreters_can_run(&place, &why), &found);
	for (size_t i = 0; r == 0 && i < found.count; i++)
		r = interpreters_put(list, &found.interpreters[i]);
	interpreters_free(&found);
	search_root_close(&place);
	return r;
}

const struct interpreter *interpreters_of_dir(const struct interpreter_list *list,
					      const struct pyc_magic *magic,
					      const char *root, const char *dir)
{
	struct interpreter_list there = {.count = 0};
	const struct interpreter *one = NULL;
	struct search_root place;
	int r = search_root_open(&place, root);

	if (r == 0)
		r = candidates_find_in(place.fd, !place.path, dir, &there);
	while (r == 0 && (one = interpreters_next(list, magic, one)) &&
	       !interpreters_find_same(&there, one))
		;
	interpreters_free(&there);
	search_root_close(&place);
	return r == 0 ? one : NULL;
}

static const char *interpreter_why_not(int error)
{
	switch (error) {
	case -ENOENT:
		return "there is no such program";
	case -EACCES:
		return "it is not a program that we may run";
	case -EPERM:
		return "other users can change it; give its path to run it all the same";
	case -ENOTSUP:
		return "it does not answer as a Python that canonfs knows";
	default:
		return strerror(-error);
	}
}

int interpreters_add(const char *root, const char *program, struct interpreter_list *list)
{
	struct reason why = {""};
	struct search_root place;
	int r = search_root_open(&place, root);

	if (r == 0)
		r = interpreters_add_named(&place, program, list, &why);
	search_root_close(&place);
	if (r == 0)
		list->interpreters[list->count - 1].was_named = true;
	if (r < 0)
		log_error("cannot use the interpreter %s: %s", quoted(program),
			  why.text[0] ? why.text : interpreter_why_not(r));
	return r;
}
