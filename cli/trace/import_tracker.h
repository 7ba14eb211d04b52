/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the files that interpreters open to what became of their imports.
 *
 * Python 3 opens a module's bytecode. If it accepts that, it never opens the source. If it
 * does not, the source is the next file that the same thread opens. Python 2 opens the
 * source, then the bytecode, and reads one of them: there the header tells which one.
 * (importlib/_bootstrap_external.py, SourceLoader.get_code; Python/import.c of 2.7.)
 *
 * A source that is opened at another time is no import: a traceback, inspect or a script
 * needs it.
 */
#ifndef CANONFS_CLI_TRACE_IMPORT_TRACKER_H
#define CANONFS_CLI_TRACE_IMPORT_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "pyc/header.h"

enum import_how {
	IMPORT_BYTECODE,   /* ran the bytecode; the source was not read */
	IMPORT_CHECKED,	   /* read the source, found its hash, ran the bytecode */
	IMPORT_SOURCELESS, /* ran the bytecode; there is no source */
	IMPORT_COMPILED,   /* compiled the source, although there is bytecode */
	IMPORT_NO_PYC,	   /* compiled the source: no bytecode could be opened */
	IMPORT_FAILED,	   /* took the bytecode, which is damaged: the import failed */
	IMPORT_HOWS
};

/* "bytecode", and a phrase for people; static storage. */
const char *import_how_name(enum import_how how);
const char *import_how_text(enum import_how how);

/* Did the import run bytecode, without compiling? */
bool import_used_bytecode(enum import_how how);

/**
 * struct import_opened_file - a file as a process found it when it opened it
 * @name:  as the process gave it; owned, as are the others
 * @path:  the same as an absolute path of ours
 * @root:  the process's root directory, "" for ours
 * @elsewhere: it is in another mount namespace: the paths are its own
 * @error: errno of opening it; 0 for none
 * @st:    its attributes, if it was opened
 * @has_header: its first bytes were read: @header_status and @header are theirs
 */
struct import_opened_file {
	char *name;
	char *path;
	char *root;
	bool elsewhere;
	int error;
	struct stat st;
	bool has_header;
	enum pyc_header_status header_status;
	struct pyc_header header;
};

/**
 * struct import_record - what became of one module, in one or more processes
 * @program: the interpreter; owned by the tracker, one string for each
 * @reader:  the magic of the bytecode that it takes; NULL where no bytecode told
 * @pyc:     the bytecode, as the first of the processes found it
 * @source:  absolute path; NULL where it is not known (a used file of PYTHONPYCACHEPREFIX);
 *           owned by the tracker
 * @prefixed: the bytecode lies in a tree of its own (PYTHONPYCACHEPREFIX)
 * @source_st: of the source; meaningful (not all 0) if it was opened
 * @processes: how many
 * @kept:    how many of these wrote new bytecode
 * @keep_error: errno of a process that could not write it; 0 for none
 */
struct import_record {
	enum import_how how;
	const char *program;
	const struct pyc_magic *reader;
	struct import_opened_file pyc;
	char *source;
	bool prefixed;
	struct stat source_st;
	size_t processes;
	size_t kept;
	int keep_error;
};

/**
 * struct import_open - an interpreter opened, or tried to open, a file
 * @name:  as the interpreter gave it; not IMPORT_FILE_OTHER
 * @path:  the same as an absolute path of ours; borrowed
 * @root, @elsewhere: see struct import_opened_file; borrowed
 * @writes: it opened it for writing
 * @error: 0, or errno
 * @st:    of the file, if it was opened
 * @header, @header_len: its first bytes, of bytecode
 */
struct import_open {
	const char *name;
	const char *path;
	const char *root;
	bool elsewhere;
	bool writes;
	int error;
	struct stat st;
	const uint8_t *header;
	size_t header_len;
};

/* What a file is to the tracker, by its name. */
enum import_file {
	IMPORT_FILE_OTHER,
	IMPORT_FILE_SOURCE,
	IMPORT_FILE_BYTECODE,
	IMPORT_FILE_NEW_BYTECODE /* NAME.pyc.NUMBER, which Python renames once it is whole
				  */
};

enum import_file import_file_of(const char *name);

struct import_tracker;
struct import_process;
struct import_thread;

/* NULL when out of memory. */
struct import_tracker *import_tracker_new(void);
void import_tracker_free(struct import_tracker *tracker);

/**
 * import_process_new() - an interpreter began to run
 * @program: its path; copied
 * Return: the caller's to import_process_free() when it ends; NULL when out of memory.
 */
struct import_process *import_process_new(struct import_tracker *tracker,
					  const char *program);
void import_process_free(struct import_process *process);

/* Return: the caller's to import_thread_end() when it ends; NULL when out of memory. */
struct import_thread *import_thread_new(void);

/* Settles the last bytecode: its source was not opened. */
void import_thread_end(struct import_process *process, struct import_thread *thread);

/**
 * import_opened() - take in the next file that a thread opens
 *
 * A module counts once in each process.
 */
void import_opened(struct import_process *process, struct import_thread *thread,
		   const struct import_open *open);

/* Are imports missing because memory ran out? */
bool import_tracker_is_incomplete(const struct import_tracker *tracker);

/* How many interpreters ran @program (all where NULL). */
size_t import_tracker_processes(const struct import_tracker *tracker, const char *program);

/**
 * import_tracker_records() - everything, by program, then by path
 * @ret_count: how many
 * Return: the tracker's array, until the next call of import_opened(); NULL with 0 records.
 */
struct import_record *const *import_tracker_records(struct import_tracker *tracker,
						    size_t *ret_count);

#endif
