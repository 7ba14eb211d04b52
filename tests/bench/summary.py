# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison in a few lines of Markdown, for README: a line a row, in each cell the ratio
to the baseline, warm and freshly mounted. The baseline has its times instead."""

COLUMNS = {"start": "start-up", "import": "320 imports", "django": "django", "numpy": "numpy",
           "walk-1": "walk", "seq-read": "large read"}
CONDITIONS = ("warm", "fresh")


def lines(result):
    """Of the rows and columns that there are."""
    columns = [name for name in COLUMNS if any(name in times for times in all_times(result))]
    yield line(["", *(COLUMNS[name] for name in columns), "server"])
    yield line(["---", *("--:" for _ in columns), "--:"])
    for row in result["rows"]:
        if not row["skipped"]:
            yield line([row["title"], *(cell(result, name, row["name"]) for name in columns),
                        memory(row)])


def line(cells):
    return "| " + " | ".join(cells) + " |"


def all_times(result):
    return [result["conditions"][name]["times"] for name in CONDITIONS
            if name in result["conditions"]]


def cell(result, column, row):
    numbers = [number(times.get(column, {}).get(row), row == result["baseline"])
               for times in all_times(result)]
    return " / ".join(numbers) if set(numbers) != {"-"} else "-"


def number(found, is_baseline):
    if not found or "failed" in found:
        return "-"
    return f"{found['median_ms']:.0f} ms" if is_baseline else f"{found['ratio']:.2f}"


def memory(row):
    """After all programs, of all of its processes."""
    return f"{row['server_kib']['image'] / 1024:.0f} MiB" if "image" in row["server_kib"] else "-"
