/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding interpreters: by names in an image whose programs cannot run here, and on this
 * machine by what they answer. The programs here are made up; tests/e2e/test_explain.py
 * has the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "cli/python/places.h"
#include "cli/python/interpreters.h"
#include "tests/unit/scratch.h"

struct fixture {
	char root[SCRATCH_MAX];
};

static char *path_in(const struct fixture *fixture, const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", fixture->root, name) > 0);
	return path;
}

static void make(const struct fixture *fixture, const char *name, const char *text,
		 mode_t mode)
{
	scope_free char *path = path_in(fixture, name);
	scope_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static void make_link(const struct fixture *fixture, const char *target, const char *name)
{
	scope_free char *path = path_in(fixture, name);

	assert_int_equal(symlink(target, path), 0);
}

static void make_dir(const struct fixture *fixture, const char *name)
{
	scope_free char *path = path_in(fixture, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	scratch_make(fixture->root, "interpreters");
	assert_int_equal(chmod(fixture->root, 0755), 0);
	make_dir(fixture, "usr");
	make_dir(fixture, "usr/bin");
	make_dir(fixture, "opt");
	make_link(fixture, "usr/bin", "bin");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	scratch_remove(fixture->root);
	free(fixture);
	return 0;
}

static void test_names(void **state)
{
	static const char *const good[] = {
		"python", "python3", "python2.7", "python3.13t", "python3.6m",
		"pypy",	  "pypy3",   "pypy3.11",  "graalpy",	 "python3.13td"};
	static const char *const bad[] = {"python3-config", "python3.11-gdb.py", "pythonw",
					  "ipython3",	    "pypy3clean",	 "py3",
					  "python3.x",	    "graalpython",	 ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(is_interpreter_name(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(is_interpreter_name(bad[i]));
}

/* What the image's programs say cannot be known: their names tell, where they do. */
static void test_image_by_name(void **state)
{
	const struct fixture *fixture = *state;
	struct interpreter_list list;

	make(fixture, "opt/real", "not for this machine", 0755);
	make_link(fixture, "/opt/real", "usr/bin/python3.12");
	make_link(fixture, "python3.12", "usr/bin/python3");
	make(fixture, "usr/bin/python2.7", "nor this", 0755);
	make(fixture, "usr/bin/pypy3.9", "nor this", 0755);
	make(fixture, "usr/bin/pypy3", "no version", 0755);
	make(fixture, "usr/bin/python3.99", "not born yet", 0755);
	make(fixture, "usr/bin/python3.8", "not a program", 0644);
	make(fixture, "usr/bin/python3.7", "#!/bin/sh\necho a shim\n", 0755);
	make_link(fixture, "../../../../../../../bin/sh", "usr/bin/python3.6");

	assert_int_equal(interpreters_find(fixture->root, INTERPRETERS_ASKED, &list), 0);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.interpreters[0].name, "python2.7");
	assert_int_equal(list.interpreters[0].magic->number, 62211);
	assert_string_equal(list.interpreters[1].program, "/opt/real");
	assert_string_equal(list.interpreters[1].name, "python3.12");
	assert_string_equal(list.interpreters[1].root, fixture->root);
	assert_int_equal(list.interpreters[1].magic->number, 3531);
	assert_null(list.interpreters[1].release);
	assert_non_null(list.interpreters[1].libraries);
	assert_null(list.interpreters[1].libraries[0]);
	assert_string_equal(list.interpreters[2].name, "pypy3.9");
	assert_int_equal(list.interpreters[2].magic->number, 336);
	assert_ptr_equal(interpreters_next(&list, list.interpreters[1].magic, NULL),
			 &list.interpreters[1]);
	assert_null(interpreters_next(&list, list.interpreters[1].magic,
				      &list.interpreters[1]));
	assert_null(interpreters_next(&list, pyc_magic_lookup(3495), NULL));
	assert_null(interpreters_owner(&list, list.interpreters[1].magic, "/opt"));

	assert_int_equal(interpreters_add(fixture->root, "python3", &list), 0);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.interpreters[2].name, "python3.12");
	assert_int_equal(interpreters_add(fixture->root, "python3.6", &list), -ENOENT);
	assert_int_equal(interpreters_add(fixture->root, "python3.8", &list), -ENOENT);
	assert_int_equal(interpreters_add(fixture->root, "/usr/bin/python3.8", &list),
			 -EACCES);
	assert_int_equal(interpreters_add(fixture->root, "/usr/bin/pypy3", &list),
			 -ENOTSUP);
	assert_int_equal(list.count, 3);
	interpreters_free(&list);
}

/* Several of one magic: that one whose libraries hold the file. */
static void test_owner(void **state)
{
	char *none[] = {NULL};
	char *site[] = {(char[]){"/srv/site"}, NULL};
	char usr[] = "/usr", deeper[] = "/usr/lib/other", home[] = "/home/x";
	const struct pyc_magic *magic = pyc_magic_lookup(3495);
	struct interpreter three[] = {
		{.magic = magic, .prefix = usr, .libraries = site},
		{.magic = magic, .prefix = deeper, .libraries = none},
		{.magic = magic, .prefix = home, .libraries = none},
	};
	struct interpreter_list list = {.interpreters = three, .count = ARRAY_SIZE(three)};

	(void)state;
	assert_ptr_equal(interpreters_next(&list, magic, NULL), &three[2]);
	assert_ptr_equal(interpreters_next(&list, magic, &three[2]), &three[1]);
	assert_ptr_equal(interpreters_next(&list, magic, &three[1]), &three[0]);
	assert_null(interpreters_next(&list, magic, &three[0]));
	assert_ptr_equal(interpreters_owner(&list, magic, "/usr"), &three[0]);
	assert_ptr_equal(interpreters_owner(&list, magic, "/usr/lib/m.py"), &three[0]);
	assert_ptr_equal(interpreters_owner(&list, magic, "/srv/site/m.py"), &three[0]);
	assert_ptr_equal(interpreters_owner(&list, magic, "/usr/lib/other/m.py"),
			 &three[1]);
	assert_null(interpreters_owner(&list, magic, "/usr2/m.py"));
	assert_null(interpreters_owner(&list, pyc_magic_lookup(3531), "/usr"));
}

static void test_no_root(void **state)
{
	struct interpreter_list list;

	(void)state;
	assert_int_equal(interpreters_find("/nowhere/at/all", INTERPRETERS_NAMED, &list),
			 -ENOENT);
	interpreters_free(&list);
}

/* A program that is none, in the places where interpreters are looked for. */
static void test_liars(void **state)
{
	const struct fixture *fixture = *state;
	scope_free char *bin = path_in(fixture, "usr/bin");
	scope_free char *shim = path_in(fixture, "usr/bin/python3.77");
	struct interpreter_list list = {0};

	make(fixture, "usr/bin/python3.77", "#!/bin/sh\nprintf '4f0d0d0a\\0x\\0y\\0'\n",
	     0755);
	make(fixture, "usr/bin/python3.78",
	     "#!/bin/sh\nprintf 'a70d0d0a\\0003.11\\0/usr\\0/etc/passwd\\0\\0'\n", 0755);
	make(fixture, "usr/bin/python3.79",
	     "#!/bin/sh\nprintf 'a70d0d0a\\0003.11\\0/usr\\0/bin/sh\\0\\0'\n", 0755);
	setenv("PATH", bin, 1);
	assert_int_equal(interpreters_add("/", "python3.77", &list), -ENOTSUP);
	assert_int_equal(interpreters_add("/", shim, &list), -ENOTSUP);
	assert_int_equal(interpreters_add("/", "python3.78", &list), -EACCES);
	assert_int_equal(interpreters_add("/", "python3.79", &list), -ENOTSUP);
	assert_int_equal(interpreters_add("/", "python3.80", &list), -ENOENT);
	assert_int_equal(interpreters_add("/", "/bin/true", &list), -ENOTSUP);
	assert_int_equal(list.count, 0);
	interpreters_free(&list);
}

static void set_mode(const struct fixture *fixture, const char *name, mode_t mode,
		     uid_t owner, gid_t group)
{
	scope_free char *path = path_in(fixture, name);

	assert_int_equal(chown(path, owner, group), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* A program that anybody but root can change, put elsewhere, or have put there. */
static void test_what_is_ours(void **state)
{
	static const struct {
		mode_t dir_mode, mode;
		uid_t dir_owner, owner;
		gid_t group;
		bool is_ours;
	} cases[] = {
		{0755, 0755, 0, 0, 0, true},
		{0775, 0775, 0, 0, 0, true}, /* root's group is root */
		{01777, 0755, 0, 0, 0, true},
		{0755, 0755, 0, 1, 1, false},
		{0755, 0755, 1, 0, 0, false},
		{01777, 0755, 0, 1, 0, false},
		{0777, 0755, 0, 0, 0, false},
		{0755, 0757, 0, 0, 0, false},
		{0755, 0775, 0, 0, 1, false},
		{0775, 0755, 0, 0, 1, false},
	};
	const struct fixture *fixture = *state;
	scope_free char *program = path_in(fixture, "usr/bin/python3.11");

	if (geteuid() != 0)
		skip();
	make(fixture, "usr/bin/python3.11", "a program", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_mode(fixture, "usr/bin/python3.11", cases[i].mode, cases[i].owner,
			 cases[i].group);
		set_mode(fixture, "usr", cases[i].dir_mode, cases[i].dir_owner,
			 cases[i].group);
		if (program_is_ours(program) != cases[i].is_ours)
			fail_msg("case %zu", i);
	}
	assert_false(program_is_ours("/nowhere/at/all"));
}

/* Nobody runs what another user has put into $PATH, unless it is named by its path. */
static void test_others_programs(void **state)
{
	const struct fixture *fixture = *state;
	scope_free char *bin = path_in(fixture, "usr/bin");
	scope_free char *ran = path_in(fixture, "opt/ran");
	scope_free char *program = path_in(fixture, "usr/bin/python3.97");
	scope_free char *script = NULL;
	struct interpreter_list list;

	if (geteuid() != 0)
		skip();
	assert_true(asprintf(&script, "#!/bin/sh\n>>%s\n", ran) > 0);
	make(fixture, "usr/bin/python3.97", script, 0755);
	set_mode(fixture, "usr/bin/python3.97", 0755, 1, 1);
	make(fixture, "usr/bin/python3.98", "an unknown format", 0755);
	set_mode(fixture, "usr/bin/python3.98", 0755, 1, 1);
	setenv("PATH", bin, 1);
	assert_int_equal(interpreters_find("/", INTERPRETERS_ASKED, &list), 0);
	assert_non_null(list.distrusted);
	assert_non_null(strstr(list.distrusted, "/usr/bin/python3.98"));
	assert_int_equal(interpreters_add("/", "python3.97", &list), -EPERM);
	assert_int_equal(access(ran, F_OK), -1);
	assert_int_equal(interpreters_add("/", program, &list), -ENOTSUP);
	interpreters_free(&list);
}

/* As packages of distributions call them: people install what is named so. */
static void test_program_names(void **state)
{
	static const struct {
		uint16_t magic;
		const char *program;
	} cases[] = {{3495, "python3.11"}, {62211, "python2.7"}, {336, "pypy3.9"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		scope_free char *program =
			interpreter_program(pyc_magic_lookup(cases[i].magic));

		assert_string_equal(program, cases[i].program);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_image_by_name, setup, teardown),
		cmocka_unit_test(test_no_root),
		cmocka_unit_test_setup_teardown(test_liars, setup, teardown),
		cmocka_unit_test(test_owner),
		cmocka_unit_test_setup_teardown(test_what_is_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_programs, setup, teardown),
		cmocka_unit_test(test_program_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
