# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs status: what it tells is true, it tells it to the owner and root only, and no
server and no client can make it, or the mount, hang."""
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

import corpus
from conftest import CANONFS, missing, mounted, mounts_at, requests_of, run, servers, stopped, wait_until
from control import HOSTILE_ANSWERS, HOSTILE_NUMBERS, HOSTILE_TEXTS, LIMIT, answering, ask, canonfs, \
    connected, device_of, directory, harmless, processes, short, socket_of, status, \
    status_of

pytestmark = pytest.mark.usefixtures("passthrough")

USER = 65534
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
READING = 10  # seconds for a read that must not be held up


@pytest.fixture
def place(folder):
    """Two small sources and mount points."""
    folder.chmod(0o755)
    for name in ("one", "two"):
        folder.joinpath(name).mkdir()
        folder.joinpath(name, "file").write_text(name)
        folder.joinpath(f"at-{name}").mkdir()
    return folder


def says(result, code, pattern):
    """One line, and the exit status."""
    assert result.returncode == code, result
    line, = result.stderr.splitlines()
    assert re.search(pattern, line), line


# ---- what it tells ----

def test_without_mounts():
    done = canonfs("status")
    assert (done.returncode, done.stdout, done.stderr) == (0, "There is no canonfs mount.\n", "")
    assert status() == []


def test_two_mounts(place):
    before = servers()
    with mounted(place / "one", place / "at-one", "immutable,trust=size"):
        first = processes(before)
        before = servers()
        with mounted(place / "two", place / "at-two", "mutable,cache=off,nosuid"):
            second = processes(before)
            mounts = {mount["point"]: mount for mount in status()}
            text = canonfs("status").stdout
    assert mounts.keys() == {str(place / "at-one"), str(place / "at-two")}
    for name, pids, options, immutable in (("one", first, "immutable,trust=size", True),
                                           ("two", second, "mutable,cache=off,nosuid", False)):
        mount = mounts[str(place / f"at-{name}")]
        assert mount["visible"] and mount["state"] == "answers"
        told = mount["status"]
        assert (told["point"], told["source"]) == (mount["point"], str(place / name))
        assert (told["supervisor"]["pid"], told["worker"]["pid"]) == pids
        assert (told["options"], told["immutable"]) == (f"{options},stack=off", immutable)
        assert told["immutable_reason"] == ("said-immutable" if immutable else "said-mutable")
        assert f"  source    {told['immutable_why']}\n" in text
        assert told["mode"] == "passthrough" and told["mode_reason"]
        assert f"{mount['point']}: {place / name}\n" in text and options in text
    assert mounts[str(place / "at-two")]["status"]["cache"]["path"] is None
    assert "cache=off" in mounts[str(place / "at-two")]["status"]["cache"]["why_none"]
    assert mounts[str(place / "at-one")]["status"]["cache"]["path"].endswith("/cache.db")


def test_one_mount_by_any_of_its_names(place):
    point = place / "at-one"
    place.joinpath("link").symlink_to(point)
    place.joinpath("bound").mkdir()
    with mounted(place / "one", point), mounted(place / "two", place / "at-two"):
        run("mount", "--bind", point, place / "bound")
        for name, where in (("at-one", place), ("./at-one//", place), (".", point), ("link", place),
                            ("../at-one", place / "at-two"), ("bound", place)):
            mount, = status(name, cwd=where)
            assert mount["point"] == str(point), name
        assert len(status()) == 2
        run("umount", place / "bound")


@pytest.mark.parametrize("name", ["one", "at-one/file", "nowhere", "", "at-one/nowhere"])
def test_what_is_not_a_canonfs_mount(place, name):
    with mounted(place / "one", place / "at-one"):
        says(canonfs("status", place / name), 66, "is not a canonfs mount")


def test_wrong_usage_and_help():
    for words in (["--nonsense"], ["a", "b"]):
        assert canonfs("status", *words).returncode == 64
    done = canonfs("status", "--help")
    assert done.returncode == 0 and "Example" in done.stdout and not done.stderr


def test_output_that_does_not_arrive(place):
    with open("/dev/full", "w") as full:
        done = subprocess.run([CANONFS, "status"], stdout=full, stderr=subprocess.PIPE, text=True)
    says(done, 74, "cannot write to standard output")


def test_odd_names(place):
    """Paths are anybody's text."""
    source, point = place / "so\x1b[2Jur\nce\udcff", place / "po int\udcff\u202e\u200b"
    shutil.copytree(place / "one", source)
    point.mkdir()
    with mounted(source, point):
        mount, = status(point)
        text = subprocess.run([CANONFS, "status"], capture_output=True, check=True).stdout
    assert (mount["status"]["source"], mount["point"]) == (str(source), str(point))
    assert b"\x1b" not in text and b"\xff" not in text
    assert "\u202e".encode() not in text and "\u200b".encode() not in text


# ---- what it counts ----

def walk(root):
    for where, _, files in os.walk(root):
        for name in files:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                file.read()
            os.path.exists(f"{path}.not-there")
            with contextlib.suppress(OSError):
                os.getxattr(path, "user.nothing")


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_requests_are_those_that_the_kernel_sends(place, options):
    corpus.make(place / "one")
    with mounted(place / "one", place / "at-one", options) as point:
        with requests_of(point) as traced:
            before = status_of(point)["requests"]
            walk(point)
            after = status_of(point)["requests"]
    counted = {opcode: count - before["by_opcode"].get(opcode, 0)
               for opcode, count in after["by_opcode"].items()}
    counted = {opcode: count for opcode, count in counted.items() if count}
    assert counted == traced
    assert counted["READ"] >= 45 and counted["LOOKUP"] >= 10
    assert after["total"] == sum(after["by_opcode"].values())
    assert before["by_opcode"]["INIT"] == 1


def test_verdicts_are_those_of_the_corpus(place):
    expected = corpus.make(place / "one")
    with mounted(place / "one", place / "at-one", "immutable") as point:
        assert sum(status_of(point)["bytecode"]["verdicts"].values()) == 0
        changed = sum(point.joinpath(path).read_bytes() != place.joinpath("one", path).read_bytes()
                      for path in expected)
        first = status_of(point)["bytecode"]
        for path in expected:
            point.joinpath(path).read_bytes()
        assert status_of(point)["bytecode"] == first, "the kernel's pages are good"
    wanted = {verdict: kind[0] for verdict, kind in corpus.KINDS.items()}
    assert first["verdicts"] == wanted
    assert first["decisions"] == len(expected) == sum(wanted.values())
    assert first["headers_changed"] == changed == wanted["restamped"]
    assert first["undecided"] == 0


def test_cache_and_contents(place):
    """The second mount of a tree reads no body."""
    corpus.make(place / "one")
    time.sleep(2.2)  # cache/tree/identity.h: younger change times are not believed
    bodies = corpus.KINDS["restamped"][0]
    told = []
    for _ in range(2):
        with mounted(place / "one", place / "at-one", "immutable") as point:
            walk(point)
            # A row for each body; they are written one after the other.
            assert wait_until(lambda: told or status_of(point)["cache"]["rows_written"]
                              >= status_of(point)["contents"]["bodies_read"] >= bodies)
            told.append(status_of(point))
    first, second = told
    assert first["contents"]["bodies_read"] >= bodies > second["contents"]["bodies_read"] == 0
    assert first["cache"]["rows_loaded"] == 0
    assert second["cache"]["rows_loaded"] == first["cache"]["rows_written"] >= bodies
    assert second["contents"]["known"] >= bodies


def test_memory_names_and_uptime(place):
    before = servers()
    with mounted(place / "one", place / "at-one", "immutable") as point:
        supervisor, worker = processes(before)
        first = status_of(point)
        for number in range(100):
            os.path.exists(point / f"{number}.not-there")
        (point / "file").read_text()
        second = status_of(point)
        resident = {pid: int(re.search(r"^VmRSS:\s+(\d+) kB", pathlib.Path(
            f"/proc/{pid}/status").read_text(), re.M)[1]) << 10 for pid in (supervisor, worker)}
    assert second["nodes"]["count"] == first["nodes"]["count"] + 1
    assert second["uptime_s"] > first["uptime_s"] > 0
    assert abs(first["started_s"] - time.time()) < 3600
    for name, pid in (("supervisor", supervisor), ("worker", worker)):
        told = second[name]
        assert 0.5 < told["resident_bytes"] / resident[pid] < 2
        assert 0 < told["anonymous_bytes"] < told["resident_bytes"]


def test_errors(place):
    """Ordinary answers do not count; that the server has no descriptors left does."""
    before = servers()
    with mounted(place / "one", place / "at-one", "mutable") as point:
        _, worker = processes(before)
        for action in (lambda: os.stat(point / "nowhere"), lambda: (point / "x").touch(),
                       lambda: os.getxattr(point / "file", "user.nothing")):
            with pytest.raises(OSError):
                action()
        assert not any(status_of(point)["errors"].values())
        limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, limits[1]))
        with pytest.raises(OSError):
            os.stat(point / "another")
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
        errors = status_of(point)["errors"]
    assert errors.pop("EMFILE") >= 1
    assert not any(errors.values())


@pytest.mark.parametrize("option", ["immutable", "mutable"])
def test_limit_of_open_files(place, option):
    """Only the server of a source that can change keeps files open for its readers."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = limits[1] // 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, limits[1]))
    try:
        before = servers()
        with mounted(place / "one", place / "at-one", f"{option},stack=off"):
            _, worker = processes(before)
            raised = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert raised == (low if option == "immutable" else limits[1], limits[1])


# ---- who may ask ----

def test_directory_and_socket_are_the_owners(place):
    with mounted(place / "one", place / "at-one") as point:
        place_of_it = socket_of(point)
        assert stat.S_IMODE(os.stat(directory()).st_mode) == 0o700
        found = os.lstat(place_of_it)
        assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
        assert os.listdir(directory()) == [place_of_it.name]
    assert wait_until(lambda: os.listdir(directory()) == [])


def test_directory_is_made(place, monkeypatch):
    os.umask(os.umask(0o777))  # whatever it is, it changes nothing
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{place}/made:/elsewhere")
    with mounted(place / "one", place / "at-one") as point:
        assert stat.S_IMODE(os.stat(place / "made").st_mode) == 0o700
        assert os.listdir(place / "made") == [device_of(point)]
        assert status_of(point)["point"] == str(point)


def spoil_mode(path):
    path.mkdir()
    path.chmod(0o755)


def spoil_owner(path):
    path.mkdir(0o700)
    os.chown(path, USER, USER)


def spoil_kind(path):
    path.write_text("a file")


def spoil_link(path):
    real = path.with_name("real")
    real.mkdir(0o700)
    path.symlink_to(real)


def spoil_parent(path):
    path.parent.joinpath("nowhere").mkdir()
    path.symlink_to("nowhere/deeper")


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_owner, spoil_kind, spoil_link, spoil_parent])
def test_a_directory_that_will_not_do(place, spoil, monkeypatch):
    """The mount works without; only -v says so."""
    path = place / "run"
    spoil(path)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(path))
    said = run(CANONFS, place / "one", place / "at-one", "-v")
    try:
        assert place.joinpath("at-one/file").read_text() == "one"
        assert f"cannot use '{path}' for the control socket" in said.stderr
        mount, = status(place / "at-one", expect=77 if spoil in (spoil_mode, spoil_owner) else 69)
        assert mount["state"] in ("no-socket", "not-permitted")
    finally:
        run("umount", place / "at-one")
    with mounted(place / "one", place / "at-one"):
        pass  # and says nothing without -v: run() would show it


def test_read_only_directory(place, monkeypatch):
    path = place / "run"
    path.mkdir(0o700)
    run("mount", "--bind", path, path)
    run("mount", "-o", "remount,bind,ro", path)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(path))
    said = run(CANONFS, place / "one", place / "at-one", "-v")
    assert "cannot make the control socket: Read-only file system" in said.stderr
    assert place.joinpath("at-one/file").read_text() == "one"
    run("umount", place / "at-one")


def test_others_are_not_told(place):
    with mounted(place / "one", place / "at-one") as point:
        assert canonfs("status", point, command=AS_USER).returncode == 77
        mount, = status(command=AS_USER)
        assert (mount["state"], mount["status"]) == ("not-permitted", None)
        assert mount["source"] == str(place / "one"), "mountinfo shows that to everybody"


def test_others_are_not_answered(place):
    """Even if they get at the socket."""
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
              "s.connect(sys.argv[1]);\n"
              "try: s.send(b'{\"command\": \"status\"}'); print(s.recv(100))\n"
              "except OSError: print(b'')")
    with mounted(place / "one", place / "at-one") as point:
        path = socket_of(point)
        modes = {folder: stat.S_IMODE(os.stat(folder).st_mode)
                 for folder in (directory().parent, directory())}
        try:
            for folder in modes:
                folder.chmod(0o711)
            path.chmod(0o666)
            outcome = run(*AS_USER, "/usr/bin/python3", "-c", script, path).stdout
        finally:
            for folder, mode in modes.items():
                folder.chmod(mode)
        assert outcome == "b''\n"
        assert run("/usr/bin/python3", "-c", script, path).stdout.startswith("b'{")


@pytest.fixture
def user_device(folder):
    """The device and the program that an ordinary user mounts with."""
    program = shutil.which("fusermount3")
    if not program or not os.stat(program).st_mode & stat.S_ISUID:
        missing("fusermount3 (package fuse3) is not there")
    tmpfs = folder / "device"
    tmpfs.mkdir()
    run("mount", "-t", "tmpfs", "none", tmpfs)
    os.mknod(tmpfs / "fuse", stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    os.chmod(tmpfs / "fuse", 0o666)
    run("mount", "--bind", tmpfs / "fuse", "/dev/fuse")
    yield
    run("umount", "-l", "/dev/fuse")
    run("umount", "-l", tmpfs)


@pytest.fixture
def user_mount(place, user_device):
    """An ordinary user's mount, and the environment in which it was made."""
    runtime = place / "user"
    runtime.mkdir(0o700)
    os.chown(runtime, USER, USER)
    os.chown(place / "at-one", USER, USER)
    environment = {name: value for name, value in os.environ.items() if name != "RUNTIME_DIRECTORY"}
    environment["XDG_RUNTIME_DIR"] = str(runtime)
    before = servers()
    run(*AS_USER, CANONFS, place / "one", place / "at-one", env=environment)
    try:
        yield place / "at-one", environment
    finally:
        run("umount", "-l", place / "at-one")
        assert wait_until(lambda: not servers() - before)


def test_a_users_own_mount(user_mount):
    point, environment = user_mount
    mount, = status(point, command=AS_USER, env=environment)
    assert mount["state"] == "answers"
    found = os.stat(point.parent / "user/canonfs")
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (USER, 0o700)
    # Root finds it where it can know to look: not in a directory of the user's choice.
    assert [mount["state"] for mount in status(expect=69)] == ["no-socket"]


def test_root_sees_a_users_mount(place, user_device):
    """In a session without a run-time directory: below /tmp, which is ours alone here."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")}
    fallback = pathlib.Path(f"/tmp/canonfs-{USER}")
    if os.path.exists(f"/run/user/{USER}") or fallback.exists():
        pytest.skip("this user has a session here")
    os.chown(place / "at-one", USER, USER)
    run(*AS_USER, CANONFS, place / "one", place / "at-one", env=environment)
    try:
        assert status_of(place / "at-one")["source"] == str(place / "one")
        assert stat.S_IMODE(os.stat(fallback).st_mode) == 0o700
    finally:
        run("umount", "-l", place / "at-one")
        assert wait_until(lambda: not os.listdir(fallback))
        fallback.rmdir()


# ---- servers that do not answer ----

@pytest.mark.parametrize("who", ["worker", "both"])
def test_a_stopped_server(place, who):
    before = servers()
    with mounted(place / "one", place / "at-one") as one:
        pids = processes(before)
        with mounted(place / "two", place / "at-two"), stopped(*pids[who == "worker":]):
            text = canonfs("status")
            states = {mount["point"]: mount["state"] for mount in status(expect=69)}
            for name in (one, one / "file"):  # neither is touched
                assert canonfs("status", name).returncode == (69 if name == one else 66)
        assert text.returncode == 69 and "does not answer" in text.stdout
        assert states == {str(one): "does-not-answer", str(place / "at-two"): "answers"}
        assert status_of(one)["point"] == str(one), "it goes on"


def test_a_full_queue(place):
    """Nobody accepts, and there is no room for one more."""
    before = servers()
    with mounted(place / "one", place / "at-one") as point:
        _, worker = processes(before)
        with stopped(worker), contextlib.ExitStack() as stack:
            for _ in range(300):
                client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                client.setblocking(False)
                try:
                    client.connect(str(socket_of(point)))
                except BlockingIOError:
                    break
            else:
                pytest.fail("the queue has no end")
            assert [mount["state"] for mount in status(expect=69)] == ["does-not-answer"]


def killed(place):
    """A mount whose processes were killed: the path of its socket."""
    before = servers()
    run(CANONFS, place / "one", place / "at-one")
    path = socket_of(place / "at-one")
    for pid in processes(before):
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not servers() - before)
    assert path.exists()
    return path


def test_status_removes_the_socket_of_a_killed_server(place):
    path = killed(place)
    try:
        mount, = status(expect=69)
        assert (mount["state"], mount["status"]) == ("server-gone", None)
        assert not path.exists()
        mount, = status(expect=69)
        assert mount["state"] == "no-socket"
    finally:
        run("umount", "-l", place / "at-one")
    assert status() == []


def test_the_next_mount_removes_it_too(place):
    path = killed(place)
    try:
        with mounted(place / "two", place / "at-two") as point:
            assert os.listdir(directory()) == [device_of(point)]
            assert not path.exists() or path.name == device_of(point)
    finally:
        run("umount", "-l", place / "at-one")


def test_other_files_in_the_directory_stay(place):
    directory().joinpath("notes").write_text("mine")
    directory().joinpath("1:2x").write_text("mine")
    try:
        with mounted(place / "one", place / "at-one"):
            assert len(status()) == 1
        assert wait_until(lambda: sorted(os.listdir(directory())) == ["1:2x", "notes"])
        assert status() == []
    finally:
        for name in os.listdir(directory()):
            directory().joinpath(name).unlink()


def test_a_mount_that_is_not_here(place):
    """Unmounted while in use, its server lives on; so it is in another mount namespace."""
    before = servers()
    run(CANONFS, place / "one", place / "at-one")
    with open(place / "at-one/file", "rb") as file:
        run("umount", "-l", place / "at-one")
        mount, = status()
        assert (mount["visible"], mount["point"]) == (False, str(place / "at-one"))
        assert file.read() == b"one"
    assert wait_until(lambda: not servers() - before)
    assert status() == []


# ---- clients that do not behave ----

def reads(point):
    """A read that the page cache does not answer."""
    done = subprocess.run(["dd", f"if={point}/file", "iflag=direct", "bs=4096", "status=none"],
                          capture_output=True, timeout=READING)
    return done.stdout == b"one"


GARBAGE = [b"", b"\0" * 100, b"{", b"[]", b"null", b"{}", b"{\"command\": 1}", b"\xff\xfe",
           b"{\"command\": \"status\"} x", b"{\"command\": \"end\"}", b"[" * 4000,
           b"{\"command\": \"trace\", \"all\": 1}", b"{\"command\": \"stat\0us\"}",
           b"{\"a\": " * 600]


def test_garbage(place):
    with mounted(place / "one", place / "at-one", "mutable") as point:
        path = socket_of(point)
        for request in GARBAGE:
            answer = ask(path, request)
            assert answer is None or list(answer) == ["error"], request
        for request in (b"{\"command\": \"status\"}", b" {\"command\":\"status\"}\n",
                        b"{\"command\": \"status\", \"more\": [1]}"):
            assert ask(path, request)["point"] == str(point)
        assert reads(point)


# ---- a server that does not behave ----

@pytest.mark.parametrize("point", ["null", "7", "[]"])
def test_an_answer_without_names(point):
    """What comes from a socket may be of any form."""
    with answering(b'{"point": %s, "source": %s}' % (point.encode(), point.encode())):
        mount, = json.loads(canonfs("status", "--json").stdout)["mounts"]
        assert (mount["state"], mount["point"], mount["source"]) == ("answers", None, None)
        assert canonfs("status").returncode == 0


@pytest.mark.parametrize("number", HOSTILE_NUMBERS, ids=short)
def test_an_answer_of_odd_numbers(number):
    """None makes the program do what C does not define, or print what is no count."""
    answer = (b'{"uptime_s": N, "supervisor": {"pid": N}, "requests": {"total": N, "per_s": N},'
              b' "nodes": {"count": N}, "errors": {"A\\u001b[2J": 3, "B\xff": 2, "C": N}}')
    with answering(answer.replace(b"N", number)):
        done = canonfs("status")
        mount, = json.loads(canonfs("status", "--json").stdout)["mounts"]
    assert done.returncode == 0 and not done.stderr
    assert re.search(r"^  up +0\.0 s; canonfs \?, supervisor \d+, worker 0$", done.stdout, re.M)
    assert re.search(r"^  errors .*'A\\x1b\[2J' 3", done.stdout, re.M)
    assert not re.search(r"-\d|nan|inf", done.stdout)
    assert list(mount["status"]["errors"]) == ["A\x1b[2J", "C"], "that name is no text"


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=short)
def test_an_answer_of_odd_texts(text):
    """A terminal gets no text of another process raw."""
    with answering(b'{"point": "%s", "source": "%s", "version": "%s", "mode": "%s", "mode_reason":'
                   b' "%s", "options": "%s", "cache": {"path": "%s"}}' % ((text,) * 7)):
        done = subprocess.run([CANONFS, "status"], capture_output=True, timeout=LIMIT)
    assert done.returncode == 0 and not done.stderr
    assert harmless(done.stdout)


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS, ids=short)
def test_an_answer_that_is_none(answer):
    """Silence, too, ends in time."""
    with answering(answer):
        mount, = status(expect=69)
        assert (mount["state"], mount["point"]) == ("does-not-answer", None)


@pytest.mark.parametrize("size", [4096, 4097, 100000, 1 << 20])
def test_a_long_request(place, size):
    """Up to 4096 bytes it is read."""
    request = b"{\"command\": \"status\"}".ljust(size)
    with mounted(place / "one", place / "at-one") as point:
        with connected(socket_of(point)) as client:
            client.setsockopt(socket.SOL_SOCKET, 32, 4 << 20)  # SO_SNDBUFFORCE
            client.send(request)
            answer = json.loads(client.recv(1 << 20))
        assert ("error" in answer) == (size > 4096), answer
        assert status_of(point)


def test_a_hundred_connections(place):
    """That ask nothing, or do not read what they asked for: others are answered."""
    with mounted(place / "one", place / "at-one", "mutable") as point:
        path = socket_of(point)
        with contextlib.ExitStack() as stack:
            for number in range(100):
                client = stack.enter_context(connected(path))
                if number % 3 == 1:
                    client.send(b"{\"command\": \"status\"}")
                elif number % 3 == 2:
                    client.send(b"{\"command\": \"trace\", \"all\": true}")
                assert number % 10 or reads(point)
            assert status_of(point)["point"] == str(point)
            assert reads(point)
        assert status_of(point)["point"] == str(point)


def test_one_that_never_reads_its_answers(place):
    with mounted(place / "one", place / "at-one", "mutable") as point:
        with connected(socket_of(point)) as client:
            client.setblocking(False)
            with pytest.raises(OSError):  # closed, or, for a moment, full
                for _ in range(100000):
                    client.send(b"{\"command\": \"status\"}")
            assert status_of(point) and reads(point)
