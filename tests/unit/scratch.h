/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Temporary folders of tests.
 */
#ifndef CANONFS_TESTS_UNIT_SCRATCH_H
#define CANONFS_TESTS_UNIT_SCRATCH_H

#define SCRATCH_MAX 64

/**
 * scratch_make() - a new folder, for its owner only
 * @ret_path: where it is; absolute
 * @name:     of the test
 *
 * The test fails where there is none.
 */
void scratch_make(char ret_path[SCRATCH_MAX], const char *name);

/* Removes a folder with all in it; the test fails if it is still there. */
void scratch_remove(const char *path);

#endif
