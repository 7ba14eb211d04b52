/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The -o parser: one table of words, see options.h.
 */
#include "fs/mount/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/log.h"
#include "base/reason.h"
#include "base/scope.h"
#include "cache/store/db.h"

struct option_word {
	const char *name;
	/* Takes "value" of name=value, NULL where the word has none. */
	int (*take)(struct mount_options *options, const struct option_word *word,
		    const char *value, struct reason *why);
	unsigned long flag; /* option_flag: the MS_ flag */
	bool clears;	    /* option_flag: is it taken away? */
};

/* A whole number of seconds, decimal. */
static bool option_seconds(const char *text, int64_t *ret_seconds)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end || strchr(" \t\n\v\f\r+", *text))
		return false;
	*ret_seconds = value;
	return true;
}

bool mount_options_size(const char *text, int64_t *ret_bytes)
{
	static const char units[] = "KMG";
	long long value;
	const char *unit;
	char *end;
	int shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (int)(unit - units + 1);
		end++;
	}
	if (errno || *end || value > INT64_MAX >> shift)
		return false;
	*ret_bytes = (int64_t)value << shift;
	return *ret_bytes >= CACHE_SIZE_MIN;
}

static int option_refuse(const struct option_word *word, const char *value,
			 const char *must_be, struct reason *why)
{
	return reason_set(why, -EINVAL, "option %s= must be %s, not %s", word->name,
			  must_be, quoted(value ? value : ""));
}

/* The number of a value among those that an option can have; -1 for another value. */
static int option_choose(const char *value, const char *const *values, int count)
{
	for (int i = 0; value && i < count; i++)
		if (strcmp(value, values[i]) == 0)
			return i;
	return -1;
}

static int option_trust(struct mount_options *options, const struct option_word *word,
			const char *value, struct reason *why)
{
	static const char *const values[] = {[PYC_TRUST_CANONICAL] = "canonical",
					     [PYC_TRUST_SIZE] = "size",
					     [PYC_TRUST_VERIFIED] = "verified"};
	int choice = option_choose(value, values, ARRAY_SIZE(values));

	if (choice < 0)
		return option_refuse(word, value, "canonical, size or verified", why);
	options->policy.trust = (enum pyc_trust)choice;
	return 0;
}

static int option_mtime(struct mount_options *options, const struct option_word *word,
			const char *value, struct reason *why)
{
	struct pyc_policy *policy = &options->policy;

	if (value && strcmp(value, "source") == 0) {
		policy->view = PYC_VIEW_SOURCE;
	} else if (value && strcmp(value, "embedded") == 0) {
		policy->view = PYC_VIEW_EMBEDDED;
	} else if (value && option_seconds(value, &policy->epoch) && policy->epoch >= 0 &&
		   policy->epoch <= INT32_MAX) {
		/* 2.7 reads the word as signed: beyond, no pyc of it could match. */
		policy->view = PYC_VIEW_EPOCH;
	} else {
		return option_refuse(word, value,
				     "source, embedded or a time in seconds from 0 to "
				     "2147483647",
				     why);
	}
	return 0;
}

static int option_hash(struct mount_options *options, const struct option_word *word,
		       const char *value, struct reason *why)
{
	static const char *const values[] = {
		[PYC_HASH_KEEP] = "keep", [PYC_HASH_UNCHECK] = "unchecked"};
	int choice = option_choose(value, values, ARRAY_SIZE(values));

	if (choice < 0)
		return option_refuse(word, value, "keep or unchecked", why);
	options->policy.hash = (enum pyc_hash_policy)choice;
	return 0;
}

static int option_canonical(struct mount_options *options, const struct option_word *word,
			    const char *value, struct reason *why)
{
	struct pyc_policy *policy = &options->policy;
	int64_t seconds;

	if (!value || !option_seconds(value, &seconds))
		return option_refuse(word, value, "a time in seconds since 1970", why);
	/* One place stays free for the time that the tree's own sources share. */
	if (policy->canonical_count + 1 >= PYC_CANONICAL_MAX)
		return reason_set(why, -EINVAL,
				  "option canonical= is given more than %d times",
				  PYC_CANONICAL_MAX - 1);
	policy->canonical[policy->canonical_count++] = seconds;
	return 0;
}

static int option_stack(struct mount_options *options, const struct option_word *word,
			const char *value, struct reason *why)
{
	static const char *const values[] = {
		[STACK_AUTO] = "auto", [STACK_ON] = "on", [STACK_OFF] = "off"};
	int choice = option_choose(value, values, ARRAY_SIZE(values));

	if (choice < 0)
		return option_refuse(word, value, "auto, on or off", why);
	options->stack = (enum stack_mode)choice;
	return 0;
}

static int option_switch(struct mount_options *options, const struct option_word *word,
			 const char *value, struct reason *why)
{
	if (value)
		return reason_set(why, -EINVAL, "option %s takes no value", word->name);
	if (strcmp(word->name, "immutable") == 0)
		options->mutability = MUTABILITY_NEVER;
	else if (strcmp(word->name, "mutable") == 0)
		options->mutability = MUTABILITY_ALWAYS;
	else if (strcmp(word->name, "xdev") == 0)
		options->xdev = true;
	else if (strcmp(word->name, "remount") == 0)
		options->remount = true;
	else
		options->allow_other = true;
	return 0;
}

static int option_flag(struct mount_options *options, const struct option_word *word,
		       const char *value, struct reason *why)
{
	if (value)
		return reason_set(why, -EINVAL, "option %s takes no value", word->name);
	options->set_flags &= ~word->flag;
	options->cleared_flags &= ~word->flag;
	if (word->clears)
		options->cleared_flags |= word->flag;
	else
		options->set_flags |= word->flag;
	return 0;
}

static int option_root(struct mount_options *options, const struct option_word *word,
		       const char *value, struct reason *why)
{
	char *root;

	(void)word;
	if (!value || !*value)
		return reason_set(why, -EINVAL, "option root= needs a directory");
	root = strdup(value);
	if (!root)
		return -ENOMEM;
	free(options->root);
	options->root = root;
	return 0;
}

static int option_cache(struct mount_options *options, const struct option_word *word,
			const char *value, struct reason *why)
{
	char *path = NULL;

	(void)word;
	if (!value || !*value)
		return reason_set(why, -EINVAL, "option cache= needs a file, or off");
	options->no_cache = strcmp(value, "off") == 0;
	if (!options->no_cache && !(path = strdup(value)))
		return -ENOMEM;
	free(options->cache);
	options->cache = path;
	return 0;
}

static int option_cache_size(struct mount_options *options, const struct option_word *word,
			     const char *value, struct reason *why)
{
	if (value && mount_options_size(value, &options->cache_size))
		return 0;
	return option_refuse(word, value, "a number of bytes, 256K or more, with K, M or G",
			     why);
}

/* Collected with a comma before each, ready to be put after other mount data. */
static int option_context(struct mount_options *options, const struct option_word *word,
			  const char *value, struct reason *why)
{
	char *joined;

	if (!value)
		return reason_set(why, -EINVAL, "option %s= needs a value", word->name);
	/* It goes to the kernel in double quotes. */
	if (strchr(value, '"'))
		return reason_set(why, -EINVAL,
				  "option %s= must not contain a double quote", word->name);
	if (asprintf(&joined, "%s,%s=\"%s\"", options->context ? options->context : "",
		     word->name, value) < 0)
		return -ENOMEM;
	free(options->context);
	options->context = joined;
	return 0;
}

static const struct option_word option_words[] = {
	{.name = "trust", .take = option_trust},
	{.name = "mtime", .take = option_mtime},
	{.name = "hash", .take = option_hash},
	{.name = "canonical", .take = option_canonical},
	{.name = "immutable", .take = option_switch},
	{.name = "mutable", .take = option_switch},
	{.name = "stack", .take = option_stack},
	{.name = "xdev", .take = option_switch},
	{.name = "root", .take = option_root},
	{.name = "cache", .take = option_cache},
	{.name = "cache-size", .take = option_cache_size},
	{.name = "allow_other", .take = option_switch},
	{.name = "remount", .take = option_switch},
	{.name = "suid", .take = option_flag, .flag = MS_NOSUID, .clears = true},
	{.name = "nosuid", .take = option_flag, .flag = MS_NOSUID},
	{.name = "dev", .take = option_flag, .flag = MS_NODEV, .clears = true},
	{.name = "nodev", .take = option_flag, .flag = MS_NODEV},
	{.name = "exec", .take = option_flag, .flag = MS_NOEXEC, .clears = true},
	{.name = "noexec", .take = option_flag, .flag = MS_NOEXEC},
	{.name = "context", .take = option_context},
	{.name = "fscontext", .take = option_context},
	{.name = "defcontext", .take = option_context},
	{.name = "rootcontext", .take = option_context},
};

/*
 * Words for mount(8), init scripts and systemd, and what this mount is anyway. mount(8)
 * adds rw on its own; on a remount it repeats user_id, group_id and rootmode.
 */
/* clang-format off */
static const char *const option_ignored_words[] = {
	"ro", "rw", "user_id", "group_id", "rootmode", "default_permissions", "defaults",
	"auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev", "comment",
	"async", "sync", "atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime",
	"lazytime", "nolazytime", "diratime", "nodiratime", "iversion", "noiversion",
	"silent", "loud", "mand", "nomand",
};
/* clang-format on */

void mount_options_init(struct mount_options *options)
{
	*options = (struct mount_options){
		.policy = {.trust = PYC_TRUST_CANONICAL},
		.stack = STACK_AUTO,
		.cache_size = STORE_DEFAULT_SIZE,
	};
}

void mount_options_fini(struct mount_options *options)
{
	free(options->context);
	free(options->root);
	free(options->cache);
	free(options->given);
	options->context = options->root = options->cache = options->given = NULL;
}

static int option_take(struct mount_options *options, char *name, struct reason *why)
{
	char *value = strchr(name, '=');

	/* x-systemd.* and its kin are for other readers of fstab. */
	if (strncasecmp(name, "x-", 2) == 0)
		return 0;
	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(option_words); i++)
		if (strcmp(option_words[i].name, name) == 0)
			return option_words[i].take(options, &option_words[i], value, why);
	if (option_choose(name, option_ignored_words, ARRAY_SIZE(option_ignored_words)) >=
	    0)
		return 0;
	return reason_set(why, -EINVAL, "unknown option %s; see canonfs --help",
			  quoted(name));
}

/*
 * Cuts the first word off *@list, in place, and resolves its backslashes and double quotes
 * (libmount quotes SELinux contexts, which may have commas). NULL where a quote has no end.
 */
static char *option_next(char **list)
{
	char *word = *list;
	char *in = word;
	char *out = word;
	bool in_quotes = false;

	while (*in && (in_quotes || *in != ',')) {
		if (*in == '"') {
			in_quotes = !in_quotes;
			in++;
			continue;
		}
		if (in[0] == '\\' && in[1])
			in++;
		*out++ = *in++;
	}
	*list = in;
	if (**list == ',')
		++*list;
	*out = '\0';
	return in_quotes ? NULL : word;
}

/* Appends, with a comma between. */
static int option_remember(struct mount_options *options, const char *list)
{
	const char *before = options->given ? options->given : "";
	char *joined;

	if (asprintf(&joined, "%s%s%s", before, *before ? "," : "", list) < 0)
		return -ENOMEM;
	free(options->given);
	options->given = joined;
	return 0;
}

int mount_options_parse(struct mount_options *options, const char *list,
			struct reason *ret_why)
{
	scope_free char *copy = strdup(list);
	char *rest = copy;
	int r = copy ? option_remember(options, list) : -ENOMEM;

	while (r == 0 && *(rest += strspn(rest, ","))) {
		char *word = option_next(&rest);

		r = word ? option_take(options, word, ret_why)
			 : reason_set(ret_why, -EINVAL,
				      "a double quote is not closed in the options %s",
				      quoted(list));
	}
	return r == -ENOMEM ? reason_set(ret_why, r, "out of memory") : r;
}
