/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading /proc/self/mountinfo; see mountinfo.h.
 */
#include "fs/mount/mountinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/path.h"
#include "fs/stack/stack.h"

int mountinfo_open(struct mountinfo *list)
{
	*list = (struct mountinfo){.file = fopen("/proc/self/mountinfo", "re")};
	return list->file ? 0 : -errno;
}

void mountinfo_close(struct mountinfo *list)
{
	fclose(list->file);
	free(list->line);
}

/* "\040" and its kin, in place (fs/proc_namespace.c: mangle()). */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
					(text[3] - '0'));
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

/*
 * An overlay says what its layers were called when it was made; a user's own overlay could
 * have one of this name only if the user named it so.
 */
static bool is_ours(const char *type, const char *options)
{
	static const char layer[] = "lowerdir=" STACK_STUBS ":";
	const char *found;

	if (strcmp(type, MOUNT_TYPE) == 0)
		return true;
	if (strcmp(type, "overlay") != 0 || !options)
		return false;
	found = strstr(options, layer);
	return found && (found == options || found[-1] == ',');
}

/* id parent major:minor root point options [optional...] - type source super-options */
static bool parse(char *line, struct mount_entry *ret_entry)
{
	unsigned id, parent, major, minor;
	char *rest = strstr(line, " - ");
	char *save = NULL;
	char *point;
	char *type;
	char *source;
	char *options;
	char *user;

	if (!rest || sscanf(line, "%u %u %u:%u", &id, &parent, &major, &minor) != 4)
		return false;
	*rest = '\0';
	strtok_r(line, " ", &save);
	for (int i = 0; i < 3; i++)
		strtok_r(NULL, " ", &save);
	point = strtok_r(NULL, " ", &save);
	type = strtok_r(rest + 3, " \n", &save);
	source = strtok_r(NULL, " \n", &save);
	options = strtok_r(NULL, " \n", &save);
	user = options ? strstr(options, "user_id=") : NULL;
	if (!point || !type)
		return false;
	unescape(point);
	if (source)
		unescape(source);
	*ret_entry = (struct mount_entry){
		.id = id,
		.parent = parent,
		.device = makedev(major, minor),
		.point = point,
		.type = type,
		.source = source ? source : "",
		.ours = is_ours(type, options),
		.serverless = is_ours(type, options) && strcmp(type, MOUNT_TYPE) != 0 &&
			      !strstr(options, "::"),
		.user_id =
			user ? (unsigned)strtoul(user + strlen("user_id="), NULL, 10) : 0,
	};
	return true;
}

bool mountinfo_next(struct mountinfo *list, struct mount_entry *ret_entry)
{
	while (getline(&list->line, &list->size, list->file) >= 0)
		if (parse(list->line, ret_entry))
			return true;
	return false;
}

/* One step of a path walk: what is mounted where, on which mount. */
struct step {
	unsigned id;
	unsigned parent;
	uint64_t device;
	bool ours;
	size_t len; /* of the mount point's path */
};

struct steps {
	struct step *step;
	size_t count;
};

/* The mounts at @point and above it. */
static int collect(const char *point, struct steps *ret_steps)
{
	struct steps steps = {.count = 0};
	struct mount_entry entry;
	struct mountinfo list;
	int r = mountinfo_open(&list);

	if (r < 0)
		return r;
	while (r == 0 && mountinfo_next(&list, &entry)) {
		struct step *grown;

		if (!path_below(point, entry.point))
			continue;
		grown = reallocarray(steps.step, steps.count + 1, sizeof(*grown));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		steps.step = grown;
		steps.step[steps.count++] = (struct step){
			.id = entry.id,
			.parent = entry.parent,
			.device = entry.device,
			.ours = entry.ours,
			.len = strlen(entry.point),
		};
	}
	mountinfo_close(&list);
	if (r < 0)
		free(steps.step);
	else
		*ret_steps = steps;
	return r;
}

/* The mount that @step is on; NULL for one outside of the list. */
static const struct step *parent_of(const struct steps *steps, const struct step *step)
{
	if (step->parent == step->id) /* the first root of all */
		return NULL;
	for (size_t i = 0; i < steps->count; i++)
		if (steps->step[i].id == step->parent)
			return &steps->step[i];
	return NULL;
}

/*
 * The mount that a path walk enters next from @here (NULL: from outside of the list): the
 * one on it whose mount point comes first.
 */
static const struct step *next_step(const struct steps *steps, const struct step *here)
{
	const struct step *next = NULL;

	for (size_t i = 0; i < steps->count; i++) {
		const struct step *step = &steps->step[i];

		if (parent_of(steps, step) == here && (!next || step->len < next->len))
			next = step;
	}
	return next;
}

int mountinfo_top(const char *point, uint64_t *ret_device, bool *ret_ours)
{
	const struct step *here = NULL;
	const struct step *next;
	struct steps steps;
	int r = collect(point, &steps);

	if (r < 0)
		return r;
	while ((next = next_step(&steps, here)))
		here = next;
	r = here && here->len == strlen(point);
	if (r) {
		*ret_device = here->device;
		*ret_ours = here->ours;
	}
	free(steps.step);
	return r;
}

int mountinfo_has(uint64_t device)
{
	struct mount_entry entry;
	struct mountinfo list;
	int r = mountinfo_open(&list);

	if (r < 0)
		return r;
	while (r == 0 && mountinfo_next(&list, &entry))
		r = entry.device == device;
	mountinfo_close(&list);
	return r;
}

int mountinfo_below(const char *path, char **ret_point)
{
	struct mount_entry entry;
	struct mountinfo list;
	int r = mountinfo_open(&list);

	if (r < 0)
		return r;
	while (r == 0 && mountinfo_next(&list, &entry)) {
		if (!path_below(entry.point, path) || strcmp(entry.point, path) == 0)
			continue;
		*ret_point = strdup(entry.point);
		r = *ret_point ? 1 : -ENOMEM;
	}
	mountinfo_close(&list);
	return r;
}
