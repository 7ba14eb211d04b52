/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of bytecode files, and what follows; see explain.h. All rules are elsewhere
 * (pyc/verdict.h, pyc/outcome.h): here they are asked, also what would be if something were
 * otherwise.
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
#include "base/path.h"
#include "base/scope.h"
#include "cache/tree/alias.h"
#include "cache/tree/pairing.h"
#include "cli/print/advice.h"
#include "pyc/mtime.h"

const char *explain_date(int64_t seconds, char date[EXPLAIN_DATE_MAX])
{
	time_t time = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&time, &tm) ||
	    strftime(date, EXPLAIN_DATE_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		strcpy(date, "beyond the calendar");
	return date;
}

const char *explain_kind(enum pyc_header_kind kind)
{
	switch (kind) {
	case PYC_KIND_TIMESTAMP:
		return "timestamp";
	case PYC_KIND_HASH_CHECKED:
		return "checked-hash";
	case PYC_KIND_HASH_UNCHECKED:
		return "unchecked-hash";
	default:
		return "unknown-flags";
	}
}

const char *explain_trust_name(enum pyc_trust trust)
{
	static const char *const names[TRUSTS] = {[PYC_TRUST_CANONICAL] = "canonical",
						  [PYC_TRUST_SIZE] = "size",
						  [PYC_TRUST_VERIFIED] = "verified"};

	return names[trust];
}

static bool compares_times(const struct pyc_facts *facts)
{
	return facts->header_status == PYC_HEADER_OK &&
	       facts->header.kind == PYC_KIND_TIMESTAMP &&
	       facts->source == PYC_SOURCE_REGULAR;
}

enum pyc_check explain_time_matches(const struct pyc_facts *facts)
{
	if (!compares_times(facts))
		return PYC_CHECK_UNKNOWN;
	return pyc_mtime_matches(&facts->header, facts->source_mtime) ? PYC_CHECK_OK
								      : PYC_CHECK_BAD;
}

enum pyc_check explain_size_matches(const struct pyc_facts *facts)
{
	if (!compares_times(facts) || !facts->header.magic->size_offset)
		return PYC_CHECK_UNKNOWN;
	return pyc_size_matches(&facts->header, facts->source_size) ? PYC_CHECK_OK
								    : PYC_CHECK_BAD;
}

/* ---- facts ---- */

static const char *problem_of(int error)
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

static int look_at(const struct explain_tree *tree, struct explain_pyc *pyc, int fd)
{
	struct statx stx;
	const struct pyc_question question = {.path = pyc->relative,
					      .fd = fd,
					      .stx = &stx,
					      .source_dir = -1,
					      .depth = PYC_DEPTH_WHOLE};
	struct resolution resolution;
	ssize_t n = pread_full(fd, pyc->head, sizeof(pyc->head), 0);
	int r;

	pyc->head_len = n < 0 ? 0 : (size_t)n;
	r = statx_at(fd, "", &stx);
	if (r == 0)
		r = resolve_pyc(tree->set.resolver, &question, &resolution);
	if (r < 0)
		return r;
	pyc->seen = pyc->disk = resolution.facts;
	return 0;
}

/* ---- in a mount ---- */

/* An extended attribute, with a NUL after it; NULL where there is none. */
static char *attribute(const char *path, const char *name)
{
	char value[256];
	ssize_t len = getxattr(path, name, value, sizeof(value) - 1);

	if (len < 0)
		return NULL;
	value[len] = '\0';
	return strdup(value);
}

static size_t decode_hex(const char *text, uint8_t *ret, size_t size)
{
	size_t len = 0;
	unsigned byte;

	while (len < size && sscanf(text + 2 * len, "%2x", &byte) == 1)
		ret[len++] = (uint8_t)byte;
	return len;
}

/* The header on disk, in hexadecimal (fs/front/virtual_xattr.h). */
static void take_original(struct explain_pyc *pyc, const char *text)
{
	uint8_t raw[PYC_HEADER_MAX];
	size_t len = decode_hex(text, raw, sizeof(raw));

	pyc->disk.header_status = pyc_header_parse(raw, len, &pyc->disk.header);
}

/* What the mount tells of a file; nothing, if it is of an older version. */
static void ask_mount(const struct explain_request *request, struct explain_pyc *pyc)
{
	scope_free char *path = NULL;
	scope_free char *original = NULL;

	if (asprintf(&path, "%s%s", strcmp(request->root, "/") ? request->root : "",
		     pyc->path) < 0) {
		path = NULL;
		return;
	}
	pyc->mount_verdict = attribute(path, "user.canonfs.verdict");
	pyc->mount_reason = attribute(path, "user.canonfs.reason");
	original = attribute(path, "user.canonfs.original-header");
	if (original)
		take_original(pyc, original);
}

/* ---- verdicts ---- */

static void decide(const struct explain_tree *tree, const struct pyc_facts *facts,
		   struct explain_pyc *pyc)
{
	struct pyc_policy policy = tree->policy;

	pyc->given.known = true;
	pyc_decide(facts, &policy, &pyc->given.decision);
	for (int trust = 0; trust < TRUSTS; trust++) {
		policy.trust = (enum pyc_trust)trust;
		pyc->trust[trust].known = true;
		pyc_decide(facts, &policy, &pyc->trust[trust].decision);
	}
}

static int ignore_found(void *context, uint64_t device, uint64_t inode)
{
	(void)context;
	(void)device;
	(void)inode;
	return 0;
}

/* A mount would learn of a link before a reader does. */
static void report_link(const struct explain_tree *tree, const char *path)
{
	struct statx stx;

	if (tree_stat(&tree->set.tree, path, &stx) == 0 && S_ISLNK(stx.stx_mode) &&
	    alias_is_link_name(path_last(path)))
		(void)resolve_link(tree->set.resolver, path, ignore_found, NULL);
}

static void report_links(const struct explain_tree *tree, const char *path)
{
	const char *slash = strrchr(path, '/');
	scope_free char *dir = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (dir)
		report_link(tree, dir);
	report_link(tree, path);
}

/*
 * Readers get a linked file from where it lies, with the verdict of that place: none, where
 * that is outside of the tree, or where the name is not one of bytecode.
 */
static void decide_linked(const struct explain_tree *tree, struct explain_pyc *pyc, int fd)
{
	const char *below = path_below(pyc->real, tree->set.tree.view_path);
	struct pyc_question question = {
		.fd = fd, .source_dir = -1, .depth = PYC_DEPTH_WHOLE};
	struct resolution resolution;
	struct statx stx;

	if (!below || !below[0])
		return;
	report_links(tree, pyc->relative);
	question.path = below + 1;
	question.stx = &stx;
	if (statx_at(fd, "", &stx) == 0 &&
	    resolve_pyc(tree->set.resolver, &question, &resolution) == 0)
		decide(tree, &resolution.facts, pyc);
}

/* ---- outcomes ---- */

/* Facts as readers have them, of what a mount serves after a decision. */
static struct pyc_facts served_facts(const struct pyc_facts *facts,
				     const struct pyc_decision *decision)
{
	struct pyc_facts served = *facts;

	if (facts->header_status == PYC_HEADER_OK)
		served.header = decision->header;
	served.source_mtime = facts->served_mtime;
	return served;
}

static enum pyc_outcome outcome_after(const struct pyc_facts *facts,
				      const struct pyc_decision *decision,
				      const struct pyc_magic *reader)
{
	struct pyc_facts served = served_facts(facts, decision);

	return pyc_outcome(&served, served.source_mtime, reader);
}

/*
 * Some files do not say who reads them: the installed interpreters do, if those that look
 * for the file agree.
 */
static const struct interpreter *find_reader(struct explain_request *request,
					     const struct pyc_facts *facts)
{
	const struct interpreter *reader = NULL;
	enum pyc_outcome outcome = PYC_IGNORES;

	if (!request->looked_for_installed) {
		request->looked_for_installed = true;
		(void)interpreters_find(request->root, &request->installed);
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

/* ---- what would change it ---- */

struct trial {
	struct explain_request *request;
	const struct explanation *explanation;
	struct explain_pyc *pyc;
	struct pyc_facts facts;
	struct pyc_policy policy;
};

static void add_change(struct trial *trial, char *text)
{
	struct explain_pyc *pyc = trial->pyc;

	if (text && pyc->change_count < EXPLAIN_CHANGES)
		pyc->changes[pyc->change_count++] = text;
	else
		free(text);
}

/* Would a mount make Python use it? */
static bool helps(const struct trial *trial)
{
	struct pyc_decision decision;

	pyc_decide(&trial->facts, &trial->policy, &decision);
	return decision.vouched &&
	       outcome_after(&trial->facts, &decision, NULL) == PYC_LOADS;
}

static void reset(struct trial *trial)
{
	trial->facts = trial->pyc->disk;
	trial->policy = trial->explanation->tree->policy;
}

/*
 * The command that shows the tree with one more option. A mount that is there already ends
 * first: by then its path may be that of its source again.
 */
static char *mount_command(const struct trial *trial, const char *option)
{
	const struct explain_tree *tree = trial->explanation->tree;
	const struct mount_options *options = trial->request->options;
	const char *root = strcmp(trial->request->root, "/") && !options->root
				   ? trial->request->root
				   : NULL;
	const char *source = tree->mount ? tree->mount_source : tree->set.path;
	const char *point = tree->mount ? tree->mount : source;
	scope_free char *mount =
		source ? advise_mount(source, point, options->given, option, root) : NULL;
	scope_free char *word = shell_word(point ? point : "");
	char *text;

	if (!tree->mount)
		return take_ptr(mount);
	if (!mount || !word || asprintf(&text, "canonfs umount %s && %s", word, mount) < 0)
		return NULL;
	return text;
}

/* The command that mounts the tree over itself, with the options given. */
static void try_mount(struct trial *trial)
{
	reset(trial);
	if (!trial->explanation->tree->mount && helps(trial))
		add_change(trial, mount_command(trial, NULL));
}

static void try_trust_size(struct trial *trial)
{
	reset(trial);
	trial->policy.trust = PYC_TRUST_SIZE;
	if (helps(trial))
		add_change(trial, mount_command(trial, "trust=size"));
}

static void try_unchecked(struct trial *trial)
{
	reset(trial);
	trial->policy.hash = PYC_HASH_UNCHECK;
	if (helps(trial))
		add_change(trial, mount_command(trial, "hash=unchecked"));
}

/*
 * Where a reader finds on disk what it calls @path and lies at @relative in the tree: in
 * the source of a mount, as a mount cannot be written to. The caller's.
 */
static char *path_on_disk(const struct trial *trial, const char *path, const char *relative)
{
	const struct explain_tree *tree = trial->explanation->tree;
	const char *source = tree->mount ? tree->mount_source : NULL;
	const char *below = source ? path_below(source, trial->request->root) : NULL;
	char *text;

	if (!below)
		return strdup(path);
	if (asprintf(&text, "%s/%s", strcmp(trial->request->root, "/") ? below : source,
		     relative) < 0)
		return NULL;
	return text;
}

/* Compiles and records; then the mount of the tree knows. One at a time uses the cache. */
static void try_verify(struct trial *trial)
{
	const struct mount_options *options = trial->request->options;
	const struct explain_tree *tree = trial->explanation->tree;
	bool has_root = strcmp(trial->request->root, "/") != 0;
	scope_free char *path = path_on_disk(trial, trial->pyc->path, trial->pyc->relative);
	scope_free char *word = path ? shell_word(path) : NULL;
	scope_free char *root = shell_word(trial->request->root);
	scope_free char *cache = shell_word(options->cache ? options->cache : "");
	scope_free char *mount = NULL;
	const char *again;
	char *text;

	reset(trial);
	if (trial->facts.proof != PYC_CHECK_UNKNOWN || options->no_cache)
		return;
	trial->facts.proof = PYC_CHECK_OK;
	if (!helps(trial))
		return;
	mount = mount_command(trial, NULL);
	again = mount && tree->mount ? strstr(mount, " && ") + strlen(" && ") : mount;
	if (word && root && cache && mount &&
	    asprintf(&text, "%.*scanonfs verify %s%s%s%s%s%s%s && %s", (int)(again - mount),
		     mount, options->cache ? "--cache " : "", options->cache ? cache : "",
		     options->cache ? " " : "", has_root ? "--root " : "",
		     has_root ? root : "", has_root ? " " : "", word, again) >= 0)
		add_change(trial, text);
}

/* The source's time as a canonical one; where it is the later one, with trust=size. */
static void try_canonical(struct trial *trial, enum pyc_trust trust)
{
	int64_t time = trial->pyc->disk.source_mtime.tv_sec;
	char option[sizeof("trust=size,canonical=-9223372036854775808")];

	reset(trial);
	if (trial->policy.canonical_count == PYC_CANONICAL_MAX ||
	    pyc_is_canonical_time(&trial->policy, trial->facts.source_mtime))
		return;
	trial->policy.trust = trust;
	trial->policy.canonical[trial->policy.canonical_count++] = time;
	snprintf(option, sizeof(option), "%scanonical=%lld",
		 trust == PYC_TRUST_SIZE ? "trust=size," : "", (long long)time);
	if (helps(trial))
		add_change(trial, mount_command(trial, option));
}

/* Where no header can match the time that the source has. */
static void try_epoch(struct trial *trial)
{
	reset(trial);
	trial->policy.view = PYC_VIEW_EPOCH;
	trial->policy.epoch = 1;
	trial->facts.served_mtime = (struct timespec){.tv_sec = 1};
	if (helps(trial))
		add_change(trial, mount_command(trial, "mtime=1"));
}

/* Whose file it would be, by its name, or by its magic where the name tells nobody's. */
static const struct pyc_magic *owner_of(const struct pyc_facts *facts)
{
	const struct pyc_magic *found = NULL;

	if (facts->header_status == PYC_HEADER_OK &&
	    pyc_name_tag_agrees(&facts->name, facts->header.magic))
		return facts->header.magic;
	if (facts->name.placement != PYC_PLACE_CACHE)
		return NULL;
	for (size_t i = 0; i < pyc_magic_count; i++)
		if (pyc_name_tag_agrees(&facts->name, &pyc_magic_table[i]))
			found = &pyc_magic_table[i];
	return found;
}

static void try_compile(struct trial *trial)
{
	const struct pyc_facts *facts = &trial->pyc->disk;
	const struct pyc_magic *owner = owner_of(facts);
	int level = pyc_name_level(&facts->name, NULL);
	scope_free char *program = owner ? interpreter_program(owner) : NULL;
	bool is_hash = facts->header_status == PYC_HEADER_OK &&
		       facts->header.kind == PYC_KIND_HASH_CHECKED;
	const struct explanation *explanation = trial->explanation;
	scope_free char *path =
		path_on_disk(trial, explanation->path, explanation->relative);
	const char *mount = explanation->tree->mount;
	scope_free char *point = shell_word(mount ? mount : "");
	scope_free char *command = NULL;
	char *text;

	if (!path || !point || !program || level < 0 || facts->source != PYC_SOURCE_REGULAR)
		return;
	command = advise_compile(trial->request->root, program, level,
				 is_hash ? " -f --invalidation-mode checked-hash" : " -f",
				 path);
	/* A mount over its own source hides it. */
	if (command && mount && path_below(path, mount) &&
	    asprintf(&text, "canonfs umount %s && %s", point, command) >= 0)
		add_change(trial, text);
	else if (command)
		add_change(trial, take_ptr(command));
}

static bool is_bad(enum pyc_outcome outcome)
{
	return outcome == PYC_COMPILES || outcome == PYC_FAILS ||
	       outcome == PYC_OUTCOME_UNKNOWN;
}

static void find_changes(struct explain_request *request,
			 const struct explanation *explanation, struct explain_pyc *pyc)
{
	struct trial trial = {.request = request, .explanation = explanation, .pyc = pyc};

	if (!is_bad(pyc->bare) && pyc->bare != PYC_LOADS_CHECKED)
		return;
	/* It is mounted, and that was enough. */
	if (explanation->tree->mount && pyc->served == PYC_LOADS)
		return;
	try_mount(&trial);
	if (pyc->change_count == 0) {
		try_trust_size(&trial);
		try_unchecked(&trial);
		try_verify(&trial);
		try_canonical(&trial, PYC_TRUST_CANONICAL);
	}
	if (pyc->change_count < 2 && pyc->given.decision.reason == PYC_R_NEWER)
		try_canonical(&trial, PYC_TRUST_SIZE);
	if (pyc->given.decision.reason == PYC_R_UNMATCHABLE)
		try_epoch(&trial);
	else if (pyc->change_count == 0 && is_bad(pyc->bare))
		try_compile(&trial);
}

/* ---- all of it ---- */

static void judge_pyc(struct explain_request *request,
		      const struct explanation *explanation, struct explain_pyc *pyc)
{
	const struct explain_tree *tree = explanation->tree;
	scope_fd int fd = openat2_fd(request->root_fd, pyc->path, O_RDONLY | O_NONBLOCK,
				     RESOLVE_IN_ROOT);
	int r = fd < 0 ? fd : look_at(tree, pyc, fd);

	if (r < 0) {
		pyc->problem = problem_of(r);
		return;
	}
	if (tree->mount)
		ask_mount(request, pyc);
	if (pyc->real)
		decide_linked(tree, pyc, fd);
	else
		decide(tree, &pyc->disk, pyc);
	pyc->bare = pyc_outcome(&pyc->disk, pyc->disk.source_mtime, NULL);
	if (pyc->bare == PYC_OUTCOME_UNKNOWN)
		pyc->reader = find_reader(request, &pyc->disk);
	if (pyc->reader)
		pyc->bare =
			pyc_outcome(&pyc->disk, pyc->disk.source_mtime, pyc->reader->magic);
	if (tree->mount)
		pyc->served = pyc_outcome(&pyc->seen, pyc->seen.source_mtime,
					  pyc->reader ? pyc->reader->magic : NULL);
	else if (pyc->given.known)
		pyc->served = outcome_after(&pyc->disk, &pyc->given.decision,
					    pyc->reader ? pyc->reader->magic : NULL);
	else
		pyc->served = pyc->bare;
	if (!pyc->real)
		find_changes(request, explanation, pyc);
}

void explain_judge(struct explain_request *request, struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->pyc_count; i++)
		judge_pyc(request, explanation, &explanation->pycs[i]);
}
