# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures columns in rows, under three conditions.

    warm   all rows are mounted side by side, and every column was run in each before (one
           that wants to be remounted is mounted for the sample, and run before it)
    fresh  mounted for one sample; the pages of the trees stay in memory
    cold   mounted for one sample, and then the kernel's caches are dropped, all of them:
           names, inodes and pages of the tree, of the mount, and of a peer's source

The rows take turns for each column, so that what else the machine does falls on all of them,
in an order that changes: what a row leaves behind (caches, heat) falls on different ones.
"""
import contextlib
import os
import pathlib

import harness
from harness import Failed

CONDITIONS = ("warm", "fresh", "cold")


class Samples:
    """{(column, row): [seconds]}, one a round; and why there are none. What failed once is
    not tried again."""

    def __init__(self):
        self.times, self.failures = {}, {}

    def take(self, column, row, measure):
        key = column.name, row.name
        if key in self.failures:
            return
        try:
            self.times.setdefault(key, []).append(measure())
        except (Failed, OSError) as failure:
            self.times.pop(key, None)
            self.failures[key] = str(failure)


LOOKS = 3  # at what a warm mount asks for


class Observed:
    """What the servers did. requests and cpu_s: {(column, row): of one measurement}."""

    def __init__(self):
        self.requests, self.cpu_s = {}, {}

    def observe(self, column, row, view):
        """Measures once more, and looks. Of several looks, the one with the fewest requests
        counts: the kernel may take back pages at any time, and then it asks again."""
        key = column.name, row.name
        row.before(view, column)
        before = harness.cpu_seconds(view.pids)
        with contextlib.suppress(Failed, OSError):
            with harness.requests_of(harness.connections(view.pids, view.usr)) as counts:
                column.measure(view)
            after = harness.cpu_seconds(view.pids)
            known = self.requests.get(key)
            if known is None or sum(counts.values()) < sum(known.values()):
                self.requests[key] = counts
                self.cpu_s[key] = None if before is None else after - before


def turns(rows, columns, rounds, say):
    """(round, column, row) of all that is to be measured."""
    for number in range(rounds):
        for column in columns:
            say(f"round {number + 1} of {rounds}: {column.name}")
            shown = [row for row in rows if row.shows(column)]
            shift = number // 2 % len(shown)
            order = shown[shift:] + shown[:shift]
            for row in order if number % 2 else reversed(order):
                yield number, column, row


def trees_of(row, columns):
    """Those that stay mounted for the warm columns."""
    return list(dict.fromkeys(column.tree for column in columns
                              if row.shows(column) and not column.remount))


class Conditions:
    """The three conditions for some rows and columns."""

    def __init__(self, stage, rows, columns, rounds, say):
        self.stage, self.rows, self.columns = stage, rows, columns
        self.rounds, self.say = rounds, say

    def turns(self, rounds, label):
        return turns(self.rows, self.columns, rounds, lambda text: self.say(f"{label}, {text}"))

    def warm(self, look):
        """look(row, {tree: view}) is called for each row in the end, while it is mounted."""
        samples, observed = Samples(), Observed()
        with contextlib.ExitStack() as stack:
            views = {row: {tree: stack.enter_context(row.shown(self.stage, tree))
                           for tree in trees_of(row, self.columns)} for row in self.rows}

            def shown(row, column):
                if column.remount:
                    return self.used(row, column)
                return contextlib.nullcontext(views[row][column.tree])

            for number, column, row in self.turns(self.rounds + 1, "warm"):
                sink = samples if number else Samples()
                sink.take(column, row, lambda: self.sample(row, column, shown))
            for _ in range(LOOKS):
                self.observe_all(observed, shown)
            for row in self.rows:
                look(row, views[row])
        return samples, observed

    def sample(self, row, column, shown):
        with shown(row, column) as view:
            row.before(view, column)
            return column.measure(view)

    @contextlib.contextmanager
    def used(self, row, column):
        """Mounted for one sample, but not for the first time that the column is run."""
        with row.shown(self.stage, column.tree) as view:
            column.measure(view)
            yield view

    def fresh(self):
        """The first round only brings the pages of the trees into memory."""
        samples, observed = Samples(), Observed()
        for number, column, row in self.turns(self.rounds + 1, "freshly mounted"):
            sink = samples if number else Samples()
            sink.take(column, row, lambda: self.mounted_once(column, row, sink))
        self.observe_all(observed, lambda row, column: row.shown(self.stage, column.tree))
        return samples, observed

    def cold(self):
        samples = Samples()
        for _, column, row in self.turns(self.rounds, "cold"):
            samples.take(column, row, lambda: self.mounted_once(column, row, samples,
                                                                drop_caches))
        return samples, Observed()

    def mounted_once(self, column, row, samples, prepare=lambda: None):
        """A sample in a mount of its own, and one of how long that took to mount."""
        with row.shown(self.stage, column.tree) as view:
            row.before(view, column)
            prepare()
            seconds = column.measure(view)
        if view.mount and column.tree == "image":
            samples.times.setdefault(("mount", row.name), []).append(view.mount.seconds)
        return seconds

    def observe_all(self, observed, shown):
        for row in self.rows:
            self.say(f"counting requests: {row.name}")
            for column in self.columns:
                if not row.shows(column):
                    continue
                with shown(row, column) as view:
                    if view.pids:
                        observed.observe(column, row, view)


def drop_caches():
    """Fails where we may not."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError as error:
        raise Failed(f"cannot drop the kernel's caches: {error.strerror}") from None
