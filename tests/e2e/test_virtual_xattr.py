# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes of the mount's own making on bytecode: what canonfs decided. They
are there for who asks by name, and for nobody else."""
import contextlib
import ctypes
import errno
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import corpus
from conftest import missing, mounted, run

pytestmark = pytest.mark.usefixtures("passthrough")

NAMES = ("user.canonfs.verdict", "user.canonfs.reason", "user.canonfs.original-header")
USER = 65534


@pytest.fixture
def tree(folder):
    folder.chmod(0o755)
    root = folder / "tree"
    root.mkdir()
    try:
        os.setxattr(root, "user.probe", b"")
    except OSError:
        missing("no user xattrs where temporary files are")
    os.removexattr(root, "user.probe")
    folder.joinpath("point").mkdir()
    return root


def attributes(path):
    return tuple(os.getxattr(path, name).decode() for name in NAMES)


def error_of(function, *arguments, **options):
    with pytest.raises(OSError) as caught:
        function(*arguments, **options)
    return errno.errorcode[caught.value.errno]


@pytest.mark.parametrize("options", ["immutable", "mutable", "immutable,mtime=7"])
def test_every_verdict(tree, options):
    """Before anything is read, and after."""
    expected = corpus.make(tree)
    with mounted(tree, tree.parent / "point", options) as point:
        def found():
            return {path: attributes(point / path) for path in expected}

        def wanted(path):
            verdict, reason = expected[path]
            if options.endswith("mtime=7") and verdict == "fresh":
                verdict, reason = "restamped", "view"
            size = 16
            return verdict, reason, (tree / path).read_bytes()[:size].hex()

        before = found()
        assert before == {path: wanted(path) for path in expected}
        changed = {path for path in expected
                   if (point / path).read_bytes() != (tree / path).read_bytes()}
        assert found() == before
    assert {path for path in expected if before[path][0] == "restamped"} == changed
    assert changed


def test_header_has_the_length_of_its_layout(tree):
    """Python 2.7 has 8 bytes."""
    tree.joinpath("m.py").write_text("x = 1\n")
    tree.joinpath("m.pyc").write_bytes(b"\x03\xf3\r\n" + bytes(4) + b"N")
    with mounted(tree, tree.parent / "point") as point:
        assert os.getxattr(point / "m.pyc", NAMES[2]) == b"03f30d0a00000000"


def test_everything_else_has_none(tree):
    corpus.make(tree)
    tree.joinpath("text").write_text("text")
    tree.joinpath("folder.pyc").mkdir()
    tree.joinpath("link.pyc").symlink_to("fresh/m0.py")
    os.mkfifo(tree / "fifo.pyc")
    others = ["text", "fresh", "fresh/m0.py", "folder.pyc", "."]
    with mounted(tree, tree.parent / "point") as point:
        for path in others:
            for name in NAMES:
                assert error_of(os.getxattr, point / path, name) == "ENODATA", path
        # The kernel itself answers for what cannot have user attributes.
        for path in ("link.pyc", "fifo.pyc"):
            for name in NAMES:
                assert error_of(os.getxattr, point / path, name, follow_symlinks=False) == \
                    error_of(os.getxattr, tree / path, name, follow_symlinks=False)
        some = next((tree / "fresh/__pycache__").iterdir()).relative_to(tree)
        for name in ("user.canonfs", "user.canonfs.", "user.canonfs.verdicts",
                     "user.canonfs.verdic", "trusted.canonfs.verdict"):
            assert error_of(os.getxattr, point / some, name) == "ENODATA", name


def test_not_listed_and_not_copied(tree, folder):
    expected = corpus.make(tree)
    path = next(iter(expected))
    os.setxattr(tree / path, "user.mine", b"value")
    with mounted(tree, tree.parent / "point") as point:
        for path in expected:
            assert os.listxattr(point / path) == os.listxattr(tree / path)
        assert "user.canonfs" not in run("getfattr", "-R", "-d", "-m", "-", point).stdout
        copy = folder / "copy"
        run("cp", "-a", point, copy)
        listed = {path: os.listxattr(copy / path) for path in expected}
    assert sorted(name for names in listed.values() for name in names) == ["user.mine"]


def getxattr(path, name, size):
    """(return value, errno name, buffer) of the system call itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(b"\xaa" * 80, 80)
    ctypes.set_errno(0)
    n = libc.getxattr(os.fsencode(path), name.encode(), buffer, ctypes.c_size_t(size))
    return n, errno.errorcode.get(ctypes.get_errno()), buffer.raw


def test_sizes(tree):
    """A size of 0 asks for the length; too small a buffer is ERANGE; no terminator."""
    corpus.make(tree)
    with mounted(tree, tree.parent / "point") as point:
        path = next((point / "restamped/__pycache__").iterdir())
        for name, value in zip(NAMES, attributes(path)):
            length = len(value)
            assert getxattr(path, name, 0)[:2] == (length, None)
            assert getxattr(path, name, 1)[:2] == (-1, "ERANGE")
            assert getxattr(path, name, length - 1)[:2] == (-1, "ERANGE")
            for size in (length, length + 1, 80):
                n, error, buffer = getxattr(path, name, size)
                assert (n, error) == (length, None)
                assert buffer == value.encode() + b"\xaa" * (80 - length)


def test_the_sources_own_of_that_name(tree):
    """On bytecode it is hidden; elsewhere it is the source's, like any other."""
    corpus.make(tree)
    pyc = next((tree / "restamped/__pycache__").iterdir()).relative_to(tree)
    for path in (pyc, pathlib.Path("restamped/m0.py")):
        os.setxattr(tree / path, NAMES[0], b"mine")
        os.setxattr(tree / path, "user.canonfs.other", b"mine")
    with mounted(tree, tree.parent / "point") as point:
        assert os.getxattr(point / pyc, NAMES[0]) == b"restamped"
        assert os.getxattr(point / pyc, "user.canonfs.other") == b"mine"
        assert os.getxattr(point / "restamped/m0.py", NAMES[0]) == b"mine"
        assert sorted(os.listxattr(point / pyc)) == sorted(os.listxattr(tree / pyc))
    assert os.getxattr(tree / pyc, NAMES[0]) == b"mine"


def test_cannot_be_set(tree):
    corpus.make(tree)
    with mounted(tree, tree.parent / "point") as point:
        path = next((point / "restamped/__pycache__").iterdir())
        for name in NAMES:
            assert error_of(os.setxattr, path, name, b"x") == "EROFS"
            assert error_of(os.removexattr, path, name) == "EROFS"


def test_follows_a_source_that_changes(tree):
    corpus.make(tree)
    with mounted(tree, tree.parent / "point", "mutable") as point:
        path = next((point / "restamped/__pycache__").iterdir())
        assert attributes(path)[:2] == ("restamped", "canonical")
        tree.joinpath("restamped", path.name.split(".")[0] + ".py").write_text("longer = 2\n")
        assert attributes(path)[:2] == ("stale", "size")


def test_needs_the_right_to_read(tree):
    """As every user attribute does (xattr(7))."""
    corpus.make(tree)
    pyc = next((tree / "restamped/__pycache__").iterdir()).relative_to(tree)
    os.chmod(tree / pyc, 0o600)
    ask = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--",
           "/usr/bin/python3", "-c", "import os, sys; print(os.getxattr(*sys.argv[1:]))"]
    with mounted(tree, tree.parent / "point") as point:
        refused = subprocess.run([*ask, point / pyc, NAMES[0]], capture_output=True, text=True)
        assert "PermissionError" in refused.stderr
        os.chmod(tree / pyc, 0o644)
    with mounted(tree, tree.parent / "point") as point:
        assert run(*ask, point / pyc, NAMES[0]).stdout == "b'restamped'\n"
