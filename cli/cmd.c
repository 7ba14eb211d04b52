/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arguments that several commands take; see cmd.h.
 */
#include "cli/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fs/mount/options.h"

bool command_mount_options(struct mount_options *options, const char *list)
{
	struct reason why;
	int r = mount_options_parse(options, list, &why);

	if (r < 0)
		log_error("%s", why.text);
	return r == 0;
}

static bool command_take_number(const struct command_option *option, const char *text)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < (long)option->least ||
	    number > (long)option->most) {
		log_error("wrong number %s", quoted(text));
		return false;
	}
	*option->number = (unsigned)number;
	return true;
}

static bool command_take(const struct command_option *option, void *request,
			 const char *value)
{
	if (option->number)
		return command_take_number(option, value);
	if (option->mount)
		return command_mount_options(option->mount, value);
	if (option->take)
		return option->take(request, value);
	if (option->flag)
		*option->flag = true;
	else
		*option->text = value;
	return true;
}

int command_options(const struct command_option *options, size_t count, void *request,
		    int argc, char **argv)
{
	/* getopt tells an option by its letter, or by a number that is no letter. */
	enum { NO_LETTER = 256 };
	struct option words[COMMAND_OPTIONS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
	char letters[2 * COMMAND_OPTIONS_MAX + 2] = "h";
	size_t used = 1;
	int got;

	for (size_t i = 0; i < count; i++) {
		bool has_value = !options[i].flag;

		if (options[i].letter)
			sprintf(letters + strlen(letters), "%c%s", options[i].letter,
				has_value ? ":" : "");
		if (options[i].word)
			words[used++] = (struct option){options[i].word, has_value, NULL,
							NO_LETTER + (int)i};
	}
	while ((got = getopt_long(argc, argv, letters, words, NULL)) != -1) {
		size_t i = got >= NO_LETTER ? (size_t)got - NO_LETTER : 0;

		if (got == 'h')
			return COMMAND_HELP;
		while (got < NO_LETTER && i < count && options[i].letter != got)
			i++;
		if (i == count || !command_take(&options[i], request, optarg))
			return COMMAND_WRONG_USAGE;
	}
	return 0;
}
