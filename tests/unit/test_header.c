/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing and rewriting headers: each layout, each length, each kind, and that a changed
 * header differs in one word only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "pyc/header.h"

#define PYTHON27  62211
#define PYTHON36  3379
#define PYTHON311 3495

/* Bytes 4 to 15 are all different, so that no offset can be taken for another. */
static void make_bytes(uint16_t number, uint8_t *ret_buf)
{
	ret_buf[0] = (uint8_t)number;
	ret_buf[1] = (uint8_t)(number >> 8);
	ret_buf[2] = '\r';
	ret_buf[3] = '\n';
	for (size_t i = 4; i < PYC_HEADER_MAX; i++)
		ret_buf[i] = (uint8_t)(0xf0 + i);
}

static void make_pep552(uint32_t flags, uint8_t *ret_buf)
{
	make_bytes(PYTHON311, ret_buf);
	for (size_t i = 0; i < 4; i++)
		ret_buf[4 + i] = (uint8_t)(flags >> (8 * i));
}

static void test_layout_8(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	make_bytes(PYTHON27, buf);
	assert_int_equal(pyc_header_parse(buf, 8, &header), PYC_HEADER_OK);
	assert_int_equal(header.magic->number, PYTHON27);
	assert_int_equal(header.kind, PYC_KIND_TIMESTAMP);
	assert_int_equal(header.flags, 0);
	assert_int_equal(header.mtime, 0xf7f6f5f4);
	assert_int_equal(header.source_size, 0);
	assert_memory_equal(header.raw, buf, 8);
}

static void test_layout_12(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	make_bytes(PYTHON36, buf);
	assert_int_equal(pyc_header_parse(buf, 12, &header), PYC_HEADER_OK);
	assert_int_equal(header.magic->number, PYTHON36);
	assert_int_equal(header.kind, PYC_KIND_TIMESTAMP);
	assert_int_equal(header.flags, 0);
	assert_int_equal(header.mtime, 0xf7f6f5f4);
	assert_int_equal(header.source_size, 0xfbfaf9f8);
	assert_memory_equal(header.raw, buf, 12);
}

static void test_layout_16(void **state)
{
	static const uint8_t no_hash[PYC_HASH_SIZE];
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	make_pep552(0, buf);
	assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_OK);
	assert_int_equal(header.magic->number, PYTHON311);
	assert_int_equal(header.kind, PYC_KIND_TIMESTAMP);
	assert_int_equal(header.mtime, 0xfbfaf9f8);
	assert_int_equal(header.source_size, 0xfffefdfc);
	assert_memory_equal(header.hash, no_hash, PYC_HASH_SIZE);
	assert_memory_equal(header.raw, buf, 16);
}

static void test_kinds(void **state)
{
	static const struct {
		uint32_t flags;
		enum pyc_header_kind kind;
	} cases[] = {
		{0, PYC_KIND_TIMESTAMP},	 {1, PYC_KIND_HASH_UNCHECKED},
		{2, PYC_KIND_TIMESTAMP}, /* bit 1 says nothing without bit 0 */
		{3, PYC_KIND_HASH_CHECKED},	 {4, PYC_KIND_UNKNOWN_FLAGS},
		{5, PYC_KIND_UNKNOWN_FLAGS},	 {7, PYC_KIND_UNKNOWN_FLAGS},
		{0x100, PYC_KIND_UNKNOWN_FLAGS}, {0x80000000, PYC_KIND_UNKNOWN_FLAGS},
	};
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_pep552(cases[i].flags, buf);
		assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_OK);
		assert_int_equal(header.kind, cases[i].kind);
		assert_int_equal(header.flags, cases[i].flags);
	}
}

static void test_hash_kinds_have_no_times(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	for (uint32_t flags = 1; flags <= 3; flags += 2) {
		make_pep552(flags, buf);
		assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_OK);
		assert_memory_equal(header.hash, buf + 8, PYC_HASH_SIZE);
		assert_int_equal(header.mtime, 0);
		assert_int_equal(header.source_size, 0);
		assert_memory_equal(header.raw, buf, 16);
	}
}

static void test_every_length_of_every_magic(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	for (size_t i = 0; i < pyc_magic_count; i++) {
		const struct pyc_magic *magic = &pyc_magic_table[i];

		make_bytes(magic->number, buf);
		for (size_t len = 0; len <= PYC_HEADER_MAX; len++) {
			enum pyc_header_status expected =
				len < magic->header_size ? PYC_HEADER_SHORT : PYC_HEADER_OK;

			assert_int_equal(pyc_header_parse(buf, len, &header), expected);
		}
		assert_ptr_equal(header.magic, magic);
	}
}

static void test_bytes_after_the_header_do_not_matter(void **state)
{
	static const uint8_t zeroes[PYC_HEADER_MAX];
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	make_bytes(PYTHON27, buf);
	assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_OK);
	assert_memory_equal(header.raw + 8, zeroes, 8);
}

static void test_unknown_magics(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	make_bytes(3700, buf); /* 3.16: its layout is not known */
	assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_UNKNOWN_MAGIC);
	assert_int_equal(pyc_header_parse(buf, 4, &header), PYC_HEADER_UNKNOWN_MAGIC);
	assert_int_equal(pyc_header_parse(buf, 3, &header), PYC_HEADER_SHORT);

	make_bytes(PYTHON311, buf);
	buf[2] = '\n'; /* as after a copy in text mode */
	assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_UNKNOWN_MAGIC);
	make_bytes(PYTHON311, buf);
	buf[3] = '\r';
	assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_UNKNOWN_MAGIC);
}

static void test_nothing_is_written_on_failure(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;
	struct pyc_header before;

	(void)state;
	memset(&header, 0x5a, sizeof(header));
	memset(&before, 0x5a, sizeof(before));
	make_bytes(3700, buf);
	pyc_header_parse(buf, 16, &header);
	make_bytes(PYTHON311, buf);
	pyc_header_parse(buf, 15, &header);
	pyc_header_parse(buf, 0, &header);
	assert_memory_equal(&header, &before, sizeof(header));
}

static void test_set_mtime_changes_one_word(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	uint8_t expected[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	for (size_t i = 0; i < pyc_magic_count; i++) {
		const struct pyc_magic *magic = &pyc_magic_table[i];

		make_bytes(magic->number, buf);
		if (magic->flags_offset)
			memset(buf + magic->flags_offset, 0, 4);
		assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_OK);
		memcpy(expected, header.raw, sizeof(expected));
		memcpy(expected + magic->mtime_offset, "\x04\x03\x02\x81", 4);

		pyc_header_set_mtime(&header, 0x81020304);
		assert_int_equal(header.mtime, 0x81020304);
		assert_memory_equal(header.raw, expected, sizeof(expected));
	}
}

/* Flags 2 is a timestamp pyc too; a restamp keeps its odd bit. */
static void test_set_mtime_keeps_flags(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;

	(void)state;
	make_pep552(PYC_FLAG_CHECK_SOURCE, buf);
	assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_OK);
	pyc_header_set_mtime(&header, 0);
	assert_int_equal(header.flags, PYC_FLAG_CHECK_SOURCE);
	assert_memory_equal(header.raw, buf, 8);
	assert_memory_equal(header.raw + 12, buf + 12, 4);
}

static void test_set_unchecked_changes_one_bit(void **state)
{
	uint8_t buf[PYC_HEADER_MAX];
	struct pyc_header header;
	struct pyc_header again;

	(void)state;
	make_pep552(3, buf);
	assert_int_equal(pyc_header_parse(buf, 16, &header), PYC_HEADER_OK);
	pyc_header_set_unchecked(&header);
	assert_int_equal(header.kind, PYC_KIND_HASH_UNCHECKED);
	assert_int_equal(header.flags, PYC_FLAG_HASH);

	buf[4] = 1;
	assert_memory_equal(header.raw, buf, 16);
	assert_int_equal(pyc_header_parse(header.raw, 16, &again), PYC_HEADER_OK);
	assert_int_equal(again.kind, PYC_KIND_HASH_UNCHECKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout_8),
		cmocka_unit_test(test_layout_12),
		cmocka_unit_test(test_layout_16),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_hash_kinds_have_no_times),
		cmocka_unit_test(test_every_length_of_every_magic),
		cmocka_unit_test(test_bytes_after_the_header_do_not_matter),
		cmocka_unit_test(test_unknown_magics),
		cmocka_unit_test(test_nothing_is_written_on_failure),
		cmocka_unit_test(test_set_mtime_changes_one_word),
		cmocka_unit_test(test_set_mtime_keeps_flags),
		cmocka_unit_test(test_set_unchecked_changes_one_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
