/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * canonfs cache list and verify.
 */
#include "cli/cache/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/scope.h"
#include "cli/print/json.h"

static const char *cache_file_system(uint64_t type, char buffer[32])
{
	static const struct {
		uint64_t type;
		const char *name;
	} names[] = {
		{0xef53, "ext"},	   {0x58465342, "xfs"},	  {0x9123683e, "btrfs"},
		{0xf2f52010, "f2fs"},	   {0xe0f5e1e2, "erofs"}, {0x73717368, "squashfs"},
		{0x794c7630, "overlayfs"}, {0x01021994, "tmpfs"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].type == type)
			return names[i].name;
	snprintf(buffer, 32, "0x%" PRIx64, type);
	return buffer;
}

static const char *cache_date(int64_t seconds, char buffer[32])
{
	time_t time = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&time, &tm) || !strftime(buffer, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(buffer, 32, "%" PRId64, seconds);
	return buffer;
}

/* ---- list ---- */

static bool cache_print_image(const struct store_image *image, void *closure)
{
	char type[32], used[32];

	(void)closure;
	printf("%-10s %016" PRIx64 " %10" PRIu64 " %8" PRId64 "  %s\n",
	       cache_file_system(image->image.fs_type, type), image->image.fsid,
	       image->image.root_inode, image->rows, cache_date(image->last_used_s, used));
	return true;
}

static bool cache_image_json(const struct store_image *image, void *closure)
{
	struct json_object *json = json_append_object(closure);
	char type[32], used[32], fsid[32];

	snprintf(fsid, sizeof(fsid), "%016" PRIx64, image->image.fsid);
	json_add_text(json, "filesystem", cache_file_system(image->image.fs_type, type));
	json_add_text(json, "fsid", fsid);
	json_add_number(json, "root_inode", (int64_t)image->image.root_inode);
	json_add_number(json, "files", image->rows);
	json_add_text(json, "last_used", cache_date(image->last_used_s, used));
	return true;
}

int cache_list(const struct cache_work *work, const struct cache_request *request)
{
	struct store_db *db = work->db;
	int64_t bytes = 0;
	int r = store_db_size(db, &bytes);

	if (request->json) {
		struct json_object *json = json_object_new_object();
		struct json_object *images;

		json_add_text(json, "path", request->path);
		json_add_number(json, "bytes", bytes);
		images = json_add_array(json, "images");
		if (r == 0)
			r = store_db_images(db, cache_image_json, images);
		json_print(json);
	} else if (r == 0) {
		printf("%-10s %-16s %10s %8s  %s\n", "FILESYSTEM", "FSID", "ROOT", "FILES",
		       "LAST USED");
		r = store_db_images(db, cache_print_image, NULL);
		printf("%" PRId64 " KiB in %s\n", bytes >> 10, quoted(request->path));
	}
	return r < 0 ? cache_fail(request, "read", r) : 0;
}

/* ---- verify ---- */

struct cache_tally {
	int64_t good;
	int64_t bad;
};

static bool cache_count_row(const struct store_row *row, void *closure)
{
	struct cache_tally *tally = closure;

	tally->good += row != NULL;
	tally->bad += row == NULL;
	return true;
}

static void cache_print_sound(const struct cache_tally *rows,
			      const struct proof_book *proofs, bool unsound)
{
	bool unread = proofs->state == PROOFS_UNREAD;

	printf("%s%" PRId64 " rows and %zu proofs are sound, %" PRId64 " are damaged%s\n",
	       unsound ? "the database is damaged: " : "", rows->good, proofs->set.count,
	       rows->bad + unread,
	       unsound || unread || rows->bad > 0 ? "; canonfs cache clear starts anew"
						  : "");
	if (unread)
		printf("the file of proofs could not be read: %s\n", proofs->why.text);
}

static void cache_print_sound_json(const struct cache_tally *rows,
				   const struct proof_book *proofs, bool unsound)
{
	struct json_object *json = json_object_new_object();
	bool unread = proofs->state == PROOFS_UNREAD;

	json_add_bool(json, "sound", !unsound && !unread && rows->bad == 0);
	json_add_number(json, "rows", rows->good);
	json_add_number(json, "damaged_rows", rows->bad);
	json_add_number(json, "proofs", (int64_t)proofs->set.count);
	json_add_number(json, "damaged_proofs", unread); /* the file, as one */
	if (unread)
		json_add_text(json, "why_unread", proofs->why.text);
	json_print(json);
}

int cache_verify(const struct cache_work *work, const struct cache_request *request)
{
	struct cache_tally rows = {0};
	int r = work->db ? store_db_check(work->db) : 0;
	bool unsound = r == -EBADMSG; /* the database itself, whatever its rows say */

	if (work->db && (r == 0 || unsound))
		r = store_db_rows(work->db, -1, cache_count_row, &rows);
	if (r < 0 && r != -EBADMSG)
		return cache_fail(request, "read", r);
	unsound |= r < 0;
	(request->json ? cache_print_sound_json : cache_print_sound)(&rows, work->proofs,
								     unsound);
	return unsound || rows.bad > 0 || work->proofs->state == PROOFS_UNREAD
		       ? EXIT_CACHE_FAILURE
		       : 0;
}
