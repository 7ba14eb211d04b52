/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which interpreter reads bytecode where it lies; see verify.h.
 *
 * The closest of these says so: a virtual environment, whose pyvenv.cfg names the directory
 * of its interpreter; an interpreter below whose prefix or on whose path the file is; a
 * directory bin beside or above the file with an interpreter in it, in the end /usr/bin or
 * the image's.
 */
#include "cli/verify/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/python/places.h"

/* A pyvenv.cfg has five lines. */
#define VENV_MAX_BYTES 4096

/* Directories deeper than this have no interpreter. */
#define MAX_DEPTH 128

/**
 * struct reader_place - a directory, and what stands above what lies in it
 * @dir:  as who has the root directory calls it; the key
 * @venv: directory of the interpreter of the closest virtual environment; NULL for none
 * @bin:  the closest directory with interpreters; NULL for none
 */
struct reader_place {
	char *dir;
	char *venv;
	char *bin;
};

/**
 * struct reader_search - places that were looked at, in one root directory
 * @root:   its path; @fd is O_PATH
 * @places: a tree of tsearch(3)
 */
struct reader_search {
	const char *root;
	int fd;
	void *places;
};

static int reader_compare(const void *a, const void *b)
{
	return strcmp(((const struct reader_place *)a)->dir,
		      ((const struct reader_place *)b)->dir);
}

static void reader_place_free(void *place)
{
	struct reader_place *self = place;

	free(self->dir);
	free(self->venv);
	free(self->bin);
	free(self);
}

/* The value of "home = /usr/bin" in the text of a pyvenv.cfg; the caller's, NULL for none.
 */
static char *reader_parse_home(char *text)
{
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\r\n"))) {
		char *value = strchr(line, '=');

		line += strspn(line, " \t");
		if (!value || strncmp(line, "home", 4) != 0 ||
		    line + 4 + strspn(line + 4, " \t") != value)
			continue;
		value += 1 + strspn(value + 1, " \t");
		for (size_t len = strlen(value); len > 0 && strchr(" \t", value[len - 1]);
		     len--)
			value[len - 1] = '\0';
		return value[0] == '/' ? strdup(value) : NULL;
	}
	return NULL;
}

static char *reader_find_venv(const struct reader_search *search, const char *dir)
{
	scope_free char *path = path_join(dir, "pyvenv.cfg");
	char text[VENV_MAX_BYTES + 1];
	scope_fd int fd = -1;
	ssize_t n;

	if (!path)
		return NULL;
	fd = openat2_fd(search->fd, path, O_RDONLY | O_NONBLOCK, RESOLVE_IN_ROOT);
	n = fd < 0 ? -1 : pread_full(fd, text, VENV_MAX_BYTES, 0);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return reader_parse_home(text);
}

/* One that must not be run is there all the same: no other reads what lies here. */
static char *reader_find_bin(const struct reader_search *search, const char *dir)
{
	struct interpreter_list found = {.count = 0};
	scope_free char *bin = path_join(dir, "bin");
	bool is_host = strcmp(search->root, "/") == 0;
	bool has_some;

	if (!bin || candidates_find_in(search->fd, is_host, bin, &found) < 0)
		return NULL;
	has_some = found.count > 0 || found.distrusted;
	interpreters_free(&found);
	return has_some ? take_ptr(bin) : NULL;
}

/* Takes @dir. Return: NULL when out of memory. */
static struct reader_place *reader_place_new(struct reader_search *search, char *dir,
					     const struct reader_place *above)
{
	struct reader_place *place = calloc(1, sizeof(*place));

	if (!place) {
		free(dir);
		return NULL;
	}
	place->dir = dir;
	place->venv = reader_find_venv(search, dir);
	place->bin = reader_find_bin(search, dir);
	if (!place->venv && above && above->venv)
		place->venv = strdup(above->venv);
	if (!place->bin && above && above->bin)
		place->bin = strdup(above->bin);
	if (tsearch(place, &search->places, reader_compare))
		return place;
	reader_place_free(place);
	return NULL;
}

/* Looks at a directory after those above it. Return: the search's; NULL when out of memory.
 */
static const struct reader_place *reader_look_up(struct reader_search *search,
						 const char *dir, unsigned depth)
{
	scope_free char *copy = strdup(dir);
	const struct reader_place key = {.dir = copy}, *above = NULL;
	const struct reader_place **known = NULL;
	scope_free char *parent = path_parent(dir);

	if (!copy || !parent)
		return NULL;
	known = tfind(&key, &search->places, reader_compare);
	if (known)
		return *known;
	if (strcmp(dir, "/") != 0 && depth < MAX_DEPTH)
		above = reader_look_up(search, parent, depth + 1);
	return reader_place_new(search, take_ptr(copy), above);
}

static const struct reader_place *reader_place_of(struct reader_search *search,
						  const struct verify_file *file)
{
	scope_free char *path = verify_file_path(file);
	scope_free char *dir = path ? path_parent(path) : NULL;

	return dir && dir[0] == '/' ? reader_look_up(search, dir, 0) : NULL;
}

/* An interpreter may lie where only the tree shows it. */
static int reader_add_interpreters(struct reader_search *search,
				   const struct verify_list *files,
				   struct interpreter_list *list)
{
	const char *venv = NULL, *bin = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < files->count; i++) {
		const struct reader_place *place =
			files->files[i].why == VERIFY_NOT_YET
				? reader_place_of(search, &files->files[i])
				: NULL;

		if (place && place->venv && (!venv || strcmp(venv, place->venv) != 0))
			r = interpreters_find_in(search->root, venv = place->venv, list);
		if (r == 0 && place && place->bin && (!bin || strcmp(bin, place->bin) != 0))
			r = interpreters_find_in(search->root, bin = place->bin, list);
	}
	return r;
}

/* NULL where the interpreter is not known; then others only prove. */
static const struct interpreter *reader_choose(const struct reader_search *search,
					       const struct reader_place *place,
					       const struct verify_file *file,
					       const struct interpreter_list *list)
{
	scope_free char *path = verify_file_path(file);
	const struct interpreter *owner;

	if (place && place->venv)
		return interpreters_of_dir(list, file->magic, search->root, place->venv);
	owner = path ? interpreters_owner(list, file->magic, path) : NULL;
	if (owner || !place || !place->bin)
		return owner;
	return interpreters_of_dir(list, file->magic, search->root, place->bin);
}

/* Neighbours have the same reader, if they are of the same magic. */
static void reader_choose_all(struct reader_search *search, struct verify_list *files,
			      const struct interpreter_list *list)
{
	const struct reader_place *last_place = NULL;
	const struct verify_file *last = NULL;

	for (size_t i = 0; i < files->count; i++) {
		struct verify_file *file = &files->files[i];
		const struct reader_place *place;

		if (file->why != VERIFY_NOT_YET)
			continue;
		place = reader_place_of(search, file);
		file->own =
			last && place && place == last_place && last->magic == file->magic
				? last->own
				: reader_choose(search, place, file, list);
		last = file;
		last_place = place;
	}
}

int verify_find_readers(struct verify_run *run, const char *root, struct verify_list *files)
{
	bool in_image = strcmp(root, "/") != 0;
	struct interpreter_list *list = in_image ? &run->image : &run->machine;
	struct reader_search search = {.root = root,
				       .fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)};
	int r;

	if (search.fd < 0)
		return -errno;
	r = reader_add_interpreters(&search, files, list);
	if (!in_image)
		interpreters_resolve_libraries(list);
	if (r == 0)
		reader_choose_all(&search, files, list);
	tdestroy(search.places, reader_place_free);
	close_fd(&search.fd);
	return r;
}
