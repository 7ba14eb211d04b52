# SPDX-License-Identifier: GPL-2.0-or-later
"""The stacked mount: overlayfs shows the source itself, and a FUSE layer below it has nothing
but the bytecode that differs. What other tests say of a mount they say of this one, too, by
the fixture "front"; here is what only this one does.
"""
import contextlib
import ctypes
import mmap
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time

import pytest

from conftest import (CANONFS, END, NAMES, TRACEFS, counted, make_package, missing, mounted,
                      mountinfo, mounts_at, refuses_to_stack, run, servers, wait_until)

pytestmark = pytest.mark.usefixtures("nothing_left")

STACKED = "stack=on,immutable"
TAG = sys.implementation.cache_tag
SECOND = 10 ** 9


def pyc(root, name):
    return root / f"package/__pycache__/{name}.{TAG}.pyc"


def imported(folder, name):
    """(value, was the bytecode used?)"""
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {name}; print({name}.value)"
    result = subprocess.run([sys.executable, "-B", "-S", "-v", "-c", code, folder], text=True,
                            capture_output=True, timeout=20)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip(), f"{name}.{TAG}.pyc matches" in result.stderr


def supervisor_and_worker(pids):
    one, other = pids
    parent = re.search(r"^PPid:\t(\d+)$", pathlib.Path(f"/proc/{one}/status").read_text(), re.M)
    return (other, one) if int(parent[1]) == other else (one, other)


# ---- what it is ----

def test_findmnt_shows_an_overlay_with_our_layers(place):
    with mounted(place / "source", place / "point", STACKED) as point:
        words = run("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", point).stdout.split()
        assert mounts_at(point) == ["canonfs"]
    assert words[:2] == ["overlay", str(place / "source")]
    shown = words[2].split(",")
    assert {"ro", "lowerdir=canonfs-stubs:canonfs-source::canonfs-data"} <= set(shown)


def test_modules_are_loaded_from_their_bytecode(place):
    assert imported(place / "source/package", "one") == ("one", False)
    with mounted(place / "source", place / "point", STACKED) as point:
        assert imported(point / "package", "one") == ("one", True)
        assert os.stat(point / "package/one.py").st_mtime_ns == 0


def test_epoch_view(place):
    with mounted(place / "source", place / "point", f"{STACKED},mtime=777") as point:
        assert imported(point / "package", "one") == ("one", True)
        assert os.stat(point / "package/one.py").st_mtime_ns == 777 * SECOND
        assert pyc(point, "one").read_bytes()[8:12] == struct.pack("<I", 777)


def test_embedded_view_needs_no_server(place):
    before = servers()
    with mounted(place / "source", place / "point", f"{STACKED},mtime=embedded") as point:
        assert wait_until(lambda: servers() == before)
        assert imported(point / "package", "one") == ("one", True)
        assert pyc(point, "one").read_bytes() == pyc(place / "source", "one").read_bytes()


def test_foreground_without_a_server_ends_with_the_mount(place):
    for end in (lambda process: run("umount", place / "point"), lambda process: process.terminate()):
        process = subprocess.Popen([CANONFS, place / "source", place / "point", "-f", "-o",
                                    f"{STACKED},mtime=embedded"])
        try:
            assert wait_until(lambda: mounts_at(place / "point") == ["canonfs"])
            end(process)
            assert process.wait(END) == 0
            assert mounts_at(place / "point") == []
        finally:
            process.kill()
            process.wait()


def test_names_of_one_file_stay_so(place):
    """Installers link bytecode of equal content; readers still see one file."""
    for name in ("one.opt-1", "one.opt-2"):
        os.link(pyc(place / "source", "one"), pyc(place / "source", name.replace(".opt", "")).
                with_name(f"one.{TAG}.{name[4:]}.pyc"))
    os.link(pyc(place / "source", "two"), place / "source/bare/unrelated.pyc")
    with mounted(place / "source", place / "point", STACKED) as point:
        names = [pyc(point, "one"), *(pyc(point, "one").with_name(f"one.{TAG}.opt-{level}.pyc")
                                      for level in (1, 2))]
        seen = [os.stat(name) for name in names]
        assert len({status.st_ino for status in seen}) == 1
        assert {status.st_nlink for status in seen} == {3}
        assert len({name.read_bytes() for name in names}) == 1
        assert names[0].read_bytes()[8:12] == bytes(4)
        # Its other name is no bytecode of that source: it shows as on disk.
        assert (point / "bare/unrelated.pyc").read_bytes() != pyc(point, "two").read_bytes()


def test_attributes_of_stubs(place):
    """A stub is made anew, and shows what the file's owner, mode, times and labels are."""
    file, where = pyc(place / "source", "one"), place / "source/package/__pycache__"
    os.setxattr(file, "user.note", b"\0\xff")
    os.setxattr(where, "user.empty", b"")
    os.setxattr(file, "trusted.secret", b"kept")
    os.chown(file, 1234, 4321)
    os.chmod(file, 0o6751)
    os.utime(file, ns=(5, 10 ** 18 + 7))
    os.chown(where, 77, 88)
    os.chmod(where, 0o3711)
    os.utime(where, ns=(6, -10 ** 15))
    with mounted(place / "source", place / "point", STACKED) as point:
        for theirs, ours in ((file, pyc(point, "one")), (where, pyc(point, "one").parent)):
            for fact in ("st_mode", "st_uid", "st_gid", "st_mtime_ns"):
                assert getattr(os.stat(theirs), fact) == getattr(os.stat(ours), fact), fact
            assert {name: os.getxattr(theirs, name) for name in os.listxattr(theirs)} == \
                {name: os.getxattr(ours, name) for name in os.listxattr(ours)}
        assert os.stat(file).st_size == os.stat(pyc(point, "one")).st_size


# ---- the source itself shows ----

@contextlib.contextmanager
def page_frames(path):
    """Numbers of the physical pages of a file's content, as this process maps it. While it is
    mapped, nobody takes the pages away."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        with mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
            sum(mapped[at] for at in range(0, size, mmap.PAGESIZE))
            start, = (int(line.split("-")[0], 16) for line in
                      pathlib.Path("/proc/self/maps").read_text().splitlines()
                      if line.endswith(str(path)))
            with open("/proc/self/pagemap", "rb") as pagemap:
                pagemap.seek(start // mmap.PAGESIZE * 8)
                count = -(-size // mmap.PAGESIZE)
                entries = struct.unpack(f"<{count}Q", pagemap.read(8 * count))
            yield [entry & (1 << 55) - 1 for entry in entries if entry >> 63]


def test_mapped_pages_are_those_of_the_source(place):
    """A library is in memory once, whoever maps it."""
    (place / "source/library").write_bytes(os.urandom(1 << 20))
    with mounted(place / "source", place / "point", STACKED) as point:
        with page_frames(point / "library") as ours, page_frames(place / "source/library") as theirs:
            if not any(ours):
                missing("page frame numbers need CAP_SYS_ADMIN")
            assert ours == theirs and len(ours) == (1 << 20) // mmap.PAGESIZE


def test_one_device(place):
    """find -xdev, du -x and tar --one-file-system see all of it."""
    with mounted(place / "source", place / "point", STACKED) as point:
        for words in (["find", "."], ["find", ".", "-xdev"], ["find", ".", "-mount", "-type", "f"]):
            assert sorted(run(*words, cwd=point).stdout.split()) == \
                sorted(run(*words, cwd=place / "source").stdout.split())
        devices = {os.lstat(os.path.join(where, name)).st_dev
                   for where, folders, files in os.walk(point) for name in folders + files}
        assert devices == {os.stat(point).st_dev}
        assert run("df", "--output=target", point).stdout.split()[-1] == str(point)


def test_programs(place):
    """exec of a binary, of a script, through a link and by descriptor."""
    source = place / "source"
    shutil.copy("/bin/cat", source / "cat")
    (source / "script").write_text(f"#!{place}/point/cat\nsaid\n")
    (source / "script").chmod(0o755)
    (source / "link").symlink_to("cat")
    with mounted(source, place / "point", STACKED) as point:
        assert run(point / "cat", point / "bare/file").stdout == "text"
        assert run(point / "script").stdout.endswith("said\n")
        assert run(point / "link", point / "bare/file").stdout == "text"
        fd = os.open(point / "cat", os.O_RDONLY)
        try:
            result = subprocess.run(["cat", point / "bare/file"], executable=f"/proc/self/fd/{fd}",
                                    pass_fds=[fd], text=True, capture_output=True)
        finally:
            os.close(fd)
        assert result.stdout == "text"


@contextlib.contextmanager
def inotify(path):
    """Names of what happens in a folder, as far as its watcher is told."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(fd, os.fsencode(path), 0xfff) >= 0

    def happened():
        with contextlib.suppress(BlockingIOError):
            data = os.read(fd, 65536)
            return {data[at:].split(b"\0")[0].decode() for at in range(16, len(data), 32)} - {""}
        return set()

    try:
        yield happened
    finally:
        os.close(fd)


def test_inotify(place):
    """A watcher is told of what happens through the mount, not of changes in the source."""
    with mounted(place / "source", place / "point", STACKED) as point:
        with inotify(point / "bare") as happened:
            (point / "bare/file").read_text()
            assert happened() == {"file"}
            (place / "source/bare/file").read_text()
            assert happened() == set()


# ---- requests ----

class Requests:
    """The FUSE requests of one connection, counted by the kernel's tracepoint."""

    def __init__(self):
        event = TRACEFS / "events/fuse/fuse_request_send"
        if not event.exists():
            missing("the tracepoint fuse:fuse_request_send is not there")
        self.instance = TRACEFS / "instances" / f"canonfs-stack-{os.getpid()}"
        self.instance.mkdir()
        (self.instance / "events/fuse/fuse_request_send/enable").write_text("1")
        self.connection = None

    def end(self):
        (self.instance / "events/fuse/fuse_request_send/enable").write_text("0")
        self.instance.rmdir()

    def taken(self, mounter=None):
        """{opcode: count} since the last call, of the connection that this process began."""
        found = {}
        text = (self.instance / "trace").read_text()
        (self.instance / "trace").write_text("")
        for pid, connection, opcode in re.findall(
                r"-(\d+) .* connection (\d+) req .*\(FUSE_(\w+)\)", text):
            if opcode == "INIT" and int(pid) == mounter:
                self.connection = connection
            if connection == self.connection:
                found[opcode] = found.get(opcode, 0) + 1
        return found


@pytest.fixture
def requests():
    counter = Requests()
    yield counter
    counter.end()


def use(point):
    for name in NAMES:
        assert imported(point / "package", name) == (name, True)
    run("find", point, "-ls")
    run("ls", "-lR", point)


def cold_and_warm(place, requests):
    """The requests of the first use of a new mount, and of the second one."""
    before = servers()
    with mounted(place / "source", place / "point", STACKED) as point:
        supervisor, _ = supervisor_and_worker(servers() - before)
        assert "INIT" in requests.taken(supervisor)
        run("find", point, "-ls")
        (point / "bare/file").read_text()
        (point / "package/one.py").read_text()
        assert requests.taken() == {}, "these are the source's own"
        use(point)
        cold = requests.taken()
        use(point)
        run("sh", "-c", f"cat {point}/package/*.py {point}/bare/file")
        return cold, requests.taken()


def test_requests(place, requests):
    """The bytecode is asked for once, by its names and for its contents. Warm, there are no
    requests at all."""
    needed = {"READ": 3, "LOOKUP": 3 + len([".canonfs"])}
    cold, warm = counted(lambda: cold_and_warm(place, requests),
                         lambda found: found[0].items() >= needed.items() and not found[1])
    assert cold.items() >= needed.items()
    assert set(cold) <= {*needed, "GETATTR", "OPEN", "FLUSH"}
    assert warm == {}


# ---- the server is killed, or stopped ----

@contextlib.contextmanager
def foreground(place, options=STACKED, point="point"):
    before = servers()
    process = subprocess.Popen([CANONFS, place / "source", place / point, "-f", "-o", options],
                               stderr=subprocess.PIPE, text=True)
    try:
        assert wait_until(lambda: "canonfs" in mounts_at(place / point))
        worker, = servers() - before - {process.pid}
        yield process, worker
    finally:
        for pid in servers() - before:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        while mounts_at(place / point):
            run("umount", "-l", place / point)


@pytest.mark.parametrize("point", ["point", "source"])
def test_killed_server_takes_nothing_away(place, point):
    with foreground(place, point=point) as (process, worker):
        assert imported(place / point / "package", "one") == ("one", True)
        os.kill(worker, signal.SIGKILL)
        time.sleep(1.5)
        assert process.poll() is None
        assert mounts_at(place / point) == ["canonfs"]
        # What was read stays; what was not is compiled; all else is the source's.
        for name in NAMES:
            assert imported(place / point / "package", name)[0] == name
        found = run("find", place / point, "-ls")
        assert found.stderr == ""
        with pytest.raises(OSError):
            pyc(place / point, "three").read_bytes()
        # Its end is the same as ever.
        run("umount", place / point)
        assert process.wait(END) == 0
        assert "was killed by signal 9; bytecode that was not read yet" in process.stderr.read()


def ends_though_its_number_is_used_again(place):
    """False if another mount of this machine was faster, and got the number."""
    others = [place / f"other-{i}" for i in range(64)]
    with foreground(place) as (process, worker):
        number = os.stat(place / "point").st_dev
        os.kill(worker, signal.SIGKILL)
        assert wait_until(lambda: worker not in servers())
        os.kill(process.pid, signal.SIGSTOP)
        run("umount", place / "point")
        try:
            for other in others:
                other.mkdir(exist_ok=True)
                run("mount", "-t", "tmpfs", "none", other)
                if os.stat(other).st_dev == number:
                    break
            used = os.stat(other).st_dev == number
            os.kill(process.pid, signal.SIGCONT)
            assert process.wait(END) == 0
        finally:
            for other in others:
                if other.exists() and os.path.ismount(other):
                    run("umount", other)
    return used


def test_end_of_a_mount_whose_number_is_used_again(place):
    """Without a server, it is known all the same that the mount ended, and not another one."""
    assert any(ends_though_its_number_is_used_again(place) for _ in range(10)), \
        "no mount got the number"


def test_signal_ends_a_mount_whose_server_is_gone(place):
    with foreground(place) as (process, worker):
        os.kill(worker, signal.SIGKILL)
        time.sleep(0.2)
        process.terminate()
        assert process.wait(END) == 0
        assert mounts_at(place / "point") == []


def test_mounted_anew_after_the_server_was_killed(place):
    with foreground(place) as (process, worker):
        os.kill(worker, signal.SIGKILL)
        run(CANONFS, "umount", place / "point")
        assert process.wait(END) == 0
        with mounted(place / "source", place / "point", STACKED) as point:
            assert imported(point / "package", "three") == ("three", True)


def test_stopped_server_holds_up_unread_bytecode_only(place):
    with foreground(place) as (process, worker):
        assert imported(place / "point/package", "one") == ("one", True)
        os.kill(worker, signal.SIGSTOP)
        assert imported(place / "point/package", "one") == ("one", True)
        run("find", place / "point", "-ls", timeout=END)
        run("cat", place / "point/bare/file", place / "point/package/two.py", timeout=END)
        reader = subprocess.Popen(["cat", pyc(place / "point", "two")], stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            assert reader.poll() is None, "it did not wait"
            os.kill(worker, signal.SIGCONT)
            assert reader.wait(END) == 0
        finally:
            reader.kill()
            reader.wait()


# ---- what is refused, and what is not left behind ----

def test_read_write_source_is_not_stacked(place):
    refuses_to_stack(place / "source", place / "point", "the source may change: it is mounted read-write", "nodev")
    refuses_to_stack(place / "source", place / "point", "the source may change: -o mutable says so", "mutable")


def test_read_only_mount_is_not_stacked(place):
    """Others may write to what is below it."""
    (place / "bound").mkdir()
    run("mount", "--bind", place / "source", place / "bound")
    run("mount", "-o", "remount,bind,ro", place / "bound")
    refuses_to_stack(place / "bound", place / "point", "its file system is not", "nodev")
    run("umount", place / "bound")


def test_read_only_source_is_stacked(place):
    (place / "fs").mkdir()
    run("mount", "-t", "tmpfs", "none", place / "fs")
    run("cp", "-a", place / "source/package", place / "fs/package")
    run("mount", "-o", "remount,ro", place / "fs")
    with mounted(place / "fs", place / "point", "stack=on") as point:
        assert imported(point / "package", "one") == ("one", True)
    run("umount", place / "fs")


def test_overlays_whiteouts_are_not_hidden(place):
    os.mknod(place / "source/bare/deleted", stat.S_IFCHR, os.makedev(0, 0))
    refuses_to_stack(place / "source", place / "point", "overlayfs would hide the device")


def test_layers_of_other_overlays(place):
    """What overlayfs wrote there means something to ours, too."""
    for name in ("lower", "work", "merged"):
        (place / name).mkdir()
    run("mount", "-t", "overlay", "-o", f"lowerdir={place}/lower,upperdir={place}/source,"
        f"workdir={place}/work", "none", place / "merged")
    (place / "lower/file").write_text("text")
    os.chmod(place / "merged/package", 0o711)
    run("umount", place / "merged")
    os.setxattr(place / "source/bare", "trusted.overlay.impure", b"y")
    refuses_to_stack(place / "source", place / "point", "a layer of another overlay: ")


def test_files_of_other_overlays(place):
    """One that was copied out of a layer, with its attributes; overlayfs finds no data for it."""
    os.setxattr(place / "source/bare/file", "trusted.overlay.metacopy", b"")
    refuses_to_stack(place / "source", place / "point",
                     "marked as one of another overlay's: 'bare/file'")


def test_bytecode_of_other_overlays(place):
    """Its stub hides what says that its data is elsewhere; where it has none, nothing does."""
    marked = pyc(place / "source", "one")
    os.setxattr(marked, "trusted.overlay.metacopy", b"")
    os.setxattr(marked, "trusted.overlay.redirect", b"/package/__pycache__/two." + TAG.encode())
    with mounted(place / "source", place / "point", STACKED) as point:
        for name in NAMES:
            assert imported(point / "package", name) == (name, True)
    os.truncate(place / "source/package/one.py", 0)
    refuses_to_stack(place / "source", place / "point",
                     f"marked as one of another overlay's: 'package/__pycache__/one.{TAG}.pyc'")


@pytest.mark.parametrize("name", [".pyc", ".py", "x.pyc.py", "__pycache__.pyc", "a.b.c.pyc"])
def test_odd_names_are_shown(place, name):
    (place / "source/bare" / name).write_text("text")
    (place / "source/package/__pycache__" / name).write_text("text")
    with mounted(place / "source", place / "point", STACKED) as point:
        assert (point / "bare" / name).read_text() == "text"
        assert (point / "package/__pycache__" / name).read_text() == "text"
        assert imported(point / "package", "one") == ("one", True)


def test_a_part_of_bytecode(place, requests):
    """The READ for a whole file is prepared; whoever wants less gets that, and the rest later."""
    module = place / "source/package/large.py"
    module.write_text(f"value = 'large'\ndata = {os.urandom(120000)!r}\n")
    run(sys.executable, "-m", "compileall", "-q", module)
    os.utime(module, (0, 0))
    whole = pyc(place / "source", "large").read_bytes()
    before = servers()
    with mounted(place / "source", place / "point", STACKED) as point:
        supervisor, _ = supervisor_and_worker(servers() - before)
        requests.taken(supervisor)
        with open(pyc(point, "large"), "rb", buffering=0) as file:
            parts = [file.read(1)]
            assert requests.taken()["READ"] == 1, "the kernel did not like the answer"
            parts += [file.read(size) for size in (7, 8, 4096)]
            parts.append(file.read())
        shown = b"".join(parts)
        assert shown[:8] + shown[12:] == whole[:8] + whole[12:]
        assert shown[8:12] == bytes(4)
        assert imported(point / "package", "large") == ("large", True)


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, pathlib.Path.touch,
                                  lambda path: path.symlink_to("/nowhere")])
def test_name_of_the_data_layer_in_the_source(place, make):
    """overlayfs would take its bytecode for that of other modules."""
    make(place / "source/.canonfs")
    refuses_to_stack(place / "source", place / "point", "the source has a '/.canonfs' of its own")


def test_foreign_bytecode_in_the_name_of_the_data_layer(place):
    where = place / "source/.canonfs"
    shutil.copytree(place / "source/package", where / "package")
    shutil.copy(pyc(place / "source", "two"), pyc(where, "one"))
    with open(pyc(where, "one"), "r+b") as file:
        file.write(pyc(place / "source", "one").read_bytes()[:8] + bytes(4))
    (where / "trial").write_bytes(b"canonfs\0")
    with mounted(place / "source", place / "point", "immutable") as point:
        assert imported(point / "package", "one") == ("one", True)


def test_overlays_upon_overlays(place):
    """The kernel allows two; what is more goes without."""
    below = place / "source"
    for number, stackable in ((1, True), (2, False)):
        (place / f"empty{number}").mkdir()
        (place / f"merged{number}").mkdir()
        run("mount", "-t", "overlay", "-o", f"ro,lowerdir={place}/empty{number}:{below}", "none",
            place / f"merged{number}")
        below = place / f"merged{number}"
        if stackable:
            with mounted(below, place / "point", STACKED) as point:
                assert imported(point / "package", "one") == ("one", True)
        else:
            refuses_to_stack(below, place / "point", "too many file systems upon each other")


def test_nothing_is_left_in_mount_tables(place):
    before = mountinfo()
    with mounted(place / "source", place / "point", STACKED):
        assert len(mountinfo()) == len(before) + 1
    assert mountinfo() == before


def test_killed_while_it_scans(place):
    """Nothing is mounted yet, and nothing is later."""
    for number in range(3000):
        (place / f"source/bare/{number}").mkdir()
    before, sockets = servers(), pathlib.Path(os.environ["RUNTIME_DIRECTORY"])
    for milliseconds in range(0, 60, 6):
        process = subprocess.Popen([CANONFS, place / "source", place / "point", "-f", "-o",
                                    f"{STACKED},cache=off"], stderr=subprocess.DEVNULL)
        time.sleep(milliseconds / 1000)
        process.terminate()
        process.wait(END)
        assert wait_until(lambda: servers() == before, END)
        assert mounts_at(place / "point") == []
        assert not os.listdir(sockets)


def children(pid):
    """{name: pid} of a supervisor's"""
    found = {}
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found[pathlib.Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return found


# It takes less than 1 ms. So strace delays its steps, and is no parent of anybody (-D).
SLOWLY = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=mount,open_tree",
          "-e", "inject=mount,open_tree:delay_enter=50000"]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_server_ends_or_stops_while_the_layers_are_put_together(place, sent):
    """The kernel asks it for something then."""
    if not shutil.which("strace"):
        missing("strace is not installed")
    before, hits = servers(), 0
    rounds = 15 if sent == signal.SIGKILL else 3  # a stopped one is given 3 s
    for number in range(rounds):
        process = subprocess.Popen([*SLOWLY, CANONFS, place / "source", place / "point", "-f", "-o",
                                    f"{STACKED},cache=off"], stderr=subprocess.DEVNULL,
                                   env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        found = {}
        # Its worker, and the one that puts the layers together.
        while len(found) < 2 and process.poll() is None and not mounts_at(place / "point"):
            found = children(process.pid)
        time.sleep(number / 100)
        if len(found) == 2 and "canonfs-worker" in found and not mounts_at(place / "point"):
            hits += 1
            os.kill(found["canonfs-worker"], sent)
        if sent == signal.SIGKILL:
            assert wait_until(lambda: process.poll() is not None or mounts_at(place / "point"), END)
        process.terminate()
        process.wait(END)
        assert mounts_at(place / "point") == []
        assert wait_until(lambda: servers() == before, END)
    assert hits > rounds // 2


def test_nobody_waits_for_the_mount_any_more(place):
    """Who ends the command does not find the mount later."""
    for number in range(3000):
        (place / f"source/bare/{number}").mkdir()
    before = servers()
    process = subprocess.Popen([CANONFS, place / "source", place / "point", "-o",
                                f"{STACKED},cache=off"], stderr=subprocess.DEVNULL)
    found = {}
    while "canonfs-worker" not in found and process.poll() is None:
        found = children(children(process.pid).get("canonfs"))
    assert process.poll() is None
    os.kill(found["canonfs-worker"], signal.SIGSTOP)
    process.kill()
    process.wait()
    if not wait_until(lambda: servers() == before, END):
        os.kill(found["canonfs-worker"], signal.SIGCONT)
        pytest.fail("it goes on")
    assert mounts_at(place / "point") == []


def test_links_to_bytecode_are_known_before_anybody_looks(place):
    """Through the link, Python pairs the bytecode with another source of the same size."""
    other = place / "source/other"
    other.mkdir()
    (other / "one.py").write_text("value = 'two'\n")
    os.utime(other / "one.py", (0, 0))
    (other / "__pycache__").symlink_to("../package/__pycache__")
    with mounted(place / "source", place / "point", STACKED) as point:
        assert imported(point / "package", "one") == ("one", False)
        assert imported(point / "other", "one") == ("two", False)
        assert imported(point / "package", "two") == ("two", True)


def test_paths_of_any_characters(place):
    source, point = place / "so,ur:ce\\ =\n", place / "po,in:t\\\"\n"
    shutil.copytree(place / "source", source)
    make_package(source / "pack,a:ge\\\n\"x")
    point.mkdir()
    with mounted(source, point, STACKED):
        assert imported(point / "package", "one") == ("one", True)
        assert pyc(point, "one").read_bytes()[8:12] == bytes(4)
        odd = point / f"pack,a:ge\\\n\"x/__pycache__/one.{TAG}.pyc"
        assert odd.read_bytes()[8:12] == bytes(4)
        assert mounts_at(point) == ["canonfs"]
        run(CANONFS, "umount", point)
        assert not os.listdir(point)
        run(CANONFS, source, point, "-o", STACKED)


def test_embedded_view_of_bytecode_that_disagrees_needs_the_server(place):
    """The majority's time shows, and the others' bytecode follows."""
    source = place / "source/package/one.py"
    data = pyc(place / "source", "one").read_bytes()
    other = data[:8] + struct.pack("<I", 1_000_000_000) + data[12:]
    for level in (1, 2):
        pyc(place / "source", "one").with_name(f"one.{TAG}.opt-{level}.pyc").write_bytes(other)
    before = servers()
    with mounted(place / "source", place / "point", f"{STACKED},mtime=embedded") as point:
        assert len(servers() - before) == 2
        assert os.stat(point / "package/one.py").st_mtime_ns == 1_000_000_000 * SECOND
        assert os.stat(source).st_mtime_ns == 0
        assert imported(point / "package", "one") == ("one", True)
        assert imported(point / "package", "two") == ("two", True)


# ---- file systems ----

def loop_mounted(place, kind, *make, options="ro,loop"):
    """The source as an image of a file system, mounted read-only."""
    disk, point = place / f"{kind}.img", place / kind
    if not shutil.which(make[0]):
        missing(f"{make[0]} is not there")
    if make[0].startswith("mkfs.") and kind != "erofs":
        with open(disk, "wb") as file:
            file.truncate(320 << 20)
        run(*make, disk)
        point.mkdir()
        if run("mount", "-o", "loop", disk, point, check=False).returncode:
            missing(f"no loop device, or no {kind}")
        shutil.copytree(place / "source", point / "tree", symlinks=True)
        run("mount", "-o", "remount,ro", point)
        return point / "tree"
    run(*make, *((disk, place / "source") if kind == "erofs" else (place / "source", disk)))
    point.mkdir()
    if run("mount", "-t", kind, "-o", options, disk, point, check=False).returncode:
        missing(f"no loop device, or no {kind}")
    return point


def on_tmpfs(place):
    point = place / "tmpfs"
    point.mkdir()
    run("mount", "-t", "tmpfs", "none", point)
    shutil.copytree(place / "source", point / "tree")
    run("mount", "-o", "remount,ro", point)
    return point / "tree"


def on_fuse(place):
    """Another canonfs's passthrough, of a tree in which nothing is canonical."""
    point = place / "fuse"
    point.mkdir()
    run(CANONFS, place / "source", point, "-o", "stack=off,immutable,trust=verified")
    return point


SOURCES = {
    "ext4": lambda place: loop_mounted(place, "ext4", "mkfs.ext4", "-q"),
    "xfs": lambda place: loop_mounted(place, "xfs", "mkfs.xfs", "-q"),
    "btrfs": lambda place: loop_mounted(place, "btrfs", "mkfs.btrfs", "-q"),
    "squashfs": lambda place: loop_mounted(place, "squashfs", "mksquashfs"),
    "erofs": lambda place: loop_mounted(place, "erofs", "mkfs.erofs"),
    "tmpfs": on_tmpfs,
    "fuse": on_fuse,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_source_on(place, kind):
    """A read-only file system, so it is stacked by default; each of these works. Another FUSE
    mount may change, for all that one knows of it."""
    source = SOURCES[kind](place)
    said = ",immutable" if kind == "fuse" else ""
    try:
        for view in ("source", "777", "embedded"):
            with mounted(source, place / "point", f"mtime={view}{said}") as point:
                assert mounts_at(point) == ["canonfs"]
                assert "canonfs-stubs" in mountinfo()[-1], "not stacked"
                for name in NAMES:
                    assert imported(point / "package", name) == (name, True)
                assert sorted(run("find", ".", "-xdev", cwd=point).stdout.split()) == \
                    sorted(run("find", ".", cwd=source).stdout.split())
    finally:
        if kind == "fuse":
            run("umount", source)


def test_many_stubs(place):
    """More than one thread's worth, in more than one folder; each is right."""
    data, times = pyc(place / "source", "one").read_bytes(), {}
    for number in range(40):
        folder = place / f"source/many/{number}"
        (folder / "__pycache__").mkdir(parents=True)
        for name in range(25):
            (folder / f"m{name}.py").write_text("value = 'one'\n")
            os.utime(folder / f"m{name}.py", (0, 0))
            (folder / f"__pycache__/m{name}.{TAG}.pyc").write_bytes(data)
        os.utime(folder / "__pycache__", (number, number))
        times[number] = os.stat(folder / "__pycache__").st_mtime_ns
    with mounted(place / "source", place / "point", STACKED) as point:
        for number, expected in times.items():
            folder = point / f"many/{number}/__pycache__"
            assert os.stat(folder).st_mtime_ns == expected
            for name in range(25):
                served = (folder / f"m{name}.{TAG}.pyc").read_bytes()
                assert served == data[:8] + bytes(4) + data[12:]
