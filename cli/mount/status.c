/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs status: the mounts of this machine, or one; see mount.h.
 */
#include "cli/mount/mount.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "cli/print/json.h"
#include "fs/control/dir.h"

static void status_add_json(struct json_object *array, const struct known_mount *mount)
{
	struct json_object *object = json_append_object(array);
	char device[CONTROL_NAME_MAX];

	control_name(mount->device, device);
	json_add_text(object, "point", mount->point);
	json_add_text(object, "source", mount->source);
	json_add_text(object, "device", device);
	json_add_bool(object, "visible", mount->visible);
	json_add_text(object, "state", mount_state_name(mount->state));
	json_object_object_add(object, "status", json_retext(mount->answer));
}

/* @only: NULL for all */
static void status_print_json(const struct known_mounts *mounts,
			      const struct known_mount *only)
{
	struct json_object *object = json_object_new_object();
	struct json_object *array = json_add_array(object, "mounts");

	for (size_t i = 0; i < mounts->count; i++)
		if (!only || only == &mounts->mounts[i])
			status_add_json(array, &mounts->mounts[i]);
	json_print(object);
}

static void status_print_text(const struct known_mounts *mounts,
			      const struct known_mount *only)
{
	if (mounts->count == 0)
		puts("There is no canonfs mount.");
	for (size_t i = 0; i < mounts->count; i++) {
		if (only && only != &mounts->mounts[i])
			continue;
		if (!only && i > 0)
			putchar('\n');
		status_print_mount(&mounts->mounts[i]);
	}
}

/* In a list, a mount of another user is no failure. */
static int status_of_mounts(const struct known_mounts *mounts,
			    const struct known_mount *only)
{
	int status = EX_OK;

	if (only)
		return mount_state_exit(only->state);
	for (size_t i = 0; i < mounts->count; i++) {
		enum mount_state state = mounts->mounts[i].state;

		if (state != MOUNT_ANSWERS && state != MOUNT_DENIED)
			status = mount_state_exit(state);
	}
	return status;
}

int status_show(const char *path, bool json)
{
	const struct known_mount *only = NULL;
	struct known_mounts mounts;
	int r = mounts_find(&mounts);
	int status = EX_OSERR;

	if (r == 0)
		mounts_ask(&mounts);
	if (r < 0) {
		log_error("cannot list the mounts: %s", strerror(-r));
	} else if (path && !(only = mounts_at(&mounts, path))) {
		log_error("%s is not a canonfs mount; canonfs status lists those there are",
			  quoted(path));
		status = EX_NOINPUT;
	} else {
		(json ? status_print_json : status_print_text)(&mounts, only);
		status = status_of_mounts(&mounts, only);
	}
	mounts_free(&mounts);
	return status;
}
