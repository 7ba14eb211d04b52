# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison for people: per condition and kind of column one table, a line a row."""

TITLES = {"warm": "Warm: mounted and used before",
          "fresh": "Freshly mounted, the trees' pages in memory",
          "cold": "Freshly mounted, no page of anything in memory"}
NAME_WIDTH = 28
CELL_WIDTH = 18


def show(result):
    print(f"canonfs {result['canonfs']}, Python {result['python']}, Linux {result['kernel']}, "
          f"{result['cpus']} CPUs, {result['file_system']}, rounds: {result['rounds']}")
    begin, end = result["load_average"]
    print(f"The machine's load: {begin} at the start, {end} at the end; scheduler: "
          f"{result['scheduler']}")
    print("The first line has times, the others are ratios to it; of both, the median and "
          "the quartiles")
    for condition, found in result["conditions"].items():
        for group in dict.fromkeys(column["group"] for column in result["columns"]):
            columns = [column for column in result["columns"]
                       if column["group"] == group and column["name"] in found["times"]]
            if columns:
                print(f"\n{TITLES[condition]}")
                show_times(result, columns, found["times"])
    show_servers(result)
    for condition, found in result["conditions"].items():
        show_requests(result, TITLES[condition], found["requests"])
    show_missing(result)


def line(name, cells):
    print(f"  {name:{NAME_WIDTH}}" + "".join(f" {cell:>{CELL_WIDTH - 1}}" for cell in cells))


def shown_rows(result):
    return [row for row in result["rows"] if not row["skipped"]]


def show_times(result, columns, times):
    line("", [column["name"] for column in columns])
    for row in shown_rows(result):
        baseline = row["name"] == result["baseline"]
        cells = [cell_text(times[column["name"]].get(row["name"]), baseline)
                 for column in columns]
        if any(cell != "-" for cell in cells):
            line(row["title"], cells)


def cell_text(cell, baseline):
    if cell is None:
        return "-"
    if "failed" in cell:
        return "failed"
    if baseline or "ratio" not in cell:
        low, high = cell["quartiles_ms"]
        return f"{cell['median_ms']:.1f} ms {low:.0f}-{high:.0f}"
    low, high = cell["ratio_quartiles"]
    return f"{cell['ratio']:.2f} {low:.2f}-{high:.2f}"


def show_servers(result):
    print("\nWhat the rows read, what serves them, and its memory after the warm programs")
    line("", ["tree", "mounted", "from bytecode", "compiled", "after Python", "after the walk"])
    for row in shown_rows(result):
        memory = [f"{row['server_kib'][tree] / 1024:.1f} MiB" if tree in row["server_kib"]
                  else "-" for tree in ("image", "walk")]
        known = ["-" if row[word] is None else row[word]
                 for word in ("reads", "type", "from_bytecode", "compiled")]
        line(row["title"], known + memory)


def show_requests(result, title, requests):
    for column, rows in requests.items():
        print(f"\nFUSE requests of one {column}. {title}")
        for row in shown_rows(result):
            if row["name"] in rows:
                print(f"  {row['title']:{NAME_WIDTH}} {in_words(rows[row['name']])}")


def in_words(found):
    cpu = found["server_cpu_ms"]
    served = "" if cpu is None else f"{cpu:9.1f} ms of CPU"
    if found["opcodes"] is None:
        return f"{served}  (the kernel has no tracepoint fuse:fuse_request_send)"
    by_count = sorted(found["opcodes"].items(), key=lambda item: -item[1])
    words = " ".join(f"{name}:{count}" for name, count in by_count)
    return f"{found['total']:7} {served}  {words}"


def show_missing(result):
    """Of what failed in several cells of a row, the first reason."""
    reasons = {row["title"]: ["skipped", row["skipped"]]
               for row in result["rows"] if row["skipped"]}
    for condition, found in result["conditions"].items():
        for column, cells in found["times"].items():
            for name, cell in cells.items():
                if "failed" in cell:
                    reasons.setdefault(name, ["failed:", cell["failed"]])[0] += (
                        f" {column} ({condition}),")
    if reasons:
        print("\nNot measured")
    for row, (what, reason) in reasons.items():
        print(f"  {row}: {what.rstrip(',')}: {reason}")
