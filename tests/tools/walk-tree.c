/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-tree PROCESSES LIST DIRECTORY: lists the directories that LIST names (relative to
 * DIRECTORY, each ended by a NUL) and calls lstat on every entry, with that many processes
 * that take the next directory in turn. Prints entries and seconds as JSON.
 *
 * For tests/bench: what find, du, rsync and backup programs ask of a file system, without
 * their own time. The names are given, so that finding them is not part of what is timed.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the processes share. Written by all of them, hence atomic. */
struct progress {
	atomic_size_t next;
	atomic_size_t entries;
};

static char **read_list(const char *path, size_t *ret_count)
{
	FILE *file = fopen(path, "re");
	char **names = NULL;
	char *name = NULL;
	size_t room = 0;
	size_t count = 0;

	if (!file)
		err(1, "%s", path);
	while (getdelim(&name, &room, '\0', file) > 0) {
		names = reallocarray(names, count + 1, sizeof(*names));
		if (!names)
			err(1, "%s", path);
		names[count++] = name;
		name = NULL;
	}
	free(name);
	fclose(file);
	*ret_count = count;
	return names;
}

static size_t walk_directory(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	struct stat st;
	size_t entries = 0;

	if (!dir)
		err(1, "%s", path);
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			err(1, "%s/%s", path, entry->d_name);
		entries++;
	}
	closedir(dir);
	return entries;
}

static _Noreturn void walk(struct progress *progress, char **names, size_t count)
{
	size_t i;

	while ((i = atomic_fetch_add(&progress->next, 1)) < count)
		atomic_fetch_add(&progress->entries, walk_directory(names[i]));
	_exit(0);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
	struct progress *progress;
	int processes = argc == 4 ? (int)strtol(argv[1], NULL, 10) : 0;
	bool failed = false;
	char **names;
	size_t count;
	double begin;
	int status;

	if (processes < 1)
		errx(1, "usage: walk-tree PROCESSES LIST DIRECTORY");
	names = read_list(argv[2], &count);
	if (chdir(argv[3]))
		err(1, "%s", argv[3]);
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		err(1, "mmap");
	begin = now_s();
	for (int i = 0; i < processes; i++) {
		switch (fork()) {
		case -1:
			err(1, "fork");
		case 0:
			walk(progress, names, count);
		}
	}
	while (wait(&status) > 0)
		failed |= status != 0;
	printf("{\"entries\": %zu, \"seconds\": %.6f}\n", atomic_load(&progress->entries),
	       now_s() - begin);
	return failed;
}
