/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of bytecode files, and what follows; see explain.h. The rules are in
 * pyc/verdict.h and pyc/outcome.h.
 */
#include "cli/explain/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/fdio.h"
#include "base/hex.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/alias.h"

/* ---- facts ---- */

static const char *explain_problem(int error)
{
	switch (error) {
	case -ENOENT:
	case -ELOOP:
		return "it is a link that leads to nothing";
	case -EACCES:
	case -EPERM:
		return "we may not read it";
	case -EINVAL:
		return "it is not a regular file";
	case -ENOMEM:
		return "out of memory";
	default:
		return "it cannot be read";
	}
}

/* Finds the facts of an open file. @path: relative to the tree. Return: 0 or -errno. */
static int explain_resolve(const struct explain_tree *tree, const char *path, int fd,
			   struct pyc_facts *ret_facts)
{
	struct statx stx;
	const struct pyc_question question = {.path = path,
					      .fd = fd,
					      .stx = &stx,
					      .source_dir = -1,
					      .depth = PYC_DEPTH_WHOLE};
	struct resolution resolution;
	int r = statx_at(fd, "", &stx);

	if (r == 0)
		r = resolve_pyc(tree->set->resolver, &question, &resolution);
	if (r == 0)
		*ret_facts = resolution.facts;
	return r;
}

/* ---- in a mount ---- */

/* An extended attribute, with a NUL after it; NULL where there is none. */
static char *explain_attribute(const char *path, const char *name)
{
	char value[256];
	ssize_t len = getxattr(path, name, value, sizeof(value) - 1);

	if (len < 0)
		return NULL;
	value[len] = '\0';
	return strdup(value);
}

/* The header on disk, in hexadecimal (fs/front/op_xattr.c). */
static void explain_take_original(struct explain_pyc *pyc, const char *text)
{
	uint8_t raw[PYC_HEADER_MAX];
	ssize_t len = hex_decode(text, raw, sizeof(raw));

	pyc->disk.header_status =
		pyc_header_parse(raw, len < 0 ? 0 : (size_t)len, &pyc->disk.header);
}

/* Takes what the mount says of a file. A mount of an older version says nothing. */
static void explain_ask_mount(const struct explain_request *request,
			      struct explain_pyc *pyc)
{
	scope_free char *path = path_join(request->root, pyc->path + 1);
	scope_free char *original = NULL;

	if (!path)
		return;
	pyc->mount_verdict = explain_attribute(path, "user.canonfs.verdict");
	pyc->mount_reason = explain_attribute(path, "user.canonfs.reason");
	original = explain_attribute(path, "user.canonfs.original-header");
	if (original)
		explain_take_original(pyc, original);
}

/* ---- verdicts ---- */

static void explain_decide(const struct explain_tree *tree, const struct pyc_facts *facts,
			   struct explain_pyc *pyc)
{
	struct pyc_policy policy = tree->policy;

	pyc->decided = true;
	pyc_decide(facts, &policy, &pyc->given);
	for (int trust = 0; trust < TRUSTS; trust++) {
		policy.trust = (enum pyc_trust)trust;
		pyc_decide(facts, &policy, &pyc->trust[trust]);
	}
}

/* The path or its directory may be a link: the resolver must know it, as in a mount. */
static void explain_report_links(const struct explain_tree *tree, const char *path)
{
	scope_free char *dir = path_parent(path);
	const char *const links[] = {dir, path};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		struct statx stx;

		if (links[i] && tree_stat(&tree->set->tree, links[i], &stx) == 0 &&
		    S_ISLNK(stx.stx_mode) && alias_is_link_name(path_last(links[i])))
			(void)resolve_link(tree->set->resolver, links[i], NULL, NULL);
	}
}

/*
 * Readers get a linked file from where it lies, with the verdict of that place. A place
 * outside of the tree, or a name that is not bytecode's, has no verdict.
 */
static void explain_decide_linked(const struct explain_tree *tree, struct explain_pyc *pyc,
				  int fd)
{
	const char *below = path_below(pyc->real, tree->set->tree.view_path);
	struct pyc_facts facts;

	if (!below || !below[0])
		return;
	explain_report_links(tree, pyc->relative);
	if (explain_resolve(tree, below + 1, fd, &facts) == 0)
		explain_decide(tree, &facts, pyc);
}

/* ---- outcomes ---- */

enum pyc_outcome explain_outcome_after(const struct pyc_facts *facts,
				       const struct pyc_decision *decision,
				       const struct pyc_magic *reader)
{
	struct pyc_facts served = *facts;

	if (facts->header_status == PYC_HEADER_OK)
		served.header = decision->header;
	served.source_mtime = facts->served_mtime;
	return pyc_outcome(&served, served.source_mtime, reader);
}

/*
 * Some files do not say which version reads them. Then the installed interpreters that
 * look for the file decide, if they agree.
 */
static const struct interpreter *explain_find_reader(struct explain_request *request,
						     const struct pyc_facts *facts)
{
	const struct interpreter *reader = NULL;
	enum pyc_outcome outcome = PYC_IGNORES;

	if (!request->looked_for_installed) {
		request->looked_for_installed = true;
		(void)interpreters_find(request->root, INTERPRETERS_NAMED,
					&request->installed);
	}
	for (size_t i = 0; i < request->installed.count; i++) {
		const struct interpreter *one = &request->installed.interpreters[i];
		enum pyc_outcome its = pyc_outcome(facts, facts->source_mtime, one->magic);

		if (!reader || outcome == PYC_IGNORES) {
			reader = one;
			outcome = its;
		} else if (its != PYC_IGNORES && its != outcome) {
			return NULL;
		}
	}
	return reader;
}

/* ---- all of it ---- */

/* Return: 0, or -errno where the file cannot be looked at. */
static int explain_look_at_pyc(const struct explain_request *request,
			       const struct explain_tree *tree, struct explain_pyc *pyc)
{
	scope_fd int fd = openat2_fd(request->root_fd, pyc->path, O_RDONLY | O_NONBLOCK,
				     RESOLVE_IN_ROOT);
	ssize_t n = fd < 0 ? fd : pread_full(fd, pyc->head, sizeof(pyc->head), 0);
	int r = fd < 0 ? fd : explain_resolve(tree, pyc->relative, fd, &pyc->seen);

	pyc->head_len = n < 0 ? 0 : (size_t)n;
	if (r < 0)
		return r;
	pyc->disk = pyc->seen;
	if (tree->mount)
		explain_ask_mount(request, pyc);
	if (pyc->real)
		explain_decide_linked(tree, pyc, fd);
	else
		explain_decide(tree, &pyc->disk, pyc);
	return 0;
}

static void explain_judge_pyc(struct explain_request *request,
			      const struct explanation *explanation,
			      struct explain_pyc *pyc)
{
	const struct explain_tree *tree = &explanation->tree;
	const struct pyc_magic *reader = NULL;
	int r = explain_look_at_pyc(request, tree, pyc);

	if (r < 0) {
		pyc->problem = explain_problem(r);
		return;
	}
	pyc->bare = pyc_outcome(&pyc->disk, pyc->disk.source_mtime, NULL);
	if (pyc->bare == PYC_OUTCOME_UNKNOWN)
		pyc->reader = explain_find_reader(request, &pyc->disk);
	if (pyc->reader) {
		reader = pyc->reader->magic;
		pyc->bare = pyc_outcome(&pyc->disk, pyc->disk.source_mtime, reader);
	}
	if (tree->mount)
		pyc->served = pyc_outcome(&pyc->seen, pyc->seen.source_mtime, reader);
	else if (pyc->decided)
		pyc->served = explain_outcome_after(&pyc->disk, &pyc->given, reader);
	else
		pyc->served = pyc->bare;
	if (!pyc->real)
		explain_find_changes(request, explanation, pyc);
}

void explain_judge(struct explain_request *request, struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->pyc_count; i++)
		explain_judge_pyc(request, explanation, &explanation->pycs[i]);
}
