/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proofs in a cache, for commands.
 */
#ifndef CANONFS_CLI_TREES_PROOFS_H
#define CANONFS_CLI_TREES_PROOFS_H

#include "cache/store/db.h"

/* store_db_proofs(), with a line in the log where some are damaged. */
int proofs_load(struct store_db *db, struct proof_set *set);

#endif
