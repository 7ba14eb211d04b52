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
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000
MNT_DETACH = 2
PR_SET_CHILD_SUBREAPER = 36

ME = os.getpid()  # a test may go on in a child of this process
LIBC = ctypes.CDLL(None, use_errno=True)
TRACEFS = pathlib.Path("/sys/kernel/tracing")


def make_private_mounts():
    """A mount namespace of our own, with a place to count requests. Return: what was wrong, None
    for nothing."""
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        return os.strerror(ctypes.get_errno())
    if not TRACEFS.joinpath("trace").exists():  # before a test looks whether mounts are left
        LIBC.mount(b"none", bytes(TRACEFS), b"tracefs", 0, None)
    return None


def make_state(config):
    """A cache, control sockets and temporary files that nobody else uses. A worker's are in the
    controller's folder, which outlives a worker that crashes. Return: the folder."""
    if hasattr(config, "workerinput"):
        state = pathlib.Path(os.environ["STATE_DIRECTORY"], config.workerinput["workerid"])
        state.mkdir()
    else:
        state = pathlib.Path(tempfile.mkdtemp(prefix="canonfs-tests-"))
        config.option.basetemp = config.option.basetemp or str(state / "pytest")
    config.add_cleanup(lambda: remove_state(state))
    state.chmod(0o711)  # others have folders below it
    tempfile.tempdir = None  # the next one to ask reads TMPDIR
    for variable, name, mode in (("RUNTIME_DIRECTORY", "run", 0o700), ("TMPDIR", "tmp", 0o1777)):
        folder = state / name
        folder.mkdir()
        folder.chmod(mode)
        os.environ[variable] = str(folder)
    os.environ["STATE_DIRECTORY"] = str(state)
    make_user_state(state)
    return state


USER = 65534


def make_user_state(state):
    """The same for an ordinary user."""
    for name in ("user", "user/run"):
        (state / name).mkdir(0o700)
        if os.geteuid() == 0:
            os.chown(state / name, USER, USER)


def as_user():
    """What is put before a command that an ordinary user gives."""
    own = os.environ["STATE_DIRECTORY"] + "/user"
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--",
            "env", f"STATE_DIRECTORY={own}", f"RUNTIME_DIRECTORY={own}/run"]


def remove_state(state):
    """With what an interrupted test has left; but never through one of its mounts."""
    text = pathlib.Path("/proc/self/mountinfo").read_text(errors="replace")
    for line in reversed(text.splitlines()):
        where = line.split()[4]
        if where.startswith(f"{state}/"):
            LIBC.umount2(where.encode().decode("unicode_escape").encode("latin-1"), MNT_DETACH)
    if f" {state}/" not in pathlib.Path("/proc/self/mountinfo").read_text(errors="replace"):
        shutil.rmtree(state)


def undo_ignored_signals():
    """Whoever starts the tests in the background, or with nohup, has signals ignored, and
    programs inherit that. A handler they do not inherit: theirs is the default."""
    for number in set(signal.Signals) - {signal.SIGPIPE, signal.SIGXFSZ}:  # subprocess does those
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


# ---- ended from outside ----

ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def end_tidily(is_controller):
    """Whoever ends the tests ends the running test like one that fails: it undoes what it did."""
    def end(number, _):
        if os.getpid() != ME:
            os._exit(128 + number)  # a child of a test is none of the tests
        for other in ENDING:
            signal.signal(other, lambda *_: None)  # once is enough
        if is_controller:
            for pid in descendants():
                if parent_of(pid) == ME:
                    os.kill(pid, signal.SIGTERM)
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def end_descendants():
    """In the end. Only one who was interrupted, or crashed, has any."""
    end = time.monotonic() + 10
    while time.monotonic() < end and (pids := descendants()):
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        reap()
        time.sleep(0.01)


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
