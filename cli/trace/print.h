/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines of canonfs trace MOUNT.
 */
#ifndef CANONFS_CLI_TRACE_PRINT_H
#define CANONFS_CLI_TRACE_PRINT_H

#include <stdbool.h>
#include <stdio.h>

/**
 * trace_print() - print what a packet from a server says
 * @packet: lines of JSON, zero-terminated; changed. From another process: what is not
 *          understood is left out.
 * @json:   as JSON lines, else for people
 */
void trace_print(FILE *file, char *packet, bool json);

#endif
