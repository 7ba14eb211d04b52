/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs explain: why a module is compiled again, and what would change that; see
 * explain.h.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/scope.h"

/* The readers' root directory; -o root= says the same as --root. */
static int explain_open_root(const struct explain_arguments *arguments,
			     struct explain_request *request)
{
	const char *root = arguments->root	     ? arguments->root
			   : arguments->options.root ? arguments->options.root
						     : "/";

	request->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	request->root = request->root_fd < 0 ? NULL : path_of_fd(request->root_fd);
	if (request->root)
		return 0;
	log_error("cannot open the root directory %s: %s", quoted(root), strerror(errno));
	return EXIT_EXPLAIN_NOINPUT;
}

static int explain_find_interpreters(const struct explain_arguments *arguments,
				     struct explain_request *request)
{
	for (size_t i = 0; i < arguments->ask_count; i++)
		if (interpreters_add(request->root, arguments->ask[i], &request->asked) < 0)
			return EXIT_EXPLAIN_NOINPUT;
	return 0;
}

/* What can be explained is, also where something else cannot. */
static int explain_files(const struct explain_arguments *arguments,
			 struct explain_request *request, char **files)
{
	int status = 0;

	for (; *files; files++) {
		int r = explain_find(request, *files);

		if (r != 0)
			status = r;
	}
	for (size_t i = 0; i < request->count; i++)
		explain_judge(request, &request->explanations[i]);
	if (request->asked.count > 0 && explain_ask(request) < 0)
		status = EXIT_EXPLAIN_FAILURE;
	if (arguments->json)
		explain_print_json(request);
	else
		explain_print(request);
	return status;
}

int explain(const struct explain_arguments *arguments, char **files)
{
	struct explain_request request = {
		.options = &arguments->options,
		.given_tree = arguments->tree,
		.root_fd = -1,
	};
	int status;

	status = explain_open_root(arguments, &request);
	if (status == 0)
		status = explain_find_interpreters(arguments, &request);
	if (status == 0)
		status = explain_files(arguments, &request, files);
	explain_fini(&request);
	close_fd(&request.root_fd);
	free(request.root);
	return status;
}
