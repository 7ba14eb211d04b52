/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What commands print on standard output.
 */
#ifndef CANONFS_CLI_PRINT_OUTPUT_H
#define CANONFS_CLI_PRINT_OUTPUT_H

/**
 * output_finish() - what was printed has to arrive
 * @status: of the command
 *
 * Return: @status, or EX_IOERR with one line logged.
 */
int output_finish(int status);

#endif
