/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FUSE front, passthrough or data layer: what its request handlers share.
 *
 * Handlers keep nothing between requests but a table, of nodes or of the data layer's
 * files: an open file is its node, a directory stream is its node and the lower file
 * system's own d_off cookie. So a request can be answered by any process that has the
 * table.
 */
#ifndef CANONFS_FS_FRONT_FRONT_H
#define CANONFS_FS_FRONT_FRONT_H

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/resolve.h"
#include "cache/tree/tree.h"
#include "fs/front/node_table.h"
#include "fs/watch/trace.h"

/* Nodes at most; 110 bytes and a page of the kernel's own for each. */
#define FRONT_MAX_NODES (UINT32_C(1) << 24)

struct ahead;
struct data_table;
struct fuse_session;
struct stats;

/**
 * struct front - one mounted tree
 * @tree, @resolver, @store: owned by the server; @store may be NULL
 * @nodes:       of the passthrough, else NULL
 * @data:        of the data layer of a stacked mount (fs/stack/data.h), else NULL
 * @ahead:       of the data layer: what will be asked next; else NULL
 * @immutable:   the source cannot change: the kernel may cache for ever
 * @timeout_s:   how long the kernel may believe names and attributes
 * @session:     for notifications to the kernel; borrowed
 * @posix_acl:   the source's file system has POSIX ACLs, so the kernel must ask for them
 * @alias_turn:  held by the one lookup of a link to bytecode that is being answered
 * @alias_jobs:  lookups of such links that are not answered yet
 * @stats:       counters; borrowed
 * @trace:       events for those who watch
 * @many_devices: st_ino is made up for some files (node_ino())
 */
struct front {
	const struct tree *tree;
	struct resolver *resolver;
	struct store *store;
	struct node_table *nodes;
	struct data_table *data;
	struct ahead *ahead;
	bool immutable;
	double timeout_s;
	struct fuse_session *session;
	bool posix_acl;
	bool many_devices;
	sem_t alias_turn;
	_Atomic unsigned alias_jobs;
	struct stats *stats;
	struct trace trace;
};

/**
 * front_open() - open the file that a node stands for
 * @flags:    open(2) flags; O_PATH where the content is not needed
 * @ret_path: relative path in the tree, the caller's to free; may be NULL
 * @ret_stx:  of the open file
 *
 * Return: a descriptor, the caller's; -ESTALE where the name is another file by now (the
 * kernel then looks the name up again); another -errno.
 */
int front_open(struct front *front, uint64_t id, uint64_t flags, char **ret_path,
	       struct statx *ret_stx);

/**
 * front_open_known() - open the file at @path, if it is the one that was known there
 * @flags, @ret_stx: as front_open()
 * Return: as front_open().
 */
int front_open_known(struct front *front, const char *path, const struct node_key *known,
		     uint64_t flags, struct statx *ret_stx);

/* The attributes that the mount shows for a file at @path. */
void front_attr(struct front *front, const char *path, const struct statx *stx,
		struct stat *ret_st);

/**
 * struct front_entry - the answer to a lookup
 * @id, @generation: of the node; one kernel reference was counted
 * @path: relative to the tree; the caller's to free
 */
struct front_entry {
	uint64_t id;
	uint64_t generation;
	struct stat st;
	char *path;
};

/**
 * front_lookup() - look a name up in an open directory
 * @parent: its node
 * @dir_fd: the directory; @dir_path: where it is
 * Return: 0 or -errno; -ENOENT also for what the mount hides (submounts). @ret_entry is
 * written on success only.
 */
int front_lookup(struct front *front, uint64_t parent, int dir_fd, const char *dir_path,
		 const char *name, struct front_entry *ret_entry);

/* Whether a name in the directory @dir_fd is hidden from readers. */
bool front_hides(struct front *front, int dir_fd, const char *name);

#endif
