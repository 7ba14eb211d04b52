/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting; see stats.h.
 */
#include "fs/watch/stats.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

/*
 * The kernel's numbers (linux/fuse.h); by number, since the newest names are missing from
 * older headers.
 */
static const char *const stats_opcode_names[STATS_OPCODES] = {
	[1] = "LOOKUP",	       [2] = "FORGET",	       [3] = "GETATTR",
	[4] = "SETATTR",       [5] = "READLINK",       [6] = "SYMLINK",
	[8] = "MKNOD",	       [9] = "MKDIR",	       [10] = "UNLINK",
	[11] = "RMDIR",	       [12] = "RENAME",	       [13] = "LINK",
	[14] = "OPEN",	       [15] = "READ",	       [16] = "WRITE",
	[17] = "STATFS",       [18] = "RELEASE",       [20] = "FSYNC",
	[21] = "SETXATTR",     [22] = "GETXATTR",      [23] = "LISTXATTR",
	[24] = "REMOVEXATTR",  [25] = "FLUSH",	       [26] = "INIT",
	[27] = "OPENDIR",      [28] = "READDIR",       [29] = "RELEASEDIR",
	[30] = "FSYNCDIR",     [31] = "GETLK",	       [32] = "SETLK",
	[33] = "SETLKW",       [34] = "ACCESS",	       [35] = "CREATE",
	[36] = "INTERRUPT",    [37] = "BMAP",	       [38] = "DESTROY",
	[39] = "IOCTL",	       [40] = "POLL",	       [41] = "NOTIFY_REPLY",
	[42] = "BATCH_FORGET", [43] = "FALLOCATE",     [44] = "READDIRPLUS",
	[45] = "RENAME2",      [46] = "LSEEK",	       [47] = "COPY_FILE_RANGE",
	[48] = "SETUPMAPPING", [49] = "REMOVEMAPPING", [50] = "SYNCFS",
	[51] = "TMPFILE",      [52] = "STATX",
};

static const struct {
	int error;
	const char *name;
} stats_error_classes[STATS_ERRORS] = {
	[STATS_EACCES] = {EACCES, "EACCES"}, [STATS_EIO] = {EIO, "EIO"},
	[STATS_EMFILE] = {EMFILE, "EMFILE"}, [STATS_ENFILE] = {ENFILE, "ENFILE"},
	[STATS_ENOMEM] = {ENOMEM, "ENOMEM"}, [STATS_ESTALE] = {ESTALE, "ESTALE"},
	[STATS_OTHER] = {0, "other"},
};

struct stats *stats_new(void)
{
	void *memory = mmap(NULL, sizeof(struct stats), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void stats_free(struct stats *stats)
{
	if (stats)
		munmap(stats, sizeof(*stats));
}

static void stats_add_one(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* The slot may be of a minute ago: then it begins anew. */
static void stats_count_recent(_Atomic uint64_t *slot, uint32_t now_s)
{
	uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
	uint64_t new;

	do
		new = old >> 32 == now_s ? old + 1 : (uint64_t)now_s << 32 | 1;
	while (!atomic_compare_exchange_weak_explicit(slot, &old, new, memory_order_relaxed,
						      memory_order_relaxed));
}

void stats_request(struct stats *stats, uint32_t opcode, uint32_t now_s)
{
	stats_add_one(
		&stats->requests[opcode < STATS_OPCODES ? opcode : STATS_OPCODES - 1]);
	stats_count_recent(&stats->recent[now_s % STATS_SECONDS], now_s);
}

void stats_decision(struct stats *stats, const struct pyc_decision *decision)
{
	if (!decision) {
		stats_add_one(&stats->undecided);
		return;
	}
	stats_add_one(&stats->verdicts[decision->verdict]);
	if (decision->changed)
		stats_add_one(&stats->changed);
}

/* A free slot becomes that of the first time that wants it; 0 is no time of a tree. */
static void stats_count_time(struct stats *stats, int64_t time_s)
{
	for (size_t i = 0; i < STATS_TIMES; i++) {
		int64_t found = 0;

		if (atomic_compare_exchange_strong_explicit(&stats->time_s[i], &found,
							    time_s, memory_order_relaxed,
							    memory_order_relaxed) ||
		    found == time_s) {
			stats_add_one(&stats->time_count[i]);
			return;
		}
	}
}

void stats_evidence(struct stats *stats, const struct pyc_decision *decision)
{
	stats_add_one(&stats->evidence[decision->evidence]);
	if (decision->evidence == PYC_E_PAIR)
		stats_count_time(stats, decision->forgiven_s);
}

static uint64_t stats_load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void stats_print_times(const struct stats *stats, FILE *stream)
{
	size_t i;

	for (i = 0; i < STATS_TIMES && stats_load(&stats->time_count[i]); i++)
		fprintf(stream, "%s%lld: %llu", i ? ", " : " (",
			(long long)stats->time_s[i],
			(unsigned long long)stats_load(&stats->time_count[i]));
	if (i > 0)
		fputc(')', stream);
}

const char *stats_evidence_text(const struct stats *stats, char text[STATS_EVIDENCE_MAX])
{
	FILE *stream = fmemopen(text, STATS_EVIDENCE_MAX, "w");
	const char *comma = "";

	text[0] = '\0';
	if (!stream)
		return text;
	for (int i = PYC_E_NONE + 1; i < PYC_EVIDENCES; i++) {
		uint64_t count = stats_load(&stats->evidence[i]);

		if (count == 0)
			continue;
		fprintf(stream, "%s%s %llu", comma, pyc_evidence_name((enum pyc_evidence)i),
			(unsigned long long)count);
		if (i == PYC_E_PAIR)
			stats_print_times(stats, stream);
		comma = ", ";
	}
	fclose(stream);
	return text;
}

static bool stats_is_ordinary(int error)
{
	switch (error) {
	case 0:
	case ENOENT:
	case ENODATA:
	case ERANGE:
	case EROFS:
	case ENOTTY:
	case ENOSYS:
	case EOPNOTSUPP:
	case EINVAL: /* readlink(2) of what is no link */
	case ENXIO:  /* lseek(2) beyond the end */
		return true;
	default:
		return false;
	}
}

void stats_error(struct stats *stats, int error)
{
	int class = 0;

	if (stats_is_ordinary(error))
		return;
	while (class < STATS_OTHER && stats_error_classes[class].error != error)
		class ++;
	stats_add_one(&stats->errors[class]);
}

uint64_t stats_recent(const struct stats *stats, uint32_t now_s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < STATS_SECONDS; i++) {
		uint64_t slot =
			atomic_load_explicit(&stats->recent[i], memory_order_relaxed);
		uint32_t age = now_s - (uint32_t)(slot >> 32);

		/* The second that is not over yet is not in it. */
		if (age >= 1 && age <= STATS_RATE_OVER)
			sum += (uint32_t)slot;
	}
	return sum;
}

const char *stats_opcode_name(uint32_t opcode)
{
	return opcode < STATS_OPCODES ? stats_opcode_names[opcode] : NULL;
}

const char *stats_error_name(enum stats_error_class class)
{
	return stats_error_classes[class].name;
}
