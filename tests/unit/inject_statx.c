/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A statx() for which a file can stay what it was; see inject.h.
 */
#include "tests/unit/inject.h"

#include <sys/syscall.h>
#include <unistd.h>

struct statx frozen;

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *ret)
{
	int r = (int)syscall(SYS_statx, dir, path, flags, mask, ret);

	if (r == 0 && frozen.stx_ino && ret->stx_ino == frozen.stx_ino)
		*ret = frozen;
	return r;
}
