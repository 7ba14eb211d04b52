/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks real bytecode files: every one that an interpreter wrote must be accepted, and
 * every one that was cut short must not. Also the batch end of the differential test
 * (tests/e2e/test_marshal_differential.py) and a benchmark.
 *
 *	walk-pycs [--cuts N] [--bench] PATH...
 *	walk-pycs --stdin
 *
 * --stdin reads uint32 LE length + a whole pyc, again and again, and answers each with
 * one byte: the enum pyc_marshal_status, or BAD_HEADER.
 */
#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pyc/header.h"
#include "pyc/marshal.h"

#define BAD_HEADER     255
#define CUT_EVERYWHERE 512 /* bytes; below this every length is tried */
#define BENCH_SECONDS  2.0

struct buffer {
	uint8_t *data;
	size_t len;
};

struct body {
	const struct pyc_magic *magic;
	struct buffer file;
	struct body *next;
};

struct tally {
	unsigned long accepted, rejected, unsupported, cuts, cuts_accepted;
};

/**
 * struct survey - options and results
 * @cuts:    how many truncations to try of each file
 * @keep:    --bench: keep what was read in @bodies
 * @tallies: one for each entry of pyc_magic_table
 */
struct survey {
	unsigned long cuts;
	bool keep;
	struct tally *tallies;
	unsigned long unknown_magic, unreadable;
	struct body *bodies;
};

static void *check_alloc(void *p)
{
	if (!p) {
		fputs("walk-pycs: out of memory\n", stderr);
		exit(2);
	}
	return p;
}

static bool read_file(const char *path, struct buffer *ret)
{
	FILE *file = fopen(path, "rbe");
	size_t capacity = 64 << 10;
	size_t n;

	if (!file)
		return false;
	ret->data = check_alloc(malloc(capacity));
	ret->len = 0;
	while ((n = fread(ret->data + ret->len, 1, capacity - ret->len, file)) > 0) {
		ret->len += n;
		if (ret->len == capacity)
			ret->data = check_alloc(realloc(ret->data, capacity *= 2));
	}
	if (ferror(file)) {
		free(ret->data);
		fclose(file);
		return false;
	}
	fclose(file);
	return true;
}

static enum pyc_marshal_status check_file(const struct pyc_magic *magic,
					  const struct buffer *file, size_t *ret_len)
{
	return pyc_marshal_check(magic, file->data + magic->header_size,
				 file->len - magic->header_size, ret_len);
}

/* The truncation to @len bytes, in memory of its own so that sanitizers see overruns. */
static void check_cut(const struct pyc_magic *magic, const uint8_t *body, size_t len,
		      const char *path, struct tally *tally)
{
	uint8_t *copy = check_alloc(malloc(len + !len));
	enum pyc_marshal_status status;

	memcpy(copy, body, len);
	status = pyc_marshal_check(magic, copy, len, NULL);
	free(copy);
	tally->cuts++;
	if (status == PYC_MARSHAL_OK) {
		tally->cuts_accepted++;
		printf("accepted when cut to %zu bytes: %s\n", len, path);
	}
}

static void check_cuts(const struct pyc_magic *magic, const struct buffer *file, size_t len,
		       unsigned long cuts, const char *path, struct tally *tally)
{
	const uint8_t *body = file->data + magic->header_size;

	if (len < CUT_EVERYWHERE)
		cuts = len;
	for (unsigned long i = 0; i < cuts; i++) {
		/* evenly spread, but not at the same remainders in each file */
		size_t at = (size_t)((double)len * (double)i / (double)cuts);

		if (len >= CUT_EVERYWHERE)
			at += (at * 2654435761u) % (len / cuts + 1);
		if (at < len)
			check_cut(magic, body, at, path, tally);
	}
}

static void keep_body(struct survey *survey, const struct pyc_magic *magic,
		      struct buffer *file)
{
	struct body *body = check_alloc(malloc(sizeof(*body)));

	*body = (struct body){magic, *file, survey->bodies};
	survey->bodies = body;
	file->data = NULL;
}

static void survey_parsed(struct survey *survey, const struct pyc_magic *magic,
			  struct buffer *file, const char *path)
{
	struct tally *tally = &survey->tallies[magic - pyc_magic_table];
	enum pyc_marshal_status status;
	size_t len;

	status = check_file(magic, file, &len);
	if (status == PYC_MARSHAL_UNSUPPORTED) {
		tally->unsupported++;
	} else if (status != PYC_MARSHAL_OK) {
		tally->rejected++;
		printf("rejected: %s: status %d\n", path, status);
	} else {
		tally->accepted++;
		if (survey->cuts > 0)
			check_cuts(magic, file, len, survey->cuts, path, tally);
		if (survey->keep)
			keep_body(survey, magic, file);
	}
}

static void survey_file(struct survey *survey, const char *path)
{
	struct pyc_header header;
	struct buffer file;

	if (!read_file(path, &file)) {
		fprintf(stderr, "walk-pycs: %s: %s\n", path, strerror(errno));
		survey->unreadable++;
		return;
	}
	if (pyc_header_parse(file.data, file.len, &header) == PYC_HEADER_OK) {
		survey_parsed(survey, header.magic, &file, path);
	} else {
		survey->unknown_magic++;
		printf("no header of a known magic: %s\n", path);
	}
	free(file.data);
}

static bool is_pyc(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && (!strcmp(name + n - 4, ".pyc") || !strcmp(name + n - 4, ".pyo"));
}

static bool survey_paths(struct survey *survey, char **paths)
{
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	const FTSENT *entry;

	if (!tree)
		return false;
	while ((entry = fts_read(tree))) {
		bool file = entry->fts_info == FTS_F;

		if (file && (entry->fts_level == FTS_ROOTLEVEL || is_pyc(entry->fts_name)))
			survey_file(survey, entry->fts_path);
	}
	fts_close(tree);
	return true;
}

static bool report(const struct survey *survey)
{
	bool good = true;

	for (size_t i = 0; i < pyc_magic_count; i++) {
		const struct tally *tally = &survey->tallies[i];

		if (tally->accepted + tally->rejected + tally->unsupported == 0)
			continue;
		printf("%-10s (%5u) accepted %6lu  rejected %4lu  unsupported %4lu"
		       "  cuts %8lu, accepted %lu\n",
		       pyc_magic_table[i].version, pyc_magic_table[i].number,
		       tally->accepted, tally->rejected, tally->unsupported, tally->cuts,
		       tally->cuts_accepted);
		good = good && tally->rejected == 0 && tally->cuts_accepted == 0;
	}
	printf("unknown magic %lu  unreadable %lu\n", survey->unknown_magic,
	       survey->unreadable);
	return good;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* MB/s over all bodies of one magic (NULL: of all), each walked again and again. */
static void bench(const struct survey *survey, const struct pyc_magic *magic)
{
	double bytes = 0, start = seconds(), elapsed;

	do {
		for (const struct body *body = survey->bodies; body; body = body->next) {
			if (magic && body->magic != magic)
				continue;
			bytes += (double)body->file.len;
			if (check_file(body->magic, &body->file, NULL) != PYC_MARSHAL_OK)
				abort();
		}
		elapsed = seconds() - start;
	} while (bytes > 0 && elapsed < BENCH_SECONDS);
	if (bytes > 0)
		printf("%-10s %7.0f MB/s\n", magic ? magic->version : "all",
		       bytes / elapsed / 1e6);
}

static void bench_all(const struct survey *survey)
{
	for (size_t i = 0; i < pyc_magic_count; i++) {
		if (survey->tallies[i].accepted > 0)
			bench(survey, &pyc_magic_table[i]);
	}
	bench(survey, NULL);
}

static uint8_t answer(const struct buffer *file)
{
	struct pyc_header header;

	if (pyc_header_parse(file->data, file->len, &header) != PYC_HEADER_OK)
		return BAD_HEADER;
	return (uint8_t)check_file(header.magic, file, NULL);
}

static int serve_stdin(void)
{
	uint8_t word[4];

	while (fread(word, sizeof(word), 1, stdin) == 1) {
		struct buffer file;

		file.len = (size_t)word[0] | (size_t)word[1] << 8 | (size_t)word[2] << 16 |
			   (size_t)word[3] << 24;
		file.data = check_alloc(malloc(file.len + !file.len));
		if (fread(file.data, 1, file.len, stdin) != file.len) {
			free(file.data);
			return 2;
		}
		putchar(answer(&file));
		free(file.data);
	}
	return ferror(stdin) || fflush(stdout) ? 2 : 0;
}

static void free_bodies(struct body *body)
{
	while (body) {
		struct body *next = body->next;

		free(body->file.data);
		free(body);
		body = next;
	}
}

int main(int argc, char **argv)
{
	struct survey survey = {0};
	bool good;
	int i;

	for (i = 1; i < argc && !strncmp(argv[i], "--", 2); i++) {
		if (!strcmp(argv[i], "--stdin"))
			return serve_stdin();
		else if (!strcmp(argv[i], "--bench"))
			survey.keep = true;
		else if (!strcmp(argv[i], "--cuts") && i + 1 < argc)
			survey.cuts = strtoul(argv[++i], NULL, 10);
		else
			break;
	}
	if (i >= argc || !strncmp(argv[i], "--", 2)) {
		fputs("usage: walk-pycs [--cuts N] [--bench] PATH...\n"
		      "       walk-pycs --stdin\n",
		      stderr);
		return 2;
	}
	survey.tallies = check_alloc(calloc(pyc_magic_count, sizeof(*survey.tallies)));
	if (!survey_paths(&survey, argv + i)) {
		perror("walk-pycs");
		free(survey.tallies);
		return 2;
	}
	good = report(&survey);
	if (survey.keep)
		bench_all(&survey);
	free_bodies(survey.bodies);
	free(survey.tallies);
	return good ? 0 : 1;
}
