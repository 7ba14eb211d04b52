/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See proofs.h.
 */
#include "cli/trees/proofs.h"

#include "base/log.h"

int proofs_load(struct store_db *db, struct proof_set *set)
{
	size_t bad;
	int r = store_db_proofs(db, set, &bad);

	if (bad > 0)
		log_warning("%zu proofs in the cache are damaged, ignoring them", bad);
	return r;
}
