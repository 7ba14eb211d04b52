/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading /proc/self/mountinfo; see mountinfo.h.
 */
#include "fs/mount/mountinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/array.h"
#include "base/path.h"
#include "base/scope.h"

void mountinfo_unescape(char *text)
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
static bool mountinfo_names_us(const char *type, const char *options)
{
	static const char layer[] = "lowerdir=" MOUNT_STUBS ":";
	const char *found;

	if (strcmp(type, MOUNT_TYPE) == 0)
		return true;
	if (strcmp(type, "overlay") != 0 || !options)
		return false;
	found = strstr(options, layer);
	return found && (found == options || found[-1] == ',');
}

/* The kernel writes "ro" or "rw" first (fs/proc_namespace.c: show_mountinfo()). */
static bool mountinfo_says_read_only(const char *options)
{
	return options && strncmp(options, "ro", 2) == 0 &&
	       (options[2] == ',' || !options[2]);
}

/* id parent major:minor root point options [optional...] - type source super-options */
static bool mountinfo_parse(char *line, struct mount_entry *ret_entry)
{
	unsigned id, parent, major, minor;
	char *rest = strstr(line, " - ");
	char *save = NULL;
	char *root;
	char *point;
	char *flags;
	char *type;
	char *source;
	const char *options;
	const char *user;
	bool ours;

	if (!rest || sscanf(line, "%u %u %u:%u", &id, &parent, &major, &minor) != 4)
		return false;
	*rest = '\0';
	strtok_r(line, " ", &save);
	for (int i = 0; i < 2; i++)
		strtok_r(NULL, " ", &save);
	root = strtok_r(NULL, " ", &save);
	point = strtok_r(NULL, " ", &save);
	flags = strtok_r(NULL, " ", &save);
	type = strtok_r(rest + 3, " \n", &save);
	source = strtok_r(NULL, " \n", &save);
	options = strtok_r(NULL, " \n", &save);
	/* A mount whose source is "" has one word less. */
	if (!options)
		options = "";
	user = strstr(options, "user_id=");
	if (!point || !type)
		return false;
	mountinfo_unescape(root);
	mountinfo_unescape(point);
	if (source)
		mountinfo_unescape(source);
	ours = mountinfo_names_us(type, options);
	*ret_entry = (struct mount_entry){
		.id = id,
		.parent = parent,
		.device = makedev(major, minor),
		.root = root,
		.point = point,
		.type = type,
		.source = source ? source : "",
		.options = options,
		.read_only = mountinfo_says_read_only(flags),
		.fs_read_only = mountinfo_says_read_only(options),
		.ours = ours,
		.serverless =
			ours && strcmp(type, MOUNT_TYPE) != 0 && !strstr(options, "::"),
		.user_id =
			user ? (unsigned)strtoul(user + strlen("user_id="), NULL, 10) : 0,
	};
	return true;
}

int mountinfo_read_file(struct mountinfo *ret_list, FILE *file)
{
	struct mount_entry entry;
	char *save = NULL;
	size_t size = 0;
	int r = 0;

	*ret_list = (struct mountinfo){.count = 0};
	errno = 0;
	if (getdelim(&ret_list->text, &size, '\0', file) < 0)
		return -errno; /* 0: an empty file */
	for (char *line = strtok_r(ret_list->text, "\n", &save); line && r == 0;
	     line = strtok_r(NULL, "\n", &save))
		if (mountinfo_parse(line, &entry))
			r = array_add(ret_list->entry, ret_list->count, entry);
	if (r < 0)
		ret_list->count = 0;
	return r;
}

int mountinfo_read(struct mountinfo *ret_list)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int r;

	*ret_list = (struct mountinfo){.count = 0};
	if (!file)
		return -errno;
	r = mountinfo_read_file(ret_list, file);
	fclose(file);
	return r;
}

void mountinfo_free(struct mountinfo *list)
{
	free(list->entry);
	free(list->text);
	*list = (struct mountinfo){.count = 0};
}

const struct mount_entry *mountinfo_find(const struct mountinfo *list, uint64_t id)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->entry[i].id == id)
			return &list->entry[i];
	return NULL;
}

/* The mount that @entry is on; NULL for one outside of the list. */
static const struct mount_entry *mountinfo_parent(const struct mountinfo *list,
						  const struct mount_entry *entry)
{
	return entry->parent == entry->id ? NULL /* the first root of all */
					  : mountinfo_find(list, entry->parent);
}

/*
 * The mount that a walk of @path enters next from @here (NULL: from outside of the list):
 * the one on it whose mount point comes first.
 */
static const struct mount_entry *mountinfo_step(const struct mountinfo *list,
						const char *path,
						const struct mount_entry *here)
{
	const struct mount_entry *next = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct mount_entry *entry = &list->entry[i];

		if (path_below(path, entry->point) &&
		    (!next || strlen(entry->point) < strlen(next->point)) &&
		    mountinfo_parent(list, entry) == here)
			next = entry;
	}
	return next;
}

const struct mount_entry *mountinfo_top(const struct mountinfo *list, const char *point)
{
	const struct mount_entry *here = NULL;
	const struct mount_entry *next;

	while ((next = mountinfo_step(list, point, here)))
		here = next;
	return here && strcmp(here->point, point) == 0 ? here : NULL;
}

const struct mount_entry *mountinfo_below(const struct mountinfo *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++)
		if (path_below(list->entry[i].point, path) &&
		    strcmp(list->entry[i].point, path) != 0)
			return &list->entry[i];
	return NULL;
}

bool mountinfo_leads_through_ours(const struct mountinfo *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->entry[i].ours && path_below(path, list->entry[i].point))
			return true;
	return false;
}

bool mount_is_ours(const char *point, uint64_t *ret_device)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	const struct mount_entry *top =
		mountinfo_read(&list) < 0 ? NULL : mountinfo_top(&list, point);

	if (!top || !top->ours)
		return false;
	if (ret_device)
		*ret_device = top->device;
	return true;
}
