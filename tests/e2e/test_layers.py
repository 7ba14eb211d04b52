# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of layers that were all set to one time: a source of a later layer than its bytecode
was replaced after it was compiled, which no time tells.

Bytecode says "pyc", the source beside it "src", in as many bytes: a module's value tells what
Python ran. tests/unit/test_layers.c has the cases of which layer a file is from.
"""
import json
import os
import subprocess
import sys

import pytest

from conftest import CANONFS, mounted, run, wait_until

MADE = 1_700_000_000    # when bytecode was compiled
SHARED = 1_650_000_000  # SOURCE_DATE_EPOCH: what all layers were set to

IMPORT = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
print(json.dumps({name: importlib.import_module(name).value for name in sys.argv[2:]}))
"""

# What runs, by module. All but one may be what its layer's author compiled.
EXPECTED = {"replaced": "src", "same": "pyc", "above": "pyc", "updated": "pyc"}
REASON = "later-layer"


def write(layer, name, value):
    layer.joinpath("p").mkdir(parents=True, exist_ok=True)
    layer.joinpath("p", f"{name}.py").write_text(f'value = "{value}"\n')


def compile_in(layer, *names):
    """Bytecode that says "pyc", as if compiled from the source that lies in the layer."""
    for name in names:
        write(layer, name, "pyc")
        path = layer / "p" / f"{name}.py"
        os.utime(path, (MADE, MADE))
        run(sys.executable, "-m", "compileall", "-q", path)


def make_layers(lower, upper):
    compile_in(lower, "replaced", "same", "updated", "again")
    compile_in(upper, "above", "updated")
    upper.joinpath("p/above.py").unlink()
    for name in ("replaced", "same", "above", "updated"):
        write(lower, name, "src")
    for name in ("replaced", "updated"):
        write(upper, name, "src")
    write(upper, "again", "pyc")


def set_all(layer, mtime):
    for path in layer.rglob("*"):
        os.utime(path, (mtime, mtime))


def as_an_engine_has_them(disk):
    return [disk / "overlay2" / f"{number:064x}" / "diff" for number in range(2)]


def as_directories(disk):
    return [disk / "lower", disk / "upper"]


def read_only(disk):
    run("mount", "-o", "remount,ro", disk)


# Where the layers are, what is done to them, and mount options.
KINDS = {
    "engine": (as_an_engine_has_them, None, ""),
    "read-only": (as_directories, read_only, ""),
    "said": (as_directories, None, "immutable"),
}


@pytest.fixture(params=[(kind, mtime) for kind in KINDS for mtime in (0, 315532800, SHARED)],
                ids=lambda value: f"{value[0]}-{value[1]}")
def image(request, folder):
    """The overlay, and the options that say that it never changes."""
    kind, mtime = request.param
    place, finish, options = KINDS[kind]
    disk = folder / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", disk)
    layers = place(disk)
    make_layers(*layers)
    for layer in layers:
        set_all(layer, mtime)
    if finish:
        finish(disk)
    merged = folder / "merged"
    merged.mkdir()
    run("mount", "-t", "overlay", "-o", f"ro,lowerdir={layers[1]}:{layers[0]}", "none", merged)
    yield merged, options
    run("umount", merged)
    run("umount", disk)


def two_directories(disk):
    """Layers on a file system of their own, the lower one first, all at time 0."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", disk)
    layers = as_directories(disk)
    make_layers(*layers)
    for layer in layers:
        set_all(layer, 0)
    return layers


def imported(tree):
    done = subprocess.run([sys.executable, "-B", "-c", IMPORT, tree / "p", *EXPECTED], check=True,
                          text=True, capture_output=True)
    return json.loads(done.stdout)


def mtime_word(path):
    return int(path.stat().st_mtime).to_bytes(4, "little")


def reason_of(module, tree, options):
    pyc, = tree.glob(f"p/__pycache__/{module}.*.pyc")
    words = ["-o", options] if options else []
    report = json.loads(run(CANONFS, "explain", "--json", *words, pyc, check=False).stdout)
    return report["sources"][0]["bytecode"][0]["canonfs"]["reason"]


@pytest.mark.parametrize("view", ["source", "embedded", "1234567890"])
def test_what_runs(image, folder, front, view):
    merged, options = image
    point = folder / "point"
    point.mkdir()
    with mounted(merged, point, f"{options},mtime={view}"):
        assert imported(point) == EXPECTED
        assert imported(point) == EXPECTED


@pytest.mark.parametrize("view", ["source", "embedded"])
def test_a_layer_that_is_written_to(folder, view):
    """A container's root: what replaced the source lies in its upper layer."""
    disk, merged, point = (folder / name for name in ("disk", "merged", "point"))
    for path in (disk, merged, point):
        path.mkdir()
    lower, upper = two_directories(disk)
    disk.joinpath("work").mkdir()
    run("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={disk}/work",
        "none", merged)
    with mounted(merged, point, f"mtime={view}"):
        assert imported(point) == EXPECTED
        write(merged, "same", "SRC")
        os.utime(merged / "p/same.py", (0, 0))
        assert wait_until(lambda: imported(point) == EXPECTED | {"same": "SRC"})
    run("umount", merged)
    run("umount", disk)


def test_layers_that_are_not_known(folder):
    """Relative names, as podman gives them, and layers that others were mounted over."""
    disk, merged = folder / "disk", folder / "merged"
    disk.mkdir()
    merged.mkdir()
    lower, upper = two_directories(disk)
    run("mount", "-t", "overlay", "-o", "ro,lowerdir=upper:lower", "none", merged, cwd=disk)
    assert reason_of("replaced", merged, "") == "canonical"
    run("umount", merged)
    run("mount", "-t", "overlay", "-o", f"ro,lowerdir={upper}:{lower}", "none", merged)
    assert reason_of("replaced", merged, "") == REASON
    run("mount", "-t", "tmpfs", "none", upper)
    assert reason_of("replaced", merged, "") == "canonical"
    run("umount", upper)
    run("umount", merged)
    run("umount", disk)


@pytest.mark.usefixtures("front")
def test_layers_are_not_kept_busy(folder):
    """The mount that a layer is on can be unmounted, as without canonfs."""
    disk, merged, point = (folder / name for name in ("disk", "merged", "point"))
    for path in (disk, merged, point):
        path.mkdir()
    lower, upper = two_directories(disk)
    run("mount", "-t", "overlay", "-o", f"ro,lowerdir={upper}:{lower}", "none", merged)
    with mounted(merged, point, "immutable"):
        run("umount", disk)
        assert imported(point) == EXPECTED
    run("umount", merged)


def test_a_part_of_the_overlay(image, folder, front):
    """A bind mount of a directory of it, as a volume is."""
    merged, options = image
    part, point = folder / "part", folder / "point"
    part.mkdir()
    point.mkdir()
    run("mount", "--bind", merged / "p", part)
    with mounted(part, point, options):
        done = run(sys.executable, "-B", "-c", IMPORT, point, *EXPECTED)
        assert json.loads(done.stdout) == EXPECTED
    run("umount", part)


def test_the_commands_say_so(image):
    merged, options = image
    words = ["-o", options] if options else []
    report = json.loads(run(CANONFS, "check", "--json", *words, merged, check=False).stdout)
    assert report["reasons"][REASON] == 2
    assert report["verdicts"]["restamped"] == 3
    assert reason_of("replaced", merged, options) == REASON
    assert reason_of("updated", merged, options).startswith("canonical")
    pyc, = merged.glob("p/__pycache__/replaced.*.pyc")
    text = run(CANONFS, "explain", *words, pyc, check=False).stdout
    assert "the source file is from a later layer of the image" in " ".join(text.split())


def test_a_proof_counts_more(image, folder, front):
    """The source was replaced by one that compiles to the same code."""
    merged, options = image
    cache, point = folder / "cache", folder / "point"
    cache.mkdir(mode=0o700)
    point.mkdir()
    options = ",".join(filter(None, [options, f"cache={cache}/cache.db"]))
    verify = [CANONFS, "verify", "--cache", cache / "cache.db", "--python", sys.executable]
    assert reason_of("again", merged, options) == REASON
    pyc, = merged.glob("p/__pycache__/again.*.pyc")
    run(*verify, pyc)
    assert reason_of("again", merged, options) == "proved"
    with mounted(merged, point, options):
        pyc, = point.glob("p/__pycache__/again.*.pyc")
        assert pyc.read_bytes()[8:12] == mtime_word(point / "p/again.py")
        pyc, = point.glob("p/__pycache__/replaced.*.pyc")
        assert pyc.read_bytes()[8:12] != mtime_word(point / "p/replaced.py")
    run(*verify, merged, check=False)
    assert reason_of("replaced", merged, options) == "disproved"
