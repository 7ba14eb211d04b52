# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps each test process apart from all others, so that several run at once: mounts,
processes and state of its own. And what ends a test that hangs.

With pytest-xdist there is a controller, which runs no tests, and a test process for each
worker. All of them come through here.
"""
import contextlib
import ctypes
import faulthandler
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_CHILD_SUBREAPER = 36

ME = os.getpid()  # a test may go on in a child of this process
LIBC = ctypes.CDLL(None, use_errno=True)


def make_private_mounts():
    """A mount namespace of our own. Return: what was wrong, None for nothing."""
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        return os.strerror(ctypes.get_errno())
    return None


def make_state(config):
    """A cache and a folder for control sockets that nobody else uses. A worker's are in the
    controller's folder, which outlives a worker that crashes. Return: the folder."""
    above = os.environ["STATE_DIRECTORY"] if hasattr(config, "workerinput") else None
    state = tempfile.TemporaryDirectory(prefix="canonfs-test-state-", dir=above)
    config.add_cleanup(state.cleanup)
    os.chmod(state.name, 0o711)  # others may write reports of sanitizers below it
    runtime = pathlib.Path(state.name, "run")
    runtime.mkdir(0o700)
    os.environ["STATE_DIRECTORY"] = state.name
    os.environ["RUNTIME_DIRECTORY"] = str(runtime)
    return pathlib.Path(state.name)


def undo_ignored_signals():
    """Whoever starts the tests in the background, or with nohup, has signals ignored, and
    programs inherit that. A handler they do not inherit: theirs is the default."""
    for number in set(signal.Signals) - {signal.SIGPIPE, signal.SIGXFSZ}:  # subprocess does those
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


# ---- processes ----

def adopt_orphans():
    """Servers go to the background. Their orphans become our children, not those of init."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def parent_of(pid):
    """None for a process that is gone."""
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return int(stat.rpartition(")")[2].split()[1])
    return None


def is_ours(pid):
    """Did it come from this test process?"""
    above = parent_of(pid)
    while above and above != ME:
        above = parent_of(above)
        if above is None:
            # One on the way up has just ended, and its children have another parent by now.
            above = parent_of(pid)
    return above == ME


def descendants():
    """Pids of all processes that came from this one."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return {pid for pid in pids if is_ours(pid)}


def reap():
    """Takes the exit statuses of adopted processes, after a test: nobody else waits for them."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


# ---- tests that hang ----

FUSECTL = pathlib.Path("/sys/fs/fuse/connections")
GRACE = 1 / 30  # of the time limit: in that time a test has to fail by itself once it is over


def fuse_connections():
    """The numbers of the FUSE mounts that this process and its descendants see or serve."""
    found = set()
    for pid in {ME} | descendants():
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text(errors="replace").splitlines():
                major, minor = map(int, line.split()[2].split(":"))
                if " - fuse" in line and " - fusectl" not in line:
                    found.add(major << 20 | minor)
        with contextlib.suppress(OSError):  # newer kernels; also of a mount that nobody sees
            for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
                found.update(map(int, re.findall(r"^fuse_connection:\s*(\d+)", info.read_text(), re.M)))
    return found


def abort_fuse():
    """Whoever waits for an answer of one of our FUSE servers gets an error at once, also where
    no signal would wake it."""
    if not os.access(FUSECTL, os.X_OK) or not os.listdir(FUSECTL):
        subprocess.run(["mount", "-t", "fusectl", "none", FUSECTL], check=False, capture_output=True)
    for number in fuse_connections():
        with contextlib.suppress(OSError):
            (FUSECTL / str(number) / "abort").write_text("1")


class TimeIsOver(Exception):
    """Raised in a test that took too long."""


class Watchdog:
    """The time limit of one test after the other.

    When it is over, a signal raises TimeIsOver in the test. A test that waits for a FUSE
    server does not get the signal, or its processes do not end; so a thread then aborts the
    FUSE connections and kills all processes that the test has started.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self.timer = None
        signal.signal(signal.SIGALRM, self.ring)

    def ring(self, *_):
        raise TimeIsOver(f"the test took more than {self.seconds} s")

    def bite(self):
        faulthandler.dump_traceback(file=sys.__stderr__)
        abort_fuse()
        for pid in descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def start(self):
        self.stop()
        self.timer = threading.Timer(self.seconds * (1 + GRACE), self.bite)
        self.timer.daemon = True
        self.timer.start()
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def stop(self):
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self.timer:
            self.timer.cancel()
            self.timer = None
