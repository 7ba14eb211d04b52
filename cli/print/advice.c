/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands to be copied; see advice.h.
 */
#include "cli/print/advice.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/scope.h"

/* quote_path() writes what stands between $' and ' in a shell; it cuts what is too long. */
static char *shell_escaped(const char *text)
{
	size_t size = 4 * strlen(text) + 32;
	char *word = malloc(size);

	if (!word)
		return NULL;
	word[0] = '$';
	quote_path(text, word + 1, size - 1);
	return word;
}

static char *shell_quoted(const char *text)
{
	char *word = malloc(4 * strlen(text) + sizeof("''"));
	char *to = word;

	if (!word)
		return NULL;
	*to++ = '\'';
	for (; *text; text++) {
		if (*text == '\'')
			to = stpcpy(to, "'\\'");
		*to++ = *text;
	}
	strcpy(to, "'");
	return word;
}

char *shell_word(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._-+:@%,=";
	scope_free char *escaped = NULL;

	if (text[0] && text[strspn(text, plain)] == '\0')
		return strdup(text);
	escaped = shell_escaped(text);
	if (escaped && strstr(escaped, "\\x"))
		return take_ptr(escaped);
	return shell_quoted(text);
}

char *advise_mount(const char *source, const char *point, const char *given,
		   const char *option, const char *root)
{
	scope_free char *from = shell_word(source);
	scope_free char *to = shell_word(point);
	scope_free char *options = NULL;
	scope_free char *word = NULL;
	char *text;

	if (asprintf(&options, "%s%s%s%s%s%s", given ? given : "",
		     given && (option || root) ? "," : "", option ? option : "",
		     option && root ? "," : "", root ? "root=" : "",
		     root ? root : "") < 0) {
		options = NULL;
		return NULL;
	}
	word = shell_word(options);
	if (!from || !to || !word ||
	    asprintf(&text, "canonfs %s %s%s%s", from, to, options[0] ? " -o " : "",
		     options[0] ? word : "") < 0)
		return NULL;
	return text;
}

const char *advise_level(int level)
{
	return level == 2 ? " -OO" : level == 1 ? " -O" : "";
}

char *advise_compile(const char *root, const char *program, int level, const char *options,
		     const char *path)
{
	bool is_here = !root[0] || strcmp(root, "/") == 0;
	scope_free char *prefix = shell_word(is_here ? "/" : root);
	scope_free char *word = shell_word(program);
	scope_free char *what = shell_word(path);
	char *text;

	if (!prefix || !word || !what ||
	    asprintf(&text, "%s%s%s%s%s -m compileall%s %s", is_here ? "" : "chroot ",
		     is_here ? "" : prefix, is_here ? "" : " ", word, advise_level(level),
		     options, what) < 0)
		return NULL;
	return text;
}
