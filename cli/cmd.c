/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arguments that several commands take; see cmd.h.
 */
#include "cli/cmd.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "fs/mount/options.h"

bool command_mount_options(struct mount_options *options, const char *list)
{
	struct reason why;
	int r = mount_options_parse(options, list, &why);

	if (r < 0)
		log_error("%s", why.text);
	return r == 0;
}

bool command_number(const char *text, long least, long most, long *ret_number)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < least || number > most)
		return false;
	*ret_number = number;
	return true;
}
