# SPDX-License-Identifier: GPL-2.0-or-later
"""What every end-to-end test needs: a private mount namespace, the program, real images
and interpreters, and a mount that is gone when the test is over.

Nothing here touches the host's mounts: each test process moves to a mount namespace of its
own first (isolation.py). Run with scripts/test-e2e, or plainly with pytest as root.
"""
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import pytest

import isolation
import sanitizers
from isolation import TRACEFS

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CANONFS_BUILDDIR", TOP / "build")).resolve()
CANONFS = BUILD / "canonfs"
SANITIZER = CANONFS.exists() and sanitizers.sanitizer_of(CANONFS)
IN_CI = os.environ.get("CI") == "true"
LONG = os.environ.get("CANONFS_LONG") == "1"
END = 5  # seconds in which a mount has to end

# Seconds that one test may take, also on a slow machine that is busy with other things.
LIMIT = float(os.environ.get("CANONFS_TEST_LIMIT", 3600 if LONG else 900))


def pytest_configure(config):
    """Leave the host's mount namespace, cache and control sockets, before anything is mounted."""
    state = isolation.make_state(config)
    config.sanitizer_reports = SANITIZER and sanitizers.Reports(state / "reports", SANITIZER)
    isolation.adopt_orphans()
    config.add_cleanup(isolation.end_descendants)
    isolation.end_tidily(is_controller=bool(config.getoption("numprocesses", None)))
    isolation.undo_ignored_signals()
    wrong = os.geteuid() == 0 and isolation.make_private_mounts()
    if wrong:
        pytest.exit(f"no private mount namespace: {wrong}", 2)


WATCHDOG = isolation.Watchdog(LIMIT)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol():
    WATCHDOG.start()
    yield
    WATCHDOG.stop()
    isolation.reap()


def missing(reason):
    """Skip, with the reason; in CI, where everything can be provided, fail."""
    if IN_CI:
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def prerequisites():
    if not CANONFS.exists():
        pytest.exit(f"{CANONFS} is not built; run make, or set CANONFS_BUILDDIR", 2)
    if os.geteuid() != 0:
        missing("these tests mount, which needs root")
    if not os.path.exists("/dev/fuse"):
        missing("/dev/fuse is not there")


@pytest.fixture(autouse=True)
def no_sanitizer_report(request):
    """Set up before all others of a test, so that it looks when all servers have ended."""
    yield
    reports = request.config.sanitizer_reports
    assert not reports or not (found := reports.take()), found


def run(*command, check=True, **options):
    """A finished command, its output as text."""
    result = subprocess.run([str(word) for word in command], text=True, errors="replace",
                            capture_output=True, **options)
    if check and result.returncode:
        pytest.fail(f"{command} failed with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result


# ---- mounts ----

def mountinfo():
    text = pathlib.Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    return text.splitlines()


def mount_point(line):
    """Of a line of mountinfo, without its escapes."""
    where = line.split()[4].encode(errors="surrogateescape")
    return os.fsdecode(where.decode("unicode_escape").encode("latin-1"))


def type_of_mount(line):
    """Of a line of mountinfo; "canonfs" for ours, of either kind."""
    kind, _, options = line.split(" - ")[1].split(" ", 2)
    stacked = kind == "overlay" and ",lowerdir=canonfs-stubs:" in f",{options}"
    return "canonfs" if kind == "fuse.canonfs" or stacked else kind


def mounts_at(point):
    """The types of the mounts at a path, the top one last."""
    return [type_of_mount(line) for line in mountinfo()
            if mount_point(line.split(" - ")[0]) == str(point)]


def servers():
    """Pids of the canonfs processes that this test process and its children have started."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/exe") == str(CANONFS) and isolation.is_ours(pid):
                found.add(int(pid))
    return found


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def nothing_left():
    """Every test ends all of its servers; what is left is killed, and is a failure."""
    before = servers()
    yield
    gone = wait_until(lambda: not servers() - before, END)
    for pid in servers() - before:
        os.kill(pid, signal.SIGKILL)
    assert gone, "a server was left running"


# What the option stack= is for the running test; see front().
FRONT = {"stack": None}


@pytest.fixture(params=["passthrough", "stacked"])
def front(request):
    """A test that uses this runs over both fronts; its sources must not change. One with a
    parameter "options" that says mutable has no stacked form."""
    FRONT["stack"] = {"passthrough": "off", "stacked": "on"}[request.param]
    yield request.param
    FRONT["stack"] = None


@pytest.fixture
def passthrough():
    """For what only the FUSE passthrough does, on sources that do not change, too."""
    FRONT["stack"] = "off"
    yield
    FRONT["stack"] = None


# Tests that take a minute or more; and modules whose tests take longest, not all of them by
# computing.
LONGEST_TESTS = ("test_verdicts_are_the_mounts", "test_a_quick_comparison", "test_random_pairs")
LONGEST = ("test_interpreters", "test_mutable", "test_explain", "test_transparency")


def for_several_workers(items):
    """The long tests first, so that no worker has one left in the end; and those that share
    what is made once for a module for the same worker."""
    for item in items:
        if "walked" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("walked"))
    first = [item for item in items if item.originalname in LONGEST_TESTS]
    modules = [[item for item in items if item.module.__name__ == name] for name in LONGEST]
    turns = itertools.zip_longest(*modules)
    first += [item for turn in turns for item in turn if item and item not in first]
    return first + [item for item in items if item not in first]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks
def pytest_collection_modifyitems(config, items):
    def has_no_form(item):
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        return parameters.get("front") == "stacked" and any(
            "mutable" in value.split(",") for value in parameters.values()
            if isinstance(value, str))

    left_out = [item for item in items if has_no_form(item)]
    items[:] = [item for item in items if item not in left_out]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workerinput"):
        items[:] = for_several_workers(items)


def with_front(options):
    """Mount options, with those of the test's front."""
    words = [word for word in options.split(",") if word]
    if FRONT["stack"] and not any(word.startswith("stack=") for word in words):
        words.append(f"stack={FRONT['stack']}")
        words += ["immutable"] * (FRONT["stack"] == "on" and "immutable" not in words)
    return ",".join(words)


@contextlib.contextmanager
def mounted(source, point, options="", under=()):
    """A canonfs mount; on the way out it is unmounted and its server has ended.
    under: a command that runs canonfs, with its words."""
    before = servers()
    options = with_front(options)
    command = [CANONFS, source, point] + (["-o", options] if options else [])
    run(*under, *command)
    started = servers() - before
    try:
        yield pathlib.Path(point)
    finally:
        run("umount", "-l", point)
        gone = wait_until(lambda: not servers() & started)
        for pid in servers() & started:
            os.kill(pid, signal.SIGKILL)
        assert gone, "the server did not end with its mount"


def refuses_to_stack(source, point, reason, options="immutable"):
    """stack=on fails and leaves nothing behind; stack=auto goes on without."""
    before, others = servers(), mountinfo()
    result = run(CANONFS, source, point, "-o", f"{options},stack=on", check=False)
    assert result.returncode == 32
    assert len(result.stderr.splitlines()) == 1
    assert f"cannot stack the mount on '{point}': " in result.stderr and reason in result.stderr
    assert wait_until(lambda: servers() == before)
    assert mountinfo() == others
    said = run(CANONFS, source, point, "-v", "-o", f"{options},stack=auto").stderr
    started = servers() - before
    try:
        assert "not stacked: " in said and reason in said
        assert "fuse.canonfs" in mountinfo()[-1]
    finally:
        run("umount", point)
        assert wait_until(lambda: not servers() & started)


@pytest.fixture
def folder():
    """A temporary folder outside of any mount of ours, removed afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="canonfs-test-"))
    yield path
    for line in reversed(mountinfo()):
        where = mount_point(line)
        if where.startswith(str(path)):
            subprocess.run(["umount", "-l", where], check=False)
    shutil.rmtree(path)


NAMES = ("one", "two", "three")


def make_package(folder, mtime=0):
    """Modules whose sources' times were set back after they were compiled."""
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"value = {name!r}\n")
    run(sys.executable, "-m", "compileall", "-q", folder)
    for name in NAMES:
        os.utime(folder / f"{name}.py", (mtime, mtime))


@pytest.fixture
def place(folder):
    """A folder with a package, a directory without bytecode, and a mount point; for everybody."""
    folder.chmod(0o755)
    make_package(folder / "source/package")
    (folder / "source/bare").mkdir()
    (folder / "source/bare/file").write_text("text")
    (folder / "point").mkdir()
    return folder


# ---- images and interpreters ----

def image(name):
    """The folder of a stale image made from real packages (tests/images/make)."""
    WATCHDOG.stop()  # that takes minutes where it is not cached
    made = subprocess.run([TOP / "tests/images/make", name], text=True, capture_output=True)
    WATCHDOG.start()
    if made.returncode == 77:
        # pyenv and a newer suite are not something that scripts/deps can provide.
        give_up = pytest.skip if name in ("pyenv", "newer") else missing
        give_up(f"image {name}: {made.stderr.strip()}")
    if made.returncode:
        pytest.fail(f"image {name}: {made.stderr}")
    return pathlib.Path(made.stdout.strip())


@contextlib.contextmanager
def stopped(*pids):
    """Processes that do nothing meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


# ---- counting requests ----

@contextlib.contextmanager
def requests_of(point):
    """Counts the FUSE requests that the kernel sends for one mount, by opcode name."""
    event = TRACEFS / "events/fuse/fuse_request_send"
    if not event.exists():
        missing("the tracepoint fuse:fuse_request_send is not there")
    device = os.stat(point).st_dev
    connection = os.major(device) << 20 | os.minor(device)
    counts = {}
    instance = TRACEFS / "instances" / f"canonfs-{os.getpid()}"
    instance.mkdir()
    try:
        mine = instance / "events/fuse/fuse_request_send"
        (mine / "filter").write_text(f"connection == {connection}")
        (mine / "enable").write_text("1")
        yield counts
        (mine / "enable").write_text("0")
        for opcode in re.findall(r"\(FUSE_(\w+)\)", (instance / "trace").read_text()):
            counts[opcode] = counts.get(opcode, 0) + 1
    finally:
        instance.rmdir()


def times_dropped():
    """How often somebody had the kernel drop its caches."""
    words = pathlib.Path("/proc/vmstat").read_text().split()
    return sum(int(words[words.index(name) + 1]) for name in ("drop_pagecache", "drop_slab")
               if name in words)


COUNTED_S = 120  # how long a count waits for a while in which nobody drops caches


def wait_for_drop():
    """Somebody drops the caches again and again: just after it is the longest time without."""
    before = times_dropped()
    wait_until(lambda: times_dropped() != before, 2)


def counted(count, enough):
    """What count() returns, as soon as enough() says that these are few requests enough, or in
    the end. The kernel may take back pages and names at any time, and then it asks again; a
    request that belongs to the work comes each time."""
    end = time.monotonic() + COUNTED_S
    undisturbed = 0
    while undisturbed < 5:
        before = times_dropped()
        for _ in range(2):  # one fills the caches, and only the next one can find them full
            result = count()
            if enough(result):
                return result
        if times_dropped() == before:
            undisturbed += 1
        elif time.monotonic() < end:
            wait_for_drop()
        else:
            break
    if not undisturbed:
        missing("a while in which nobody drops the caches of this machine")
    return result
