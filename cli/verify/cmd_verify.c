/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs verify PATH...: its arguments.
 */
#include <getopt.h>
#include <sched.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "cli/cmd.h"
#include "cli/verify/verify.h"

static const char usage[] =
	"usage: canonfs verify PATH... [--python PROGRAM]... [--root DIR] [--cache FILE]\n"
	"                      [--no-record] [--list RESULT]... [--json] [--jobs N]\n"
	"\n"
	"Compiles the source of each bytecode file anew, with the interpreter that it is "
	"for,\n"
	"and compares the code. What is proved, or disproved, is recorded in the cache: a\n"
	"mount with -o trust=verified vouches for what is proved, and none for what is\n"
	"disproved.\n"
	"\n"
	"PATH is a directory, or a bytecode file. A difference is a disproof only if the\n"
	"interpreter is the file's own: in the image that the file is in, or the file "
	"lies\n"
	"among its libraries. Any other may be another release, which compiles otherwise.\n"
	"\n"
	"  --python PROGRAM   one more interpreter of this machine; may be repeated\n"
	"  --root DIR         PATH is in the image DIR; as root, the image's interpreters "
	"are\n"
	"                     run, in a chroot and as nobody\n"
	"  --cache FILE       not the default one; as the mount option cache=\n"
	"  --no-record        use no cache: neither to look up nor to record\n"
	"  --list RESULT      print the files that are proved, disproved, unknown or "
	"not-tried,\n"
	"                     and nothing else; may be repeated\n"
	"  --json             print JSON; with the files that are listed (default: "
	"disproved\n"
	"                     and unknown)\n"
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

static bool verify_select_result(const char *text, struct verify_report *report)
{
	for (int i = 0; i < VERIFY_RESULTS; i++) {
		if (strcmp(text, verify_result_name((enum verify_result)i)) == 0) {
			report->selected[i] = report->only = true;
			return true;
		}
	}
	return false;
}

static bool verify_add_python(struct verify_request *request, const char *program)
{
	if (request->python_count == VERIFY_PYTHONS_MAX)
		return false;
	request->pythons[request->python_count++] = program;
	return true;
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

enum { OPTION_NO_RECORD = 256 };

/* Return: whether the value, if there is one, is right. */
static bool verify_take_option(struct verify_request *request, int option,
			       const char *value)
{
	long number = 0;
	bool good = true;

	switch (option) {
	case 'p':
		return verify_add_python(request, value);
	case 'r':
		request->root = value;
		return true;
	case 'c':
		request->cache = value;
		return true;
	case 'l':
		return verify_select_result(value, &request->report);
	case 't':
		good = command_number(value, 1, 86400, &number);
		request->run.timeout_ms = (int)number * 1000;
		return good;
	case 'j':
		good = command_number(value, 1, 1024, &number);
		request->run.jobs = (unsigned)number;
		return good;
	case 'J':
		request->report.json = true;
		return true;
	case 'q':
		request->run.quiet = true;
		return true;
	default: /* OPTION_NO_RECORD */
		request->no_record = true;
		return true;
	}
}

/* Return: 0, or what the command returns in place of an exit status. */
static int verify_take_options(struct verify_request *request, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"python", required_argument, NULL, 'p'},
		{"root", required_argument, NULL, 'r'},
		{"cache", required_argument, NULL, 'c'},
		{"no-record", no_argument, NULL, OPTION_NO_RECORD},
		{"list", required_argument, NULL, 'l'},
		{"json", no_argument, NULL, 'J'},
		{"jobs", required_argument, NULL, 'j'},
		{"timeout", required_argument, NULL, 't'},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "hj:q", long_options, NULL)) != -1) {
		if (option == '?')
			return COMMAND_WRONG_USAGE;
		if (option == 'h')
			return COMMAND_HELP;
		if (!verify_take_option(request, option, optarg)) {
			log_error("wrong value %s", quoted(optarg));
			return COMMAND_WRONG_USAGE;
		}
	}
	return 0;
}

static int cmd_verify(int argc, char **argv)
{
	struct verify_request request = {
		.run = {.jobs = processors(), .timeout_ms = 60000},
	};
	struct verify_report *report = &request.report;
	int status = verify_take_options(&request, argc, argv);

	if (status != 0)
		return status;
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
