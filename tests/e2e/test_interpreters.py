# SPDX-License-Identifier: GPL-2.0-or-later
"""Every interpreter of every image accepts the image's bytecode through the mount.

Each interpreter imports all that its image has, and python -v tells where the code came
from: bytecode wherever there is some, on the mount; the sources, on the bare image. What
cannot be imported (other platforms, missing libraries) is loaded without being executed,
through the same importlib code.

An independent count then compares, for each bytecode file of an image, the header that
the mount serves with the stat of its source as the mount shows it.

CANONFS_LONG=1 runs all views over all images; by default some views see some images.
"""
import collections
import concurrent.futures
import contextlib
import functools
import json
import os
import re
import struct
import subprocess

import pytest

from conftest import LONG, image, missing, mounted
from pythons import bound_read_only, chroot_pythons, prefix_pythons

LEVELS = (0, 1, 2)
IMAGES = ("ostree", "epoch1", "buildpacks", "pyenv", "pypy", "newer")
VIEWS = ("source", "1600000000", "embedded")
SYSTEMS = ("ostree", "epoch1", "buildpacks", "newer")

# In the short run, the interpreters that see a view; None: all.
SOME_PYENV = ("2.7", "3.6", "3.12")
SHORT = {(name, "source"): None for name in IMAGES}
SHORT.update({(name, view): None for name in ("ostree", "pypy") for view in VIEWS})
SHORT.update({("pyenv", view): SOME_PYENV for view in VIEWS[1:]})
COMBINATIONS = [(name, view) for name in IMAGES for view in VIEWS] if LONG else list(SHORT)

# Modules that act when they are imported, or that only make sense as a program.
SKIPPED = {"test", "tests", "__main__", "antigravity", "this", "idlelib", "turtledemo"}

COMPILED = re.compile(r"^# code object from '?(/.*?\.py)'?$|^import \S+ # from (/.*\.py)$", re.M)
CACHED = re.compile(r"^# code object from '?(/.*?\.pyc)'?$"
                    r"|^import \S+ # precompiled from (/.*\.py[co])$", re.M)
STALE = re.compile(r"^.*(?:bytecode is stale|has bad m).*$", re.M)

# Runs in the interpreter: one job a line, "import NAME" or "load PATH". Modules may print,
# so the report has a descriptor of its own; they may start threads, hence _exit().
WORK = r'''
import os, sys
if "" in sys.path:
    sys.path.remove("")
report = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
def load(path):
    import importlib.machinery
    importlib.machinery.SourceFileLoader("canonfs_load", path).get_code("canonfs_load")
for number, job in enumerate(sys.stdin.read().splitlines()):
    report.write("%d\n" % number)
    report.flush()
    kind, what = job.split(" ", 1)
    try:
        __import__(what) if kind == "import" else load(what)
        report.write("imported\n" if kind == "import" else "loaded\n")
    except BaseException:
        pass
report.write("done\n")
report.flush()
sys.stderr.flush()
os._exit(0)
'''


@contextlib.contextmanager
def tree_of(name, folder):
    """The image, read-only: its root, and what canonfs is to be mounted over."""
    with bound_read_only(image(name), folder / "root") as root:
        yield root, root / "usr" if name in SYSTEMS else root


@contextlib.contextmanager
def fresh_tree(name, view, folder):
    """The image with canonfs mounted over it."""
    with tree_of(name, folder) as (root, tree):
        chroot = f",root={root}" if name in SYSTEMS else ""
        with mounted(tree, tree, f"immutable,mtime={view}{chroot}"):
            yield root, tree


def pythons_in(name, root):
    found = chroot_pythons(root) if name in SYSTEMS else prefix_pythons(root)
    assert found, f"no interpreter in image {name}"
    return found


# ---- what there is to import ----

def modules_below(folder, prefix=""):
    """Names and paths of the modules in a folder of sys.path."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        stem, suffix = os.path.splitext(entry.name)
        if stem in SKIPPED or not stem.isidentifier():
            continue
        if entry.is_dir():
            yield from modules_below(entry.path, prefix + entry.name + ".")
        elif suffix == ".py":
            yield (prefix + stem).replace(".__init__", ""), entry.path


def jobs_of(python):
    """Everything to import, then every source file to load; the latter not for 2.7, which
    has no way to load without executing."""
    imports, loads = [], []
    for folder in python.about["path"]:
        if os.path.isdir(python.ours(folder)):
            imports += [f"import {name}" for name, _ in modules_below(python.ours(folder))]
            for at, _, names in os.walk(python.ours(folder)):
                loads += [f"load {python.seen(os.path.join(at, name))}"
                          for name in sorted(names) if name.endswith(".py")]
    return list(dict.fromkeys(imports)), list(dict.fromkeys(loads)) if python.version[0] > 2 else []


def work(python, level, jobs):
    """Runs the jobs, in a new process after each that ended or blocked the last one;
    returns its report and what -v printed."""
    options = ["-v"]
    if python.version >= (3, 11) and not python.is_pypy:
        options += ["-X", "frozen_modules=off"]
    report, log = [], []
    while True:
        try:
            done = python.run(WORK, options=options, level=level, stdin="\n".join(jobs), timeout=120)
            out, err = done.stdout, done.stderr
        except subprocess.TimeoutExpired as slow:
            out, err = (os.fsdecode(text or b"") for text in (slow.stdout, slow.stderr))
        report += out.split()
        log.append(err)
        if out.endswith("done\n"):
            return report, "".join(log)
        started = [int(word) for word in out.split() if word.isdigit()]
        assert started, f"{python} -O{level} does not start: {err[-2000:]}"
        jobs = jobs[started[-1] + 1:]


def paths(pattern, log):
    return {path for groups in pattern.findall(log) for path in groups if path}


class Loaded:
    """Where code came from, by what -v printed; and how many imports went well."""

    def __init__(self, python, level, jobs):
        report, log = work(python, level, jobs)
        self.imported = report.count("imported")
        self.compiled = {python.ours(path) for path in paths(COMPILED, log)}
        self.cached = {python.ours(path) for path in paths(CACHED, log)}
        self.stale = STALE.findall(log)

    def and_then(self, other):
        """What another process loaded, too."""
        self.compiled |= other.compiled
        self.cached |= other.cached
        self.stale += other.stale


def for_each(function, pythons, levels=LEVELS):
    """function(python, level) of all interpreters and levels, on all processors."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        tasks = {(python.name, level): pool.submit(function, python, level)
                 for python in pythons for level in levels}
        return {key: task.result() for key, task in tasks.items()}


# ---- what interpreters do ----

def check(tree, python, level):
    """One interpreter at one level: how many modules it imported, how many came from
    bytecode, and what is wrong."""
    imports, loads = jobs_of(python)
    loaded = Loaded(python, level, imports)
    # What an import has brought in is not loaded once more.
    rest = [job for job in loads
            if python.cached(python.ours(job.split(" ", 1)[1]), level) not in loaded.cached]
    loaded.and_then(Loaded(python, level, rest))
    wrong = list(loaded.stale)
    for path in loaded.compiled:
        if path.startswith(f"{tree}/") and os.path.exists(python.cached(path, level)):
            wrong.append(f"compiled: {path}")
    for job in loads:
        cached = python.cached(python.ours(job.split(" ", 1)[1]), level)
        if os.path.exists(cached) and cached not in loaded.cached:
            wrong.append(f"not loaded: {cached}")
    return loaded.imported, len(loaded.cached), wrong


@pytest.mark.parametrize("name, view", COMBINATIONS)
def test_all_modules_come_from_bytecode(name, view, folder):
    some = None if LONG else SHORT[name, view]
    with fresh_tree(name, view, folder) as (root, tree):
        pythons = [python for python in pythons_in(name, root)
                   if some is None or python.name.startswith(some)]
        if not pythons:
            missing(f"image {name} has none of {some}")
        results = for_each(functools.partial(check, tree), pythons)
    for (python, level), (imported, cached, _) in results.items():
        print(f"{name} mtime={view} {python} -O{level}: {imported} imported, "
              f"{cached} from bytecode")
    assert not {key: wrong[:10] for key, (_, _, wrong) in results.items() if wrong}
    assert min(imported for imported, _, _ in results.values()) > 300
    assert min(cached for _, cached, _ in results.values()) > 700


@pytest.mark.parametrize("name", IMAGES)
def test_bare_images_are_compiled(name, folder):
    """What makes the test above mean something."""
    def compiled(python, level):
        loaded = Loaded(python, level, jobs_of(python)[0][:100])
        return len(loaded.compiled), len(loaded.cached)

    with tree_of(name, folder) as (root, _):
        results = for_each(compiled, pythons_in(name, root), levels=[0])
    assert min(count for count, _ in results.values()) >= 100
    assert max(count for _, count in results.values()) == 0


# ---- the same, counted without an interpreter ----

def header_fields(data):
    """kind, mtime word and size of a header; size None where the layout has none. After
    importlib's _validate_timestamp_pyc() in the versions that the images have."""
    magic = int.from_bytes(data[:2], "little")
    if data[2:4] != b"\r\n":
        return "no magic", None, None
    if magic >= 60000:
        return "2.7", *struct.unpack("<I", data[4:8]), None
    if 3210 <= magic < 3392:
        return "3.3", *struct.unpack("<II", data[4:12])
    flags, mtime, size = struct.unpack("<III", data[4:16])
    return "hash" if flags & 1 else "3.7" if flags < 4 else "flags", mtime, size


def source_of(path):
    """The source that a bytecode file pairs with, by its name."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) != "__pycache__":
        return path[:-1]
    stem = re.sub(r"\.[^.]+(\.opt-[a-z0-9]+)?\.pyc$", "", name)
    return os.path.join(os.path.dirname(folder), stem + ".py")


def compare(path):
    """Whether a header matches its source: "matches", or why not."""
    with open(path, "rb") as file:
        kind, mtime, size = header_fields(file.read(16).ljust(16, b"\0"))
    try:
        source = os.stat(source_of(path))
    except OSError:
        return "no source"
    if kind in ("no magic", "flags", "hash"):
        return kind
    if size is not None and size != source.st_size & 0xffffffff:
        return "another size"
    seconds = int(source.st_mtime)
    if mtime != (seconds & 0xffffffff if kind == "3.7" else seconds):
        return "another time"
    return "matches"


def compare_all(tree):
    """Paths by the outcome of compare()."""
    outcomes = collections.defaultdict(list)
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith((".pyc", ".pyo")) and os.path.isfile(path):
                outcomes[compare(path)].append(path)
    return outcomes


def in_chroot(root, function, *arguments):
    """function(*arguments) in a child with another root directory, where absolute symlinks
    lead where the image's interpreters follow them to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # What is imported after chroot() would be the image's.
        with contextlib.suppress(BaseException), open(writing, "w", encoding="ascii") as pipe:
            os.chroot(root)
            os.chdir("/")
            json.dump(function(*arguments), pipe)
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="ascii") as pipe:
        result = json.load(pipe)
    os.waitpid(child, 0)
    return result


def outcomes_in(name, root, tree):
    if name in SYSTEMS:
        return in_chroot(root, compare_all, "/" + str(tree.relative_to(root)))
    return compare_all(str(tree))


@pytest.mark.parametrize("name, view", COMBINATIONS)
def test_every_header_matches(name, view, folder):
    """All of an image's bytecode but what has no source is served to be accepted."""
    with tree_of(name, folder) as (root, tree):
        bare = {kind: len(found) for kind, found in outcomes_in(name, root, tree).items()}
    with fresh_tree(name, view, folder) as (root, tree):
        outcomes = outcomes_in(name, root, tree)
    print(f"{name} mtime={view}: bare {bare}, mounted", {kind: len(found) for kind, found in outcomes.items()})
    for kind in set(outcomes) - {"matches"}:
        print(f"  {kind}:", *outcomes[kind], sep="\n    ")
    assert set(outcomes) <= {"matches", "no source"}
    assert len(outcomes["matches"]) == sum(bare.values()) - bare.get("no source", 0)
    assert len(outcomes["matches"]) > 2000
    assert bare.get("matches", 0) < 100
