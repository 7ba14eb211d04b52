/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files that readers have open on a source that can change.
 *
 * An open file stays the file that it was, also when another one takes its name. So OPEN
 * keeps the descriptor that it has until RELEASE. The number that the kernel hands back
 * (fh) names the descriptor and the process that has it: a process that takes the session
 * over has none of them, and opens such files by their paths. So does everybody where
 * descriptors are scarce: half of them are for the requests themselves.
 *
 * A source that cannot change has no table: readers do not tell us what they open there. So
 * NULL stands for a table in which nothing is found, but handle_keep() wants a real one.
 */
#ifndef CANONFS_FS_FRONT_HANDLE_H
#define CANONFS_FS_FRONT_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

struct handle_table;
struct served_header;

/*
 * Raises the soft limit of open files to the hard one.
 * Return: an empty table; NULL when out of memory.
 */
struct handle_table *handle_table_new(void);

/* Closes what is still open. */
void handle_table_free(struct handle_table *table);

/**
 * handle_keep() - keep the descriptor of a file that a reader opens
 * @id:     its node
 * @fd:     open for reading; taken on success
 * @header: as it was decided on; copied; NULL where the file is not bytecode
 * Return: the fh; 0, and @fd is the caller's still, where none can be kept.
 */
uint64_t handle_keep(struct handle_table *table, uint64_t id, int fd,
		     const struct served_header *header);

/*
 * The descriptor of an open file, which lasts until RELEASE; -1 where this process has
 * none.
 */
int handle_fd(const struct handle_table *table, uint64_t fh);

/* Whether the file of handle_fd() is bytecode. */
bool handle_is_bytecode(uint64_t fh);

/* The file is not open any more. An @fh of another process is ignored. */
void handle_release(struct handle_table *table, uint64_t id, uint64_t fh);

/**
 * handle_dup() - the file of a node whose name is another file by now
 * @ret_header: as it was decided on when the file was last opened; may be NULL
 * Return: a descriptor, the caller's; -ESTALE where no reader has the file open; -errno.
 */
int handle_dup(struct handle_table *table, uint64_t id, struct served_header *ret_header);

#endif
