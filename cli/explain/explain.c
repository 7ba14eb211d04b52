/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What canonfs explain does, step by step; see explain.h.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fdio.h"
#include "base/log.h"

/* The readers' root directory; -o root= says the same as --root. */
static int explain_open_root(struct explain_request *request)
{
	const char *root =
		request->given_root ? request->given_root : request->options.root;

	root = root ? root : "/";
	request->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	request->root = request->root_fd < 0 ? NULL : path_of_fd(request->root_fd);
	if (request->root)
		return 0;
	log_error("cannot open the root directory %s: %s", quoted(root), strerror(errno));
	return EXIT_EXPLAIN_NOINPUT;
}

int explain(struct explain_request *request, char **files)
{
	int status = explain_open_root(request);

	for (size_t i = 0; status == 0 && i < request->ask_count; i++)
		if (interpreters_add(request->root, request->ask[i], &request->asked) < 0)
			status = EXIT_EXPLAIN_NOINPUT;
	if (status != 0)
		return status;
	/* A file that cannot be explained does not keep the others from it. */
	for (; *files; files++) {
		int r = explain_find(request, *files);

		if (r != 0)
			status = r;
	}
	for (size_t i = 0; i < request->count; i++)
		explain_judge(request, &request->explanations[i]);
	if (request->asked.count > 0 && explain_ask(request) < 0)
		status = EXIT_EXPLAIN_FAILURE;
	if (request->json)
		explain_print_json(request);
	else
		explain_print(request);
	return status;
}
