/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding and asking mounts; see mounts.h.
 */
#include "fs/control/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/listing.h"
#include "base/path.h"
#include "base/scope.h"
#include "fs/control/dir.h"
#include "fs/mount/mountinfo.h"

/* An answer longer than this is nobody's. */
#define ANSWER_MAX (1u << 20)

static const struct {
	const char *name;
	const char *text;
	int exit_status;
} states[] = {
	[MOUNT_UNASKED] = {"unasked", "was not asked", EX_SOFTWARE},
	[MOUNT_ANSWERS] = {"answers", "answers", EX_OK},
	[MOUNT_SILENT] = {"does-not-answer", "does not answer", EX_UNAVAILABLE},
	[MOUNT_DENIED] = {"not-permitted", "only its owner and root may ask it", EX_NOPERM},
	[MOUNT_NO_SOCKET] = {"no-socket",
			     "has no control socket: its server was killed, or could "
			     "not make one (canonfs mount -v says why)",
			     EX_UNAVAILABLE},
	[MOUNT_SERVERLESS] = {"no-server-needed",
			      "overlayfs shows it by itself: only times differ, and it has "
			      "no server",
			      EX_OK},
	[MOUNT_GONE] = {"server-gone", "its server was killed; canonfs umount ends it",
			EX_UNAVAILABLE},
};

const char *mount_state_name(enum mount_state state)
{
	return states[state].name;
}

const char *mount_state_text(enum mount_state state)
{
	return states[state].text;
}

int mount_state_exit(enum mount_state state)
{
	return states[state].exit_status;
}

/* ---- finding ---- */

static struct known_mount *mounts_find_device(struct known_mounts *mounts, uint64_t device)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->mounts[i].device == device)
			return &mounts->mounts[i];
	return NULL;
}

static struct known_mount *mounts_add(struct known_mounts *mounts, uint64_t device,
				      uid_t owner)
{
	struct known_mount mount = {.device = device, .owner = owner, .fd = -1};

	if (array_add(mounts->mounts, mounts->count, mount) < 0)
		return NULL;
	return &mounts->mounts[mounts->count - 1];
}

static int mounts_find_visible(struct known_mounts *mounts)
{
	scope_mountinfo struct mountinfo list = {.count = 0};
	int r = mountinfo_read(&list);

	for (size_t i = 0; i < list.count; i++) {
		const struct mount_entry *entry = &list.entry[i];
		struct known_mount *mount;

		/* One mount can be bound to several places. */
		if (!entry->ours || mounts_find_device(mounts, entry->device))
			continue;
		mount = mounts_add(mounts, entry->device, entry->user_id);
		if (!mount)
			return -ENOMEM;
		mount->visible = true;
		mount->serverless = entry->serverless;
		mount->point = strdup(entry->point);
		mount->source = strdup(entry->source);
		if (!mount->point || !mount->source)
			return -ENOMEM;
	}
	return r;
}

static int mounts_find_sockets(struct known_mounts *mounts, const char *path)
{
	scope_fd int fd = control_dir_open(path, geteuid(), false);
	struct listing listing = {.count = 0};
	uint64_t device;
	int r = fd < 0 ? 0 : listing_read(&listing, fd);

	for (size_t i = 0; r == 0 && i < listing.count; i++)
		if (control_name_parse(listing.entries[i].name, &device) &&
		    !mounts_find_device(mounts, device) &&
		    !mounts_add(mounts, device, geteuid()))
			r = -ENOMEM;
	listing_fini(&listing);
	return r;
}

int mounts_find(struct known_mounts *ret_mounts)
{
	struct control_dirs dirs = control_dirs_of(geteuid());
	int r;

	*ret_mounts = (struct known_mounts){.count = 0};
	r = mounts_find_visible(ret_mounts);
	for (size_t i = 0; i < dirs.count && r == 0; i++)
		r = mounts_find_sockets(ret_mounts, dirs.path[i]);
	return r;
}

void mounts_free(struct known_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		struct known_mount *mount = &mounts->mounts[i];

		close_fd(&mount->fd);
		json_object_put(mount->answer);
		free(mount->point);
		free(mount->source);
	}
	free(mounts->mounts);
}

/* An absolute path without "", "." and "..", worked out on the text alone. */
static char *mounts_clean_path(const char *path)
{
	char here[PATH_MAX] = "";
	scope_free char *whole = NULL;
	char *save = NULL;
	char *clean;
	char *end;

	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return NULL;
	if (asprintf(&whole, "%s/%s", here, path) < 0) {
		whole = NULL;
		return NULL;
	}
	clean = end = malloc(strlen(whole) + 2);
	if (!clean)
		return NULL;
	*end = '\0';
	for (char *word = strtok_r(whole, "/", &save); word;
	     word = strtok_r(NULL, "/", &save)) {
		if (strcmp(word, "..") == 0) {
			while (end > clean && *--end != '/')
				;
			*end = '\0';
		} else if (strcmp(word, ".") != 0) {
			end += sprintf(end, "/%s", word);
		}
	}
	if (end == clean)
		memcpy(clean, "/", 2);
	return clean;
}

/*
 * The mount that is visible at @point; else by the name that its own server gives it: in
 * another namespace, or of another type.
 */
static struct known_mount *mounts_find_point(struct known_mounts *mounts,
					     const struct mountinfo *list,
					     const char *point)
{
	const struct mount_entry *top = mountinfo_top(list, point);

	if (top && top->ours)
		return mounts_find_device(mounts, top->device);
	for (size_t i = 0; i < mounts->count; i++) {
		struct known_mount *mount = &mounts->mounts[i];

		if (!mount->visible && mount->point && strcmp(mount->point, point) == 0)
			return mount;
	}
	return NULL;
}

struct known_mount *mounts_at(struct known_mounts *mounts, const char *path)
{
	scope_free char *clean = mounts_clean_path(path);
	scope_free char *real = NULL;
	scope_mountinfo struct mountinfo list = {.count = 0};
	struct known_mount *mount;

	if (!clean)
		return NULL;
	mountinfo_read(&list);
	mount = mounts_find_point(mounts, &list, clean);
	if (mount || mountinfo_leads_through_ours(&list, clean))
		return mount;
	real = realpath(clean, NULL);
	return real ? mounts_find_point(mounts, &list, real) : NULL;
}

/* ---- asking ---- */

static enum mount_state mount_state_of(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return MOUNT_DENIED;
	case -ECONNREFUSED:
		return MOUNT_GONE;
	case -EAGAIN:
		return MOUNT_SILENT;
	default:
		return MOUNT_NO_SOCKET;
	}
}

/* Connects to the socket in one of the directories; -errno of the one that came closest. */
static int mount_connect_in(const struct control_dirs *dirs, uid_t owner, const char *name)
{
	int best = -ENOENT;

	for (size_t i = 0; i < dirs->count; i++) {
		scope_fd int dir = control_dir_open(dirs->path[i], owner, false);
		int fd = dir < 0 ? dir : control_dir_connect(dir, name);

		if (fd >= 0)
			return fd;
		if (fd != -ENOENT)
			best = fd;
	}
	return best;
}

bool mount_connect(struct known_mount *mount)
{
	struct control_dirs dirs;
	char name[CONTROL_NAME_MAX];
	int fd;

	/* It would only close the connection. */
	if (geteuid() != 0 && mount->owner != geteuid()) {
		mount->state = MOUNT_DENIED;
		return false;
	}
	dirs = control_dirs_of(mount->owner);
	control_name(mount->device, name);
	fd = mount_connect_in(&dirs, mount->owner, name);
	if (fd < 0) {
		mount->state = mount->serverless ? MOUNT_SERVERLESS : mount_state_of(fd);
		return false;
	}
	mount->fd = fd;
	return true;
}

ssize_t mount_receive(int fd, char **ret_text)
{
	scope_free char *text = NULL;
	/* How long is it? */
	ssize_t n = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);

	if (n < 0)
		return -errno;
	if ((size_t)n > ANSWER_MAX)
		return -EMSGSIZE;
	text = malloc((size_t)n + 1);
	if (!text)
		return -ENOMEM;
	n = recv(fd, text, (size_t)n, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret_text = take_ptr(text);
	return n;
}

static void mount_ask(struct known_mount *mount)
{
	static const char request[] = "{\"command\": \"status\"}";

	if (!mount_connect(mount))
		return;
	if (send(mount->fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
		mount->state = MOUNT_SILENT;
		close_fd(&mount->fd);
	}
}

static void mount_take_answer(struct known_mount *mount)
{
	scope_free char *text = NULL;
	struct json_object *answer;
	const char *name;
	ssize_t n = mount_receive(mount->fd, &text);

	if (n == -EAGAIN || n == -EINTR)
		return;
	answer = n > 0 ? json_tokener_parse(text) : NULL;
	close_fd(&mount->fd);
	mount->state = n == 0 || n == -ECONNRESET ? MOUNT_GONE : MOUNT_SILENT;
	if (!json_object_is_type(answer, json_type_object) ||
	    json_object_object_get_ex(answer, "error", NULL)) {
		json_object_put(answer);
		return;
	}
	mount->state = MOUNT_ANSWERS;
	mount->answer = answer;
	if (!mount->point && (name = json_member_text(answer, "point", NULL)))
		mount->point = strdup(name);
	if (!mount->source && (name = json_member_text(answer, "source", NULL)))
		mount->source = strdup(name);
}

/* Waits for one or more answers; false when all have come, or it is too late. */
static bool mounts_wait(struct known_mounts *mounts, int64_t until_ms)
{
	scope_free struct pollfd *fds = calloc(mounts->count + 1, sizeof(*fds));
	int left_ms = clock_left_ms(until_ms);
	bool waiting = false;

	if (!fds || left_ms == 0)
		return false;
	for (size_t i = 0; i < mounts->count; i++) {
		fds[i] = (struct pollfd){.fd = mounts->mounts[i].fd, .events = POLLIN};
		waiting |= fds[i].fd >= 0;
	}
	if (!waiting)
		return false;
	if (poll(fds, mounts->count, left_ms) < 0)
		return errno == EINTR;
	for (size_t i = 0; i < mounts->count; i++)
		if (fds[i].revents)
			mount_take_answer(&mounts->mounts[i]);
	return true;
}

/* What only a socket told of is no mount if nobody listens any more. */
static void mounts_drop_dead(struct known_mounts *mounts)
{
	size_t kept = 0;

	for (size_t i = 0; i < mounts->count; i++) {
		struct known_mount *mount = &mounts->mounts[i];

		if (mount->visible || mount->state == MOUNT_ANSWERS ||
		    mount->state == MOUNT_SILENT)
			mounts->mounts[kept++] = *mount;
	}
	mounts->count = kept;
}

static void mounts_remove_dead_sockets(void)
{
	struct control_dirs dirs = control_dirs_of(geteuid());

	for (size_t i = 0; i < dirs.count; i++) {
		scope_fd int fd = control_dir_open(dirs.path[i], geteuid(), false);

		if (fd >= 0)
			control_dir_clean(fd);
	}
}

void mounts_ask(struct known_mounts *mounts)
{
	int64_t until_ms = clock_ms() + MOUNTS_ANSWER_MS;

	for (size_t i = 0; i < mounts->count; i++)
		mount_ask(&mounts->mounts[i]);
	while (mounts_wait(mounts, until_ms))
		;
	for (size_t i = 0; i < mounts->count; i++) {
		struct known_mount *mount = &mounts->mounts[i];

		if (mount->fd >= 0)
			mount->state = MOUNT_SILENT;
		close_fd(&mount->fd);
	}
	mounts_drop_dead(mounts);
	mounts_remove_dead_sockets();
}
