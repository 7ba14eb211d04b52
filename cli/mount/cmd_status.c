/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs status [MOUNT] [--json]
 */
#include "cli/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "cli/mount/status_print.h"
#include "cli/print/json.h"
#include "cli/print/output.h"
#include "fs/control/control_dir.h"
#include "fs/control/mounts.h"

static const char usage[] =
	"usage: canonfs status [MOUNT] [--json]\n"
	"\n"
	"Shows the canonfs mounts of this machine, or one: its options, memory, requests,\n"
	"what became of the bytecode, errors. A mount whose server does not answer within\n"
	"a second is shown as such. Others' mounts are shown in full to root only.\n"
	"\n"
	"  --json  print JSON\n"
	"\n"
	"Examples:\n"
	"  canonfs status\n"
	"  canonfs status /usr --json | jq '.mounts[0].status.bytecode.verdicts'\n"
	"\n"
	"Exit status: 0, also where there is no mount; 64 wrong usage, 66 MOUNT is not a\n"
	"canonfs mount, 69 a mount does not answer, 77 MOUNT is somebody else's.\n";

static struct json_object *mount_json(const struct known_mount *mount)
{
	struct json_object *object = json_object_new_object();
	char device[CONTROL_NAME_MAX];

	control_name(mount->device, device);
	json_add_text(object, "point", mount->point);
	json_add_text(object, "source", mount->source);
	json_add_text(object, "device", device);
	json_add_bool(object, "visible", mount->visible);
	json_add_text(object, "state", mount_state_name(mount->state));
	json_object_object_add(object, "status", json_retext(mount->answer));
	return object;
}

/* @only: NULL for all */
static void print_json(const struct known_mounts *mounts, const struct known_mount *only)
{
	struct json_object *object = json_object_new_object();
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < mounts->count; i++)
		if (!only || only == &mounts->mounts[i])
			json_object_array_add(array, mount_json(&mounts->mounts[i]));
	json_object_object_add(object, "mounts", array);
	json_print(object);
}

static void print_text(const struct known_mounts *mounts, const struct known_mount *only)
{
	if (mounts->count == 0)
		puts("There is no canonfs mount.");
	for (size_t i = 0; i < mounts->count; i++) {
		if (only && only != &mounts->mounts[i])
			continue;
		if (!only && i > 0)
			putchar('\n');
		status_print(&mounts->mounts[i]);
	}
}

/* In a list, somebody else's mount is no failure. */
static int exit_status(const struct known_mounts *mounts, const struct known_mount *only)
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

static int show(struct known_mounts *mounts, const char *path, bool json)
{
	const struct known_mount *only = NULL;
	int r = mounts_find(mounts);

	if (r < 0) {
		log_error("cannot list the mounts: %s", strerror(-r));
		return EX_OSERR;
	}
	mounts_ask(mounts);
	if (path && !(only = mounts_at(mounts, path))) {
		log_error("%s is not a canonfs mount; canonfs status lists those there are",
			  quoted(path));
		return EX_NOINPUT;
	}
	(json ? print_json : print_text)(mounts, only);
	return output_finish(exit_status(mounts, only));
}

static int wrong_usage(void)
{
	fputs("usage: canonfs status [MOUNT] [--json]; see canonfs status --help\n",
	      stderr);
	return EX_USAGE;
}

static int run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct known_mounts mounts;
	bool json = false;
	int option;
	int status;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EX_OK;
		default:
			return wrong_usage();
		}
	}
	if (argc - optind > 1) {
		log_error("more than one MOUNT");
		return wrong_usage();
	}
	status = show(&mounts, argv[optind], json);
	mounts_free(&mounts);
	return status;
}

const struct command command_status = {
	.name = "status",
	.summary = "show the mounts of this machine and what they do",
	.usage = usage,
	.run = run,
};
