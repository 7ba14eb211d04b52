/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arrays that grow, shrink and grow again; those for which there is no memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"
#include "tests/unit/sanitized.h"

static void assert_counts_up(const unsigned *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(items[i], i);
}

static void test_grows(void **state)
{
	unsigned *items = NULL;
	size_t count = 0;

	(void)state;
	while (count < 5000)
		assert_int_equal(array_add(items, count, (unsigned)count), 0);
	assert_counts_up(items, count);
	free(items);
}

/* From each number of items down to each other, and up beyond both: sanitizers look on. */
static void test_grows_after_it_shrank(void **state)
{
	(void)state;
	for (size_t most = 0; most < 70; most++) {
		for (size_t least = 0; least <= most; least++) {
			unsigned *items = NULL;
			size_t count = 0;

			while (count < most)
				assert_int_equal(array_add(items, count, (unsigned)count),
						 0);
			for (count = least; count < 140;)
				assert_int_equal(array_add(items, count, (unsigned)count),
						 0);
			assert_counts_up(items, count);
			free(items);
		}
	}
}

/* The room is not asked for each time: who adds many items moves them a few times. */
static void test_moves_seldom(void **state)
{
	unsigned *items = NULL;

	(void)state;
	items = array_room(items, 0, sizeof(*items));
	for (size_t count = 1; count < 16; count++)
		assert_ptr_equal(array_room(items, count, SIZE_MAX), items);
	assert_ptr_equal(array_room(items, 17, SIZE_MAX), items);
	free(items);
}

static void test_out_of_memory(void **state)
{
	volatile size_t huge = PTRDIFF_MAX / 8;

	(void)state;
	if (!SANITIZED) /* its malloc() ends the process */
		assert_null(array_room(NULL, 0, huge));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_grows_after_it_shrank),
		cmocka_unit_test(test_moves_seldom),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
