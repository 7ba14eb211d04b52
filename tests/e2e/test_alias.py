# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbolic links to bytecode. A pyc is judged by the place where it lies; a reader who comes
through a link pairs it with another source, and must not be given that source's time.
"""
import concurrent.futures
import contextlib
import os
import py_compile
import shutil
import subprocess
import sys
import time

import pytest

from conftest import FRONT, mounted, mounts_at

pytestmark = pytest.mark.usefixtures("front")
VIEWS = ["mtime=source", "mtime=777", "mtime=embedded"]


def module(folder, value, compiled=False):
    """A package folder with a module m; its pyc, if any, embeds the time of its making."""
    folder.mkdir(parents=True)
    source = folder / "m.py"
    source.write_text(f"x = {value}\n")
    if compiled:
        py_compile.compile(source, doraise=True)


def link(path, target):
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def canonicalise(tree):
    """As ostree does; and old enough to be believed."""
    for where, folders, files in os.walk(tree):
        for name in files:
            os.utime(os.path.join(where, name), (0, 0), follow_symlinks=False)
    time.sleep(2.1)


def imported(folder):
    """(value of x, was the pyc used?)"""
    result = subprocess.run([sys.executable, "-B", "-S", "-v", "-c", "import m; print(m.x)"],
                            env={"PYTHONPATH": str(folder)}, text=True, capture_output=True,
                            check=True)
    return int(result.stdout), "code object from" in result.stderr and any(
        line.startswith("# code object from") and "m." in line and ".pyc'" in line
        for line in result.stderr.splitlines())


def before_links():
    """Is a's bytecode vouched for as long as nobody looked at a link? A stacked mount knows of
    all links from the beginning."""
    return FRONT["stack"] == "off"


TAG = sys.implementation.cache_tag


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Nobody changes it, so one is enough for all tests."""
    tree = tmp_path_factory.mktemp("alias") / "source"
    module(tree / "a", 1, compiled=True)
    # Another source of the same size, whose __pycache__ is a's.
    module(tree / "b", 2)
    link(tree / "b/__pycache__", "../a/__pycache__")
    # The same with a link for the file alone.
    module(tree / "c", 3)
    (tree / "c/__pycache__").mkdir()
    link(tree / f"c/__pycache__/m.{TAG}.pyc", f"../../a/__pycache__/m.{TAG}.pyc")
    # Bytecode that lies elsewhere altogether.
    module(tree / "d", 4)
    shutil.copytree(tree / "a/__pycache__", tree / "elsewhere")
    link(tree / "d/__pycache__", "../elsewhere")
    # A link farm: source and bytecode lead to the same place.
    module(tree / "store", 5, compiled=True)
    (tree / "farm/__pycache__").mkdir(parents=True)
    link(tree / "farm/m.py", "../store/m.py")
    link(tree / f"farm/__pycache__/m.{TAG}.pyc", f"../../store/__pycache__/m.{TAG}.pyc")
    canonicalise(tree)
    return tree


@pytest.mark.parametrize("mutability", ["immutable", "mutable"])
@pytest.mark.parametrize("view", VIEWS)
def test_each_reader_gets_its_own_source(tree, folder, view, mutability):
    point = folder / "point"
    point.mkdir()
    with mounted(tree, point, f"{view},{mutability}"):
        assert imported(point / "a") == (1, before_links())
        # The pages of a's pyc are in the kernel's cache now, with a header that matches.
        assert imported(point / "b")[0] == 2
        assert imported(point / "c")[0] == 3
        assert imported(point / "d")[0] == 4
        assert imported(point / "a")[0] == 1


@pytest.mark.parametrize("view", VIEWS)
def test_listing_first(tree, folder, view):
    """A listing with attributes must not show a link without the check."""
    point = folder / "point"
    point.mkdir()
    with mounted(tree, point, f"{view},immutable"):
        assert imported(point / "a") == (1, before_links())
        for name in "abcd":
            assert "m.py" in os.listdir(point / name)
            list(os.scandir(point / name))
        for name, value in [("b", 2), ("c", 3), ("d", 4), ("a", 1)]:
            assert imported(point / name)[0] == value


def test_link_farms_stay_vouched_for(tree, folder):
    point = folder / "point"
    point.mkdir()
    with mounted(tree, point, "immutable"):
        assert imported(point / "farm") == (5, True)
        assert imported(point / "store") == (5, True)
        assert imported(point / "farm") == (5, True)


def test_sources_of_the_time_in_the_bytecode(tree, folder):
    """The view's time is the one that the other's bytecode embeds."""
    embedded = int.from_bytes(
        (tree / f"a/__pycache__/m.{TAG}.pyc").read_bytes()[8:12], "little")
    point = folder / "point"
    point.mkdir()
    with mounted(tree, point, f"mtime={embedded},immutable"):
        assert imported(point / "a") == (1, before_links())
        for name, value in [("b", 2), ("c", 3), ("d", 4), ("a", 1)]:
            assert imported(point / name)[0] == value


MANY = 40


@pytest.fixture
def linked(folder):
    """One bytecode file, and many sources that a link pairs it with."""
    tree = folder / "source"
    module(tree / "a", 1, compiled=True)
    for number in range(MANY):
        module(tree / f"l{number}", 2 + number % 7)
        link(tree / f"l{number}/__pycache__", "../a/__pycache__")
    canonicalise(tree)
    (folder / "point").mkdir()
    return folder


def looked_at(point, number):
    """Is the link there? None: the mount ended."""
    with contextlib.suppress(OSError):
        return (point / f"l{number % MANY}/__pycache__").is_symlink()
    return None


def test_many_links_at_once(linked):
    """They are answered one by one; each is, and by then nothing is vouched for any more."""
    point = linked / "point"
    with mounted(linked / "source", point, "immutable"):
        assert imported(point / "a") == (1, before_links())
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            looks = pool.map(lambda number: looked_at(point, number), range(4 * MANY))
            values = pool.map(lambda number: imported(point / f"l{number}")[0], range(8))
            assert list(values) == [2 + number % 7 for number in range(8)]
            assert set(looks) == {True}
        assert imported(point / "a") == (1, False)


@pytest.mark.parametrize("end", ["-f", "-l"], ids=["aborted", "lazily"])
def test_ends_while_links_wait(linked, end):
    """Whoever waits is answered, and the server ends: mounted() sees to that."""
    point = linked / "point"
    with mounted(linked / "source", point, "immutable") as mount:
        assert imported(point / "a") == (1, before_links())
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            looks = pool.map(lambda number: looked_at(point, number), range(4 * MANY))
            # -f ends the connection and then, the mount being in use, fails.
            subprocess.run(["umount", end, mount], check=end == "-l", capture_output=True)
            assert len(list(looks)) == 4 * MANY
        # Something for mounted() to unmount.
        if not mounts_at(mount):
            subprocess.run(["mount", "-t", "tmpfs", "none", mount], check=True)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("mutability", ["mutable"])
def test_a_source_is_a_link_no_more(folder, view, mutability):
    """What a link to bytecode leads to was right when the link was looked up."""
    tree, point = folder / "tree", folder / "point"
    point.mkdir()
    module(tree / "store", 5, compiled=True)
    link(tree / "farm/m.py", "../store/m.py")
    link(tree / f"farm/__pycache__/m.{TAG}.pyc", f"../../store/__pycache__/m.{TAG}.pyc")
    link(tree / "other/m.py", "../store/m.py")
    link(tree / "other/__pycache__", "../store/__pycache__")
    canonicalise(tree)
    with mounted(tree, point, f"{view},{mutability}"):
        for name in ("farm", "other", "store"):
            assert imported(point / name) == (5, True)
        for name in ("farm", "other"):
            (tree / "new").write_text("x = 6\n")
            os.utime(tree / "new", (0, 0))
            os.replace(tree / "new", tree / name / "m.py")
        time.sleep(1.3)
        for name, value in [("farm", 6), ("other", 6), ("store", 5)]:
            assert imported(point / name)[0] == value
