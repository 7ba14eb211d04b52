# SPDX-License-Identifier: GPL-2.0-or-later
"""What a comparison found, as result.schema.json says: made from samples, and looked up by
the table and the chart.

A ratio is the median over the rounds of a row's time over the baseline's in the same round:
a round that fell on a busy moment of the machine was busy for both.
"""
from harness import quartiles
from rows import BASELINE

FORMAT = 1


def in_ms(seconds):
    return round(1000 * seconds, 3)


def cell(times, base):
    """Of one row in one column."""
    low, median, high = quartiles(times)
    found = {"median_ms": in_ms(median), "quartiles_ms": [in_ms(low), in_ms(high)],
             "samples_ms": [in_ms(time) for time in times]}
    if base:
        low, ratio, high = quartiles([ours / theirs for ours, theirs in zip(times, base)])
        found |= {"ratio": round(ratio, 4), "ratio_quartiles": [round(low, 4), round(high, 4)]}
    return found


def times_of(samples):
    """{column: {row: cell}}"""
    found = {}
    for (column, row), times in samples.times.items():
        base = samples.times.get((column, BASELINE))
        found.setdefault(column, {})[row] = cell(times, base)
    for (column, row), reason in samples.failures.items():
        found.setdefault(column, {})[row] = {"failed": reason}
    return found


def requests_of(observed):
    """{column: {row: requests by opcode and the server's time, of one measurement}}"""
    found = {}
    for (column, row), counts in observed.requests.items():
        cpu = observed.cpu_s[column, row]
        found.setdefault(column, {})[row] = {
            "opcodes": counts,
            "total": None if counts is None else sum(counts.values()),
            "server_cpu_ms": None if cpu is None else in_ms(cpu)}
    return found
