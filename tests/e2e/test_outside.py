# SPDX-License-Identifier: GPL-2.0-or-later
"""A source may be a link that leads out of the tree. The tree may be immutable; what the
link leads to is not of the tree, and is never taken for something that cannot change."""
import contextlib
import os
import struct
import sys

import pytest

from conftest import mounted, run, wait_until

IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import outside; print(outside.value)"


def imported(folder):
    return run(sys.executable, "-BIc", IMPORT, folder).stdout.strip()


def flags(folder, name):
    pyc = folder / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc"
    return pyc.read_bytes()[4]


def test_its_hash_is_compared_for_ever(place, front):
    outside = place / "outside.py"
    package = place / "source/package"
    outside.write_text("value = 1\n")
    package.joinpath("outside.py").symlink_to(outside)
    run(sys.executable, "-m", "compileall", "-qf", "--invalidation-mode", "checked-hash", package)
    with mounted(place / "source", place / "point", "immutable,hash=unchecked") as point:
        assert flags(point / "package", "one") == 1, "what is in the tree is not compared again"
        assert flags(point / "package", "outside") == 3
        assert imported(point / "package") == "1"
        outside.write_text("value = 2\n")
        assert imported(point / "package") == "2"


VIEWS = ("source", "embedded", "1", "1600000000")


@pytest.mark.parametrize("view", VIEWS)
def test_new_code_is_run(place, front, view):
    """Its bytecode is in the tree, and is shown for ever as it was."""
    outside, package = place / "outside.py", place / "source/package"
    outside.write_text("value = 1\n")
    os.utime(outside, (1_500_000_000, 1_500_000_000))
    package.joinpath("outside.py").symlink_to(outside)
    run(sys.executable, "-m", "compileall", "-qf", package)
    os.utime(outside, (0, 0))
    with mounted(place / "source", place / "point", f"immutable,mtime={view}") as point:
        assert imported(point / "package") == "1"
        outside.with_suffix(".new").write_text("value = 2\n")
        os.replace(outside.with_suffix(".new"), outside)
        assert wait_until(lambda: imported(point / "package") == "2", 30)


# ---- files that the link's owner cannot read ----

USER = 1000


def guess(package, name, target, size):
    """A user's link, with bytecode that would match a file of that size at time 0."""
    source = package / f"{name}.py"
    source.symlink_to(target)
    os.lchown(source, USER, USER)
    code = package / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc"
    body = package.joinpath("__pycache__", f"one.{sys.implementation.cache_tag}.pyc").read_bytes()
    code.write_bytes(body[:8] + struct.pack("<II", 1_500_000_000, size) + body[16:])
    return code


def told(point, pyc):
    """All that a reader learns of it."""
    shown, words = point / "package" / "__pycache__" / pyc.name, {}
    for name in ("user.canonfs.verdict", "user.canonfs.reason"):
        with contextlib.suppress(OSError):  # a stacked mount has none
            words[name] = os.getxattr(shown, name)
    return shown.read_bytes()[:16], words


@pytest.mark.parametrize("view", VIEWS)
def test_nobody_learns_of_files_that_the_links_owner_cannot_read(place, front, view):
    """Root mounts what a user wrote; the links lead to root's files."""
    secrets, open_to_all = place / "secrets", place / "open"
    package = place / "source/package"
    for folder, mode in ((secrets, 0o700), (open_to_all, 0o755)):
        folder.mkdir()
        folder.joinpath("is.py").write_text("value = 1\n")
        os.utime(folder / "is.py", (0, 0))
        folder.chmod(mode)
    pycs = [guess(package, "right", secrets / "is.py", 10), guess(package, "wrong", secrets / "is.py", 11),
            guess(package, "none", secrets / "none.py", 10)]
    private = open_to_all / "private.py"
    private.write_text("value = 1\n")
    os.utime(private, (0, 0))
    private.chmod(0o600)
    pycs += [guess(package, "private", private, 10), guess(package, "private_wrong", private, 11)]
    readable = guess(package, "readable", open_to_all / "is.py", 10)
    before = {pyc: pyc.read_bytes()[:16] for pyc in pycs}
    with mounted(place / "source", place / "point", f"immutable,mtime={view}") as point:
        for first, second in ((0, 1), (0, 2), (3, 4)):
            header, told_by = told(point, pycs[first])
            other, told_by_other = told(point, pycs[second])
            assert header[:12] == other[:12] and told_by == told_by_other
            assert front == "stacked" or told_by["user.canonfs.reason"] == b"source-unknown"
        if view == "source":
            assert all(told(point, pyc)[0] == before[pyc] for pyc in pycs)
        assert told(point, readable)[0][8:12] == bytes(4), "what the owner can read is judged"
