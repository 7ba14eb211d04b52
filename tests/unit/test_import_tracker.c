/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What became of an import follows from the order in which a thread opens files, and from
 * the bytecode's header where the order does not tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "cli/trace/import_tracker.h"

#define MTIME 1700000000
#define SIZE  42

struct fixture {
	struct import_tracker *tracker;
	struct import_process *process;
	struct import_thread *thread;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->tracker = import_tracker_new();
	fixture->process = import_process_new(fixture->tracker, "/usr/bin/python3");
	fixture->thread = import_thread_new();
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	import_thread_end(fixture->process, fixture->thread);
	import_process_free(fixture->process);
	import_tracker_free(fixture->tracker);
	free(fixture);
	return 0;
}

/* Headers of CPython 3.11 and 2.7, with MTIME and SIZE. */
static const uint8_t header_311[] = {0xa7, 0x0d, 0x0d, 0x0a, 0,	   0, 0, 0,
				     0x00, 0xf1, 0x53, 0x65, SIZE, 0, 0, 0};
static const uint8_t header_311_checked[] = {0xa7, 0x0d, 0x0d, 0x0a, 3, 0, 0, 0,
					     1,	   2,	 3,    4,    5, 6, 7, 8};
static const uint8_t header_27[] = {0x03, 0xf3, 0x0d, 0x0a, 0x00, 0xf1, 0x53, 0x65};

static void open_file(struct fixture *fixture, const char *name, int error,
		      const uint8_t *header, size_t len, int64_t mtime)
{
	struct import_open open = {
		.name = name,
		.path = name,
		.root = "",
		.error = error,
		.st = {.st_size = SIZE, .st_mtim = {.tv_sec = mtime}},
		.header = header,
		.header_len = len,
	};

	import_opened(fixture->process, fixture->thread, &open);
}

#define open_pyc(fixture, name, header) \
	open_file((fixture), (name), 0, (header), sizeof(header), MTIME)
#define open_none(fixture, name)	  open_file((fixture), (name), ENOENT, NULL, 0, 0)
#define open_source(fixture, name, mtime) open_file((fixture), (name), 0, NULL, 0, (mtime))

static void open_new(struct fixture *fixture, const char *name, int error)
{
	struct import_open open = {
		.name = name, .path = name, .root = "", .writes = true, .error = error};

	import_opened(fixture->process, fixture->thread, &open);
}

static void end_thread(struct fixture *fixture)
{
	import_thread_end(fixture->process, fixture->thread);
	fixture->thread = import_thread_new();
}

/* Ends the thread; the one record that there must be. */
static const struct import_record *only_record(struct fixture *fixture)
{
	struct import_record *const *records;
	size_t count;

	end_thread(fixture);
	records = import_tracker_records(fixture->tracker, &count);
	assert_int_equal(count, 1);
	return records[0];
}

static size_t count_records(struct fixture *fixture)
{
	size_t count;

	end_thread(fixture);
	import_tracker_records(fixture->tracker, &count);
	return count;
}

#define PYC    "/l/__pycache__/a.cpython-311.pyc"
#define SOURCE "/l/a.py"

static void test_source_not_opened(void **state)
{
	struct fixture *fixture = *state;
	const struct import_record *record;

	open_pyc(fixture, PYC, header_311);
	record = only_record(fixture);
	assert_int_equal(record->how, IMPORT_BYTECODE);
	assert_string_equal(record->source, SOURCE);
	assert_string_equal(record->pyc.path, PYC);
}

static void test_stale(void **state)
{
	struct fixture *fixture = *state;

	open_pyc(fixture, PYC, header_311);
	open_source(fixture, SOURCE, 0);
	assert_int_equal(only_record(fixture)->how, IMPORT_COMPILED);
}

/* The import raised, and the traceback shows the source: its header matched. */
static void test_traceback(void **state)
{
	struct fixture *fixture = *state;

	open_pyc(fixture, PYC, header_311);
	open_source(fixture, SOURCE, MTIME);
	assert_int_equal(only_record(fixture)->how, IMPORT_BYTECODE);
}

static void test_traceback_later(void **state)
{
	struct fixture *fixture = *state;

	open_pyc(fixture, PYC, header_311);
	open_pyc(fixture, "/l/__pycache__/b.cpython-311.pyc", header_311);
	open_source(fixture, SOURCE, 0);
	assert_int_equal(count_records(fixture), 2);
}

static void test_hash(void **state)
{
	struct fixture *fixture = *state;

	open_pyc(fixture, PYC, header_311_checked);
	open_source(fixture, SOURCE, 0);
	assert_int_equal(only_record(fixture)->how, IMPORT_CHECKED);
}

static void test_short(void **state)
{
	struct fixture *fixture = *state;

	open_file(fixture, PYC, 0, header_311, 10, MTIME);
	open_source(fixture, SOURCE, MTIME);
	assert_int_equal(only_record(fixture)->how, IMPORT_COMPILED);
}

static void test_no_pyc(void **state)
{
	struct fixture *fixture = *state;
	const struct import_record *record;

	open_none(fixture, PYC);
	open_source(fixture, SOURCE, 0);
	record = only_record(fixture);
	assert_int_equal(record->how, IMPORT_NO_PYC);
	assert_int_equal(record->pyc.error, ENOENT);
}

/* A module that is nowhere. */
static void test_nothing(void **state)
{
	struct fixture *fixture = *state;

	open_none(fixture, PYC);
	open_source(fixture, "/l/other.py", 0);
	assert_int_equal(count_records(fixture), 0);
}

static void test_sourceless(void **state)
{
	struct fixture *fixture = *state;
	const struct import_record *record;

	open_pyc(fixture, "/l/a.pyc", header_311);
	record = only_record(fixture);
	assert_int_equal(record->how, IMPORT_SOURCELESS);
	assert_null(record->source);
}

/* Another patch level's bytecode under the same tag: its own magic says fresh. */
static void test_other_magic(void **state)
{
	static const uint8_t alpha[] = {0xa0, 0x0d, 0x0d, 0x0a, 0,    0, 0, 0,
					0x00, 0xf1, 0x53, 0x65, SIZE, 0, 0, 0};
	struct fixture *fixture = *state;
	struct import_record *const *records;
	size_t count;

	open_pyc(fixture, "/l/encodings/__pycache__/__init__.cpython-311.pyc", header_311);
	open_pyc(fixture, PYC, alpha);
	open_source(fixture, SOURCE, MTIME);
	end_thread(fixture);
	records = import_tracker_records(fixture->tracker, &count);
	assert_int_equal(count, 2);
	assert_string_equal(records[0]->pyc.path, PYC);
	assert_int_equal(records[0]->how, IMPORT_COMPILED);
}

static void test_python2(void **state)
{
	struct fixture *fixture = *state;

	open_source(fixture, "a.py", MTIME);
	open_pyc(fixture, "a.pyc", header_27);
	assert_int_equal(only_record(fixture)->how, IMPORT_BYTECODE);
}

static void test_python2_stale(void **state)
{
	struct fixture *fixture = *state;
	const struct import_record *record;

	open_source(fixture, "a.py", 0);
	open_pyc(fixture, "a.pyc", header_27);
	open_new(fixture, "a.pyc", 0);
	record = only_record(fixture);
	assert_int_equal(record->how, IMPORT_COMPILED);
	assert_int_equal(record->kept, 1);
}

static void test_python2_no_pyc(void **state)
{
	struct fixture *fixture = *state;

	open_source(fixture, "a.py", 0);
	open_none(fixture, "a.pyc");
	assert_int_equal(only_record(fixture)->how, IMPORT_NO_PYC);
}

static void test_python2_sourceless(void **state)
{
	struct fixture *fixture = *state;

	open_none(fixture, "a.py");
	open_pyc(fixture, "a.pyc", header_27);
	assert_int_equal(only_record(fixture)->how, IMPORT_SOURCELESS);
}

static void test_prefix(void **state)
{
	struct fixture *fixture = *state;
	const struct import_record *record;

	open_pyc(fixture, "/cache/l/a.cpython-311.pyc", header_311);
	open_source(fixture, SOURCE, 0);
	record = only_record(fixture);
	assert_int_equal(record->how, IMPORT_COMPILED);
	assert_true(record->prefixed);
	assert_string_equal(record->source, SOURCE);
}

static void test_written_back(void **state)
{
	struct fixture *fixture = *state;
	const struct import_record *record;

	open_pyc(fixture, PYC, header_311);
	open_source(fixture, SOURCE, 0);
	open_new(fixture, PYC ".1234", 0);
	record = only_record(fixture);
	assert_int_equal(record->kept, 1);
	assert_int_equal(record->keep_error, 0);
}

static void test_not_written_back(void **state)
{
	struct fixture *fixture = *state;
	const struct import_record *record;

	open_pyc(fixture, PYC, header_311);
	open_source(fixture, SOURCE, 0);
	open_new(fixture, PYC ".1234", EROFS);
	record = only_record(fixture);
	assert_int_equal(record->kept, 0);
	assert_int_equal(record->keep_error, EROFS);
}

/* Once in each process, however often it is opened. */
static void test_once_in_each_process(void **state)
{
	struct fixture *fixture = *state;
	struct import_process *first = fixture->process;

	open_pyc(fixture, PYC, header_311);
	open_pyc(fixture, PYC, header_311);
	end_thread(fixture);
	fixture->process = import_process_new(fixture->tracker, "/usr/bin/python3");
	import_process_free(first);
	open_pyc(fixture, PYC, header_311);
	assert_int_equal(only_record(fixture)->processes, 2);
	assert_int_equal(import_tracker_processes(fixture->tracker, NULL), 2);
	assert_int_equal(import_tracker_processes(fixture->tracker, "/bin/other"), 0);
}

/* Two threads import at the same time. */
static void test_threads(void **state)
{
	struct fixture *fixture = *state;
	struct import_thread *other = import_thread_new();
	struct import_thread *mine = fixture->thread;

	open_pyc(fixture, PYC, header_311);
	fixture->thread = other;
	open_pyc(fixture, "/l/__pycache__/b.cpython-311.pyc", header_311);
	fixture->thread = mine;
	open_source(fixture, SOURCE, 0);
	fixture->thread = other;
	end_thread(fixture);
	import_thread_end(fixture->process, mine);
	{
		struct import_record *const *records;
		size_t count;

		records = import_tracker_records(fixture->tracker, &count);
		assert_int_equal(count, 2);
		assert_int_equal(records[0]->how, IMPORT_COMPILED);
		assert_int_equal(records[1]->how, IMPORT_BYTECODE);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(import_file_of("a.py"), IMPORT_FILE_SOURCE);
	assert_int_equal(import_file_of("/l/a.pyc"), IMPORT_FILE_BYTECODE);
	assert_int_equal(import_file_of("/l/a.pyo"), IMPORT_FILE_BYTECODE);
	assert_int_equal(import_file_of(PYC ".12"), IMPORT_FILE_NEW_BYTECODE);
	assert_int_equal(import_file_of("/l/.pyc"), IMPORT_FILE_BYTECODE);
	assert_int_equal(import_file_of("/l/.pyc.12"), IMPORT_FILE_NEW_BYTECODE);
	assert_int_equal(import_file_of(PYC "."), IMPORT_FILE_OTHER);
	assert_int_equal(import_file_of(PYC ".1x"), IMPORT_FILE_OTHER);
	assert_int_equal(import_file_of("/l/a.so"), IMPORT_FILE_OTHER);
	assert_int_equal(import_file_of("/l/.py"), IMPORT_FILE_OTHER);
	assert_int_equal(import_file_of("/l.py/a"), IMPORT_FILE_OTHER);
	assert_int_equal(import_file_of(""), IMPORT_FILE_OTHER);
}

#define with_fixture(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_fixture(test_source_not_opened),
		with_fixture(test_stale),
		with_fixture(test_traceback),
		with_fixture(test_traceback_later),
		with_fixture(test_hash),
		with_fixture(test_short),
		with_fixture(test_no_pyc),
		with_fixture(test_nothing),
		with_fixture(test_sourceless),
		with_fixture(test_other_magic),
		with_fixture(test_python2),
		with_fixture(test_python2_stale),
		with_fixture(test_python2_no_pyc),
		with_fixture(test_python2_sourceless),
		with_fixture(test_prefix),
		with_fixture(test_written_back),
		with_fixture(test_not_written_back),
		with_fixture(test_once_in_each_process),
		with_fixture(test_threads),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
