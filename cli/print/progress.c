/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The progress line; see progress.h.
 */
#include "cli/print/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/print/human.h"
#include "cli/print/terminal.h"

#define REDRAW_MS     100
#define BAR_MAX	      40
#define PROGRESS_LINE 256

void progress_begin(struct progress *progress, const char *what)
{
	const char *term = getenv("TERM");

	*progress = (struct progress){
		.what = what,
		.wanted = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
		.started_ms = clock_ms(),
	};
}

/* "[#####     ] "; nothing where there is no room. */
static void progress_print_bar(char *text, size_t size, unsigned room, unsigned percent)
{
	unsigned width = room < BAR_MAX ? room : BAR_MAX;
	unsigned filled = width * percent / 100;

	text[0] = '\0';
	if (width < 5)
		return;
	snprintf(text, size, "[%.*s%*s] ", (int)filled,
		 "########################################", (int)(width - filled), "");
}

static void progress_draw(const struct progress *progress, uint64_t done, uint64_t total,
			  const char *unit)
{
	unsigned columns = terminal_width_of(STDERR_FILENO);
	unsigned percent = total ? (unsigned)((double)done * 100 / (double)total) : 0;
	char numbers[PROGRESS_LINE], bar[BAR_MAX + 8] = "",
						   line[PROGRESS_LINE + BAR_MAX + 8];
	int len;

	if (percent > 100)
		percent = 100;
	if (total)
		len = snprintf(numbers, sizeof(numbers), "%3u%%  %s of %s %s", percent,
			       HUMAN_COUNT(done), HUMAN_COUNT(total), unit);
	else
		len = snprintf(numbers, sizeof(numbers), "%s %s", HUMAN_COUNT(done), unit);
	len += (int)strlen(progress->what) + 6; /* brackets, spaces, the last column */
	if (total && (int)columns > len)
		progress_print_bar(bar, sizeof(bar), columns - (unsigned)len, percent);
	snprintf(line, sizeof(line), "%s %s%s", progress->what, bar, numbers);
	fprintf(stderr, "\r%.*s\033[K", columns > 1 ? (int)columns - 1 : 1, line);
	fflush(stderr);
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total,
		     const char *unit)
{
	int64_t now;

	if (!progress->wanted)
		return;
	now = clock_ms();
	if (now - progress->started_ms < PROGRESS_DELAY_MS ||
	    (progress->shown && now - progress->drawn_ms < REDRAW_MS))
		return;
	progress_draw(progress, done, total, unit);
	progress->drawn_ms = now;
	progress->shown = true;
}

void progress_end(struct progress *progress)
{
	if (!progress->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->shown = false;
}
