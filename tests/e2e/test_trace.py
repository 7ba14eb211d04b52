# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs trace MOUNT: everything that happens while somebody watches is seen or counted as
lost, and neither a slow watcher nor a stopped one holds the mount up."""
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import jsonschema
import pytest

import corpus
from conftest import CANONFS, mounted, requests_of, run, servers, wait_until
from control import HOSTILE_ANSWERS, HOSTILE_NUMBERS, HOSTILE_TEXTS, LIMIT, answering, canonfs, \
    connected, directory, harmless, processes, schema, short, socket_of, status_of

# A stacked mount decides before anybody reads; then there is nothing to watch.
pytestmark = pytest.mark.usefixtures("passthrough")

USER = 65534
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
FLOOD = 60000  # requests: more than all buffers between server and reader hold


@pytest.fixture
def place(folder):
    """Two sources and mount points; the first source has bytecode of every verdict."""
    folder.chmod(0o755)
    for name in ("one", "two", "at-one", "at-two"):
        folder.joinpath(name).mkdir()
    corpus.make(folder / "one")
    folder.joinpath("one/file").write_text("text")
    folder.joinpath("two/file").write_text("text")
    return folder


class Watcher:
    """canonfs trace, of which everything that happens from now on is asked."""

    def __init__(self, point, *words):
        self.process = subprocess.Popen(
            [CANONFS, "trace", str(point), "--json", *words], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="surrogateescape")
        assert json.loads(self.process.stdout.readline()) == {"event": "begin"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def rest(self):
        """All events until its end, each valid, and the exit status."""
        out, err = self.process.communicate(timeout=LIMIT)
        validator = jsonschema.Draft7Validator(schema("trace"))
        events = [json.loads(line) for line in out.splitlines()]
        for kind in {event["event"] for event in events}:
            for event in [event for event in events if event["event"] == kind][:50]:
                validator.validate(event)
        return events, self.process.returncode, err

    def until_lookup(self, point):
        """All events before that of a name that we look up now."""
        name = f"marker-{time.monotonic_ns()}"
        point.joinpath(name).exists()
        events = []
        for line in self.process.stdout:
            events.append(json.loads(line))
            if events[-1].get("name") == name:
                return events[:-1]
        pytest.fail("it ended")

    def until_signal(self, number=signal.SIGINT):
        """The same, once it has nothing to print any more."""
        os.kill(self.process.pid, number)
        return self.rest()


def read_all(point, paths):
    for path in paths:
        point.joinpath(path).read_bytes()


def decisions(events):
    return [event for event in events if event["event"] == "decision"]


# ---- what is seen ----

def test_every_decision(place):
    expected = corpus.make_paths(place / "one")
    with mounted(place / "one", place / "at-one", "immutable") as point:
        begin = time.time()
        with Watcher(point) as watcher:
            read_all(point, expected)
            end = time.time()
            read_all(point, expected)  # from the page cache
            assert wait_until(lambda: status_of(point)["bytecode"]["decisions"] == len(expected))
            run("umount", point)
            events, code, _ = watcher.rest()
        run(CANONFS, place / "one", point)  # for mounted() to end
    assert code == 0 and events[-1] == {"event": "end"}
    seen = decisions(events)
    assert len(seen) == len(events) - 1 == len(expected)
    assert {event["path"]: (event["verdict"], event["reason"]) for event in seen} == expected
    assert {event["verdict"] for event in seen if event["header_changed"]} == {"restamped"}
    for event in seen:
        assert event["pid"] == os.getpid() and event["process"] and event["why"]
        assert begin - 0.1 <= event["time"] <= end + 0.1


def test_the_process_not_the_thread(place):
    script = ("import pathlib, sys, threading\n"
              "t = threading.Thread(target=pathlib.Path(sys.argv[1]).read_bytes)\n"
              "t.start(); t.join()")
    path = next((place / "one/fresh/__pycache__").iterdir()).relative_to(place / "one")
    with mounted(place / "one", place / "at-one", "immutable") as point, Watcher(point) as watcher:
        reader = subprocess.Popen([sys.executable, "-c", script, point / path])
        reader.wait()
        assert wait_until(lambda: status_of(point)["bytecode"]["decisions"] == 1)
        event = json.loads(watcher.process.stdout.readline())
    assert event["pid"] == reader.pid
    assert event["process"].startswith("python") or event["process"].startswith("pypy")


def test_lines_for_people(place):
    expected = corpus.make_paths(place / "one")
    with mounted(place / "one", place / "at-one", "immutable") as point:
        with subprocess.Popen([CANONFS, "trace", point], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            assert wait_until(lambda: status_of(point)["watched"])
            read_all(point, expected)
            assert wait_until(lambda: status_of(point)["bytecode"]["decisions"] == len(expected))
            run("umount", point)
            out, err = process.communicate(timeout=LIMIT)
        run(CANONFS, place / "one", point)
    assert process.returncode == 0
    assert err == f"canonfs: the mount on '{point}' has ended\n"
    found = {}
    for line in out.splitlines():
        words = re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  (\S+)\[(\d+)\]  (\S+) +(\S+): (.+)", line)
        assert words, line
        assert int(words[2]) == os.getpid()
        found[words[4]] = words[3]
    assert found == {path: verdict for path, (verdict, _) in expected.items()}


def test_colours_only_where_they_are_wanted(place):
    """On a terminal, unless NO_COLOR says otherwise."""
    path = next((place / "one/stale/__pycache__").iterdir()).relative_to(place / "one")
    shown = []
    for environment in ({}, {"NO_COLOR": "1"}):
        with mounted(place / "one", place / "at-one", "immutable") as point:
            primary, secondary = os.openpty()
            with subprocess.Popen([CANONFS, "trace", point], stdout=secondary, stderr=secondary,
                                  env={**os.environ, "TERM": "xterm", **environment}) as process:
                os.close(secondary)
                text = b""
                assert wait_until(lambda: status_of(point)["watched"])
                point.joinpath(path).read_bytes()
                while b"stale" not in text:
                    text += os.read(primary, 4096)
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=LIMIT) == 0
            os.close(primary)
            shown.append(text)
    assert b"\x1b[" in shown[0] and b"\x1b[" not in shown[1]
    assert b"watching" in shown[1]


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_all_requests(place, options):
    """Those that the kernel sends, each with its process and path."""
    with mounted(place / "one", place / "at-one", options) as point:
        with Watcher(point, "--all") as watcher:
            with requests_of(point) as traced:
                for where, _, files in os.walk(point):
                    for name in files:
                        with open(os.path.join(where, name), "rb") as file:
                            file.read()
                        os.path.exists(os.path.join(where, name + ".not-there"))
                with contextlib.suppress(OSError):
                    os.getxattr(point / "file", "user.nothing")
            events = watcher.until_lookup(point)
            _, code, _ = watcher.until_signal()
    requests = [event for event in events if event["event"] == "request"]
    counted = {}
    for event in requests:
        counted[event["opcode"]] = counted.get(event["opcode"], 0) + 1
    # requests_of() looks at the mount point first, and its pages may be good by then.
    assert {**counted, "GETATTR": 0} == {**traced, "GETATTR": 0}
    assert code == 0 and len(decisions(events)) == sum(kind[0] for kind in corpus.KINDS.values())
    asked = {(event["opcode"], event["path"], event.get("name")) for event in requests}
    assert ("GETXATTR", "file", "user.nothing") in asked
    assert ("READ", "file", None) in asked
    assert ("LOOKUP", "fresh", "m0.py.not-there") in asked
    assert {event["pid"] for event in requests if event["opcode"] in ("READ", "LOOKUP")} == \
        {os.getpid()}


def test_two_mounts_and_two_watchers(place):
    path = next((place / "one/fresh/__pycache__").iterdir()).relative_to(place / "one")
    with mounted(place / "one", place / "at-one", "immutable") as one, \
            mounted(place / "two", place / "at-two", "immutable") as two, \
            Watcher(one) as first, Watcher(one, "--all") as second, Watcher(two) as third:
        one.joinpath(path).read_bytes()
        two.joinpath("file").read_bytes()
        line = json.loads(first.process.stdout.readline())
        from_second = second.until_lookup(one)
        events = [watcher.until_signal()[0] for watcher in (first, second, third)]
        events[0].append(line)
        events[1] = from_second
        assert wait_until(lambda: not status_of(one)["watched"])
    assert [len(decisions(some)) for some in events] == [1, 1, 0]
    assert [len(some) > 1 for some in events] == [False, True, False]


def test_odd_names(place):
    name = "a\x1b[2J\nb\udcff"
    folder = place / "one" / name / "__pycache__"
    folder.mkdir(parents=True)
    shutil.copy(next((place / "one/orphan/__pycache__").iterdir()), folder / "m.cpython-311.pyc")
    with mounted(place / "one", place / "at-one", "immutable") as point:
        with Watcher(point) as watcher, subprocess.Popen(
                [CANONFS, "trace", point], stdout=subprocess.PIPE) as plain:
            assert wait_until(lambda: status_of(point)["watched"])
            time.sleep(0.2)  # the second one, too
            point.joinpath(name, "__pycache__/m.cpython-311.pyc").read_bytes()
            line = plain.stdout.readline()
            plain.send_signal(signal.SIGINT)
            event = json.loads(watcher.process.stdout.readline())
    assert event["path"] == f"{name}/__pycache__/m.cpython-311.pyc"
    assert b"\x1b" not in line and b"\xff" not in line and b"\\x1b" in line


# ---- its end ----

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ends_by_signal(place, number):
    with mounted(place / "one", place / "at-one") as point:
        with Watcher(point) as watcher:
            assert watcher.until_signal(number) == ([], 0, "")
        assert wait_until(lambda: not status_of(point)["watched"])


def test_ends_when_the_server_is_killed(place):
    before = servers()
    run(CANONFS, place / "one", place / "at-one")
    pids = processes(before)
    try:
        with Watcher(place / "at-one") as watcher:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            events, code, _ = watcher.rest()
    finally:
        run("umount", "-l", place / "at-one")
    assert (events, code) == ([{"event": "end"}], 0)


@pytest.mark.parametrize("busy", [False, True])
def test_ends_when_nobody_reads(place, busy):
    """At once, not only when there is something to print."""
    with mounted(place / "one", place / "at-one", "immutable") as point:
        with Watcher(point, "--all") as watcher:
            if busy:
                flood(point, 20000)
            watcher.process.stdout.close()
            assert watcher.process.wait(timeout=LIMIT) == 0
            assert watcher.process.stderr.read() == ""
            watcher.process.stdout = open(os.devnull)
        assert wait_until(lambda: not status_of(point)["watched"])


def test_output_that_does_not_arrive(place):
    path = next((place / "one/fresh/__pycache__").iterdir()).relative_to(place / "one")
    with mounted(place / "one", place / "at-one", "immutable") as point, open("/dev/full", "w") as full:
        with subprocess.Popen([CANONFS, "trace", point], stdout=full, stderr=subprocess.PIPE,
                              text=True) as process:
            assert wait_until(lambda: status_of(point)["watched"])
            point.joinpath(path).read_bytes()
            _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 74 and "cannot write to standard output" in err


# ---- who watches slowly ----

def flood(point, count):
    """Requests that no cache answers."""
    fd = os.open(point / "file", os.O_RDONLY)
    try:
        for _ in range(count):
            with contextlib.suppress(OSError):
                os.getxattr(fd, "user.nothing")
    finally:
        os.close(fd)


def seen_and_lost(events):
    seen = sum(event["event"] == "request" and event["opcode"] == "GETXATTR" for event in events)
    return seen, sum(event["lines"] for event in events if event["event"] == "lost")


@pytest.mark.parametrize("how", ["does not read", "is stopped"])
def test_a_slow_reader_loses_lines_that_are_counted(place, how):
    with mounted(place / "one", place / "at-one", "immutable") as point:
        fd = os.open(point / "file", os.O_RDONLY)
        os.close(fd)
        with Watcher(point, "--all") as watcher:
            if how == "is stopped":
                os.kill(watcher.process.pid, signal.SIGSTOP)
            done = threading.Thread(target=flood, args=(point, FLOOD), daemon=True)
            done.start()
            done.join(timeout=4 * LIMIT)
            assert not done.is_alive(), "the mount waits for the reader"
            assert status_of(point)["watched"]
            if how == "is stopped":
                os.kill(watcher.process.pid, signal.SIGCONT)
            events = []
            for line in watcher.process.stdout:
                events.append(json.loads(line))
                if events[-1]["event"] == "lost":
                    break
            # It is told, and sees what comes then.
            events += watcher.until_lookup(point)
    seen, lost = seen_and_lost(events)
    assert seen + lost == FLOOD
    assert seen > 100 and lost > 100


def test_a_slow_reader_of_lines_for_people(place):
    with mounted(place / "one", place / "at-one", "immutable") as point:
        with subprocess.Popen([CANONFS, "trace", "--all", point], stdout=subprocess.PIPE,
                              text=True) as process:
            assert wait_until(lambda: status_of(point)["watched"])
            flood(point, FLOOD)
            for line in process.stdout:
                if re.fullmatch(r"\.\.\. [\d,]+ lines lost\n", line):
                    break
            else:
                pytest.fail("nothing was lost")
            process.send_signal(signal.SIGINT)
            process.stdout.read()


def test_one_slow_watcher_takes_nothing_from_another(place):
    expected = corpus.make_paths(place / "one")
    with mounted(place / "one", place / "at-one", "immutable") as point:
        with connected(socket_of(point)) as slow, Watcher(point) as watcher:
            slow.send(b'{"command": "trace"}')
            assert json.loads(slow.recv(4096)) == {"event": "begin"}
            read_all(point, expected)
            run("umount", point)
            events, _, _ = watcher.rest()
        run(CANONFS, place / "one", point)
    assert len(decisions(events)) == len(expected)


def test_too_many_watchers(place):
    with mounted(place / "one", place / "at-one", "immutable") as point, \
            contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(Watcher(point))
        refused = canonfs("trace", point)
        assert refused.returncode == 69 and "too many" in refused.stderr
        assert status_of(point)["watched"]


# ---- what is refused ----

def says(result, code, pattern):
    line, = result.stderr.splitlines()
    assert result.returncode == code and re.search(pattern, line), result


def test_what_cannot_be_watched(place):
    with mounted(place / "one", place / "at-one") as point:
        says(canonfs("trace", place / "one"), 66, "is not a canonfs mount")
        says(canonfs("trace", point, command=AS_USER), 77, "only its owner and root")


def test_a_stopped_server(place):
    before = servers()
    with mounted(place / "one", place / "at-one") as point:
        pids = processes(before)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            says(canonfs("trace", point), 69, "does not answer")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def test_wrong_usage_and_help():
    for words in ([], ["--nonsense"], ["a", "b"]):
        assert canonfs("trace", *words).returncode == 64, words
    done = canonfs("trace", "--help")
    assert done.returncode == 0 and "Example" in done.stdout and not done.stderr


# ---- a server that does not behave ----

BEGIN = b'{"event": "begin"}'


def traced(packets, *words):
    """What is printed of a server that sends that: its mount is known by its own answer."""
    with answering(b'{"point": "/hostile"}', packets):
        return subprocess.run([CANONFS, "trace", *words, "/hostile"], capture_output=True,
                              timeout=LIMIT)


@pytest.mark.parametrize("words", [[], ["--json"]])
@pytest.mark.parametrize("answer", HOSTILE_ANSWERS, ids=short)
def test_an_answer_that_is_none(answer, words):
    done = traced([answer], *words)
    line, = done.stderr.decode().splitlines()
    assert done.returncode == 69 and re.search("does not answer|is no event", line)
    assert not done.stdout and harmless(done.stderr)


@pytest.mark.parametrize("words", [[], ["--json"]])
@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=short)
def test_odd_texts_of_a_server(text, words):
    """A terminal gets none of them raw."""
    refused = traced([b'{"error": "%s"}' % text], *words)
    line, = refused.stderr.decode().splitlines()
    assert refused.returncode == 69 and "its server refuses" in line
    assert not refused.stdout and harmless(refused.stderr)
    event = b'{"event": "%s", "process": "%s", "verdict": "%s", "path": "%s", "why": "%s", "%s": 1}'
    done = traced([BEGIN, *(event % (kind, *[text] * 5) for kind in (b"decision", text))], *words)
    assert done.returncode == 0
    if words:
        begin, *events, end = [json.loads(line) for line in done.stdout.splitlines()]
        assert (begin, end) == ({"event": "begin"}, {"event": "end"}) and len(events) == 2
        assert b"\x1b" not in done.stdout and b"\xff" not in done.stdout
    else:
        assert harmless(done.stdout) and done.stdout.count(b"\n") == 1


@pytest.mark.parametrize("number", HOSTILE_NUMBERS, ids=short)
def test_odd_numbers_of_a_server(number):
    done = traced([BEGIN, b'{"event": "decision", "time": %s, "pid": %s, "verdict": "fresh"}'
                   % (number, number), b'{"event": "lost", "lines": %s}' % number])
    assert done.returncode == 0
    assert re.fullmatch(r"[\d:]{8}\.000  \?\[\d+\]  fresh +\?: \?\n\.\.\. [\d,]+ lines lost\n",
                        done.stdout.decode())
    refused = traced([b'{"error": %s}' % number])


@pytest.mark.parametrize("garbage", [b"garbage", b"\n" * 10000, b"x" * 100000, b'{"event": 7}'],
                         ids=short)
def test_garbage_without_an_end(garbage):
    done = traced(itertools.chain([BEGIN], itertools.repeat(garbage)))
    assert done.returncode == 69 and b"is no event" in done.stderr and harmless(done.stderr)
