/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What canonfs decided, as extended attributes; see virtual_xattr.h.
 */
#include "fs/front/virtual_xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/hex.h"
#include "base/scope.h"
#include "fs/front/served.h"

#define PREFIX "user.canonfs."

static const char *const names[] = {"verdict", "reason", "original-header"};
enum { VERDICT, REASON, ORIGINAL_HEADER };

_Static_assert(VIRTUAL_XATTR_MAX >= HEX_SIZE(PYC_HEADER_MAX),
	       "a header in hexadecimal fits");

/* Index in names[]; -1 for another name. */
static int virtual_xattr_index(const char *name)
{
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name + strlen(PREFIX), names[i]) == 0)
			return (int)i;
	return -1;
}

bool virtual_xattr_is(const char *name)
{
	return virtual_xattr_index(name) >= 0;
}

/* As many bytes as its layout has; of an unknown one, as many as the longest has. */
static ssize_t virtual_xattr_header(int fd, const struct resolution *resolution,
				    char *ret_value)
{
	const struct pyc_facts *facts = &resolution->facts;
	size_t size = facts->header_status == PYC_HEADER_OK
			      ? facts->header.magic->header_size
			      : PYC_HEADER_MAX;
	uint8_t raw[PYC_HEADER_MAX];
	ssize_t n = pread_full(fd, raw, size, 0);

	if (n < 0)
		return n;
	hex_encode(raw, (size_t)n, ret_value);
	return 2 * n;
}

ssize_t virtual_xattr_get(struct passthrough *passthrough, uint64_t id, const char *name,
			  char *ret_value)
{
	struct resolution resolution;
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;
	const char *text;
	int r;

	fd = passthrough_open(passthrough, id, O_PATH, &path, &stx);
	if (fd < 0)
		return fd;
	if (!S_ISREG(stx.stx_mode) || !pyc_name_is_bytecode(path))
		return -ENODATA;
	close_fd(&fd);
	free(take_ptr(path));
	/* The file may be another by now: everything is asked of this descriptor. */
	fd = passthrough_open(passthrough, id, O_RDONLY | O_NONBLOCK, &path, &stx);
	if (fd < 0)
		return fd;
	r = resolve_pyc(passthrough->front.resolver,
			&(struct pyc_question){
				.path = path, .fd = fd, .stx = &stx, .source_dir = -1},
			&resolution);
	if (r < 0)
		return r == -EINVAL ? -ENODATA : r;
	if (virtual_xattr_index(name) == ORIGINAL_HEADER)
		return virtual_xattr_header(fd, &resolution, ret_value);
	text = virtual_xattr_index(name) == VERDICT
		       ? pyc_verdict_name(resolution.decision.verdict)
		       : pyc_reason_name(resolution.decision.reason);
	return snprintf(ret_value, VIRTUAL_XATTR_MAX, "%s", text);
}
