/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The -o parser: every documented word, what fstab adds on its own, and that a word which
 * is not understood is refused with a sentence rather than guessed at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/scope.h"
#include "fs/mount/options.h"
#include "tests/unit/inject.h"

static struct reason why;

/* Without .given, so that most tests have nothing to free; test_given() has it. */
static struct mount_options parsed(const char *list)
{
	struct mount_options options;

	mount_options_init(&options);
	why.text[0] = '\0';
	assert_int_equal(mount_options_parse(&options, list, &why), 0);
	free(options.given);
	options.given = NULL;
	return options;
}

/* The message must name what was wrong. */
static void assert_refused(const char *list, const char *in_message)
{
	struct mount_options options;

	mount_options_init(&options);
	why.text[0] = '\0';
	assert_int_equal(mount_options_parse(&options, list, &why), -EINVAL);
	assert_non_null(strstr(why.text, in_message));
	assert_null(strchr(why.text, '\n'));
	mount_options_fini(&options);
}

static void test_defaults(void **state)
{
	struct mount_options options = parsed("");

	(void)state;
	assert_int_equal(options.policy.trust, PYC_TRUST_CANONICAL);
	assert_int_equal(options.policy.view, PYC_VIEW_SOURCE);
	assert_int_equal(options.policy.hash, PYC_HASH_KEEP);
	assert_int_equal(options.policy.canonical_count, 0);
	assert_int_equal(options.mutability, MUTABILITY_AUTO);
	assert_false(options.xdev);
	assert_false(options.allow_other);
	assert_int_equal(options.set_flags, 0);
	assert_int_equal(options.cleared_flags, 0);
	assert_null(options.root);
	assert_null(options.context);
	mount_options_fini(&options);
	mount_options_fini(&options); /* twice is harmless */
}

static void test_policy(void **state)
{
	(void)state;
	assert_int_equal(parsed("trust=size").policy.trust, PYC_TRUST_SIZE);
	assert_int_equal(parsed("trust=verified").policy.trust, PYC_TRUST_VERIFIED);
	assert_int_equal(parsed("trust=size,trust=canonical").policy.trust,
			 PYC_TRUST_CANONICAL);
	assert_int_equal(parsed("mtime=embedded").policy.view, PYC_VIEW_EMBEDDED);
	assert_int_equal(parsed("mtime=embedded,mtime=source").policy.view,
			 PYC_VIEW_SOURCE);
	assert_int_equal(parsed("hash=unchecked").policy.hash, PYC_HASH_UNCHECK);
	assert_int_equal(parsed("hash=unchecked,hash=keep").policy.hash, PYC_HASH_KEEP);
	assert_refused("trust", "trust=");
	assert_refused("trust=", "trust=");
	assert_refused("trust=Size", "'Size'");
	assert_refused("hash=no", "'no'");
	assert_refused("hash", "hash=");
}

static void test_epoch(void **state)
{
	struct mount_options options = parsed("mtime=315532800");

	(void)state;
	assert_int_equal(options.policy.view, PYC_VIEW_EPOCH);
	assert_int_equal(options.policy.epoch, 315532800);
	assert_int_equal(parsed("mtime=0").policy.view, PYC_VIEW_EPOCH);
	assert_int_equal(parsed("mtime=2147483647").policy.epoch, INT32_MAX);
	assert_refused("mtime=2147483648", "'2147483648'");
	assert_refused("mtime=-1", "'-1'");
	assert_refused("mtime=1x", "'1x'");
	assert_refused("mtime=0x10", "'0x10'");
	assert_refused("mtime=1.5", "'1.5'");
	assert_refused("mtime=+1", "'+1'");
	assert_refused("mtime= 1", "' 1'");
	assert_refused("mtime=99999999999999999999", "99999999999999999999");
	assert_refused("mtime=", "mtime=");
	assert_refused("mtime", "mtime=");
}

/* "Decimal" means digits: strtoll() alone skips any white space. */
static void test_epoch_white_space(void **state)
{
	(void)state;
	assert_refused("mtime=\t1", "mtime=");
	assert_refused("canonical=\n1", "canonical=");
	assert_refused("mtime=\t+1", "mtime=");
}

static void test_canonical(void **state)
{
	struct mount_options options = parsed("canonical=5,canonical=-7");
	char list[PYC_CANONICAL_MAX * 16] = "";

	(void)state;
	assert_int_equal(options.policy.canonical_count, 2);
	assert_int_equal(options.policy.canonical[0], 5);
	assert_true(options.policy.canonical[1] == -7);
	/* Later -o arguments add up. */
	assert_int_equal(mount_options_parse(&options, "canonical=9", &why), 0);
	assert_int_equal(options.policy.canonical_count, 3);
	mount_options_fini(&options);
	for (int i = 0; i < PYC_CANONICAL_MAX - 1; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "canonical=%d,",
			 i);
	assert_int_equal(parsed(list).policy.canonical_count, PYC_CANONICAL_MAX - 1);
	snprintf(list + strlen(list), sizeof(list) - strlen(list), "canonical=99");
	assert_refused(list, "canonical=");
	assert_refused("canonical", "canonical=");
	assert_refused("canonical=", "canonical=");
	assert_refused("canonical=now", "'now'");
}

static void test_switches(void **state)
{
	(void)state;
	assert_int_equal(parsed("immutable").mutability, MUTABILITY_NEVER);
	assert_int_equal(parsed("mutable").mutability, MUTABILITY_ALWAYS);
	assert_int_equal(parsed("immutable,mutable").mutability, MUTABILITY_ALWAYS);
	assert_true(parsed("xdev").xdev);
	assert_false(parsed("xdev").allow_other);
	assert_true(parsed("allow_other").allow_other);
	assert_refused("immutable=1", "immutable");
	assert_refused("xdev=", "xdev");
}

static void test_flags(void **state)
{
	struct mount_options options = parsed("nosuid,nodev,noexec");

	(void)state;
	assert_int_equal(options.set_flags, MS_NOSUID | MS_NODEV | MS_NOEXEC);
	assert_int_equal(options.cleared_flags, 0);
	options = parsed("suid,dev,exec");
	assert_int_equal(options.set_flags, 0);
	assert_int_equal(options.cleared_flags, MS_NOSUID | MS_NODEV | MS_NOEXEC);
	options = parsed("nosuid,suid,dev,nodev");
	assert_int_equal(options.set_flags, MS_NODEV);
	assert_int_equal(options.cleared_flags, MS_NOSUID);
	assert_refused("nosuid=1", "nosuid");
}

static void test_root(void **state)
{
	struct mount_options options = parsed("root=/a,root=/b\\,c");

	(void)state;
	assert_string_equal(options.root, "/b,c");
	mount_options_fini(&options);
	assert_null(options.root);
	assert_refused("root", "root=");
	assert_refused("root=", "root=");
}

static void test_cache(void **state)
{
	struct mount_options options = parsed("cache=/a,cache=/b,cache-size=2M");

	(void)state;
	assert_string_equal(options.cache, "/b");
	assert_false(options.no_cache);
	assert_int_equal(options.cache_size, 2 << 20);
	mount_options_fini(&options);
	options = parsed("cache=/a,cache=off");
	assert_null(options.cache);
	assert_true(options.no_cache);
	assert_int_equal(options.cache_size, 64 << 20);
	assert_int_equal(parsed("cache-size=262144").cache_size, 262144);
	assert_int_equal(parsed("cache-size=1G").cache_size, 1 << 30);
	assert_refused("cache=", "needs a file");
	assert_refused("cache-size=", "cache-size=");
	assert_refused("cache-size=1K", "256K or more");
	assert_refused("cache-size=-1", "cache-size=");
	assert_refused("cache-size=1MB", "cache-size=");
	assert_refused("cache-size=99999999999G", "cache-size=");
}

static void test_context(void **state)
{
	struct mount_options options =
		parsed("context=system_u:object_r:usr_t:s0:c1\\,c2,fscontext=f");

	(void)state;
	assert_string_equal(
		options.context,
		",context=\"system_u:object_r:usr_t:s0:c1,c2\",fscontext=\"f\"");
	mount_options_fini(&options);
	assert_refused("rootcontext", "rootcontext=");
}

/* A quote would end the kernel's value early and let another option in. */
/* Quotes may hold commas, as libmount writes them; none reaches the kernel unpaired. */
static void test_context_quote(void **state)
{
	struct mount_options options = parsed("context=\"a:s0:c1,c2\",allow_other");

	(void)state;
	assert_string_equal(options.context, ",context=\"a:s0:c1,c2\"");
	assert_true(options.allow_other);
	mount_options_fini(&options);

	mount_options_init(&options);
	assert_int_equal(mount_options_parse(&options, "context=a\\\",x=b", &why), -EINVAL);
	mount_options_fini(&options);
}

static void test_words_of_fstab(void **state)
{
	static const char list[] =
		"rw,ro,defaults,auto,noauto,user,nouser,users,owner,group,nofail,_netdev,"
		"comment=anything,async,sync,atime,noatime,relatime,norelatime,strictatime,"
		"nostrictatime,lazytime,nolazytime,diratime,nodiratime,iversion,noiversion,"
		"silent,loud,mand,nomand,default_permissions,x-systemd.automount,"
		"x-gvfs-show,X-mount.mkdir=0755";
	struct mount_options options = parsed(list);
	struct mount_options plain;

	(void)state;
	mount_options_init(&plain);
	assert_memory_equal(&options.policy, &plain.policy, sizeof(plain.policy));
	assert_int_equal(options.set_flags, 0);
	assert_int_equal(options.mutability, MUTABILITY_AUTO);
}

static void test_list_syntax(void **state)
{
	(void)state;
	assert_true(parsed(",,xdev,,").xdev);
	assert_true(parsed("ro,xdev").xdev);
	assert_refused("xdev\\,ro", "'xdev,ro'");
	assert_refused("bogus", "'bogus'");
	assert_refused("ro,bogus=1", "'bogus'");
	assert_refused("XDEV", "'XDEV'");
	assert_refused("=1", "unknown");
	assert_refused("a\\", "'a\\\\'"); /* a backslash at the end stands for itself */
	assert_refused("a\nb", "\\x0a");
}

/* A quote without an end, and a name that is none, are no options. */
static void test_quotes_without_a_word(void **state)
{
	(void)state;
	assert_refused("\"", "a double quote is not closed");
	assert_refused("xdev,\"ro", "a double quote is not closed");
	assert_refused("context=\"a,b", "a double quote is not closed");
	assert_refused("\"\"", "unknown option ''");
	assert_refused("ro,\"\",xdev", "unknown option ''");
	assert_true(parsed("\"xdev\"").xdev);
}

/* A message that is too long is cut, and nothing else. */
static void test_long_message(void **state)
{
	struct mount_options options;
	struct {
		struct reason why;
		char after;
	} room = {.after = 'z'};
	char word[2 * REASON_MAX + 1];

	(void)state;
	memset(word, 'b', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	mount_options_init(&options);
	assert_int_equal(mount_options_parse(&options, word, &room.why), -EINVAL);
	assert_int_equal(strlen(room.why.text), REASON_MAX - 1);
	assert_memory_equal(room.why.text, "unknown option 'bbb", 19);
	assert_int_equal(room.after, 'z');
	mount_options_fini(&options);
}

/* A reason is said in this case, too: who logs it must not log what was on the stack. */
static void test_no_memory(void **state)
{
	struct mount_options options;

	(void)state;
	memset(&why, 'x', sizeof(why));
	mount_options_init(&options);
	no_memory = true;
	assert_int_equal(mount_options_parse(&options, "trust=size", &why), -ENOMEM);
	no_memory = false;
	assert_string_equal(why.text, "out of memory");
	mount_options_fini(&options);
}

/* All of it is kept as it was, for people. */
static void test_given(void **state)
{
	struct mount_options options;

	(void)state;
	mount_options_init(&options);
	assert_null(options.given);
	assert_int_equal(mount_options_parse(&options, "root=/a\\,b,ro", &why), 0);
	assert_string_equal(options.given, "root=/a\\,b,ro");
	assert_int_equal(mount_options_parse(&options, "mtime=1", &why), 0);
	assert_string_equal(options.given, "root=/a\\,b,ro,mtime=1");
	mount_options_fini(&options);
	assert_null(options.given);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_epoch),
		cmocka_unit_test(test_epoch_white_space),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_context_quote),
		cmocka_unit_test(test_words_of_fstab),
		cmocka_unit_test(test_list_syntax),
		cmocka_unit_test(test_quotes_without_a_word),
		cmocka_unit_test(test_long_message),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
