# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs explain says what interpreters do, and what the mount does.

The matrix: bytecode in every combination that matters of flags, times, sizes, hashes, magic
numbers, bodies, places, sources and levels of optimisation. Each interpreter imports all of
its cases from the bare tree, where the source says one thing and the bytecode another; what
it got must be what explain said of it, and what explain --ask found out.
"""
import collections
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import re
import struct
import subprocess

import pytest

from conftest import CANONFS, TOP, image, mounted, run
from pythons import WORKSHOPS, compiled, header, machine_pythons, workshop, write

SECOND = 10**9
REAL = 1_600_000_000

SOURCE = 'value = "SRC"\n'
OTHER = 'value = "PYC"\n'
assert len(SOURCE) == len(OTHER)

SCHEMA = json.loads(TOP.joinpath("cli/schema/explain.json").read_text(encoding="utf-8"))

# Prints what each module's value is, or what went wrong.
IMPORT = r'''
import json, sys
folder = sys.argv[1]
sys.path.insert(0, folder)
found = {}
for name in json.loads(sys.stdin.read()):
    try:
        found[name] = str(__import__(name).value)
    except Exception:
        error = sys.exc_info()[1]
        missing = type(error).__name__ in ("ImportError", "ModuleNotFoundError") \
            and str(error).startswith("No module named")
        found[name] = "missing" if missing else "error"
print(json.dumps(found))
'''

SOURCE_HASH = r'''
import importlib.util, json, sys
print(json.dumps(list(importlib.util.source_hash(sys.argv[1].encode()))))
'''


def explain(*arguments, check=True):
    return run(CANONFS, "explain", *arguments, check=check)


def explained(*arguments):
    """The JSON, valid by its schema, and its bytecode files by their paths."""
    import jsonschema
    report = json.loads(explain("--json", *arguments).stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return {pyc["path"]: pyc for source in report["sources"] for pyc in source["bytecode"]}


# ---- the matrix ----

# What a source's st_mtime is, in nanoseconds, and what its bytecode embeds.
TIMES = {
    "equal": (REAL * SECOND, REAL),
    "older": ((REAL - 7) * SECOND, REAL),
    "newer": ((REAL + 7) * SECOND, REAL),
    "zero": (0, REAL),
    "both-zero": (0, 0),
    "negative": (-5 * SECOND, -5),
    "2^31": (2**31 * SECOND, 2**31),
    "2^32": ((2**32 + 5) * SECOND, 5),
    "rounds-up": (REAL * SECOND + 999_999_999, REAL + 1),
    "rounds-not": (REAL * SECOND + 999_999_999, REAL),
    "part": (REAL * SECOND + 500_000_000, REAL),
}

BODIES = {
    "good": lambda body: body,
    "cut": lambda body: body[:len(body) // 2],
    "garbage": lambda body: b"Z" * len(body),
    "trailing": lambda body: body + b"more",
    "empty": lambda body: b"",
    "no-code": lambda body: b"N",
}

SIZES = {"equal": len(SOURCE), "other": len(SOURCE) + 1, "none": 0}

# own, another version's, one that nobody has, no magic at all
MAGICS = ("own", "other", "unknown", "garbage", "no-crlf", "short")

PLACES = ("cache", "legacy", "pytest", "odd", "foreign-tag")

SOURCES = ("regular", "missing", "link-in", "link-out", "dangling", "directory", "empty")


@dataclasses.dataclass(frozen=True)
class Case:
    flags: int = 0
    hash: str = "right"
    time: str = "equal"
    size: str = "equal"
    body: str = "good"
    magic: str = "own"
    place: str = "cache"
    source: str = "regular"
    level: int = 0


def cases_for(python):
    """Each once, in a fixed order."""
    flags = (0, 1, 2, 3, 4, 7, 0x80000000) if python.header_size == 16 else (0,)
    hashed = [one for one in flags if one & 1]
    timed = [one for one in flags if one in (0, 2)]
    cases = [Case(flags=one, body=body) for one, body in itertools.product(flags, BODIES)]
    cases += [Case(flags=one, time=time, size=size, body=body)
              for one, time, size, body in itertools.product(timed, TIMES, SIZES, BODIES)]
    cases += [Case(flags=one, hash=right, body=body)
              for one, right, body in itertools.product(hashed, ("right", "wrong"), BODIES)]
    cases += [Case(flags=one, magic=magic, body=body)
              for one, magic, body in itertools.product(flags[:4], MAGICS, BODIES)]
    cases += [Case(flags=one, place=place, source=source, body=body, magic=magic)
              for one, place, source, body, magic in itertools.product(
                  (0, 3, 4)[:len(flags)], PLACES, SOURCES, ("good", "cut"), ("own", "other", "garbage"))]
    cases += [Case(level=level, time=time, size=size, body=body)
              for level, time, size, body in itertools.product((1, 2), TIMES, SIZES, ("good", "cut"))]
    cases += [Case(level=level, flags=one, hash=right, place=place, source=source)
              for level, one, right, place, source in itertools.product(
                  (1, 2), flags, ("right", "wrong"), ("cache", "legacy"), ("regular", "missing"))]
    return list(dict.fromkeys(cases))


class Bench:
    """Makes an interpreter's cases in a folder of the workshop's tree."""

    def __init__(self, shop, python):
        self.shop, self.python = shop, python
        self.folder = shop.tree / python.name
        self.body = compiled(python, [OTHER])[0]
        self.hash = self.hash_of(SOURCE)
        self.paths = {}

    def hash_of(self, text):
        if self.python.header_size < 16:
            return None
        return bytes(self.python.json(SOURCE_HASH, text))

    def magic(self, case):
        other = b"\xee\x0c\r\n" if self.python.magic != b"\xee\x0c\r\n" else b"\x42\x0d\r\n"
        return {"own": self.python.magic, "other": other, "unknown": b"\x0f\x27\r\n",
                "garbage": b"\xff\xff\xff\xff", "no-crlf": self.python.magic[:2] + b"\n\n",
                "short": self.python.magic}[case.magic]

    def bytecode(self, case):
        if case.magic == "short":
            return self.python.magic + b"\0\0"
        size = 0 if case.source == "empty" else SIZES[case.size]
        head = header(self.python, TIMES[case.time][1], size, case.flags, self.magic(case))
        if case.flags & 1:
            right = self.hash if case.source != "empty" else self.hash_of("")
            head = head[:8] + (right if case.hash == "right" else bytes(8))
        return head + BODIES[case.body](self.body)

    def bytecode_path(self, case, name):
        cached = self.python.cached(str(self.folder / f"{name}.py"), case.level)
        in_cache = str(self.folder / "__pycache__" / name)
        if case.place == "legacy":
            return str(self.folder / name) + (".pyo" if case.level and not is_tagged(self.python) else ".pyc")
        if case.place == "cache":
            return cached
        return in_cache + {"pytest": ".cpython-311-pytest-7.2.1.pyc", "odd": ".pyc",
                           "foreign-tag": ".cpython-34.pyc"}[case.place]

    def make_source(self, case, name):
        path, mtime = self.folder / f"{name}.py", TIMES[case.time][0]
        inside, outside = self.folder / "real" / f"{name}.txt", self.shop.outside / f"{self.python.name}-{name}"
        if case.source in ("regular", "empty"):
            write(path, SOURCE if case.source == "regular" else "", mtime)
        elif case.source == "link-in":
            write(inside, SOURCE, mtime)
            path.symlink_to(f"real/{name}.txt")
        elif case.source == "link-out":
            write(outside, SOURCE, mtime)
            path.symlink_to(self.python.seen(outside))
        elif case.source == "dangling":
            path.symlink_to("nowhere")
        elif case.source == "directory":
            path.mkdir()

    def make(self, cases):
        self.folder.mkdir()
        for number, case in enumerate(cases):
            name = f"m{number}"
            path = self.bytecode_path(case, name)
            write(path, self.bytecode(case))
            self.make_source(case, name)
            self.paths[case] = name, path

    def imports(self, cases):
        """What importing gives, by case: SRC, PYC, error, missing."""
        found = {}
        for level in (0, 1, 2):
            names = {self.paths[case][0]: case for case in cases if case.level == level}
            done = self.python.run(IMPORT, self.python.seen(self.folder), level=level,
                                   stdin=json.dumps(list(names)))
            assert done.returncode == 0, done.stderr[-2000:]
            found.update((names[name], value) for name, value in json.loads(done.stdout).items())
        return found


def is_tagged(python):
    return python.version >= (3, 2)


def expected_import(python, case, outcome):
    """What an import gives if explain is right."""
    if outcome in ("loads", "loads-checked"):
        return ("PYC",)
    if outcome == "fails":
        return ("error",)
    if case.source == "directory" and not is_tagged(python):
        return ("error",) if outcome == "ignores" else ()  # it compiles the directory
    if case.source in ("missing", "dangling", "directory"):
        return ("missing",) if outcome == "ignores" else ()
    # An empty source has no value.
    return ("error",) if case.source == "empty" else ("SRC",)


def explain_cases(shop, python, bench):
    arguments = ["--tree", python.seen(shop.tree), "--ask", python.program]
    if shop.root:
        arguments += ["--root", shop.root]
    return explained(*arguments, *(python.seen(path) for _, path in bench.paths.values()))


def is_own(case):
    """Does the file say itself whose it is?"""
    return case.magic == "own" and case.place in ("cache", "legacy")


@pytest.mark.parametrize("name", WORKSHOPS)
def test_matrix(name, folder):
    newer = image("newer") if name == "newer" else None
    with workshop(name, folder, newer) as shop:
        for python in shop.pythons:
            cases = cases_for(python)
            bench = Bench(shop, python)
            bench.make(cases)
            said = explain_cases(shop, python, bench)
            got = bench.imports(cases)
            wrong, outcomes = [], collections.Counter()
            for case in cases:
                pyc = said[python.seen(bench.paths[case][1])]
                asked = pyc["asked"][0] if pyc["asked"] else None
                outcome = asked["expected"] if asked else pyc["bare"]["outcome"]
                outcomes[outcome] += 1
                if got[case] not in expected_import(python, case, outcome):
                    wrong.append((case, f"said {outcome}, imported {got[case]}"))
                if asked and not asked["agrees"]:
                    wrong.append((case, f"said {outcome}, asked {asked['observed']} {asked['error']}"))
                if asked and is_own(case) and pyc["bare"]["outcome"] != outcome:
                    wrong.append((case, f"bare {pyc['bare']['outcome']}, expected {outcome}"))
            print(f"{python}: {len(cases)} cases,", dict(outcomes))
            for line in wrong[:40]:
                print("  ", *line)
            assert not wrong, f"{python}: {len(wrong)} wrong"
            assert len([o for o in outcomes if outcomes[o] > 3]) >= 4
