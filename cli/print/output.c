/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end of standard output; see output.h.
 */
#include "cli/print/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"

int output_finish(int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	log_error("cannot write to standard output: %s", strerror(errno ? errno : EIO));
	return EX_IOERR;
}
