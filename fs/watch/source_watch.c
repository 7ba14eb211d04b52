/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fanotify; see source_watch.h.
 */
#include "config.h"

#include "fs/watch/source_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/scope.h"

#define SOURCE_WATCH_NAMES    (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO)
#define SOURCE_WATCH_CONTENTS (FAN_MODIFY | FAN_CLOSE_WRITE)
#define SOURCE_WATCH_MASK                                                          \
	(SOURCE_WATCH_NAMES | SOURCE_WATCH_CONTENTS | FAN_ATTRIB | FAN_MOVE_SELF | \
	 FAN_ONDIR)

/* In no header before Linux 6.x's, or of Debian 12. */
#ifndef F2FS_SUPER_MAGIC
#define F2FS_SUPER_MAGIC 0xF2F52010
#endif

/*
 * File systems that only this kernel changes, and never without saying so. On others the
 * mark may succeed, and hold nothing: a server changes them, or they show what lies in
 * another file system, which has the events.
 */
static bool source_watch_is_local(int fd)
{
	static const unsigned long local[] = {
		EXT4_SUPER_MAGIC, /* ext2 and ext3, too */
		XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
	};
	struct statfs statistics;

	if (fstatfs(fd, &statistics) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		if ((unsigned long)statistics.f_type == local[i])
			return true;
	return false;
}

int source_watch_open(const struct tree *tree, struct reason *ret_why)
{
	scope_fd int fd = -1;
	uint32_t handle;
	int r;

	if (!source_watch_is_local(tree->root_fd))
		return reason_set(ret_why, -EOPNOTSUPP,
				  "the source is on a file system that others can change, "
				  "or whose changes the kernel does not tell");
	/* Below a mount that others see, one may come and go without an event. */
	if (!tree->is_clone || tree_has_many_devices(tree))
		return reason_set(ret_why, -EXDEV,
				  "the source is not all of one file system");
	r = source_watch_handle(tree->root_fd, "", &handle);
	if (r < 0)
		return reason_set_errno(ret_why, r,
					"the source's file system has no file handles");
	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_REPORT_DFID_NAME |
				   FAN_CLOEXEC | FAN_NONBLOCK,
			   O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				    SOURCE_WATCH_MASK, tree->root_fd, ".") < 0)
		return reason_set_errno(ret_why, -errno, "fanotify cannot be used");
	return take_fd(&fd);
}

static uint32_t source_watch_hash(const struct file_handle *handle)
{
	uint64_t hash = XXH3_64bits_withSeed(handle->f_handle, handle->handle_bytes,
					     (uint64_t)handle->handle_type);

	return (uint32_t)hash | !(uint32_t)hash;
}

int source_watch_handle(int dir, const char *name, uint32_t *ret_handle)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} found;
	int mount_id;

	found.handle.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dir, name, &found.handle, &mount_id, AT_EMPTY_PATH) < 0)
		return -errno;
	*ret_handle = source_watch_hash(&found.handle);
	return 0;
}

/* Takes a piece of information into @event. Return: its bytes; 0 where it cannot be read.
 */
static size_t source_watch_take(const char *at, size_t room, struct source_event *event)
{
	const size_t fixed =
		sizeof(struct fanotify_event_info_fid) + sizeof(struct file_handle);
	const struct fanotify_event_info_fid *info = (const void *)at;
	const struct file_handle *handle = (const void *)info->handle;
	uint32_t hash;

	if (room < sizeof(info->hdr) || info->hdr.len < sizeof(info->hdr) ||
	    info->hdr.len > room)
		return 0;
	if (info->hdr.info_type != FAN_EVENT_INFO_TYPE_FID &&
	    info->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME &&
	    info->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID)
		return info->hdr.len;
	if (info->hdr.len < fixed || info->hdr.len - fixed < handle->handle_bytes)
		return 0;
	hash = source_watch_hash(handle);
	if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_FID) {
		event->file = hash;
		return info->hdr.len;
	}
	event->dir = hash;
	event->name = ".";
	if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME &&
	    memchr(at + fixed + handle->handle_bytes, '\0',
		   info->hdr.len - fixed - handle->handle_bytes))
		event->name = at + fixed + handle->handle_bytes;
	return info->hdr.len;
}

/* @start: where the event is, with all that belongs to it */
static struct source_event
source_watch_event(const char *start, const struct fanotify_event_metadata *metadata)
{
	struct source_event event = {
		.lost = metadata->mask & FAN_Q_OVERFLOW ||
			metadata->vers != FANOTIFY_METADATA_VERSION,
		.names = metadata->mask & SOURCE_WATCH_NAMES,
		.contents = metadata->mask & SOURCE_WATCH_CONTENTS,
	};
	size_t at = metadata->metadata_len;

	while (!event.lost && at < metadata->event_len) {
		size_t taken =
			source_watch_take(start + at, metadata->event_len - at, &event);

		event.lost = taken == 0;
		at += taken;
	}
	return event;
}

void source_watch_parse(const void *buffer, size_t len, source_event_fn *tell,
			void *context)
{
	const char *at = buffer;

	while (len > 0) {
		struct fanotify_event_metadata metadata = {.event_len = 0};
		struct source_event event = {.lost = true};
		size_t taken = len;

		/* Events lie at multiples of 4, and this structure wants multiples of 8. */
		if (len >= sizeof(metadata))
			memcpy(&metadata, at, sizeof(metadata));
		if (metadata.event_len >= sizeof(metadata) && metadata.event_len <= len) {
			event = source_watch_event(at, &metadata);
			taken = metadata.event_len;
		}
		tell(context, &event);
		at += taken;
		len -= taken;
	}
}
