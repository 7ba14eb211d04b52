/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The canonfs program: finds the command and runs it. Without one, canonfs mounts, so
 * that mount -t fuse.canonfs works (mount.fuse3 runs "canonfs SOURCE MOUNTPOINT -o ...").
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"
#include "cli/cmd.h"

/* In the order of --help. */
static const struct command *const commands[] = {
	&command_mount,	 &command_umount, &command_check,  &command_explain,
	&command_verify, &command_trace,  &command_status, &command_cache,
};

/* Opens descriptors 0 to 2 where they are closed: no file may get these numbers later. */
static void provide_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

/*
 * Closes the descriptors that the caller left open (locks, pipes; runc leaks some): the
 * server of a mount would hold them to its end.
 */
static void close_inherited(void)
{
	close_range(STDERR_FILENO + 1, ~0U, 0);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i];
	return NULL;
}

static void print_help(void)
{
	fputs("usage: canonfs [COMMAND] ARGUMENTS...\n"
	      "\n"
	      "Makes Python fast again on images whose file times were canonicalised.\n"
	      "\n"
	      "Commands (mount is meant where none is given):\n",
	      stdout);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "  canonfs COMMAND --help   all of a command\n"
	      "  canonfs --version\n"
	      "\n"
	      "Example:\n"
	      "  canonfs image/usr /mnt && canonfs umount /mnt\n"
	      "\n"
	      "More in canonfs(1).\n",
	      stdout);
}

/*
 * Output to a full disk fails only when it is flushed. A command that noticed it has logged
 * it.
 */
static int finish_output(int status, int unwritten)
{
	errno = 0;
	if (status == unwritten || (fflush(stdout) == 0 && !ferror(stdout)))
		return status;
	log_error("cannot write to standard output: %s", strerror(errno ? errno : EIO));
	return unwritten;
}

static int finish_command(const struct command *command, int status)
{
	if (status == COMMAND_WRONG_USAGE) {
		fprintf(stderr, "%.*s; see canonfs %s --help\n",
			(int)(strstr(command->usage, "\n\n") - command->usage),
			command->usage, command->name);
		return command->wrong_usage;
	}
	if (status == COMMAND_HELP) {
		fputs(command->usage, stdout);
		status = 0;
	}
	return command->unwritten ? finish_output(status, command->unwritten) : status;
}

int main(int argc, char **argv)
{
	const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
	static char name[] = "canonfs";

	provide_streams();
	if (!command || !command->keeps_descriptors)
		close_inherited();
	if (argc > 0 && strcmp(path_last(argv[0]), "mount.canonfs") == 0)
		return finish_command(&command_mount, cmd_mount_helper(argc, argv));
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_help();
		return argc < 2;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts(PACKAGE_STRING);
		return 0;
	}
	if (!command && argc == 2 && argv[1][0] != '-') {
		log_error("%s is no command, and a mount needs SOURCE and MOUNTPOINT; see "
			  "canonfs --help",
			  quoted(argv[1]));
		return 1;
	}
	/* getopt begins its messages with the word before the arguments. */
	if (command) {
		argc--;
		argv++;
	} else {
		command = &command_mount;
	}
	argv[0] = name;
	return finish_command(command, command->run(argc, argv));
}
