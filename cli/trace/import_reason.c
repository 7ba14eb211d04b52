/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why imports did not use their bytecode, as the resolver says; see trace.h.
 */
#include "cli/trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/pairing.h"
#include "cli/trees/mountable.h"
#include "cli/trees/tree_set.h"
#include "fs/mount/mountinfo.h"
#include "pyc/mtime.h"
#include "pyc/outcome.h"

/* @trees: the list of tree_set_get(); @mounts: read once, after the command */
struct import_judge {
	struct mount_options options;
	struct tree_set *trees;
	struct mountinfo mounts;
};

static bool import_is_mounted(const struct import_judge *judge,
			      const struct import_record *record)
{
	for (size_t i = 0; i < judge->mounts.count; i++)
		if (judge->mounts.entry[i].ours &&
		    judge->mounts.entry[i].device == record->pyc.st.st_dev)
			return true;
	return false;
}

/* ---- which tree a file belongs to ---- */

/* The folder of a file of a process in @root, without symlinks; NULL if gone. */
static char *import_real_folder(const char *root, const char *path)
{
	scope_free char *folder = path_parent(path);
	const char *within = folder ? path_below(folder, root) : NULL;

	return within ? tree_set_locate(root, within[0] ? within : "/") : NULL;
}

/* The tree of a real folder, as a process in @root calls it; NULL when out of memory. */
static char *import_find_tree(const char *folder, const char *root)
{
	bool in_cache = strcmp(path_last(folder), PYC_CACHE_DIR) == 0;
	scope_free char *sources = in_cache ? path_parent(folder) : strdup(folder);

	return sources ? mountable_tree(root, tree_set_view(root, sources)) : NULL;
}

/* ---- what the resolver says ---- */

/* Is the file still the one that the interpreter opened? */
static bool import_is_unchanged(const struct statx *stx, const struct stat *st)
{
	return stx->stx_ino == st->st_ino && stx->stx_size == (uint64_t)st->st_size &&
	       stx->stx_mtime.tv_sec == st->st_mtim.tv_sec &&
	       stx->stx_mtime.tv_nsec == st->st_mtim.tv_nsec;
}

/*
 * A mount says itself what it decided: its options are its own, and it does not show the
 * times of its source. See fs/front/op_xattr.c.
 */
static void import_ask_mount(int fd, struct pyc_decision *decision)
{
	char name[64];
	ssize_t len = fgetxattr(fd, "user.canonfs.reason", name, sizeof(name) - 1);

	if (len < 0)
		return;
	name[len] = '\0';
	for (int i = 0; i < PYC_REASONS; i++) {
		enum pyc_reason reason = (enum pyc_reason)i;

		if (strcmp(name, pyc_reason_name(reason)) == 0) {
			decision->reason = reason;
			decision->verdict = pyc_reason_verdict(reason);
		}
	}
}

/* @seen: the tree, as import_find_tree() found it */
static bool import_resolve(struct import_judge *judge, const char *seen, const char *folder,
			   const struct import_record *record, struct resolution *ret)
{
	struct tree_set *set = tree_set_get(&judge->trees, seen,
					    record->pyc.root[0] ? record->pyc.root : NULL,
					    &judge->options);
	const char *below = set ? path_below(folder, set->path) : NULL;
	struct pyc_question question = {.source_dir = -1, .depth = PYC_DEPTH_WHOLE};
	scope_free char *path = NULL;
	scope_fd int fd = -1;
	struct statx stx;

	if (!below)
		return false;
	path = path_join(below[0] ? below + 1 : ".", path_last(record->pyc.path));
	if (!path)
		return false;
	fd = tree_openat(&set->tree, path, O_RDONLY | O_NONBLOCK);
	question.path = path;
	question.fd = fd;
	question.stx = &stx;
	/* The whole file: the interpreter also looks at the code and the hash. */
	if (fd < 0 || statx_at(fd, "", &stx) < 0 ||
	    !import_is_unchanged(&stx, &record->pyc.st) ||
	    resolve_pyc(set->resolver, &question, ret) < 0)
		return false;
	if (import_is_mounted(judge, record))
		import_ask_mount(fd, &ret->decision);
	return true;
}

/* ---- what the header says ---- */

static const char *import_text_of_times(const struct import_record *record)
{
	const struct pyc_header *header = &record->pyc.header;
	uint32_t word;

	if (pyc_mtime_matches(header, record->source_st.st_mtim))
		return pyc_reason_text(PYC_R_SIZE);
	if (!pyc_mtime_embed(header->magic, record->source_st.st_mtim, &word))
		return pyc_reason_text(PYC_R_UNMATCHABLE);
	return "it was compiled from a source file with another time";
}

static const char *import_text_of_header(const struct import_record *record)
{
	struct pyc_name name;

	if (pairing_name(record->pyc.path, &name) == PYC_PLACE_PYTEST)
		return "pytest wrote it, and it is not of the source file";
	if (!record->pyc.has_header)
		return "what is in it could not be read";
	if (record->pyc.header_status == PYC_HEADER_SHORT)
		return pyc_reason_text(PYC_R_SHORT);
	if (record->pyc.header_status != PYC_HEADER_OK)
		return pyc_reason_text(PYC_R_MAGIC);
	if (record->reader && record->pyc.header.magic != record->reader)
		return "another version of Python wrote it";
	switch (record->pyc.header.kind) {
	case PYC_KIND_TIMESTAMP:
		return import_text_of_times(record);
	case PYC_KIND_UNKNOWN_FLAGS:
		return pyc_reason_text(PYC_R_UNKNOWN_FLAGS);
	default:
		return pyc_reason_text(PYC_R_HASH_MISMATCH);
	}
}

static const char *import_text_of_error(const struct import_record *record)
{
	switch (record->pyc.error) {
	case ENOENT:
	case ENOTDIR:
		return "there is none";
	case EACCES:
	case EPERM:
		return "it may not be read";
	default:
		return "it could not be opened";
	}
}

/* ---- together ---- */

static bool import_reads_magic(const struct import_record *record)
{
	return !record->reader || record->pyc.header_status != PYC_HEADER_OK ||
	       record->pyc.header.magic == record->reader;
}

/* Corrects what the header and the order of the files could not tell. */
static void import_make_precise(struct import_record *record, const struct pyc_facts *facts)
{
	if (record->how == IMPORT_CHECKED && facts->hash == PYC_CHECK_BAD)
		record->how = IMPORT_COMPILED;
	if (import_used_bytecode(record->how) && facts->body == PYC_CHECK_BAD)
		record->how = IMPORT_FAILED;
}

/* Some verdicts say what a mount does, but not why the interpreter compiled. */
static const char *import_text_of_verdict(const struct import_record *record,
					  const struct import_reason *reason)
{
	if (record->how == IMPORT_FAILED)
		return pyc_reason_text(PYC_R_BODY);
	if (!reason->judged || reason->verdict == PYC_FRESH ||
	    reason->reason == PYC_R_PROVED || reason->verdict == PYC_HASH_CHECKED ||
	    reason->verdict == PYC_HASH_UNCHECKED)
		return import_text_of_header(record);
	return pyc_reason_text(reason->reason);
}

static enum import_advice import_advise(const struct import_record *record,
					const struct import_reason *reason)
{
	if (import_used_bytecode(record->how))
		return ADVICE_NONE;
	if (record->kept > 0)
		return ADVICE_NOTHING;
	if (record->how == IMPORT_NO_PYC)
		return record->pyc.error == ENOENT ? ADVICE_COMPILE : ADVICE_NONE;
	if (reason->judged && reason->verdict == PYC_RESTAMPED && !reason->mounted)
		return ADVICE_MOUNT;
	return record->pyc.elsewhere || record->prefixed ? ADVICE_NONE : ADVICE_EXPLAIN;
}

static void import_judge_bytecode(struct import_judge *judge, const char *seen,
				  const char *folder, struct import_record *record,
				  struct import_reason *reason)
{
	struct resolution resolution;

	if (!import_resolve(judge, seen, folder, record, &resolution))
		return;
	import_make_precise(record, &resolution.facts);
	if (!import_reads_magic(record))
		return;
	reason->judged = true;
	reason->verdict = resolution.decision.verdict;
	reason->reason = resolution.decision.reason;
}

static void import_judge(struct import_judge *judge, struct import_record *record,
			 struct import_reason *ret_reason)
{
	const char *here = record->how == IMPORT_NO_PYC ? record->source : record->pyc.path;
	const char *root = record->pyc.root[0] ? record->pyc.root : "/";
	scope_free char *folder = record->pyc.elsewhere || record->prefixed || !here
					  ? NULL
					  : import_real_folder(root, here);
	scope_free char *seen = folder ? import_find_tree(folder, root) : NULL;
	struct import_reason reason = {
		.mounted = !record->pyc.elsewhere && import_is_mounted(judge, record),
	};

	if (seen)
		reason.tree = seen[1] ? path_join(root, seen + 1) : strdup(root);
	/* It wrote new bytecode, so the hash of the old one differed. */
	if (record->how == IMPORT_CHECKED && record->kept > 0)
		record->how = IMPORT_COMPILED;
	if (record->how == IMPORT_NO_PYC) {
		reason.text = import_text_of_error(record);
	} else {
		if (seen)
			import_judge_bytecode(judge, seen, folder, record, &reason);
		reason.text = import_text_of_verdict(record, &reason);
	}
	reason.advice = import_advise(record, &reason);
	*ret_reason = reason;
}

struct import_reason *import_judge_all(struct import_record *const *records, size_t count)
{
	struct import_reason *reasons = calloc(count + 1, sizeof(*reasons));
	struct import_judge judge = {.trees = NULL};

	mount_options_init(&judge.options);
	mountinfo_read(&judge.mounts);
	for (size_t i = 0; reasons && i < count; i++)
		import_judge(&judge, records[i], &reasons[i]);
	mountinfo_free(&judge.mounts);
	tree_set_free_list(&judge.trees);
	mount_options_fini(&judge.options);
	return reasons;
}

void import_reasons_free(struct import_reason *reasons, size_t count)
{
	for (size_t i = 0; reasons && i < count; i++)
		free(reasons[i].tree);
	free(reasons);
}
