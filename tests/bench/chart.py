# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison as a bar chart, in SVG: a panel for each column, a bar for each row and
condition, as long as the row's ratio to the baseline. A whisker spans the quartiles.

Written by hand: it needs no package, and the same numbers give the same bytes.
"""
from xml.sax.saxutils import escape

COLOURS = {"warm": "#0b6e99", "fresh": "#e09f3e", "cold": "#9aa5ad"}
LABELS = {"warm": "warm", "fresh": "freshly mounted", "cold": "page cache cold"}
SHOWN = ("start", "import", "django", "walk-1", "seq-read")
NAMES, BARS, BAR, GAP, HEAD, MARGIN = 220, 300, 7, 7, 42, 16
LONGEST = 6.0  # ratios beyond are cut; their number still stands beside the bar


def write(result, path):
    titles = {column["name"]: column["title"] for column in result["columns"]}
    columns = [name for name in SHOWN if name in titles] or list(titles)
    parts, y = [], HEAD + MARGIN
    for column in columns:
        panel, y = draw_panel(result, column, titles[column], y)
        parts += panel
    width = NAMES + BARS + 90
    path.write_text("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" '
        f'viewBox="0 0 {width} {y}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{y}" fill="white"/>',
        *draw_head(result), *parts, "</svg>", ""]))


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def bar(x, y, width, colour, height=BAR):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def draw_head(result):
    yield text(MARGIN, MARGIN + 4, "Time against the bare tree with its times as installed "
               "(1.00); shorter is better", 'font-weight="bold"')
    x = MARGIN
    for condition in result["conditions"]:
        yield bar(x, MARGIN + 14, 12, COLOURS[condition], 10)
        yield text(x + 17, MARGIN + 23, LABELS[condition])
        x += 140


def draw_panel(result, column, title, y):
    """The SVG elements, and where the next panel starts."""
    cells = {condition: found["times"].get(column, {})
             for condition, found in result["conditions"].items()}
    rows = [row for row in result["rows"]
            if any("ratio" in cell.get(row["name"], {}) for cell in cells.values())]
    longest = min(LONGEST, max((cell[row["name"]]["ratio_quartiles"][1] for row in rows
                                for cell in cells.values()
                                if "ratio" in cell.get(row["name"], {})), default=1))
    scale = BARS / max(longest, 1)
    parts = [text(MARGIN, y + 18, title, 'font-weight="bold"')]
    top = y = y + 28
    for row in rows:
        weight = "bold" if row["name"].startswith("canonfs") else "normal"
        parts.append(text(NAMES - 8, y + BAR * len(cells) / 2 + 4, row["title"],
                          f'text-anchor="end" font-weight="{weight}"'))
        for condition, cell in cells.items():
            if "ratio" in cell.get(row["name"], {}):
                parts += draw_bar(cell[row["name"]], y, scale, COLOURS[condition])
            y += BAR
        y += GAP
    parts.append(f'<line x1="{NAMES + scale:.1f}" x2="{NAMES + scale:.1f}" y1="{top - 3}" '
                 f'y2="{y - GAP + 3}" stroke="black" stroke-dasharray="3 2"/>')
    return parts, y + MARGIN


def draw_bar(cell, y, scale, colour):
    ratio = cell["ratio"]
    low, high = (min(at, LONGEST) * scale for at in cell["ratio_quartiles"])
    end = min(ratio, LONGEST) * scale
    middle = y + BAR / 2
    yield bar(NAMES, y, end, colour, BAR - 1)
    yield (f'<line x1="{NAMES + low:.1f}" x2="{NAMES + high:.1f}" y1="{middle:.1f}" '
           f'y2="{middle:.1f}" stroke="black"/>')
    yield text(NAMES + max(end, high) + 4, y + BAR, f"{ratio:.2f}", 'font-size="8"')
