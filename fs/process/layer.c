/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker of a stacked mount does before it serves; see layer.h.
 */
#include "fs/process/layer.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/mount/mount_ends.h"
#include "fs/stack/data_table.h"
#include "fs/stack/scan.h"
#include "fs/stack/stubs.h"
#include "fs/watch/stats.h"

static int layer_write_stubs(const struct worker_task *task, struct data_layer *layer,
			     struct scan *scan, struct worker_report *report)
{
	int r = scan_stubs(scan, layer->front.resolver, layer->front.stats);
	char evidence[STATS_EVIDENCE_MAX];

	/* Bytecode keeps its bytes, but where several embed different times. */
	report->serverless = task->options->policy.view == PYC_VIEW_EMBEDDED &&
			     data_table_stats(layer->table).nodes == 0;
	if (r == 0 && !report->serverless && task->fuse_fd < 0)
		r = reason_set(&report->why, -ENODEV, "'/dev/fuse' cannot be used");
	if (stats_evidence_text(layer->front.stats, evidence)[0])
		log_info("%s: stale bytecode that is vouched for, by what it rests on: %s",
			 quoted(task->ends->point), evidence);
	return r;
}

/* Names are read while the store is loaded. Takes @start. */
static int layer_scan_source(const struct worker_task *task, struct data_layer *layer,
			     struct recall *start, struct worker_report *report)
{
	bool all_sources = task->options->policy.view != PYC_VIEW_SOURCE;
	struct stubs stubs;
	struct scan *scan;
	int names_r;
	int r;

	stubs_init(&stubs, task->stack->stubs_fd, layer->front.tree, layer->table,
		   task->stack->in_userns);
	scan = scan_new(layer->front.tree, all_sources, &stubs, &report->why);
	names_r = scan ? scan_names(scan) : -ENOMEM;
	r = front_load(&layer->front, &task->options->policy, start);
	if (!scan || r < 0) {
		r = reason_set(&report->why, -ENOMEM, "out of memory");
	} else {
		r = names_r < 0 ? names_r : layer_write_stubs(task, layer, scan, report);
	}
	scan_free(scan);
	stubs_fini(&stubs);
	return r;
}

int layer_prepare(const struct worker_task *task, struct data_layer *layer,
		  struct recall *start)
{
	struct worker_report report = {.error = 0};
	int report_fd = task->report_fd;

	report.error = layer_scan_source(task, layer, start, &report);
	prctl(PR_SET_PDEATHSIG, 0);
	if (write(report_fd, &report, sizeof(report)) < 0)
		report.error = -errno;
	close(report_fd);
	return report.error < 0 ? report.error : !report.serverless;
}
