# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of a source that the kernel tells of: nothing is asked for until one comes, and each
is seen. test_mutable.py has what Python makes of changes."""
import contextlib
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from conftest import counted, mounted, requests_of, run, servers, stopped, wait_until
from control import canonfs, status_of

EXPIRED_S = 1.3  # a change is seen within a second
QUEUE = pathlib.Path("/proc/sys/fs/fanotify/max_queued_events")


@pytest.fixture
def tree(folder):
    (folder / "tree/dir/inner").mkdir(parents=True)
    (folder / "point").mkdir()
    for name in ("one", "two", "dir/file", "dir/inner/deep"):
        (folder / "tree" / name).write_text(f"the file {name}\n")
    os.symlink("one", folder / "tree/link")
    return folder / "tree"


@pytest.fixture
def point(tree):
    with mounted(tree, tree.parent / "point", "mutable") as point:
        assert status_of(point)["changes"] == "told"
        assert look(point) == look(tree)
        yield point


# What is looked up by its name, whether or not a listing has it.
NAMES = ("absent", "dir/absent", "moved", "moved/file", "dir/inner/absent", "one", "two", "dir",
         "dir/file", "dir/inner", "dir/inner/deep", "link")


def look(root):
    """All that a reader sees of a tree: names, attributes, contents, and what is not there."""
    found = {f"exists {name}": os.path.lexists(root / name) for name in NAMES}
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files]:
            path = pathlib.Path(folder, name)
            st = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
            found[str(path.relative_to(root))] = (
                st.st_ino, st.st_mode, st.st_nlink, st.st_uid, st.st_size, st.st_mtime_ns,
                st.st_ctime_ns, content, sorted(os.listxattr(path, follow_symlinks=False)))
    return found


def assert_seen(point, tree):
    time.sleep(EXPIRED_S)
    assert look(point) == look(tree)


# ---- the changes ----

def create(tree):
    (tree / "absent").write_text("now it is there")


def create_directory(tree):
    (tree / "moved").mkdir()
    (tree / "moved/file").write_text("now it is there")


def delete(tree):
    (tree / "one").unlink()


def delete_and_create(tree):
    (tree / "one").unlink()
    (tree / "one").write_text("another")


def delete_all_and_create(tree):
    shutil.rmtree(tree / "dir")
    (tree / "dir").mkdir()
    (tree / "dir/other").write_text("another")


def replace(tree):
    (tree / "new").write_text("another")
    os.replace(tree / "new", tree / "dir/file")


def exchange(tree):
    os.rename(tree / "one", tree / "three")
    os.rename(tree / "two", tree / "one")
    os.rename(tree / "three", tree / "two")


def rename_directory(tree):
    (tree / "dir").rename(tree / "moved")


def rename_directory_and_change(tree):
    (tree / "dir").rename(tree / "moved")
    (tree / "moved/inner/deep").write_text("changed after its directory got another name")
    (tree / "moved").rename(tree / "dir")
    (tree / "dir/inner/absent").write_text("now it is there")


def move_to_elsewhere(tree):
    (tree / "dir/inner").rename(tree.parent / "elsewhere")


def move_from_elsewhere(tree):
    (tree.parent / "elsewhere").mkdir()
    (tree.parent / "elsewhere/file").write_text("it was there all the time")
    (tree.parent / "elsewhere").rename(tree / "moved")


def append(tree):
    with open(tree / "one", "a") as file:
        file.write("more")


def truncate(tree):
    os.truncate(tree / "dir/file", 3)


def edit_secretly(tree):
    """Of the same size, and the time is put back."""
    before = (tree / "one").stat()
    (tree / "one").write_text("THE file one\n")
    os.utime(tree / "one", ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_mapped(tree):
    with open(tree / "one", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:3] = b"THE"
        mapped.flush()


def edit_by_another_name(tree):
    os.link(tree / "one", tree.parent / "elsewhere")
    time.sleep(0.1)
    (tree.parent / "elsewhere").write_text("edited by another name")


def edit_through_another_mount(tree):
    other = tree.parent / "other"
    other.mkdir()
    run("mount", "--bind", tree, other)
    (other / "dir/file").write_text("edited through another mount")
    (other / "dir/absent").write_text("now it is there")
    run("umount", other)


def change_mode(tree):
    (tree / "one").chmod(0o600)
    (tree / "dir").chmod(0o700)


def change_owner(tree):
    os.chown(tree / "dir/inner/deep", 1234, 1234)


def touch(tree):
    os.utime(tree / "one")
    os.utime(tree / "dir", (7, 7))


def touch_access_time(tree):
    """The change time tells it."""
    os.utime(tree / "one", ns=(0, (tree / "one").stat().st_mtime_ns))


def set_attribute(tree):
    os.setxattr(tree / "one", "user.attribute", b"value")


def add_link(tree):
    os.link(tree / "one", tree / "dir/another")


def remove_link_elsewhere(tree):
    os.link(tree / "one", tree.parent / "elsewhere")
    time.sleep(0.1)
    (tree.parent / "elsewhere").unlink()


def switch_link(tree):
    (tree / "link").unlink()
    os.symlink("two", tree / "link")


def switch_link_at_once(tree):
    os.symlink("dir/file", tree / "new")
    os.replace(tree / "new", tree / "link")


def become_directory(tree):
    (tree / "one").unlink()
    (tree / "one").mkdir()


CHANGES = [create, create_directory, delete, delete_and_create, delete_all_and_create, replace,
           exchange, rename_directory, rename_directory_and_change, move_to_elsewhere,
           move_from_elsewhere, append, truncate, edit_secretly, edit_mapped, edit_by_another_name,
           edit_through_another_mount, change_mode, change_owner, touch, touch_access_time,
           set_attribute, add_link, remove_link_elsewhere, switch_link, switch_link_at_once,
           become_directory]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change, tree, point):
    change(tree)
    assert_seen(point, tree)


def test_an_open_file_is_edited(tree, point):
    """Those who read it, or have mapped it, see what is in it now."""
    with open(point / "one", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == b"the file one\n"
        edit_secretly(tree)
        time.sleep(EXPIRED_S)
        assert os.pread(file.fileno(), 100, 0) == mapped[:] == b"THE file one\n"


def test_a_mapping_outlives_its_descriptor(tree, point):
    """What is stored through it is told when it ends."""
    with open(tree / "one", "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    time.sleep(EXPIRED_S)
    assert look(point) == look(tree)
    mapped[:3] = b"THE"
    mapped.close()
    assert_seen(point, tree)


def test_nothing_is_asked_for(point):
    """Also when a second is over: but for the opening of files, which keeps them what they are."""
    def count():
        time.sleep(EXPIRED_S)
        with requests_of(point) as counts:
            for folder, folders, files in os.walk(point):
                for name in folders + files:
                    os.lstat(os.path.join(folder, name))
                with contextlib.suppress(OSError):
                    os.stat(os.path.join(folder, "absent"))
            with open(point / "one", "rb", buffering=0) as file:
                os.read(file.fileno(), 100)
        return counts

    # A RELEASE comes when it comes.
    found = counted(count, lambda counts: counts.keys() <= {"OPEN", "RELEASE"})
    assert found["OPEN"] == 1
    assert found.keys() <= {"OPEN", "RELEASE"}


def test_status_says_it(tree, point):
    assert "  changes   the kernel tells them\n" in canonfs("status", point).stdout
    answer = status_of(point)
    assert (answer["changes"], answer["changes_why"]) == ("told", "")
    other = tree.parent / "other"
    other.mkdir()
    with mounted(point, other, "mutable"):
        answer = status_of(other)
        assert answer["changes"] == "asked"
        assert "file system" in answer["changes_why"]
        assert f"  changes   asked for each second: {answer['changes_why']}\n" in \
            canonfs("status", other).stdout


# ---- more than can be told ----

def test_events_that_are_lost(tree):
    """Everything is looked at then; what others have mounted below the mount stays."""
    before, number = servers(), int(QUEUE.read_text())
    point = tree.parent / "point"
    try:
        QUEUE.write_text("4")
        mount = contextlib.ExitStack()
        mount.enter_context(mounted(tree, point, "mutable"))
    finally:
        QUEUE.write_text(str(number))
    with mount:
        assert look(point) == look(tree)
        (tree / "kept").mkdir()
        time.sleep(EXPIRED_S)
        run("mount", "-t", "tmpfs", "tmpfs", point / "kept")
        with stopped(*(servers() - before)):
            for number in range(100):
                (tree / f"many{number}").touch()
            for change in (create, create_directory, replace, edit_secretly, change_mode,
                           switch_link):
                change(tree)
            (tree / "dir/absent").write_text("now it is there")
            (tree / "two").unlink()
            shutil.rmtree(tree / "dir/inner")
        time.sleep(EXPIRED_S)
        assert os.path.ismount(point / "kept")
        run("umount", point / "kept")
        assert_seen(point, tree)


WRITER = r"""
import os, sys
number = 0
while True:
    path = os.path.join(sys.argv[1], f"file{number % 1000}")
    with open(path, "w") as file:
        file.write("content")
    os.unlink(path)
    number += 1
"""


def test_events_of_others(tree, point):
    """Those of files that no reader knows do not keep others from being seen."""
    elsewhere = tree.parent / "elsewhere"
    elsewhere.mkdir()
    with subprocess.Popen([sys.executable, "-c", WRITER, elsewhere]) as writer:
        try:
            for number in range(20):
                (tree / "one").write_text("x" * number)
                (tree / f"new{number}").touch()
                assert wait_until(lambda: (point / f"new{number}").exists() and
                                  (point / "one").stat().st_size == number)
        finally:
            writer.kill()


def test_a_mount_below_stays(tree, point):
    """Nothing takes it away as long as its name leads to the same directory."""
    run("mount", "-t", "tmpfs", "tmpfs", point / "dir")
    try:
        for change in (append, change_mode, touch, create, replace):
            change(tree)
        os.rename(tree / "dir/inner", tree / "dir/other")
        with stopped(*servers()):
            (tree / "dir").rename(tree / "moved")
            (tree / "moved").rename(tree / "dir")
        time.sleep(EXPIRED_S)
        assert os.path.ismount(point / "dir")
    finally:
        run("umount", point / "dir")
    assert_seen(point, tree)
