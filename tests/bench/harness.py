# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks and the demonstration share: mounts that end with the program,
times with little noise, and what Python and the kernel say about a run.

Everything is mounted in a mount namespace of our own, so that the host's mounts are never
touched. The processes that serve mounts are kept as our children (a daemon's orphans come
to the nearest subreaper), so that they can be measured and are known to have ended.
"""
import contextlib
import ctypes
import dataclasses
import errno
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_CHILD_SUBREAPER = 36

MOUNT_PATIENCE_S = 10

# Neither the user's settings nor the user's files.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}


class Failed(Exception):
    """Something that a person should read, in one line."""


def run(*command, **options):
    """A finished command, its output as text; Failed, with what it said, if it failed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input="", text=True, errors="replace",
                              capture_output=True, **options)
    except OSError as error:
        raise Failed(f"cannot run {words[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
        raise Failed(f"{pathlib.Path(words[0]).name} failed with {done.returncode}: {said}")
    return done


# ---- a place of our own ----

def require_mounting():
    """Says in one line what keeps us from mounting."""
    if os.geteuid() != 0:
        raise Failed("this must be run by root: it mounts (in a mount namespace of its own)")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        raise Failed(f"cannot open /dev/fuse: {error.strerror}; "
                     "try: modprobe fuse, or a container with --device /dev/fuse") from None


def leave_host():
    """Moves this process to a mount namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        error = ctypes.get_errno()
        why = ("'/' is not a mount; in a chroot, bind its folder to itself before you enter it"
               if error == errno.EINVAL else os.strerror(error))
        raise Failed(f"cannot make a mount namespace: {why}")
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def workspace():
    """A temporary folder; whatever happens, nothing stays mounted, running or on disk."""
    def leave(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="canonfs-"))
    os.environ["STATE_DIRECTORY"] = str(folder)  # the cache: nothing is left behind
    os.environ["RUNTIME_DIRECTORY"] = str(folder / "run")  # nor are control sockets
    folder.joinpath("run").mkdir(0o700)
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for point in reversed(mounts_below(folder)):
            subprocess.run(["umount", "-l", point], check=False)
        end_processes(descendants())
        # What is mounted elsewhere was bound read-only, but do not rely on it.
        if not mounts_below(folder):
            shutil.rmtree(folder)


def mounts_below(folder):
    """Mount points at and below a folder, in the order in which they were mounted."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    points = [os.fsdecode(line.split()[4].encode().decode("unicode_escape").encode("latin-1"))
              for line in lines]
    return [point for point in points if (point + "/").startswith(f"{folder}/")]


def descendants():
    """Pids of the processes below this one, zombies not counted."""
    children = {}
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), set()).add(int(status.parent.name))
    found, new = set(), {os.getpid()}
    while new:
        new = set().union(*(children.get(pid, ()) for pid in new))
        found |= new
    return found


def end_processes(pids, patience_s=0.0):
    """Waits for processes of ours to end, and then kills what has not ended."""
    end = time.monotonic() + patience_s
    while pids & descendants():
        if time.monotonic() >= end:
            for pid in pids & descendants():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


# ---- mounts ----

@contextlib.contextmanager
def bound_read_only(source, point):
    """A tree that cannot be written to through this mount."""
    run("mount", "--bind", source, point)
    try:
        run("mount", "-o", "remount,bind,ro", point)
        yield
    finally:
        run("umount", "-l", point)


@dataclasses.dataclass(frozen=True)
class Mount:
    """A mount as it was made: the processes that serve it (none for the kernel's own file
    systems), and the seconds from the command's start until it was there."""
    pids: frozenset
    seconds: float


@contextlib.contextmanager
def served(command, point, unmount=("umount", "-l")):
    """A mount that a command makes; gives its Mount. When this ends, so have its servers."""
    before, mounts = descendants(), mounts_below(point)
    begin = time.perf_counter()
    run(*command)
    # Some servers go to the background first, and mount then.
    while mounts_below(point) == mounts:
        if time.perf_counter() - begin > MOUNT_PATIENCE_S or not descendants() - before:
            raise Failed(f"{command[0]} mounted nothing")
        time.sleep(0.001)
    seconds_ = time.perf_counter() - begin
    pids = descendants() - before
    devices = connections(pids, point)
    try:
        yield Mount(frozenset(pids), seconds_)
    finally:
        run(*unmount, point)
        end_processes(pids, patience_s=10)
        wait_until_torn_down(devices)


def wait_until_torn_down(devices):
    """The kernel frees a mount's pages after the mount point and the server are gone, if
    the server's mount namespace held it last: that must not fall on what comes next."""
    end = time.monotonic() + MOUNT_PATIENCE_S
    while any(os.path.exists(f"/sys/class/bdi/{int(number) >> 20}:{int(number) & 0xfffff}")
              for number in devices):
        if time.monotonic() > end:
            raise Failed("a FUSE mount is still there although its server has ended")
        time.sleep(0.001)


def type_of_mount(point):
    """The file-system type of the mount that is on top at a path."""
    return run("findmnt", "--noheadings", "--first-only", "--output", "FSTYPE",
               "--target", point).stdout.strip()


def resident_kib(pids):
    """Resident memory of processes; what they share is counted once."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss: +(\d+) kB", text, re.M).group(1))
    return total


def cpu_seconds(pids):
    """What processes have computed so far, with threads that have ended; None where that
    cannot be told."""
    libc, total = ctypes.CDLL(None), 0
    for pid in pids:
        clock = ctypes.c_int()
        if libc.clock_getcpuclockid(pid, ctypes.byref(clock)):
            return None
        total += time.clock_gettime(clock.value)
    return total


# ---- runs ----

@contextlib.contextmanager
def chrooted(folder):
    """Makes a folder this process's root: then a program can be started and timed
    directly, without a chroot(1) or a fork of ourselves in the measured time."""
    root, here = os.open("/", os.O_PATH), os.open(".", os.O_PATH)
    try:
        os.chroot(folder)
        os.chdir("/")
        yield
    finally:
        os.fchdir(root)
        os.chroot(".")
        os.fchdir(here)
        os.close(root)
        os.close(here)


def seconds(command, root="/", environment=ENVIRONMENT):
    """The time from the start of a program to its end, as a user would see it."""
    nothing = os.open("/dev/null", os.O_RDWR)
    silence = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, nothing, 1)]
    try:
        with chrooted(root):
            start = time.perf_counter()
            # Not in our process group: Ctrl-C is for us, who then end it in silence.
            pid = os.posix_spawn(command[0], command, environment, file_actions=silence,
                                 setpgroup=0)
            status = os.waitpid(pid, 0)[1]
            end = time.perf_counter()
    finally:
        os.close(nothing)
    if status:
        raise Failed(f"{command[0]} failed with wait status {status}")
    return end - start


def imported(python, script, root="/", environment=ENVIRONMENT):
    """What `python3 -v` says about a script: (files loaded from bytecode, files compiled,
    the whole text)."""
    with chrooted(root):
        text = run(python, "-v", "-c", script, env=environment).stderr
    loaded = re.findall(r"^# code object from '?(.+?)'?$", text, re.M)
    return ([path for path in loaded if path.endswith(".pyc")],
            [path for path in loaded if not path.endswith(".pyc")], text)


def quartiles(samples):
    """First quartile, median, third quartile."""
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    return tuple(statistics.quantiles(samples, n=4, method="inclusive"))


def interleaved(things, rounds):
    """(round, thing), each thing once a round; the order rotates, so that nothing is
    always measured after the same neighbour."""
    for number in range(rounds):
        shift = number % len(things)
        for thing in things[shift:] + things[:shift]:
            yield number, thing


# ---- requests ----

TRACEFS = pathlib.Path("/sys/kernel/tracing")
EVENT = "events/fuse/fuse_request_send"
TRACE_KB = 128 << 10  # room for 600,000 requests


def connections(pids, point):
    """The FUSE connections that a mount's processes serve, by the kernel's number. Newer
    kernels tell in fdinfo; elsewhere the mount itself is asked."""
    found = set()
    for pid in pids:
        for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                found.update(re.findall(r"^fuse_connection:\s*(\d+)", info.read_text(), re.M))
    if not found and pids:
        device = os.stat(point).st_dev
        found.add(str(os.major(device) << 20 | os.minor(device)))
    return found


@contextlib.contextmanager
def requests_of(numbers):
    """Counts the FUSE requests that the kernel sends on connections, by opcode; gives None
    where the kernel has no tracepoint for them or tracefs is out of reach."""
    if not (TRACEFS / "trace").exists():
        subprocess.run(["mount", "-t", "tracefs", "none", TRACEFS], capture_output=True,
                       check=False)
    if not (TRACEFS / EVENT).exists():
        yield None
        return
    counts = {}
    instance = TRACEFS / "instances" / f"canonfs-{os.getpid()}"
    instance.mkdir()
    try:
        (instance / "buffer_size_kb").write_text(str(TRACE_KB // os.cpu_count()))
        (instance / EVENT / "filter").write_text(
            " || ".join(f"connection == {number}" for number in sorted(numbers)))
        (instance / EVENT / "enable").write_text("1")
        yield counts
        (instance / EVENT / "enable").write_text("0")
        for opcode in re.findall(r"\(FUSE_(\w+)\)", (instance / "trace").read_text()):
            counts[opcode] = counts.get(opcode, 0) + 1
        for stats in (instance / "per_cpu").glob("cpu*/stats"):
            if "overrun: 0\n" not in stats.read_text():
                raise Failed("more requests than the trace buffer holds")
    finally:
        instance.rmdir()


# ---- for people ----

class Progress:
    """One line on the terminal that is overwritten; nothing elsewhere."""

    def __init__(self):
        self.shown = sys.stderr.isatty()

    def say(self, text):
        if self.shown:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self):
        self.say("")
