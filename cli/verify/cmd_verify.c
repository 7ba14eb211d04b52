/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs verify PATH...: its arguments.
 */
#include <getopt.h>
#include <sched.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/cmd.h"
#include "cli/verify/verify.h"

static const char usage[] =
	"usage: canonfs verify PATH... [--python PROGRAM]... [--root DIR] [--cache FILE]\n"
	"                      [--no-record] [--list RESULT]... [--json] [--jobs N]\n"
	"\n"
	"Compiles the source of each bytecode file anew, with the interpreter that reads "
	"it,\n"
	"and compares the code. What is proved, or disproved, is recorded beside the "
	"cache.\n"
	"Mounts that begin later with -o trust=verified vouch for what is proved, and "
	"none\n"
	"for what is disproved.\n"
	"\n"
	"PATH is a directory, or a bytecode file. A difference is a disproof only if the\n"
	"interpreter is the one that reads the file where it lies: that of its virtual\n"
	"environment or image, of whose libraries it is one, or the closest in a bin "
	"beside\n"
	"or above it; or if it is named. Any other may be another release, which compiles\n"
	"otherwise.\n"
	"\n"
	"  --python PROGRAM   this interpreter of this machine reads PATH, too; may be "
	"repeated\n"
	"  --root DIR         PATH is in the image DIR, whose interpreters are run, in a "
	"sandbox\n"
	"  --cache FILE       not the default one; as the mount option cache=\n"
	"  --no-record        use no cache: neither to look up nor to record\n"
	"  --list RESULT      print the files that are proved, disproved, unknown or\n"
	"                     not-tried, and nothing else; may be repeated\n"
	"  --json             print JSON; with the files that are listed (default:\n"
	"                     disproved and unknown)\n"
	"  --jobs N           so many at a time (default: as there are processors)\n"
	"  --timeout SECONDS  for one source (default: 60)\n"
	"  --quiet            print nothing\n"
	"\n"
	"Examples:\n"
	"  canonfs verify /usr/lib/python3.11\n"
	"  canonfs verify /usr --root image && canonfs image/usr /mnt -o trust=verified\n"
	"\n"
	"Exit status: 0 all that was tried is proved, 1 something is unknown or had no\n"
	"interpreter, 2 something is disproved, 64 wrong usage, 66 cannot look or "
	"record.\n";

static bool verify_take_list(void *context, const char *text)
{
	struct verify_report *report = &((struct verify_request *)context)->report;

	for (int i = 0; i < VERIFY_RESULTS; i++) {
		if (strcmp(text, verify_result_name((enum verify_result)i)) == 0) {
			report->selected[i] = report->only = true;
			return true;
		}
	}
	log_error("cannot list %s: it is no result", quoted(text));
	return false;
}

static bool verify_take_python(void *context, const char *program)
{
	struct verify_request *request = context;

	if (request->python_count == VERIFY_PYTHONS_MAX) {
		log_error("more than %d interpreters are named", VERIFY_PYTHONS_MAX);
		return false;
	}
	request->pythons[request->python_count++] = program;
	return true;
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int cmd_verify(int argc, char **argv)
{
	struct verify_request request = {.run = {.jobs = processors()}, .timeout_s = 60};
	const struct command_option options[] = {
		{"python", .take = verify_take_python},
		{"root", .text = &request.root},
		{"cache", .text = &request.cache},
		{"no-record", .flag = &request.no_record},
		{"list", .take = verify_take_list},
		{"json", .flag = &request.report.json},
		{"jobs", 'j', .number = &request.run.jobs, .least = 1, .most = 1024},
		{"timeout", .number = &request.timeout_s, .least = 1, .most = 86400},
		{"quiet", 'q', .flag = &request.run.quiet},
	};
	struct verify_report *report = &request.report;
	int status = command_options(options, ARRAY_SIZE(options), &request, argc, argv);

	if (status != 0)
		return status;
	request.run.timeout_ms = (int)request.timeout_s * 1000;
	request.paths = argv + optind;
	request.path_count = (size_t)(argc - optind);
	if (request.path_count == 0) {
		log_error("a PATH is needed");
		return COMMAND_WRONG_USAGE;
	}
	if (!report->only)
		report->selected[VERIFY_DISPROVED] = report->selected[VERIFY_UNKNOWN] =
			true;
	report->root = request.root ? request.root : "/";
	return verify(&request);
}

const struct command command_verify = {
	.name = "verify",
	.summary = "prove by recompiling which bytecode is its source's",
	.usage = usage,
	.run = cmd_verify,
	.wrong_usage = EX_USAGE,
	.unwritten = EX_IOERR,
};
