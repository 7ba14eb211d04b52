/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-store DATABASE ROWS
 *
 * What the store costs by itself: writes ROWS rows as the writer thread does, then loads
 * them as a mount does. Prints JSON. DATABASE must not exist.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"
#include "cache/store/db.h"

#define BATCH 256

/* CPython 3.11 */
static const uint8_t header[] = {0xa7, 0x0d, 0x0d, 0x0a, 0, 0, 0, 0,
				 1,    2,    3,	   4,	 5, 6, 7, 8};

static double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int write_rows(struct store_db *db, const struct image *image, long rows)
{
	struct store_row row = {
		.image = image->id,
		.pyc = {.generation = 7, .btime_ns = 3, .size = 5000, .ctime_ns = 5},
		.body = PYC_CHECK_OK,
	};
	int r = 0;

	if (pyc_header_parse(header, sizeof(header), &row.header) != PYC_HEADER_OK)
		return -1;
	for (long i = 0; r == 0 && i < rows; i++) {
		if (i % BATCH == 0)
			r = store_db_begin(db);
		row.pyc.inode = (uint64_t)i * 7 % 1000003;
		row.digest = digest_of(&i, sizeof(i));
		if (r == 0)
			r = store_db_put(db, &row);
		if (r == 0 && (i % BATCH == BATCH - 1 || i == rows - 1))
			r = store_db_end(db, r);
	}
	return r;
}

static bool count_row(const struct store_row *row, void *closure)
{
	*(long *)closure += row != NULL;
	return true;
}

int main(int argc, char **argv)
{
	scope_fd int root = open("/", O_PATH | O_CLOEXEC);
	long rows = argc == 3 ? strtol(argv[2], NULL, 10) : 0, loaded = 0;
	struct reason why = {"usage: bench-store DATABASE ROWS"};
	double begin, written, reopened, ended;
	struct store_place place;
	struct store_db *db;
	struct image image;
	struct stat st;

	if (rows <= 0 || store_place_open(&place, argv[1], &why) < 0 ||
	    image_of(root, &image) < 0 ||
	    store_db_open(&place, STORE_DB_MAKE, &db, &why) < 0) {
		fprintf(stderr, "bench-store: %s\n", why.text);
		return 1;
	}
	begin = now_ms();
	if (write_rows(db, &image, rows) < 0)
		return 1;
	written = now_ms();
	store_db_close(db);
	reopened = now_ms();
	if (store_db_open(&place, STORE_DB_EXISTING, &db, &why) < 0 ||
	    store_db_rows(db, image.id, count_row, &loaded) < 0)
		return 1;
	ended = now_ms();
	store_db_close(db);
	if (stat(argv[1], &st) < 0)
		return 1;
	printf("{\"rows\": %ld, \"rows_per_s\": %.0f, \"bytes_per_row\": %.0f, "
	       "\"load_ms\": %.1f}\n",
	       loaded, (double)rows * 1e3 / (written - begin),
	       (double)st.st_size / (double)rows, ended - reopened);
	store_place_close(&place);
	return 0;
}
