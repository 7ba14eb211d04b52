/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that people are told to run: whole, and ready to be copied into a shell.
 */
#ifndef CANONFS_CLI_PRINT_ADVICE_H
#define CANONFS_CLI_PRINT_ADVICE_H

/**
 * shell_word() - a text as one word of a shell's command line, in quotes where it needs
 * them
 *
 * What a terminal must not get is escaped, in the quotes of POSIX.1-2024: $'\x1b'.
 * Return: the caller's; NULL when out of memory.
 */
char *shell_word(const char *text);

/**
 * advise_mount() - the command that mounts a tree
 * @source, @point: absolute
 * @given:  options as the user gave them; NULL for none
 * @option: one more; NULL for none
 * @root:   the readers' root directory, for root=; NULL where it is "/" or given
 *
 * Return: "canonfs SOURCE POINT -o ..."; the caller's; NULL when out of memory.
 */
char *advise_mount(const char *source, const char *point, const char *given,
		   const char *option, const char *root);

/* What asks Python for a level of optimisation: " -O", " -OO"; "" for 0 and for -1. */
const char *advise_level(int level);

/**
 * advise_compile() - the command that compiles sources anew
 * @root:    the readers' root directory; "/", or "" for it
 * @program: Python, as they call it
 * @level:   of optimisation: 0, 1 or 2
 * @options: of compileall, " -f"; "" for none
 * @path:    a file or a directory, as they call it
 *
 * Return: the caller's; NULL when out of memory.
 */
char *advise_compile(const char *root, const char *program, int level, const char *options,
		     const char *path);

#endif
