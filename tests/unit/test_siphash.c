/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash against the vectors of its authors and against the source hashes of real
 * interpreters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pyc/siphash.h"
#include "tests/data/siphash_vectors.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Repeats @input into a buffer of exactly its size, so that a sanitiser sees its end. */
static uint8_t *expand(const struct siphash_input *input, size_t *ret_len)
{
	size_t len = input->len * input->count;
	uint8_t *buf = malloc(len ? len : 1);

	assert_non_null(buf);
	for (size_t i = 0; i < input->count; i++)
		memcpy(buf + i * input->len, input->bytes, input->len);
	*ret_len = len;
	return buf;
}

static const struct pyc_magic *magic_of(const struct siphash_vector *v)
{
	struct pyc_header header;
	uint8_t buf[PYC_HEADER_MAX] = {0};

	memcpy(buf, v->magic, 4);
	assert_int_equal(pyc_header_parse(buf, sizeof(buf), &header), PYC_HEADER_OK);
	return header.magic;
}

static void test_hashes_of_real_interpreters(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(siphash_vectors); i++) {
		const struct siphash_vector *v = &siphash_vectors[i];

		for (size_t k = 0; k < LENGTH(siphash_inputs); k++) {
			uint8_t hash[PYC_HASH_SIZE];
			size_t len;
			uint8_t *buf = expand(&siphash_inputs[k], &len);

			assert_true(pyc_source_hash(magic_of(v), buf, len, hash));
			assert_memory_equal(hash, v->hash[k], PYC_HASH_SIZE);
			free(buf);
		}
	}
}

/* _imp.source_hash(1, b"abcdef"): a key that is no magic. */
static void test_other_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(siphash_vectors); i++) {
		const struct siphash_vector *v = &siphash_vectors[i];
		bool older = strcmp(v->algorithm, "siphash24") == 0;
		uint64_t hash =
			pyc_siphash(older ? 2 : 1, older ? 4 : 3, 1, 0, "abcdef", 6);

		for (size_t k = 0; k < PYC_HASH_SIZE; k++)
			assert_int_equal((uint8_t)(hash >> (8 * k)),
					 (uint8_t)v->key1_abcdef[k]);
	}
}

/*
 * The message 00 01 02 ... under the key 00 01 ... 0f. The lengths 0, 1, 7, 8, 15 and 63
 * of vectors_sip64[] in github.com/veorq/SipHash; 15 is also in appendix A of the paper.
 */
static void test_vectors_of_the_authors(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} cases[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
		{7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)}, {63, UINT64_C(0x958a324ceb064572)},
	};
	uint8_t message[64];

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(pyc_siphash(2, 4, UINT64_C(0x0706050403020100),
					     UINT64_C(0x0f0e0d0c0b0a0908), message,
					     cases[i].len),
				 cases[i].hash);
}

static void test_no_data(void **state)
{
	(void)state;
	assert_int_equal(pyc_siphash(2, 4, UINT64_C(0x0706050403020100),
				     UINT64_C(0x0f0e0d0c0b0a0908), NULL, 0),
			 UINT64_C(0x726fdb47dd0e0e31));
}

static void test_what_cannot_be_computed(void **state)
{
	static const uint16_t numbers[] = {
		62211, /* 2.7: no hash pycs */
		3379,  /* 3.6: no hash pycs */
		21330, /* GraalPy: hashes in a way of its own */
		3460,  /* an alpha of 3.11, when the algorithm changed */
	};
	uint8_t hash[PYC_HASH_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		const struct pyc_magic *magic = pyc_magic_lookup(numbers[i]);

		assert_non_null(magic);
		assert_false(pyc_source_hash(magic, "x", 1, hash));
		assert_memory_equal(hash, "\1\2\3\4\5\6\7\10", PYC_HASH_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes_of_real_interpreters),
		cmocka_unit_test(test_other_keys),
		cmocka_unit_test(test_vectors_of_the_authors),
		cmocka_unit_test(test_no_data),
		cmocka_unit_test(test_what_cannot_be_computed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
