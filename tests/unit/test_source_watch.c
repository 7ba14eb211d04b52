/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says of a source: each kind of event, events that cannot be understood,
 * and that the handle in an event is the one that the file has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/scope.h"
#include "fs/watch/source_watch.h"
#include "tests/unit/scratch.h"

static char scratch[SCRATCH_MAX];
static int scratch_fd = -1;

/* Events as the kernel writes them. */
struct written {
	_Alignas(uint64_t) char data[4096];
	size_t len;
	size_t start; /* of the last event */
};

static void put(struct written *written, const void *data, size_t len)
{
	memcpy(written->data + written->len, data, len);
	written->len += len;
}

static void set_length(struct written *written)
{
	uint32_t len = (uint32_t)(written->len - written->start);

	memcpy(written->data + written->start, &len, sizeof(len));
}

static void begin_event(struct written *written, uint64_t mask)
{
	struct fanotify_event_metadata metadata = {
		.vers = FANOTIFY_METADATA_VERSION,
		.metadata_len = sizeof(metadata),
		.mask = mask,
		.fd = FAN_NOFD,
	};

	written->start = written->len;
	put(written, &metadata, sizeof(metadata));
	set_length(written);
}

/* @name: NULL for none. Lengths are multiples of 4, as the kernel's. */
static void add_info(struct written *written, uint8_t type, uint32_t number,
		     const char *name)
{
	char info[256] = {0};
	struct fanotify_event_info_header header = {.info_type = type};
	uint32_t handle_bytes = sizeof(number);
	size_t at = sizeof(struct fanotify_event_info_fid);

	memcpy(info + at, &handle_bytes, sizeof(handle_bytes));
	memcpy(info + at + sizeof(struct file_handle), &number, sizeof(number));
	at += sizeof(struct file_handle) + sizeof(number);
	if (name) {
		strcpy(info + at, name);
		at += strlen(name) + 1;
	}
	header.len = (uint16_t)((at + 3) / 4 * 4);
	memcpy(info, &header, sizeof(header));
	put(written, info, header.len);
	set_length(written);
}

#define MAX_TOLD 8

struct heard {
	size_t count;
	struct source_event event[MAX_TOLD];
};

static void hear(void *context, const struct source_event *event)
{
	struct heard *heard = context;

	assert_true(heard->count < MAX_TOLD);
	heard->event[heard->count++] = *event;
}

static struct heard parse(const struct written *written)
{
	struct heard heard = {.count = 0};

	source_watch_parse(written->data, written->len, hear, &heard);
	return heard;
}

static void test_kinds(void **state)
{
	struct written written = {.len = 0};
	struct heard heard;

	(void)state;
	begin_event(&written, FAN_CREATE | FAN_ONDIR);
	add_info(&written, FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "new");
	begin_event(&written, FAN_MODIFY);
	add_info(&written, FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "file");
	add_info(&written, FAN_EVENT_INFO_TYPE_FID, 2, NULL);
	begin_event(&written, FAN_ATTRIB);
	add_info(&written, FAN_EVENT_INFO_TYPE_FID, 2, NULL);
	begin_event(&written, FAN_ATTRIB | FAN_ONDIR);
	add_info(&written, FAN_EVENT_INFO_TYPE_DFID, 1, NULL);
	begin_event(&written, FAN_Q_OVERFLOW);
	heard = parse(&written);
	assert_int_equal(heard.count, 5);
	assert_true(heard.event[0].names && !heard.event[0].contents);
	assert_string_equal(heard.event[0].name, "new");
	assert_int_equal(heard.event[0].file, 0);
	assert_true(heard.event[1].contents && !heard.event[1].names);
	assert_string_equal(heard.event[1].name, "file");
	assert_int_equal(heard.event[1].dir, heard.event[0].dir);
	assert_int_not_equal(heard.event[1].file, 0);
	assert_int_not_equal(heard.event[1].file, heard.event[1].dir);
	assert_false(heard.event[2].names || heard.event[2].contents);
	assert_null(heard.event[2].name);
	assert_int_equal(heard.event[2].file, heard.event[1].file);
	assert_string_equal(heard.event[3].name, ".");
	assert_int_equal(heard.event[3].dir, heard.event[0].dir);
	for (size_t i = 0; i < heard.count; i++)
		assert_int_equal(heard.event[i].lost, i == 4);
}

/* What cannot be understood may have been anything. */
static void test_damaged(void **state)
{
	struct written whole = {.len = 0};
	struct fanotify_event_metadata metadata;

	(void)state;
	begin_event(&whole, FAN_CREATE);
	add_info(&whole, FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "a-name");
	for (size_t len = 1; len < whole.len; len++) {
		struct written cut = whole;

		cut.len = len;
		assert_int_equal(parse(&cut).count, 1);
		assert_true(parse(&cut).event[0].lost);
		if (len > FAN_EVENT_METADATA_LEN)
			set_length(&cut);
		assert_int_equal(parse(&cut).count, 1);
		assert_true(parse(&cut).event[0].lost);
	}
	memcpy(&metadata, whole.data, sizeof(metadata));
	metadata.vers++;
	memcpy(whole.data, &metadata, sizeof(metadata));
	assert_true(parse(&whole).event[0].lost);
}

/* An unknown kind of information is passed over. */
static void test_more_information(void **state)
{
	struct written written = {.len = 0};
	struct heard heard;

	(void)state;
	begin_event(&written, FAN_MODIFY);
	add_info(&written, 99, 3, "what");
	add_info(&written, FAN_EVENT_INFO_TYPE_FID, 2, NULL);
	heard = parse(&written);
	assert_int_equal(heard.count, 1);
	assert_false(heard.event[0].lost);
	assert_null(heard.event[0].name);
	assert_int_not_equal(heard.event[0].file, 0);
}

static void test_handles(void **state)
{
	scope_fd int file = -1;
	uint32_t by_name, by_fd, other;

	(void)state;
	file = openat(scratch_fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	if (source_watch_handle(scratch_fd, "file", &by_name) == -EOPNOTSUPP)
		skip();
	assert_int_equal(source_watch_handle(file, "", &by_fd), 0);
	assert_int_equal(source_watch_handle(scratch_fd, "", &other), 0);
	assert_int_equal(by_name, by_fd);
	assert_int_not_equal(by_name, other);
	assert_int_not_equal(by_name, 0);
	assert_int_equal(source_watch_handle(scratch_fd, "absent", &other), -ENOENT);
}

/* What is waited for among the events of all of the file system. */
struct awaited {
	struct source_event event;
	bool came;
};

static void await(void *context, const struct source_event *event)
{
	struct awaited *awaited = context;

	awaited->came |= event->dir == awaited->event.dir && event->names && event->name &&
			 strcmp(event->name, awaited->event.name) == 0;
}

/* As root, on a file system that can tell: what is told has the handles of these files. */
static void test_a_real_change(void **state)
{
	struct tree tree = {.root_fd = scratch_fd, .host_fd = -1, .is_clone = true};
	_Alignas(uint64_t) char buffer[4096];
	struct awaited awaited = {.event.name = "told"};
	struct reason why = {.text = ""};
	scope_fd int watch = source_watch_open(&tree, &why);
	ssize_t n;

	(void)state;
	if (watch < 0) {
		assert_true(why.text[0] != '\0');
		skip();
	}
	assert_int_equal(source_watch_handle(scratch_fd, "", &awaited.event.dir), 0);
	close(openat(scratch_fd, "told", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	/* It is in the queue by now. */
	while (!awaited.came && (n = read(watch, buffer, sizeof(buffer))) > 0)
		source_watch_parse(buffer, (size_t)n, await, &awaited);
	assert_true(awaited.came);
}

static int set_up(void **state)
{
	(void)state;
	scratch_make(scratch, "source-watch");
	scratch_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return scratch_fd < 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_fd(&scratch_fd);
	scratch_remove(scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_more_information),
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_a_real_change),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
