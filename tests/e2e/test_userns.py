# SPDX-License-Identifier: GPL-2.0-or-later
"""The stacked mount in a user namespace, as in a rootless container: it is made in another
way there (fs/stack/stack.c), and shows what the passthrough shows.

Each test makes its tree as the real root, and mounts as the root of a namespace.
"""
import contextlib
import ctypes
import os
import pathlib
import pickle
import signal
import stat
import traceback

import pytest

import nasty
from conftest import (CANONFS, END, NAMES, counted, make_package, missing, mounted, mountinfo,
                      mounts_at, refuses_to_stack, run, servers, wait_until)
from test_stack import Requests, imported, pyc, use
from walk import STACKED_STUBS, as_user, describe, stacked_differences

# The mounts are looked at last, when no server is left.
pytestmark = pytest.mark.usefixtures("mounts_unchanged", "nothing_left")

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC_PRIVATE = 0x4000 | 0x40000
ROOT_ALONE = "0 0 1"
EVERYBODY = "0 0 4294967295"
CONTAINER = "0 0 1\n1 100000 65536"  # as newuidmap writes it for a container of a user
STRANGER = 4242  # has no id in a container
NO_ID = "the user namespace has no id (uid_map, gid_map) for the owner of"


def enter(connection):
    """Become the root of a new user namespace, whose ids the parent gives."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(connection[1], b"x")
    assert os.read(connection[0], 1) == b"x"
    if libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "mount")


def child(connection, function, arguments):
    try:
        try:
            enter(connection)
        except OSError as error:
            pytest.skip(f"no user namespace: {error}")
        os.open("/dev/fuse", os.O_RDWR)
        answer = (function(*arguments), None)
    except BaseException as error:  # handed to the parent
        answer = (None, (type(error).__name__, "".join(traceback.format_exception(error))))
    with open(connection[1], "wb") as stream:
        pickle.dump(answer, stream)
    os._exit(0)


def as_namespace_root(ids, function, *arguments):
    """What a function returns that runs as root in a user namespace with these ids."""
    ready, answers = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        child((ready[0], answers[1]), function, arguments)
    os.close(answers[1])
    with open(answers[0], "rb") as stream:
        try:
            first = stream.read(1)
            if first == b"x":
                for name in ("uid_map", "gid_map"):
                    pathlib.Path(f"/proc/{pid}/{name}").write_text(ids)
                os.write(ready[1], b"x")
                first = b""
            data = first + stream.read()
        finally:
            os.close(ready[0])
            os.close(ready[1])
            os.waitpid(pid, 0)
    result, failure = pickle.loads(data)
    if failure and failure[0] == "Skipped":
        missing(failure[1].splitlines()[-1])
    assert not failure, failure[1]
    return result


@pytest.fixture
def mounts_unchanged():
    mounts = mountinfo()
    yield
    assert mountinfo() == mounts


def options(front, view):
    return f"immutable,mtime={view},stack={'on' if front == 'stacked' else 'off'}"


# ---- it works ----

def use_stacked(place, view):
    before, mounts, seen = servers(), mountinfo(), {}
    with mounted(place / "source", place / "point", options("stacked", view)) as point:
        assert mounts_at(point) == ["canonfs"] and "canonfs-stubs" in mountinfo()[-1]
        assert len(mountinfo()) == len(mounts) + 1
        for name in NAMES:
            seen[name] = imported(point / "package", name)
        assert (point / "bare/file").read_text() == "text"
        times = [os.stat(point / f"package/{name}.py").st_mtime_ns for name in NAMES]
        said = run(CANONFS, "status", point).stdout
        assert ("it has no server" if view == "embedded" else "stacked") in said
    assert wait_until(lambda: servers() == before, END)
    assert mountinfo() == mounts
    return seen, times


@pytest.mark.parametrize("ids", [ROOT_ALONE, CONTAINER, EVERYBODY])
@pytest.mark.parametrize("view", ["source", "777", "embedded"])
def test_modules_are_loaded_from_their_bytecode(place, ids, view):
    seen, times = as_namespace_root(ids, use_stacked, place, view)
    assert seen == {name: (name, True) for name in NAMES}
    source = place / "source/package"
    assert times == {
        "source": [0, 0, 0],
        "777": [777 * 10 ** 9] * 3,
        "embedded": [int.from_bytes(pyc(place / "source", name).read_bytes()[8:12], "little") *
                     10 ** 9 for name in NAMES],
    }[view]
    assert [os.stat(source / f"{name}.py").st_mtime_ns for name in NAMES] == [0, 0, 0]


def count_requests(place, requests):
    before = servers()
    with mounted(place / "source", place / "point", options("stacked", "source")) as point:
        supervisor = min(servers() - before)
        assert "INIT" in requests.taken(supervisor)
        run("find", point, "-ls")
        native = requests.taken()
        use(point)
        cold = requests.taken()
        use(point)
        return native, cold, requests.taken()


def test_requests(place):
    """As for the real root: once for each bytecode file, and warm none."""
    requests = Requests()
    try:
        native, cold, warm = counted(
            lambda: as_namespace_root(ROOT_ALONE, count_requests, place, requests),
            lambda found: not found[0] and found[1].get("READ") == len(NAMES) and not found[2])
    finally:
        requests.end()
    assert cold["READ"] == len(NAMES)
    assert set(cold) <= {"LOOKUP", "READ", "GETATTR", "OPEN", "FLUSH"}
    assert native == {} and warm == {}


def kill_worker(place):
    before = servers()
    with mounted(place / "source", place / "point", options("stacked", "source")) as point:
        assert imported(point / "package", "one") == ("one", True)
        os.kill(max(servers() - before), signal.SIGKILL)
        assert wait_until(lambda: len(servers() - before) == 1)
        return [imported(point / "package", name)[0] for name in NAMES], \
            run("find", point, "-ls").stderr


def test_killed_server_takes_nothing_away(place):
    assert as_namespace_root(ROOT_ALONE, kill_worker, place) == (list(NAMES), "")


# ---- it shows what the passthrough shows ----

def describe_both(source, point, view):
    found = []
    for front in ("passthrough", "stacked"):
        with mounted(source, point, options(front, view)):
            found.append(describe(point))
    return found


def unexplained(passthrough, stacked):
    """Both show the same times, so the walk cannot see by itself which files have a stub."""
    return [(path, fact, *values) for path, fact, *values in
            stacked_differences(passthrough, stacked)
            if not (path.endswith((b".py", b".pyc")) and fact in STACKED_STUBS)]


def make_tree(folder):
    """Everything there is, and bytecode that differs, under owners and attributes."""
    nasty.make_nasty(folder / "source")
    package = folder / "source/package"
    make_package(package)
    cache = package / "__pycache__"
    os.setxattr(pyc(folder / "source", "one"), "user.note", b"\0\xff")
    os.setxattr(cache, "user.empty", b"")
    os.chmod(pyc(folder / "source", "two"), 0o6751)
    os.chmod(cache, 0o3711)
    os.mknod(cache / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(cache / "fifo")
    os.utime(cache, ns=(6, -10 ** 15))
    return folder / "source"


@pytest.mark.parametrize("view", ["source", "777"])
def test_views_are_the_same(folder, view):
    """Devices and attributes of others need no stubs, so they show as they are."""
    folder.chmod(0o755)
    source = make_tree(folder)
    (folder / "point").mkdir()
    passthrough, stacked = as_namespace_root(EVERYBODY, describe_both, source, folder / "point",
                                             view)
    assert unexplained(passthrough, stacked) == []
    restamped = {path for path in stacked
                 if path.startswith(b"package/__pycache__/") and path.endswith(b".pyc")}
    assert len(restamped) == len(NAMES)
    for path in restamped:
        assert stacked[path]["mtime_word"] == (777 if view == "777" else 0).to_bytes(4, "little")


def test_owners_of_a_container(place):
    """Those that it has show, also of stubs; those that it has not, on what has no stub."""
    source = place / "source"
    os.chown(pyc(source, "one"), 100000 + 32, 100000 + 33)
    os.chown(source / "package", 100000 + 34, 0)
    os.chown(source / "bare/file", STRANGER, STRANGER)
    passthrough, stacked = as_namespace_root(CONTAINER, describe_both, source, place / "point",
                                             "source")
    owners = {path: (facts["st_uid"], facts["st_gid"]) for path, facts in stacked.items()}
    assert owners == {path: (facts["st_uid"], facts["st_gid"])
                      for path, facts in passthrough.items()}
    assert owners[os.fsencode(pyc(pathlib.Path(), "one"))] == (33, 34)
    assert owners[b"package"] == (35, 0)
    assert owners[b"bare/file"] == (65534, 65534)


def read_as(users, source, point):
    """Which of them can read each file, through each front."""
    found = []
    for front in ("passthrough", "stacked"):
        with mounted(source, point, options(front, "source")):
            found.append([[can_read(user, pyc(point, name)) for name in NAMES]
                          for user in users])
    return found


def can_read(user, path):
    with contextlib.suppress(PermissionError):
        return bool(as_user(user, path.read_bytes))
    return False


def test_permissions_in_a_container(place):
    """Overlayfs asks the stub's mode of whoever reads, and reads as the one who mounted."""
    source = place / "source"
    for name, mode, user in (("one", 0o600, 32), ("two", 0o640, 33), ("three", 0o644, 34)):
        os.chown(pyc(source, name), 100000 + user, 100000 + 40)
        os.chmod(pyc(source, name), mode)
    passthrough, stacked = as_namespace_root(CONTAINER, read_as, (0, 33, 34, 41), source,
                                             place / "point")
    assert stacked == passthrough == [[True, True, True], [True, False, True],
                                      [False, True, True], [False, True, True]]


# ---- it goes without ----

@pytest.mark.parametrize("ids", [ROOT_ALONE, CONTAINER])
@pytest.mark.parametrize("what", ["package/__pycache__", "package", "pyc"])
def test_owners_that_the_namespace_does_not_have(place, ids, what):
    """65534 has an id in the container, and is not the stranger."""
    path = pyc(place / "source", "one") if what == "pyc" else place / "source" / what
    os.chown(path, STRANGER, 0)
    as_namespace_root(ids, refuses_to_stack, place / "source", place / "point",
                      f"{NO_ID} '{path.relative_to(place / 'source')}")


def test_group_that_the_namespace_does_not_have(place):
    os.chown(place / "source", 0, STRANGER)
    as_namespace_root(CONTAINER, refuses_to_stack, place / "source", place / "point",
                      f"{NO_ID} '.'")


def test_acl_of_somebody_the_namespace_does_not_have(place):
    acl = nasty.acl((nasty.ACL_USER_OBJ, 6, nasty.NOBODY_IN_PARTICULAR),
                    (nasty.ACL_USER, 4, STRANGER),
                    (nasty.ACL_GROUP_OBJ, 4, nasty.NOBODY_IN_PARTICULAR),
                    (nasty.ACL_MASK, 4, nasty.NOBODY_IN_PARTICULAR),
                    (nasty.ACL_OTHER, 4, nasty.NOBODY_IN_PARTICULAR))
    os.setxattr(pyc(place / "source", "one"), "system.posix_acl_access", acl)
    as_namespace_root(CONTAINER, refuses_to_stack, place / "source", place / "point",
                      "cannot make a stub of 'package/__pycache__/one.")


@contextlib.contextmanager
def locked_mount(place):
    run("mount", "-t", "tmpfs", "none", place / "source/bare")
    try:
        yield
    finally:
        run("umount", place / "source/bare")


def test_mounts_of_others_in_the_source(place):
    """The kernel lets nobody see what is below them."""
    with locked_mount(place):
        as_namespace_root(ROOT_ALONE, refuses_to_stack, place / "source", place / "point",
                          "cannot copy the source's mount (mounts of another user namespace", "immutable,xdev")


@contextlib.contextmanager
def overlaid(place):
    (place / "lower").mkdir()
    (place / "root").mkdir()
    run("mount", "-t", "overlay", "none", place / "root", "-o",
        f"ro,lowerdir={place}/source:{place}/lower")
    try:
        yield place / "root"
    finally:
        run("umount", place / "root")


def test_source_is_an_overlay(place):
    """As the root of a container is: bytecode has room for our layers, times have none."""
    with overlaid(place) as source:
        found = as_namespace_root(ROOT_ALONE, describe_both, source, place / "point", "source")
        assert unexplained(*found) == []
        as_namespace_root(ROOT_ALONE, refuses_to_stack, source, place / "point",
                          "too many file systems upon each other", "immutable,mtime=777")
