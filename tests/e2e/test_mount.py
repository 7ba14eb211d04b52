# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: mounting, the ways in which a mount ends, what is refused and how,
mount(8) and fstab, ordinary users, and a mount over the running /usr.

Whatever can hang has a time limit, after which it is killed and the test fails.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

import isolation
from isolation import USER
from conftest import (CANONFS, END, FRONT, LONG, TOP, missing, mount_point, mounted, mountinfo,
                      mounts_at, run, servers, wait_until, with_front)

pytestmark = pytest.mark.usefixtures("nothing_left")

AS_USER = isolation.as_user()
LIMIT = 30  # seconds until a command counts as hung


@pytest.fixture
def place(folder):
    """A folder with a small source and a mount point, which everybody can enter."""
    folder.chmod(0o755)
    for name in ("source", "point", "source/below"):
        folder.joinpath(name).mkdir()
    folder.joinpath("source/file").write_text("text")
    os.chown(folder / "point", USER, USER)
    return folder


def canonfs(*words, command=(), **options):
    """Runs the program to its end."""
    options.setdefault("timeout", LIMIT)
    return run(*command, CANONFS, *words, check=False, **options)


def mounts(*words, **options):
    """canonfs() for a mount, with the options of the test's front."""
    given = with_front("")
    return canonfs(*words, *(["-o", given] if given else []), **options)


def usable(point):
    return mounts_at(point)[-1:] == ["canonfs"] and \
        pathlib.Path(point, "file").read_text() == "text"


def says(result, status, *lines):
    assert (result.returncode, result.stderr.splitlines(), result.stdout) == \
        (status, list(lines), "")


# What libfuse says by itself, and cannot be told not to, where the connection ends while it
# reads. Nothing failed: the mount is over.
AT_THE_END = "fuse: reading device: Software caused connection abort\n"


class Foreground:
    """A mount whose supervisor is a child of the test."""

    def __init__(self, source, point, options=""):
        before = servers()
        options = with_front(options)
        self.process = subprocess.Popen([CANONFS, source, point, "-f", "-o", options],
                                        stderr=subprocess.PIPE, text=True)
        assert wait_until(lambda: "canonfs" in mounts_at(point))
        os.statvfs(point)
        self.supervisor = self.process.pid
        self.workers = servers() - before - {self.supervisor}
        assert len(self.workers) == 1

    def ends(self, within=END):
        """(exit status, messages) of the supervisor, whose worker must be gone as well."""
        try:
            _, messages = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            for pid in [*self.workers, self.supervisor]:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.process.communicate()
            pytest.fail(f"the mount did not end within {within} s")
        assert not self.workers & servers()
        return self.process.returncode, messages.replace(AT_THE_END, "")


def supervisor_and_worker(pids):
    """Of the two processes of a mount, the parent first."""
    one, other = pids
    parent = re.search(r"^PPid:\t(\d+)$", pathlib.Path(f"/proc/{one}/status").read_text(), re.M)
    return (other, one) if int(parent[1]) == other else (one, other)


# ---- beginning ----

@pytest.mark.usefixtures("front")
def test_returns_when_usable(place):
    for _ in range(10):
        says(mounts(place / "source", place / "point"), 0)
        assert usable(place / "point")
        run("umount", place / "point")


@pytest.mark.usefixtures("front")
def test_mount_is_an_optional_word(place):
    says(mounts("mount", place / "source", place / "point"), 0)
    assert usable(place / "point")
    says(canonfs("umount", place / "point"), 0)
    assert mounts_at(place / "point") == []


@pytest.mark.usefixtures("front")
def test_relative_paths_and_trailing_slashes(place):
    says(mounts("source/", "./point//", cwd=place), 0)
    assert usable(place / "point")
    says(canonfs("umount", "point/", cwd=place), 0)
    assert mounts_at(place / "point") == []


@pytest.mark.parametrize("command", [(), AS_USER], ids=["root", "user"])
def test_paths_of_any_characters(place, command, user_device):
    source, point = place / "so,ur ce\n\\040\udcff", place / "po,i nt\\\n\udcff"
    shutil.copytree(place / "source", source)
    point.mkdir()
    os.chown(point, USER, USER)
    says(canonfs(source, point, command=command), 0)
    assert run(*AS_USER, "cat", point / "file").stdout == "text"
    shown = pathlib.Path("/proc/self/mountinfo").read_bytes().split(b" - fuse.canonfs ")[1]
    assert shown.split()[0].decode("unicode_escape") == os.fsencode(source).decode("latin-1")
    says(canonfs("umount", point, command=command), 0)
    assert not os.listdir(point)


def test_findmnt_names_type_and_source(place):
    with mounted(place / "source", place / "point") as point:
        words = run("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", point).stdout.split()
    assert words[:2] == ["fuse.canonfs", str(place / "source")]
    shown = words[2].split(",")
    assert {"ro", "allow_other", "default_permissions"} <= set(shown)


FLAGS = {"nosuid", "nodev", "noexec"}


def flags_of(point):
    return FLAGS & set(run("findmnt", "-no", "OPTIONS", point).stdout.strip().split(","))


@pytest.mark.usefixtures("front")
def test_mount_flags(place):
    with mounted(place / "source", place / "point", "nosuid,nodev,noexec,rw") as point:
        assert flags_of(point) == FLAGS
    with mounted(place / "source", place / "point", "suid,dev,exec") as point:
        assert flags_of(point) == set()


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("flags", ["suid,dev,exec", "nosuid,dev,noexec", "nosuid,nodev,noexec"])
def test_mount_flags_of_the_source(place, flags):
    """A disk whose set-user-ID programs are not trusted is not trusted here either."""
    (place / "bound").mkdir()
    run("mount", "--bind", place / "source", place / "bound")
    run("mount", "-o", f"remount,bind,{flags}", place / "bound")
    with mounted(place / "bound", place / "point") as point:
        assert flags_of(point) == FLAGS & set(flags.split(","))
    with mounted(place / "bound", place / "point", "suid") as point:
        assert flags_of(point) == FLAGS & set(flags.split(",")) - {"nosuid"}


@pytest.mark.usefixtures("front")
def test_lets_go_of_the_standard_streams(place):
    """A caller that reads our output to its end is not left waiting."""
    with subprocess.Popen([CANONFS, place / "source", place / "point", "-v", "-o",
                           with_front("")],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        try:
            lines = process.communicate(timeout=LIMIT)[0].decode().splitlines()
            assert all("stacked: " in line or ": the source " in line for line in lines)
        finally:
            run("umount", place / "point")
    assert process.returncode == 0


@pytest.mark.usefixtures("front")
def test_lets_go_of_the_callers_descriptors(place):
    """A lock or a pipe that the caller holds is not held by the server (runc leaks some)."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    says(mounts(place / "source", place / "point", pass_fds=[write_end]), 0)
    os.close(write_end)
    os.set_blocking(read_end, False)
    try:
        assert os.read(read_end, 1) == b""  # BlockingIOError: somebody has it open
    finally:
        os.close(read_end)
        run("umount", place / "point")


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_standard_streams(place, closed):
    """What it opens then must not land on their numbers."""
    script = f'"$0" "$1" "$2" -o "$3" {closed}'
    run("sh", "-c", script, CANONFS, place / "source", place / "point", with_front(""),
        timeout=LIMIT)
    assert usable(place / "point")
    run("umount", place / "point")


@pytest.mark.usefixtures("front")
def test_does_not_pin_the_callers_directory(place):
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    run("mount", "-t", "tmpfs", "none", elsewhere)
    says(mounts(place / "source", place / "point", cwd=elsewhere), 0)
    run("umount", elsewhere)
    run("umount", place / "point")


@pytest.mark.usefixtures("front")
def test_server_does_not_see_its_own_mount(place):
    """Whatever it opens, late or by accident, cannot wait for itself."""
    mount = Foreground(place / "source", place / "source")
    worker, = mount.workers
    seen = pathlib.Path(f"/proc/{worker}/mountinfo").read_text()
    os.kill(mount.supervisor, signal.SIGTERM)
    assert mount.ends() == (0, "")
    assert "fuse.canonfs" not in seen and "canonfs-stubs" not in seen


@pytest.mark.usefixtures("front")
def test_does_not_pin_other_mounts(place):
    """Here, as in a container, mounts do not propagate: the server must not keep any."""
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    run("mount", "-t", "tmpfs", "none", elsewhere)
    mount = Foreground(place / "source", place / "point")
    run("umount", elsewhere)
    kept = [pid for pid in [mount.supervisor, *mount.workers]
            if str(elsewhere) in pathlib.Path(f"/proc/{pid}/mountinfo").read_text()]
    os.kill(mount.supervisor, signal.SIGTERM)
    assert mount.ends() == (0, "")
    assert kept == []


@pytest.mark.usefixtures("front")
def test_leaves_a_canonfs_below_the_mount_of_the_cache(place):
    """The mount on the way to the cache would be kept, if it were not upon one of our kind."""
    where = place / "where"
    where.mkdir()
    with mounted(place / "source", where, "stack=off"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", where)
        try:
            mount = Foreground(place / "source", place / "point", f"cache={where}/cache.db")
            worker, = mount.workers
            seen = pathlib.Path(f"/proc/{worker}/mountinfo").read_text()
            os.kill(mount.supervisor, signal.SIGTERM)
            status, messages = mount.ends()
        finally:
            run("umount", "-l", where)
    assert status == 0 and "it lies under a canonfs mount" not in messages
    assert str(where) not in seen and "fuse.canonfs" not in seen


# ---- ending ----

def by_signal(number):
    return lambda mount, point: os.kill(mount.supervisor, number)


def by_umount(mount, point):
    run("umount", point)


def by_lazy_umount(mount, point):
    run("umount", "-l", point)


def by_canonfs(mount, point):
    says(canonfs("umount", point), 0)


def by_canonfs_lazily(mount, point):
    says(canonfs("umount", "-l", point), 0)


SIGNALS = [by_signal(signal.SIGTERM), by_signal(signal.SIGINT)]


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("end", [*SIGNALS, by_umount, by_canonfs, by_canonfs_lazily],
                         ids=["SIGTERM", "SIGINT", "umount", "canonfs", "canonfs-lazily"])
def test_ends_cleanly(place, end):
    mount = Foreground(place / "source", place / "point")
    assert usable(place / "point")
    end(mount, place / "point")
    assert mount.ends() == (0, "")
    assert mounts_at(place / "point") == []


@contextlib.contextmanager
def user_of(point):
    """A process whose working directory is in the mount, and that has a file open."""
    with open(point / "file", "rb") as file:
        user = subprocess.Popen(["sleep", "60"], cwd=point, stdin=file)
    try:
        yield user
    finally:
        user.kill()
        user.wait()


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("end", SIGNALS, ids=["SIGTERM", "SIGINT"])
def test_signal_ends_it_although_it_has_users(place, end):
    mount = Foreground(place / "source", place / "point")
    with user_of(place / "point"):
        end(mount, place / "point")
        assert mount.ends() == (0, "")
        assert mounts_at(place / "point") == []


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("end", [by_lazy_umount, by_canonfs_lazily])
def test_lazily_unmounted_it_serves_its_last_users(place, end):
    mount = Foreground(place / "source", place / "point")
    with user_of(place / "point") as user:
        end(mount, place / "point")
        assert mounts_at(place / "point") == []
        time.sleep(1.1)  # what the kernel remembered is no longer believed
        assert pathlib.Path(f"/proc/{user.pid}/cwd/file").read_text() == "text"
        user.kill()
        assert mount.ends() == (0, "")


@pytest.mark.usefixtures("front")
def test_umount_of_a_busy_mount(place):
    with mounted(place / "source", place / "point") as point:
        with user_of(point):
            says(canonfs("umount", point), 32,
                 f"canonfs: '{point}' is in use: end its users (fuser -vm), or unmount with -l")
            assert usable(point)
        says(canonfs("umount", point), 0)
        says(mounts(place / "source", point), 0)  # for mounted() to end


def test_killed_worker_shows_the_bare_source(place):
    mount = Foreground(place / "source", place / "source")
    assert usable(place / "source")
    os.kill(*mount.workers, signal.SIGKILL)
    status, messages = mount.ends()
    assert status == 32
    assert messages == (f"canonfs: the server of '{place / 'source'}' was killed by signal 9; "
                        "unmounting, so that the bare source shows\n")
    assert mounts_at(place / "source") == []
    assert place.joinpath("source/file").read_text() == "text"


def test_killed_worker_with_users(place):
    mount = Foreground(place / "source", place / "point")
    with user_of(place / "point"):
        os.kill(*mount.workers, signal.SIGKILL)
        assert mount.ends()[0] == 32
        assert mounts_at(place / "point") == []


def test_forced_umount_with_users_shows_the_bare_source(place):
    """The kernel cuts the server off and then finds that it cannot unmount."""
    mount = Foreground(place / "source", place / "source")
    with open(place / "source/file"):
        assert run("umount", "-f", place / "source", check=False).returncode != 0
        status, messages = mount.ends()
    assert status == 32
    assert messages.replace(ABORTED, "") == (f"canonfs: the server of '{place / 'source'}' was cut "
                                             "off; unmounting, so that the bare source shows\n")
    assert mounts_at(place / "source") == []
    assert place.joinpath("source/file").read_text() == "text"


@pytest.mark.usefixtures("front")
def test_next_mount_is_not_taken_away(place):
    """It has the numbers of the one that ended."""
    mounts_before = len(mountinfo())
    for _ in range(30):
        says(mounts(place / "source", place / "point"), 0)
        run("umount", place / "point")
    says(mounts(place / "source", place / "point"), 0)
    time.sleep(1.2)
    assert usable(place / "point") and len(mountinfo()) == mounts_before + 1
    run("umount", place / "point")


@pytest.mark.usefixtures("front")
def test_killed_supervisor_leaves_a_mount_that_ends(place):
    mount = Foreground(place / "source", place / "point")
    os.kill(mount.supervisor, signal.SIGKILL)
    mount.process.wait(timeout=END)
    mount.process.stderr.close()
    assert usable(place / "point")
    run("umount", place / "point")
    assert wait_until(lambda: not mount.workers & servers(), END)


def children():
    listed = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return set(map(int, listed.split()))


@pytest.mark.parametrize("kill", [False, True], ids=["umount", "SIGKILL"])
def test_background_server_has_an_exit_status_and_leaves_no_zombie(place, kill):
    """Here it has a parent: as under an init system, its processes come to us (isolation.py)."""
    known, before = children(), servers()
    says(canonfs(place / "source", place / "point"), 0)
    adopted = children() - known
    assert len(adopted) == 1
    worker, = servers() - before - adopted
    if kill:
        os.kill(worker, signal.SIGKILL)
    else:
        run("umount", place / "point")
    assert wait_until(lambda: os.waitid(os.P_PID, *adopted, os.WEXITED | os.WNOHANG |
                                        os.WNOWAIT) is not None, END)
    _, status = os.waitpid(*adopted, 0)
    assert os.WEXITSTATUS(status) == (32 if kill else 0)
    assert children() <= known
    assert mounts_at(place / "point") == []


def answers(point):
    """False for a dead mount, of which the kernel may remember what os.stat() asks for."""
    with contextlib.suppress(OSError):
        return bool(os.statvfs(point))
    return False


def test_dead_mount_is_recognised_and_ended(place):
    before = servers()
    says(canonfs(place / "source", place / "point"), 0)
    for pid in servers() - before:
        os.kill(pid, signal.SIGSTOP)  # so that the supervisor has no time to clean up
    for pid in servers() - before:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not servers() - before)
    assert wait_until(lambda: not answers(place / "point"))
    point = place / "point"
    says(canonfs(place / "source", point), 32,
         f"canonfs: MOUNTPOINT '{point}' has a FUSE mount whose server is gone; end it with "
         f"canonfs umount {point}")
    refused = canonfs(point, place / "source")
    assert refused.returncode == 32
    assert "Transport endpoint is not connected" in refused.stderr
    assert mounts_at(place / "source") == []
    says(canonfs("umount", point), 0)
    assert mounts_at(point) == []


# ---- over the source itself, and over /usr ----

@pytest.mark.usefixtures("front")
def test_over_the_source_itself(place):
    with mounted(place / "source", place / "source") as point:
        assert usable(point)
        assert not os.access(point / "file", os.W_OK)
    assert place.joinpath("source/file").read_text() == "text"


OWN_USR = pathlib.Path(__file__).with_name("own_usr.py")


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("end", ["SIGTERM", "umount"])
def test_over_the_running_usr(folder, end):
    """In a mount namespace of its own: the machine's /usr is not touched."""
    before = servers()
    rounds = 100 if LONG else 10
    command = ["unshare", "-m", "--propagation", "private", sys.executable, OWN_USR, CANONFS,
               end, str(rounds), with_front("")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=15 * rounds)
    except subprocess.TimeoutExpired:
        output = "hung"
    finally:
        # Without its server a FUSE request fails instead of waiting.
        for pid in servers() - before:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, output
    assert output.splitlines()[-1] == f"{rounds} rounds"


ABORTED = "fuse: reading device: Software caused connection abort\n"


def readers(point):
    """Processes that keep a mount busy."""
    loop = 'while :; do find "$0" -type f -exec md5sum {} + ; done'
    return [subprocess.Popen(["sh", "-c", loop, point], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)
            for _ in range(3)]


@pytest.mark.usefixtures("front")
def test_mounted_and_ended_under_load(place):
    """Thirty times, and never hung."""
    for number in range(200):
        place.joinpath(f"source/below/{number}.py").write_text("x = 1\n" * number)
    ways = [by_signal(signal.SIGTERM), by_lazy_umount, by_canonfs_lazily,
            by_signal(signal.SIGINT)]
    for number in range(1000 if LONG else 30):
        mount = Foreground(place / "source", place / "point", ("", "immutable")[number & 1])
        busy = readers(place / "point")
        try:
            time.sleep(0.02 * (number % 5))
            ways[number % len(ways)](mount, place / "point")
            time.sleep(0.01)
        finally:
            for reader in busy:
                os.killpg(reader.pid, signal.SIGKILL)
                reader.wait()
        status, messages = mount.ends()
        # libfuse's own word when a request was on its way to the server.
        assert messages in ("", ABORTED * messages.count("\n")), number
        assert status == 0, number
        assert mounts_at(place / "point") == []


# ---- what is refused ----

USAGE = ("usage: canonfs [mount] SOURCE MOUNTPOINT [-o OPTION[,OPTION]...] [-f] [-v]; see canonfs "
         "mount --help")
UMOUNT_USAGE = "usage: canonfs umount [-l] MOUNTPOINT|--all; see canonfs umount --help"
MTIME = ("canonfs: option mtime= must be source, embedded or a time in seconds from 0 to "
         "2147483647, not ")
TRUST = "canonfs: option trust= must be canonical, size or verified, not "
CANONICAL = "canonfs: option canonical= must be a time in seconds since 1970, not "


@pytest.mark.parametrize("words, lines", [
    (["source"], ["canonfs: 'source' is no command, and a mount needs SOURCE and MOUNTPOINT; see "
                  "canonfs --help"]),
    (["source", "point", "more"], ["canonfs: too many arguments", USAGE]),
    (["umount"], ["canonfs: one MOUNTPOINT, or --all, is needed", UMOUNT_USAGE]),
    (["umount", "a", "b"], ["canonfs: one MOUNTPOINT, or --all, is needed", UMOUNT_USAGE]),
    (["umount", "--all", "a"], ["canonfs: --all takes no MOUNTPOINT", UMOUNT_USAGE]),
])
def test_wrong_arguments(place, words, lines):
    says(canonfs(*words, cwd=place), 1, *lines)


@pytest.mark.parametrize("word", ["-x", "--bogus", "-o"])
def test_unknown_switch(place, word):
    result = canonfs("source", "point", word, cwd=place)
    assert result.returncode == 1 and result.stderr.splitlines()[-1] == USAGE


@pytest.mark.parametrize("option, line", [
    ("bogus", "canonfs: unknown option 'bogus'; see canonfs --help"),
    ("ro,nofail,bogus=1", "canonfs: unknown option 'bogus'; see canonfs --help"),
    ("trust", TRUST + "''"),
    ("trust=all", TRUST + "'all'"),
    ("mtime", MTIME + "''"),
    ("mtime=now", MTIME + "'now'"),
    ("mtime=-1", MTIME + "'-1'"),
    ("mtime=2147483648", MTIME + "'2147483648'"),
    ("mtime=99999999999999999999", MTIME + "'99999999999999999999'"),
    ("mtime=1 ", MTIME + "'1 '"),
    ("mtime= 1", MTIME + "' 1'"),
    ("mtime=\t1", MTIME + "'\\x091'"),
    ("mtime=0x1", MTIME + "'0x1'"),
    ("mtime=1.5", MTIME + "'1.5'"),
    ("hash=no", "canonfs: option hash= must be keep or unchecked, not 'no'"),
    ("canonical", CANONICAL + "''"),
    ("canonical=soon", CANONICAL + "'soon'"),
    ("stack", "canonfs: option stack= must be auto, on or off, not ''"),
    ("stack=yes", "canonfs: option stack= must be auto, on or off, not 'yes'"),
    ("immutable=1", "canonfs: option immutable takes no value"),
    ("mutable=", "canonfs: option mutable takes no value"),
    ("xdev=yes", "canonfs: option xdev takes no value"),
    ("allow_other=1", "canonfs: option allow_other takes no value"),
    ("nosuid=1", "canonfs: option nosuid takes no value"),
    ("root", "canonfs: option root= needs a directory"),
    ("root=", "canonfs: option root= needs a directory"),
    ("context", "canonfs: option context= needs a value"),
])
def test_wrong_option(place, option, line):
    says(canonfs("source", "point", "-o", option, cwd=place), 1, line)
    assert mounts_at(place / "point") == []


@pytest.mark.parametrize("words, line", [
    (["none", "point"], "cannot open SOURCE 'none': No such file or directory"),
    (["source/file", "point"], "SOURCE '{place}/source/file' is not a directory"),
    (["source", "none"], "cannot use MOUNTPOINT 'none': No such file or directory"),
    (["source", "source/file"], "MOUNTPOINT 'source/file' is not a directory"),
    (["source", "/"], "MOUNTPOINT is '/': a mount over it would not show"),
    (["source", "point", "-o", "root=/none"],
     "cannot use root='/none': No such file or directory"),
    (["umount", "none"], "cannot find MOUNTPOINT 'none': No such file or directory"),
    (["umount", "point"], "'point' is not a canonfs mount"),
    (["umount", "/proc"], "'/proc' is not a canonfs mount"),
    (["umount", "source/file"], "'source/file' is not a canonfs mount"),
])
def test_what_cannot_be_mounted(place, words, line):
    says(canonfs(*words, cwd=place), 32, "canonfs: " + line.replace("{place}", str(place)))


def test_root_that_holds_neither(place):
    says(canonfs("source", "point", "-o", "root=/proc", cwd=place), 32,
         f"canonfs: neither MOUNTPOINT '{place}/point' nor SOURCE '{place}/source' is below "
         "root='/proc'")


def test_message_shows_every_byte_of_a_path(place):
    says(canonfs("no\n'\\", "point", cwd=place), 32,
         "canonfs: cannot open SOURCE 'no\\x0a\\'\\\\': No such file or directory")


@pytest.mark.usefixtures("front")
def test_already_mounted(place):
    with mounted(place / "source", place / "point") as point:
        says(canonfs(place / "source", point), 32,
             f"canonfs: MOUNTPOINT '{point}' already has a canonfs mount; end it with canonfs "
             f"umount {point}")
        assert mounts_at(point) == ["canonfs"]


def test_umount_of_another_file_system(place):
    run("mount", "-t", "tmpfs", "none", place / "point")
    says(canonfs("umount", "point", cwd=place), 32, "canonfs: 'point' is not a canonfs mount")
    says(canonfs("umount", "-l", "point", cwd=place), 32,
         "canonfs: 'point' is not a canonfs mount")
    assert mounts_at(place / "point") == ["tmpfs"]


def test_permission_denied(place, user_device):
    hidden = place / "hidden"
    hidden.mkdir(mode=0o700)
    hidden.joinpath("inside").mkdir()
    says(canonfs("hidden/inside", "point", command=AS_USER, cwd=place), 32,
         "canonfs: cannot open SOURCE 'hidden/inside': Permission denied")
    says(canonfs("source", "hidden/inside", command=AS_USER, cwd=place), 32,
         "canonfs: cannot use MOUNTPOINT 'hidden/inside': Permission denied")


def test_no_right_to_open_the_device(place):
    with device_with_mode(place, 0o600):
        says(canonfs("source", "point", command=AS_USER, cwd=place), 32,
             "canonfs: cannot open '/dev/fuse': Permission denied")


def test_without_the_device(place):
    says(canonfs("source", "point", cwd=place, command=[
        "unshare", "-m", "--propagation", "private", "sh", "-c",
        'mount -t tmpfs none /dev && exec "$@"', "sh"]), 32,
         "canonfs: '/dev/fuse' is not there: load the kernel's fuse module (modprobe fuse), or "
         "give the container the device (--device /dev/fuse)")


@pytest.mark.parametrize("other", ["/dev/null", "/etc/passwd"])
def test_a_device_that_is_none(place, other):
    says(canonfs("source", "point", cwd=place, command=[
        "unshare", "-m", "--propagation", "private", "sh", "-c",
        f'mount --bind {other} /dev/fuse && exec "$@"', "sh"]), 32,
         "canonfs: '/dev/fuse' is not a FUSE device")


def test_options_that_are_no_words(place):
    says(canonfs("source", "point", "-o", '"', cwd=place), 1,
         "canonfs: a double quote is not closed in the options '\"'")
    says(canonfs("source", "point", "-o", 'ro,""', cwd=place), 1,
         "canonfs: unknown option ''; see canonfs --help")


# ---- file systems below the source ----

@pytest.fixture
def with_submount(place):
    run("mount", "-t", "tmpfs", "none", place / "source/below")
    place.joinpath("source/below/hidden").write_text("not seen")
    return place


def test_submount_is_refused(with_submount):
    place = with_submount
    says(canonfs("source", "point", cwd=place), 32,
         f"canonfs: another file system is mounted below SOURCE, on '{place}/source/below': "
         "canonfs shows one only; hide it with -o xdev, or mount it by itself")


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("options", ["xdev", "xdev,immutable"])
def test_xdev_hides_submounts(with_submount, options):
    place = with_submount
    with mounted(place / "source", place / "point", options) as point:
        assert usable(point)
        assert not point.joinpath("below/hidden").exists()
        with contextlib.suppress(FileNotFoundError):
            assert os.listdir(point / "below") == []


def test_what_is_mounted_later_is_not_shown(place):
    with mounted(place / "source", place / "point", "mutable") as point:
        run("mount", "-t", "tmpfs", "none", place / "source/below")
        place.joinpath("source/below/hidden").write_text("not seen")
        time.sleep(1.1)
        assert not point.joinpath("below/hidden").exists()
        run("umount", place / "source/below")


# ---- is the source immutable? ----

@pytest.mark.usefixtures("passthrough")
@pytest.mark.parametrize("read_only, options, cached", [
    ("nothing", "", False), ("nothing", "immutable", True), ("mount", "", False),
    ("mount", "immutable", True), ("file system", "", True), ("file system", "mutable", False)])
def test_read_only_file_system_is_immutable_by_default(place, read_only, options, cached):
    """What is immutable is asked for once: a change is not seen."""
    source = place / "bound"
    source.mkdir()
    run("mount", "-t", "tmpfs", "none", place / "source")
    place.joinpath("source/file").write_text("text")
    run("mount", "--bind", place / "source", source)
    if read_only == "mount":
        run("mount", "-o", "remount,bind,ro", source)
    elif read_only == "file system":
        run("mount", "-o", "remount,ro", place / "source")
    with mounted(source, place / "point", options) as point:
        assert usable(point)
        if read_only == "file system":
            run("mount", "-o", "remount,rw", place / "source")
        place.joinpath("source/file").write_text("longer than before")
        time.sleep(1.2)
        assert (os.stat(point / "file").st_size == len("text")) == cached
    run("umount", source)
    run("umount", place / "source")


# ---- mount(8) ----

FSTAB_WORDS = ("nofail,noauto,auto,x-systemd.automount,x-systemd.requires=a.mount,_netdev,"
               "defaults,user,nouser,comment=text")


@pytest.fixture
def installed(folder):
    """The program where mount(8) and /bin/sh without a PATH find it, as if installed."""
    sbin, links = os.path.realpath("/sbin"), folder / "links"
    links.mkdir()
    for name in ("canonfs", "mount.canonfs"):
        links.joinpath(name).symlink_to(CANONFS)
    if run("mount", "-t", "overlay", "-o", f"ro,lowerdir={links}:{sbin}", "none", sbin,
           check=False).returncode:
        missing("no overlay over /sbin")
    yield
    run("umount", sbin)


@pytest.fixture
def helper():
    """mount -t fuse.* needs the helper of the package fuse3."""
    if not shutil.which("mount.fuse", path="/sbin:/usr/sbin"):
        missing("mount.fuse (package fuse3) is not there")


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("kind", ["fuse.canonfs", "canonfs"])
@pytest.mark.parametrize("options", ["", FSTAB_WORDS, "mtime=1,immutable,ro"])
def test_mount_8(place, installed, helper, kind, options):
    point = place / "point"
    result = run("mount", "-t", kind, place / "source", point,
                 "-o", with_front(options), timeout=LIMIT)
    assert result.stdout + result.stderr == ""
    assert usable(point)
    shown = run("findmnt", "-no", "SOURCE,OPTIONS", point).stdout.split()
    assert shown[0] == str(place / "source")
    run("umount", point, timeout=LIMIT)
    assert mounts_at(point) == []


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("kind", ["fuse.canonfs", "canonfs"])
def test_mount_8_exit_status(place, installed, helper, kind):
    def status(*words):
        return run("mount", "-t", kind, *words, check=False, timeout=LIMIT).returncode

    point = place / "point"
    assert status(place / "none", point) == 32
    assert status(place / "source", point, "-o", "bogus") == 1
    assert status(place / "source", point, "-o", "mtime=soon") == 1
    assert status(place / "source", point, "-o", with_front("nosuid,nodev,noexec")) == 0
    shown = run("findmnt", "-no", "OPTIONS", point).stdout.split(",")
    assert {"nosuid", "nodev", "noexec"} <= set(shown)
    assert status(place / "source", point) == 32  # already mounted
    run("umount", point)


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("kind", ["fuse.canonfs", "canonfs"])
def test_fstab(place, installed, helper, kind):
    fstab = place / "fstab"
    fstab.write_text(f"{place}/source {place}/point {kind} "
                     f"ro,nofail,_netdev,{with_front('mtime=1')} 0 0\n")
    run("mount", "-a", "-T", fstab, timeout=LIMIT)
    assert usable(place / "point")
    run("mount", "-a", "-T", fstab, timeout=LIMIT)  # it is there: nothing to do
    assert mounts_at(place / "point") == ["canonfs"]
    run("umount", place / "point")
    run("mount", "-T", fstab, place / "point", timeout=LIMIT)
    assert usable(place / "point")
    run("umount", place / "point")


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("kind", ["fuse.canonfs", "canonfs"])
def test_mount_8_remounts(place, installed, helper, kind):
    """systemd-remount-fs runs mount -o remount for /usr where fstab names it."""
    point = place / "point"
    run("mount", "-t", kind, place / "source", point, "-o", with_front("ro"), timeout=LIMIT)
    try:
        result = run("mount", "-o", "remount,ro,nodev", point, check=False, timeout=LIMIT)
        assert (result.returncode, result.stderr) == (0, "")
        assert usable(point)
        assert "nodev" in run("findmnt", "-no", "OPTIONS", point).stdout
    finally:
        run("umount", "-l", point)


def test_mount_helper(place):
    """As mount(8) calls it: mount.canonfs SOURCE DIR [-sfnv] [-N namespace] [-o] [-t]."""
    program = place / "mount.canonfs"
    program.symlink_to(CANONFS)

    def helper_says(status, line, *words):
        result = run(program, *words, check=False, cwd=place, timeout=LIMIT)
        assert (result.returncode, result.stderr.splitlines()[:1]) == (status, line)

    helper_says(0, [], "source", "point", "-sn", "-t", "canonfs", "-o", f"rw,{FSTAB_WORDS}")
    assert usable(place / "point")
    run("umount", place / "point")
    helper_says(0, [], "source", "point", "-f")
    assert mounts_at(place / "point") == []
    helper_says(32, ["canonfs: cannot open SOURCE 'none': No such file or directory"],
                "none", "point", "-o", "rw")
    helper_says(1, ["canonfs: unknown option 'bogus'; see canonfs --help"],
                "source", "point", "-o", "rw,bogus")
    helper_says(1, ["canonfs: SOURCE and MOUNTPOINT are needed"], "source")
    helper_says(1, ["canonfs: mount.canonfs: option -N is not supported: enter the namespace "
                    "with nsenter(1) first"], "source", "point", "-N", "1")


# ---- signals before it is usable ----

def children_of(pid):
    with contextlib.suppress(OSError):
        found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in found.split()]
    return []


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def stopped_early(place, connections, *words):
    """A command whose server was stopped before it answered the first request; None where it
    was too late."""
    command = subprocess.Popen([CANONFS, place / "source", place / "point", "-o",
                                "stack=off,cache=off", *words], stderr=subprocess.DEVNULL)
    worker = []
    while not worker and command.poll() is None:
        found = children_of(command.pid)
        found += sum(map(children_of, found), [])
        worker = [pid for pid in found if name_of(pid) == "canonfs-worker"]
    if worker:
        os.kill(worker[0], signal.SIGSTOP)
        device, = [line.split()[2] for line in mountinfo()
                   if mount_point(line) == str(place / "point")]
        waiting = connections / device.split(":")[1] / "waiting"
        if wait_until(lambda: int(waiting.read_text()) > 0, 1) and command.poll() is None:
            return command
        os.kill(worker[0], signal.SIGCONT)
    run(CANONFS, "umount", place / "point")
    command.wait(END)
    return None


@pytest.fixture
def connections(place):
    """What the kernel tells of each FUSE connection, by the mount's device number."""
    folder = place / "connections"
    folder.mkdir()
    run("mount", "-t", "fusectl", "none", folder)
    yield folder
    run("umount", folder)


@pytest.mark.parametrize("ended", ["signal", "command"])
def test_server_stops_before_its_first_answer(place, connections, ended):
    """Nobody can look at the mount point then, and a signal ends the mount all the same; as does
    the end of the command that waits."""
    before = servers()
    words = ["-f"] if ended == "signal" else []
    command = next(filter(None, (stopped_early(place, connections, *words) for _ in range(100))))
    (command.terminate if ended == "signal" else command.kill)()
    command.wait(END)
    assert wait_until(lambda: servers() == before, END)
    assert mounts_at(place / "point") == []


# ---- ordinary users ----

@contextlib.contextmanager
def device_with_mode(folder, mode):
    """/dev/fuse with other rights, in this test's namespace."""
    tmpfs = folder / "dev"
    tmpfs.mkdir()
    run("mount", "-t", "tmpfs", "-o", "dev", "none", tmpfs)
    os.mknod(tmpfs / "fuse", stat.S_IFCHR | mode, os.stat("/dev/fuse").st_rdev)
    os.chmod(tmpfs / "fuse", mode)
    run("mount", "--bind", tmpfs / "fuse", "/dev/fuse")
    try:
        yield
    finally:
        run("umount", "-l", "/dev/fuse")  # a server that is about to end may have it open
        run("umount", "-l", tmpfs)


@pytest.fixture
def user_device(place):
    """What an ordinary user needs to mount: the device, and fusermount3, setuid."""
    program = shutil.which("fusermount3")
    if not program or not os.stat(program).st_mode & stat.S_ISUID:
        missing("fusermount3 (package fuse3) is not there")
    with device_with_mode(place, 0o666):
        yield


def test_user_mounts_and_unmounts(place, user_device):
    point = place / "point"
    says(canonfs(place / "source", point, command=AS_USER), 0)
    assert run(*AS_USER, "cat", point / "file").stdout == "text"
    shown = run("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", point).stdout.split()
    assert shown[:2] == ["fuse.canonfs", str(place / "source")]
    assert {"ro", "nosuid", "nodev", f"user_id={USER}"} <= set(shown[2].split(","))
    with pytest.raises(PermissionError):  # it is the user's own, even root stays out
        os.stat(point / "file")
    says(canonfs("umount", point, command=AS_USER), 0)
    assert mounts_at(point) == []


def test_user_unmounts_all(place, user_device):
    """Of their own; root's are no failure."""
    point = place / "point"
    (place / "roots").mkdir()
    with mounted(place / "source", place / "roots") as roots:
        says(canonfs(place / "source", point, command=AS_USER), 0)
        result = canonfs("umount", "--all", command=AS_USER)
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{point}: unmounted\n", "")
        assert usable(roots)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_mount_of_a_user(place, user_device, number):
    before = servers()
    point = place / "point"
    says(canonfs(place / "source", point, command=AS_USER), 0)
    supervisor, _ = supervisor_and_worker(servers() - before)
    os.kill(supervisor, number)
    assert wait_until(lambda: not servers() - before, END)
    assert mounts_at(point) == []


def test_killed_worker_of_a_user(place, user_device):
    before = servers()
    point = place / "point"
    says(canonfs(place / "source", point, command=AS_USER), 0)
    _, worker = supervisor_and_worker(servers() - before)
    os.kill(worker, signal.SIGKILL)
    assert wait_until(lambda: not servers() - before, END)
    assert mounts_at(point) == []


def test_user_cannot_mount_on_what_is_not_theirs(place, user_device):
    os.chown(place / "point", 0, 0)
    (place / "point").chmod(0o755)  # scripts/coverage has files made that everybody can write
    result = canonfs(place / "source", place / "point", command=AS_USER)
    assert result.returncode == 32
    assert result.stderr.splitlines()[-1] == (
        f"canonfs: cannot mount on '{place}/point': fusermount3 refused (as an ordinary user, "
        "the directory must be yours and the package fuse3 installed)")
    assert mounts_at(place / "point") == []


def test_user_cannot_unmount_what_is_not_theirs(place, user_device):
    with mounted(place / "source", place / "point") as point:
        result = canonfs("umount", point, command=AS_USER)
        assert result.returncode == 32
        assert usable(point)
        assert "in use" not in result.stderr, "that is not why"


def test_user_and_submounts(with_submount, user_device):
    place = with_submount
    point = place / "point"
    refused = canonfs(place / "source", point, command=AS_USER)
    assert refused.returncode == 32 and "hide it with -o xdev" in refused.stderr
    for options in ("xdev", "xdev,immutable"):
        says(canonfs(place / "source", point, "-o", options, command=AS_USER), 0)
        assert run(*AS_USER, "cat", point / "file").stdout == "text"
        hidden = run(*AS_USER, "cat", point / "below/hidden", check=False)
        assert hidden.returncode and "not seen" not in hidden.stdout
        run(*AS_USER, "find", point)
        says(canonfs("umount", point, command=AS_USER), 0)


# ---- help ----

def test_help_and_version():
    for words in (["--help"], ["help"], ["mount", "--help"], ["umount", "--help"],
                  ["umount", "-h"], ["-h"]):
        result = canonfs(*words)
        assert result.returncode == 0 and result.stderr == "", words
        assert result.stdout.startswith("usage: canonfs "), words
        assert all(len(line) <= 90 for line in result.stdout.splitlines()), words
    assert re.fullmatch(r"canonfs \d+\.\d+\.\d+\n", canonfs("--version").stdout)
    nothing = canonfs()
    assert nothing.returncode == 1 and "usage: canonfs " in nothing.stdout + nothing.stderr


@pytest.mark.parametrize("command, status", [
    ("mount", 1), ("umount", 1), ("check", 64), ("explain", 64), ("verify", 64), ("trace", 64),
    ("status", 64), ("cache", 1)])
def test_wrong_usage_shows_the_first_lines_of_help(command, status):
    """All commands say it in one way; each has its own exit status."""
    says = canonfs(command, "--help").stdout.partition("\n\n")[0]
    wrong = canonfs(command, "--bogus")
    assert wrong.returncode == status and wrong.stdout == ""
    assert wrong.stderr == (f"canonfs: unrecognized option '--bogus'\n{says}; see canonfs "
                            f"{command} --help\n")


OPTION_WORD = re.compile(r'\{\.name = "(\w[\w-]*)",\s*\.take = (\w+)(?:, \.flag = \w+(, \.clears = true)?)?\}')


def option_words():
    """Those of the table in the source, but what mount(8) alone says, and what undoes another."""
    source = (TOP / "fs/mount/options.c").read_text()
    found = OPTION_WORD.findall(source)
    assert len(found) == source.count("{.name = "), "the table has another form"
    return {"context" if take == "option_context" else name for name, take, clears in found
            if not clears} - {"remount"}


def test_help_names_every_option():
    """And no other."""
    text = canonfs("mount", "--help").stdout.partition("comma-separated:\n")[2].partition("\n\n")[0]
    shown = {word for line in re.findall(r"^    (\w[\w-]*(?:=\S*)?(?:, [\w=.]+)*)", text, re.M)
             for word in re.findall(r"(?:^|, )([\w-]+)", line)}
    assert shown == option_words()
