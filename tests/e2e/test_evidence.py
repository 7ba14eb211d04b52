# SPDX-License-Identifier: GPL-2.0-or-later
"""How images are made, and what is vouched for in each without any option: a time that a
tool set on a source and its bytecode, and nothing else that looks like one.

Each tree is made as the tool makes it. Which code ran shows in a module's value: the source
says "new", and where a release was replaced, its bytecode says "old". Bytecode of the very
source says "new" too; then the bare tree compiles it, and the counts tell.
"""
import contextlib
import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

import jsonschema
import pytest

from conftest import CANONFS, TOP, missing, mounted, run
from control import status_of

COUNT = 48
MADE = 1_700_000_000     # when the packages were; each file has a time of its own
SHARED = 1_650_000_000   # what a tool sets: not canonical by itself
LATER = 1_750_000_000
CLAMP = MADE + 97 * (COUNT // 2)

IMPORT = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
print(json.dumps(sorted({importlib.import_module(name).value for name in sys.argv[2:]})))
"""


# ---- trees ----

def sources(tree):
    return sorted(tree.rglob("*.py"))


def write_sources(tree, value, mtime=lambda i: MADE + 97 * i, count=COUNT, folders=4):
    """Modules that are all of one size."""
    for i in range(count):
        path = tree / f"p{i % folders}" / f"m{i}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f'value = "{value}"\nnumber = 0x{i:05}\n')
        os.utime(path, (mtime(i), mtime(i)))


def compile_all(tree):
    """As a start of the program, or an installer, leaves bytecode."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", tree], check=True)


def packaged(tree, **kinds):
    """Sources and their bytecode as they were packaged."""
    write_sources(tree, "new", **kinds)
    compile_all(tree)


def set_all(tree, mtime, pattern="*"):
    """As touch does, for every file."""
    for path in tree.rglob(pattern):
        os.utime(path, (mtime, mtime))


def clamp_all(tree, mtime):
    """SOURCE_DATE_EPOCH: what is older keeps its time."""
    for path in tree.rglob("*"):
        if path.stat().st_mtime > mtime:
            os.utime(path, (mtime, mtime))


def unpack_release(tree, value, mtime):
    """A tar, in which all files have one time, over what is there."""
    archive = io.BytesIO()
    made = tree.with_name("release")
    write_sources(made, value)
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sources(made):
            info = tar.gettarinfo(path, path.relative_to(made))
            info.mtime = mtime
            tar.addfile(info, io.BytesIO(path.read_bytes()))
    shutil.rmtree(made)
    archive.seek(0)
    tree.mkdir(exist_ok=True)
    with tarfile.open(fileobj=archive) as tar:
        tar.extractall(tree)


def canonical(mtime):
    def make(tree):
        packaged(tree)
        set_all(tree, mtime)
    return make


def one_directory(tree):
    packaged(tree, count=300, folders=1)
    set_all(tree, SHARED)


def clamped_layer(tree):
    """buildkit: the base is as it was, the layer on top of it is clamped."""
    for name in ("base", "app"):
        packaged(tree / name)
        for path in (tree / name).rglob("*.py"):
            path.rename(path.with_name(f"{name}_{path.name}"))
        for path in (tree / name).glob("*/__pycache__"):
            shutil.rmtree(path)
        compile_all(tree / name)
    clamp_all(tree / "app", CLAMP)


def clamped_packages(tree):
    """rpm: each package to the time of its own changelog."""
    packaged(tree)
    for i, source in enumerate(sources(tree)):
        for path in (source, *source.parent.glob(f"__pycache__/{source.stem}.*")):
            mtime = min(int(path.stat().st_mtime), SHARED + i % 3)
            os.utime(path, (mtime, mtime))


def set_twice(tree):
    """nix2container: bytecode that embeds 0, and 1 everywhere."""
    write_sources(tree, "new", lambda i: 0)
    compile_all(tree)
    set_all(tree, 1)


def rolled_back(tree):
    """A release, run; its successor, run; and the first one again."""
    for value, mtime in (("new", SHARED), ("old", MADE), ("new", SHARED)):
        unpack_release(tree, value, mtime)
        if value == "old":
            compile_all(tree)


def archive_over_checkout(tree):
    """git archive over a checkout that was pulled and run for months."""
    write_sources(tree, "old")
    compile_all(tree)
    unpack_release(tree, "new", SHARED)


def other_zone(tree):
    """unzip: local time in steps of two seconds, here two hours behind."""
    packaged(tree)
    for path in tree.rglob("*"):
        mtime = int(path.stat().st_mtime) // 2 * 2 - 7200
        os.utime(path, (mtime, mtime))


def zip_rounded(tree):
    packaged(tree)
    for path in tree.rglob("*"):
        mtime = int(path.stat().st_mtime) // 2 * 2
        os.utime(path, (mtime, mtime))


def copied(*command):
    def make(tree):
        made = tree.with_name("made")
        packaged(made)
        subprocess.run([*command, f"{made}/.", tree], check=True)
    return make


def copied_in_whole_seconds(tree):
    """... into a squashfs, which keeps no more."""
    packaged(tree)
    set_all(tree, LATER)


def edited(tree):
    write_sources(tree, "old")
    compile_all(tree)
    for path in sources(tree):
        path.write_text(path.read_text().replace("old", "new"))


def only_sources(tree):
    packaged(tree)
    set_all(tree, SHARED, "*.py")


@dataclasses.dataclass
class Way:
    """A way to make an image.

    evidence  what the vouching rests on, of how many files
    times     rows of check --json that must be there: (option, look, files)
    mutable   what is vouched for where the source can change
    """
    make: object
    evidence: dict
    times: tuple = ()
    mutable: dict = dataclasses.field(default_factory=dict)

    @property
    def vouched(self):
        return sum(self.evidence.values())


ALL = {"constant": COUNT}
WAYS = {
    "ostree": Way(canonical(0), ALL, mutable=ALL),
    "nix": Way(canonical(1), ALL, mutable=ALL),
    "buildpacks": Way(canonical(315532801), ALL, mutable=ALL),
    "kaniko --reproducible": Way(canonical(0), ALL, mutable=ALL),
    "nix2container": Way(set_twice, ALL, mutable=ALL),
    "touch, tar --mtime, buildah --timestamp": Way(canonical(SHARED), {"pair": COUNT}),
    "300 modules in one directory": Way(one_directory, {"pair": 300}),
    "buildkit, a clamped layer": Way(clamped_layer, {"pair": COUNT // 2 - 1}),
    "rpm, clamped packages": Way(clamped_packages, {"pair": COUNT}),
    "tar over tar, rolled back": Way(rolled_back, {}, ((f"canonical={SHARED}", None, COUNT),)),
    "git archive over a checkout": Way(archive_over_checkout, {},
                                       ((f"canonical={SHARED}", None, COUNT),)),
    "zip, in another time zone": Way(other_zone, {}, ((None, "shifted", COUNT),)),
    "zip": Way(zip_rounded, {}, ((None, "rounded", COUNT // 2),)),
    "cp -r": Way(copied("cp", "-r"), {}, ((None, "later", COUNT),)),
    "rsync without -t": Way(copied("rsync", "-r"), {}, ((None, "later", COUNT),)),
    "cp -r, whole seconds": Way(copied_in_whole_seconds, {},
                                ((f"trust=size,canonical={LATER}", None, COUNT),)),
    "all files edited": Way(edited, {}, ((None, "later", COUNT),)),
    "only sources were touched": Way(only_sources, {}, ((f"canonical={SHARED}", None, COUNT),)),
}


@pytest.fixture(params=WAYS)
def made(request, folder):
    """A way, and a tree that was made so."""
    way = WAYS[request.param]
    tree = folder / "tree"
    if "rsync" in request.param and not shutil.which("rsync"):
        missing("rsync is not installed")
    way.make(tree)
    return way, tree


def report(*words):
    done = run(CANONFS, "check", "--json", *words, check=False)
    answer = json.loads(done.stdout)
    jsonschema.validate(answer, json.loads((TOP / "cli/schema/check.json").read_text()))
    return answer


def nonzero(counts):
    return {name: count for name, count in counts.items() if count}


def stale(tree, *options):
    return report(*options, tree)["bytecode"]["stale"]


def imported(tree):
    """The values of all modules, as Python finds them there."""
    found = set()
    for folder in {path.parent for path in sources(tree)}:
        modules = [path.stem for path in folder.glob("*.py")]
        done = subprocess.run([sys.executable, "-B", "-c", IMPORT, folder, *modules],
                              check=True, text=True, capture_output=True)
        found |= set(json.loads(done.stdout))
    return found


def check_status(point, way, front):
    """A stacked mount counted the files. A passthrough counts the headers that were read: all of
    them, and again where the kernel had dropped their pages."""
    status = status_of(point)
    evidence = nonzero(status["evidence"])
    times = {row["seconds"]: row["files"] for row in status["tree_times"]}
    assert sum(times.values()) == evidence.get("pair", 0)
    if front == "stacked":
        assert evidence == way.evidence
    assert evidence.keys() == way.evidence.keys()
    assert all(evidence[kind] >= count for kind, count in way.evidence.items())
    return status


# ---- what is vouched for ----

def test_check_says_what_it_rests_on(made):
    way, tree = made
    answer = report("-o", "immutable", tree)
    assert nonzero(answer["evidence"]) == way.evidence
    assert answer["bytecode"]["helped"] == way.vouched
    rows = [(row["option"], row["look"], row["files"]) for row in answer["times"]]
    assert set(way.times) <= set(rows)
    assert nonzero(report("-o", "mutable", tree)["evidence"]) == way.mutable


def test_the_option_that_is_named_covers_as_many(made):
    way, tree = made
    for option, _, files in way.times:
        if option:
            assert report("-o", f"immutable,{option}", tree)["bytecode"]["helped"] == files
    for row in report("-o", "mutable", tree)["times"]:
        if row["option"]:
            more = report("-o", f"mutable,{row['option']}".replace("mutable,immutable", "immutable"),
                          tree)["bytecode"]["helped"]
            assert more == sum(way.mutable.values()) + row["files"]


@pytest.mark.usefixtures("front")
def test_a_mount_runs_the_source_s_code(made, folder):
    way, tree = made
    bare = stale(tree)
    point = folder / "point"
    point.mkdir()
    with mounted(tree, point, "immutable"):
        assert imported(point) == {"new"}
        assert stale(point) == bare - way.vouched


def test_status_says_what_it_rests_on(made, folder, front):
    way, tree = made
    point = folder / "point"
    point.mkdir()
    with mounted(tree, point, "immutable"):
        imported(point)
        status = check_status(point, way, front)
        shown = run(CANONFS, "status", point).stdout
    line, = [line for line in shown.splitlines() if line.startswith("  evidence")]
    assert all(f"{kind} " in line for kind in way.evidence)
    assert all(f"{row['seconds']}: " in line for row in status["tree_times"])


def test_verbose(folder):
    """A stacked mount says it when it has looked at all files."""
    tree, point = folder / "tree", folder / "point"
    point.mkdir()
    canonical(SHARED)(tree)
    said = run(CANONFS, tree, point, "-v", "-o", "immutable,stack=on").stderr
    try:
        assert f"pair {COUNT} ({SHARED}: {COUNT})" in said
    finally:
        run("umount", point)


@contextlib.contextmanager
def in_squashfs(tree):
    """The tree as an image shows it: it cannot change, and has whole seconds."""
    if not shutil.which("mksquashfs"):
        missing("mksquashfs is not installed")
    file, shown = tree.with_name("image"), tree.with_name("shown")
    shown.mkdir()
    run("mksquashfs", tree, file, "-quiet", "-no-progress")
    run("mount", "-o", "loop,ro", file, shown)
    try:
        yield shown
    finally:
        run("umount", "-l", shown)


@pytest.mark.parametrize("name", ["300 modules in one directory", "buildkit, a clamped layer",
                                  "tar over tar, rolled back", "git archive over a checkout"])
def test_an_image_needs_no_option(name, folder, front):
    way, tree, point = WAYS[name], folder / "tree", folder / "point"
    point.mkdir()
    way.make(tree)
    with in_squashfs(tree) as shown:
        bare = stale(shown)
        assert nonzero(report(shown)["evidence"]) == way.evidence
        with mounted(shown, point):
            assert imported(point) == {"new"}
            assert stale(point) == bare - way.vouched
            check_status(point, way, front)


# ---- the answer depends on the file alone ----

def test_one_file_is_enough(folder):
    """Neither the number of files, nor their names, nor what else is there matters."""
    tree = folder / "tree"
    edited(tree)
    packaged(tree / "z/deep", count=1)
    set_all(tree / "z", SHARED)
    answer = report("-o", "immutable", tree)
    assert nonzero(answer["evidence"]) == {"pair": 1}


def test_text(folder):
    """The rows are there for people, too, and only what several files share."""
    tree = folder / "tree"
    only_sources(tree)
    text = run(CANONFS, "check", tree, check=False).stdout
    row, = [line for line in text.splitlines() if f"-o canonical={SHARED}" in line]
    assert row.split()[0] == str(COUNT)
    assert "(2022-04-15 05:20:00 UTC)" in row
    shutil.rmtree(tree)
    other_zone(tree)
    text = run(CANONFS, "check", tree, check=False).stdout
    assert "in another time zone (-2.00 h)" in text and "a proof only" in text
    assert "canonical=" not in text
    shutil.rmtree(tree)
    canonical(SHARED)(tree)
    text = run(CANONFS, "check", "-o", "mutable", tree, check=False).stdout
    assert f"  {COUNT}  -o immutable" in text


def test_explain_names_the_same(folder):
    tree = folder / "tree"
    canonical(SHARED)(tree)
    def said(source):
        return run(CANONFS, "explain", "--tree", tree, source).stdout
    assert f"canonfs {tree} {tree} -o immutable" in said(tree / "p0/m0.py")
    shutil.rmtree(tree)
    other_zone(tree)
    assert "looks like the embedded one in another" in " ".join(said(tree / "p0/m0.py").split())
