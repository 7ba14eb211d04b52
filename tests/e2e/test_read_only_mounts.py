# SPDX-License-Identifier: GPL-2.0-or-later
"""A read-only mount of what others write: a bind mount into a container, a Nix store, a volume
that git-sync or a kubelet fills. It may change, so it is shown as it is now.

Each change happens while the mount has been read already. Then each import is a process of its
own, as the one that a service makes when it starts again.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from conftest import CANONFS, mounted, run, servers, wait_until

IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import module; print(module.value)"
OLD, NEW, NEWER = "1", "2", "3"
SEEN_S = 30         # a second is what is promised, but the machine may be busy
KEPT_S = 2.2        # cache/tree/identity.h: what is older is remembered

# stack=auto must come to the same passthrough.
OPTIONS = ("stack=off", "stack=off,mtime=embedded", "stack=off,mtime=1", "stack=off,mtime=1600000000",
           "stack=auto", "stack=auto,mtime=embedded")


def compile_in(folder):
    run(sys.executable, "-m", "compileall", "-qf", folder)


def write_module(folder, value, mtime=None, bytecode=True):
    """A module of always the same size. mtime: is set after it was compiled. Each value has
    a time of its own: two within one second would be one for Python, on any tree."""
    folder.mkdir(parents=True, exist_ok=True)
    source, made = folder / "module.py", 1_500_000_000 + int(value)
    source.with_suffix(".new").write_text(f"value = {value}\n")
    os.utime(source.with_suffix(".new"), (made, made))
    os.replace(source.with_suffix(".new"), source)
    if bytecode:
        compile_in(folder)
    if mtime is not None:
        os.utime(source, (mtime, mtime))


def imported(folder):
    """What an interpreter imports: its value, or the last line of what went wrong."""
    done = subprocess.run([sys.executable, "-BIc", IMPORT, folder], text=True, capture_output=True)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def told(point):
    return json.loads(run(CANONFS, "status", "--json", point).stdout)["mounts"][0]["status"]


@pytest.fixture(params=OPTIONS)
def options(request):
    return request.param


@contextlib.contextmanager
def shown(folder, options):
    """folder/tree through a read-only bind mount and a mount of ours. Return: its point."""
    bound, point = folder / "bound", folder / "point"
    bound.mkdir()
    point.mkdir()
    run("mount", "--bind", folder / "tree", bound)
    run("mount", "-o", "remount,bind,ro", bound)
    try:
        with mounted(bound, point, options):
            status = told(point)
            assert status["mode"] == "passthrough"
            assert (status["immutable"], status["immutable_reason"]) == (False, "read-only-mount")
            yield point
    finally:
        run("umount", bound)


def becomes(folder, value, meanwhile=(OLD,)):
    """Imports until the new value comes. Until then there is an old one, and nothing fails."""
    answers = []

    def has_come():
        answers.append(imported(folder))
        return answers[-1] == value

    assert wait_until(has_come, SEEN_S), answers[-1]
    assert set(answers) <= {value, *meanwhile}
    assert imported(folder) == value, "and it stays"


def known(folder):
    """Reads it in all ways that leave something in a cache."""
    for _ in range(2):
        assert imported(folder) == OLD
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lstat(os.path.join(path, name))
        for name in files:
            pathlib.Path(path, name).read_bytes()


@pytest.mark.parametrize("bytecode", [True, False], ids=["recompiled", "source alone"])
@pytest.mark.parametrize("way", ["replaced", "written over"])
def test_new_code_of_the_same_size(folder, options, way, bytecode):
    """docker run -v tree:/app:ro"""
    package = folder / "tree/package"
    write_module(package, OLD, 0)
    with shown(folder, options) as point:
        known(point / "package")
        time.sleep(KEPT_S)
        known(point / "package")
        if way == "replaced":
            write_module(package, NEW, bytecode=bytecode)
        else:
            package.joinpath("module.py").write_text(f"value = {NEW}\n")
            if bytecode:
                compile_in(package)
        becomes(point / "package", NEW)


def test_a_store_path_goes_and_comes_back(folder, options):
    """nix-collect-garbage, then the same path is built anew: its times are 1 as before."""
    store, path = folder / "tree", folder / "tree/abc-module"
    write_module(path, OLD, 1)
    write_module(store / "def-other", OLD, 1)
    with shown(folder, options) as point:
        known(point / "abc-module")
        shutil.rmtree(path)
        gone = "ModuleNotFoundError: No module named 'module'"
        becomes(point / "abc-module", gone)
        write_module(folder / "built", NEW, 1)
        os.rename(folder / "built", path)
        becomes(point / "abc-module", NEW, meanwhile=(gone,))
        # Both at once, as a builder does that replaces a path.
        write_module(folder / "built", NEWER, 1)
        os.rename(path, folder / "before")
        os.rename(folder / "built", path)
        becomes(point / "abc-module", NEWER, meanwhile=(NEW, gone))
        assert imported(point / "def-other") == OLD


def switch(link, target):
    """As git-sync and the kubelet do."""
    new = link.with_name("..tmp")
    new.symlink_to(target)
    os.replace(new, link)


def test_a_git_sync_volume(folder, options):
    """The link is switched to another worktree, and the old one is removed."""
    tree = folder / "tree"
    write_module(tree / ".worktrees/one", OLD, 0)
    tree.joinpath("current").symlink_to(".worktrees/one")
    with shown(folder, options) as point:
        known(point / "current")
        write_module(tree / ".worktrees/two", NEW, 0)
        switch(tree / "current", ".worktrees/two")
        becomes(point / "current", NEW)
        shutil.rmtree(tree / ".worktrees/one")
        # And a worktree that is filled anew.
        write_module(tree / ".worktrees/two", NEWER)
        becomes(point / "current", NEWER, meanwhile=(NEW,))


@pytest.mark.parametrize("bytecode", [True, False], ids=["bytecode", "source alone"])
def test_a_config_map_volume(folder, options, bytecode):
    """Files are links into ..data, which is a link to a directory that is made anew."""
    tree = folder / "tree"
    write_module(tree / "..one", OLD, bytecode=False)
    tree.joinpath("..data").symlink_to("..one")
    tree.joinpath("module.py").symlink_to("..data/module.py")
    if bytecode:
        compile_in(tree)
        os.utime(tree / "..one/module.py", (0, 0))
    with shown(folder, options) as point:
        known(point)
        write_module(tree / "..two", NEW, bytecode=False)
        switch(tree / "..data", "..two")
        shutil.rmtree(tree / "..one")
        becomes(point, NEW, meanwhile=(OLD, "ModuleNotFoundError: No module named 'module'"))


def test_links_that_lead_out(folder, options):
    tree, outside = folder / "tree", folder / "outside"
    write_module(outside, OLD, bytecode=False)
    tree.mkdir()
    tree.joinpath("module.py").symlink_to(outside / "module.py")
    compile_in(tree)
    os.utime(outside / "module.py", (0, 0))
    with shown(folder, options) as point:
        known(point)
        write_module(outside, NEW, bytecode=False)
        becomes(point, NEW)


def test_readers_while_it_is_replaced(folder, options):
    """No import fails, and no reader gets ESTALE or EIO."""
    package = folder / "tree/package"
    write_module(package, OLD, 0)
    with shown(folder, options) as point:
        known(point / "package")
        answers, errors = set(), set()
        for number in range(12):
            write_module(package, (OLD, NEW)[number % 2], bytecode=number % 3 > 0)
            answers.add(imported(point / "package"))
            for path in package.rglob("*.py*"):
                try:
                    (point / "package" / path.relative_to(package)).read_bytes()
                except OSError as error:
                    errors.add(str(error))
        assert answers <= {OLD, NEW} and not errors
        becomes(point / "package", NEW)


def test_one_line_says_so(folder):
    """One line says what was taken, and what to say if the source never changes."""
    write_module(folder / "tree", OLD, 0)
    before = servers()
    for name in ("bound", "point"):
        (folder / name).mkdir()
    run("mount", "--bind", folder / "tree", folder / "bound")
    run("mount", "-o", "remount,bind,ro", folder / "bound")
    try:
        done = run(CANONFS, folder / "bound", folder / "point")
        line, = done.stderr.splitlines()
        assert "may change: it is mounted read-only, but its file system is not" in line
        assert "-o immutable" in line
        run("umount", folder / "point")
        done = run(CANONFS, folder / "bound", folder / "point", "-o", "immutable")
        assert done.stderr == ""
        run("umount", folder / "point")
    finally:
        assert wait_until(lambda: servers() == before)
        run("umount", folder / "bound")
