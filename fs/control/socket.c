/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making, naming and removing the control socket; see socket.h.
 */
#include "fs/control/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "fs/watch/stats.h"

int control_init(struct control *control)
{
	*control = (struct control){
		.listen_fd = -1,
		.dir_fd = -1,
		.supervisor = getpid(),
		.stats = stats_new(),
	};
	clock_gettime(CLOCK_BOOTTIME, &control->started);
	control->started_s = clock_real().tv_sec;
	return control->stats ? 0 : -ENOMEM;
}

/* The first directory that can be used; -errno of the last one. */
static int control_open_own_dir(void)
{
	struct control_dirs dirs = control_dirs_of(geteuid());
	int fd = -ENOENT;

	for (size_t i = 0; i < dirs.count && fd < 0; i++) {
		fd = control_dir_open(dirs.path[i], geteuid(), true);
		if (fd < 0)
			log_info("cannot use %s for the control socket: %s",
				 quoted(dirs.path[i]),
				 fd == -EPERM ? "others can enter it, or it is not ours"
					      : strerror(-fd));
	}
	return fd;
}

void control_open(struct control *control)
{
	int r = control_open_own_dir();

	if (r < 0) {
		log_info("there is no control socket: canonfs status and trace will not "
			 "see this mount");
		return;
	}
	control->dir_fd = r;
	control_dir_clean(control->dir_fd);
	snprintf(control->name, sizeof(control->name), CONTROL_NEW_PREFIX "%d",
		 (int)getpid());
	r = control_dir_listen(control->dir_fd, control->name, &control->inode);
	if (r < 0)
		log_info("cannot make the control socket: %s; canonfs status and trace "
			 "will not see this mount",
			 strerror(-r));
	else
		control->listen_fd = r;
}

void control_publish(struct control *control, uint64_t device)
{
	char name[CONTROL_NAME_MAX];

	control->stats->device = device;
	if (control->listen_fd < 0)
		return;
	control_name(device, name);
	if (renameat(control->dir_fd, control->name, control->dir_fd, name) < 0)
		log_info("cannot name the control socket: %s", strerror(errno));
	else
		memcpy(control->name, name, sizeof(name));
}

void control_close(struct control *control)
{
	if (control->dir_fd >= 0)
		control_dir_remove(control->dir_fd, control->name, control->inode);
	close_fd(&control->listen_fd);
	close_fd(&control->dir_fd);
}

void control_fini(struct control *control)
{
	control_close(control);
	stats_free(control->stats);
	control->stats = NULL;
}
