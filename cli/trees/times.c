/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times that are not forgiven; see times.h.
 */
#include "cli/trees/times.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "pyc/mtime.h"

/* A zip archive counts in twos, and programs round up or down. */
#define ZIP_STEP_S 2

/* Offsets of time zones are multiples of it, and UTC-12 and UTC+14 are 26 hours apart. */
#define ZONE_STEP_S 900
#define ZONE_MAX_S  93600

bool times_make_canonical(struct pyc_policy *policy, struct timespec time,
			  enum pyc_trust trust, char option[TIMES_OPTION_MAX])
{
	if (time.tv_nsec != 0 || policy->canonical_count == PYC_CANONICAL_MAX ||
	    pyc_is_canonical_time(policy, time))
		return false;
	policy->trust = trust;
	policy->canonical[policy->canonical_count++] = time.tv_sec;
	snprintf(option, TIMES_OPTION_MAX, "%scanonical=%lld",
		 trust == PYC_TRUST_SIZE ? "trust=size," : "", (long long)time.tv_sec);
	return true;
}

static bool times_would_forgive(const struct pyc_facts *facts,
				const struct pyc_policy *policy)
{
	struct pyc_facts trial = *facts;
	struct pyc_decision decision;

	if (trial.body == PYC_CHECK_UNKNOWN)
		trial.body = PYC_CHECK_OK;
	pyc_decide(&trial, policy, &decision);
	return decision.verdict == PYC_RESTAMPED;
}

bool times_option(const struct pyc_facts *facts, const struct pyc_policy *policy,
		  char option[TIMES_OPTION_MAX])
{
	static const enum pyc_trust trusts[] = {PYC_TRUST_CANONICAL, PYC_TRUST_SIZE};
	struct pyc_policy trial = *policy;

	strcpy(option, "immutable");
	trial.immutable = true;
	if (times_would_forgive(facts, &trial))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(trusts); i++) {
		trial = *policy;
		if (times_make_canonical(&trial, facts->source_mtime, trusts[i], option) &&
		    times_would_forgive(facts, &trial))
			return true;
	}
	strcpy(option, "trust=size");
	trial = *policy;
	trial.trust = PYC_TRUST_SIZE;
	return times_would_forgive(facts, &trial);
}

/* ---- looks ---- */

/* The nearest time zone; a zip archive of one is rounded as well. */
static int64_t times_nearest_zone(int64_t difference)
{
	int64_t half = difference < 0 ? -ZONE_STEP_S / 2 : ZONE_STEP_S / 2;

	return (difference + half) / ZONE_STEP_S * ZONE_STEP_S;
}

enum times_look times_look(struct timespec source, uint32_t embedded, int64_t *ret_shift_s)
{
	int64_t difference = pyc_mtime_int(source) - (int64_t)embedded;
	int64_t zone = times_nearest_zone(difference);
	int64_t rounded_by = llabs(difference - zone);

	*ret_shift_s = 0;
	if (source.tv_nsec != 0 || llabs(zone) > ZONE_MAX_S ||
	    (rounded_by != 0 &&
	     (rounded_by > ZIP_STEP_S || source.tv_sec % ZIP_STEP_S != 0)))
		return difference < 0 ? TIMES_EARLIER : TIMES_LATER;
	*ret_shift_s = zone;
	return zone == 0 ? TIMES_ROUNDED : TIMES_SHIFTED;
}

static const struct {
	const char *name;
	const char *text;
} times_looks[TIMES_LOOKS] = {
	[TIMES_EARLIER] = {"earlier", "earlier than embedded: an older release"},
	[TIMES_LATER] = {"later", "later than embedded: edited, or copied without times"},
	[TIMES_ROUNDED] = {"rounded",
			   "the embedded one, rounded to two seconds: a zip archive"},
	[TIMES_SHIFTED] = {"shifted", "the embedded one in another time zone"},
};

const char *times_look_name(enum times_look look)
{
	return times_looks[look].name;
}

const char *times_look_text(enum times_look look)
{
	return times_looks[look].text;
}

/* ---- counts ---- */

struct times {
	void *root;
	const struct times_row *row[TIMES_ROWS_MAX]; /* those in the tree */
	size_t count;
};

static int times_compare_keys(const void *a, const void *b)
{
	const struct times_row *x = a, *y = b;
	int order = strcmp(x->option, y->option);

	if (order == 0)
		order = (x->look > y->look) - (x->look < y->look);
	if (order == 0)
		order = (x->shift_s > y->shift_s) - (x->shift_s < y->shift_s);
	return order;
}

struct times *times_new(void)
{
	return calloc(1, sizeof(struct times));
}

void times_free(struct times *times)
{
	if (times)
		tdestroy(times->root, free);
	free(times);
}

static void times_count(struct times *times, const struct times_row *key)
{
	struct times_row *const *node = tfind(key, &times->root, times_compare_keys);
	struct times_row *row = node ? *node : NULL;

	if (!row) {
		row = times->count < TIMES_ROWS_MAX ? malloc(sizeof(*row)) : NULL;
		if (!row)
			return;
		*row = *key;
		if (!tsearch(row, &times->root, times_compare_keys)) {
			free(row);
			return;
		}
		times->row[times->count++] = row;
	}
	row->files++;
}

void times_add(struct times *times, const struct pyc_facts *facts,
	       const struct pyc_decision *decision, const struct pyc_policy *policy)
{
	struct times_row row = {.files = 0};
	struct times_row other = {.files = 0};
	bool forgivable;

	if (decision->reason != PYC_R_NOT_CANONICAL && decision->reason != PYC_R_NEWER)
		return;
	other.look = times_look(facts->source_mtime, facts->header.mtime, &other.shift_s);
	forgivable = times_option(facts, policy, row.option);
	if (forgivable) {
		row.seconds = facts->source_mtime.tv_sec;
		times_count(times, &row);
	}
	if (!forgivable || other.look == TIMES_ROUNDED || other.look == TIMES_SHIFTED)
		times_count(times, &other);
}

static int times_compare_rows(const void *a, const void *b)
{
	const struct times_row *x = *(const struct times_row *const *)a;
	const struct times_row *y = *(const struct times_row *const *)b;

	if (x->files != y->files)
		return x->files < y->files ? 1 : -1;
	return times_compare_keys(x, y);
}

const struct times_row **times_sorted(struct times *times, size_t *ret_count)
{
	qsort(times->row, times->count, sizeof(*times->row), times_compare_rows);
	*ret_count = times->count;
	return times->row;
}
