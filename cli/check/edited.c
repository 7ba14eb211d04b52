/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sources that are not what their package installed, where that decides about bytecode; see
 * check.h.
 */
#include "cli/check/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/print/human.h"
#include "cli/print/json.h"
#include "cli/print/shown.h"

/* So many are named in the text. */
#define SHOWN_MAX 10

void check_note_edited(const struct check_pass *pass, const char *path,
		       const struct resolution *resolution)
{
	struct check *check = pass->check;
	scope_free char *source = NULL;
	struct check_edited edited = {.record = resolution->record};

	if (resolution->decision.reason != PYC_R_EDITED ||
	    pairing_source(path, &resolution->facts.name, &source) < 0)
		return;
	edited.path = check_view_path(pass->tree, source);
	if (!edited.path)
		return;
	pthread_mutex_lock(&check->lock);
	if (check->edited_count == CHECK_EDITED_MAX ||
	    array_add(check->edited, check->edited_count, edited) < 0)
		free(edited.path);
	pthread_mutex_unlock(&check->lock);
}

static int check_compare_edited(const void *a, const void *b)
{
	return strcmp(((const struct check_edited *)a)->path,
		      ((const struct check_edited *)b)->path);
}

/* One source has several bytecode files. */
void check_sort_edited(struct check *check)
{
	size_t kept = 0;

	if (check->edited_count == 0)
		return;
	qsort(check->edited, check->edited_count, sizeof(*check->edited),
	      check_compare_edited);
	for (size_t i = 1; i < check->edited_count; i++) {
		if (check_compare_edited(&check->edited[kept], &check->edited[i]) == 0)
			free(check->edited[i].path);
		else
			check->edited[++kept] = check->edited[i];
	}
	check->edited_count = kept + 1;
}

void check_free_edited(struct check *check)
{
	for (size_t i = 0; i < check->edited_count; i++)
		free(check->edited[i].path);
	free(check->edited);
}

void check_print_edited(const struct check *check)
{
	size_t count = check->edited_count;

	if (count == 0)
		return;
	printf("\n%s %s not what %s installed; bytecode of the original counts as stale:\n",
	       HUMAN_COUNT(count),
	       human_plural(count, "source file is", "source files are"),
	       human_plural(count, "its package", "their packages"));
	for (size_t i = 0; i < count && i < SHOWN_MAX; i++)
		printf("  %s (%s)\n", shown(check->edited[i].path),
		       shown(check->edited[i].record ? check->edited[i].record : "?"));
	if (count > SHOWN_MAX)
		printf("  and %s more\n", HUMAN_COUNT(count - SHOWN_MAX));
}

void check_json_edited(struct json_object *json, const struct check *check)
{
	struct json_object *list = json_add_array(json, "edited");

	for (size_t i = 0; i < check->edited_count; i++) {
		struct json_object *one = json_object_new_object();

		json_add_text(one, "path", check->edited[i].path);
		json_add_text(one, "record", check->edited[i].record);
		json_object_array_add(list, one);
	}
}
