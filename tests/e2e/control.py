# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of status and trace share: the control socket, spoken to directly, and the
program's JSON, checked against its schema."""
import contextlib
import json
import os
import pathlib
import re
import socket
import threading

import jsonschema

from conftest import CANONFS, TOP, run, servers

LIMIT = 30  # seconds until a command counts as hung

# What a server may send that is not ours. A text and a number stand where JSON has one.
HOSTILE_TEXTS = [rb"\u001b[2J", "\x9b2J".encode(), "\u202e".encode(), rb"\u001b]0;x\u0007",
                 rb"a\nb\rc", b"\xff\xfe", b"x" * 10000, b""]
HOSTILE_NUMBERS = [b"1e999", b"-1e999", b"NaN", b"-Infinity", b"-1", b"9e18", b"99999999999999999999",
                   b"-9223372036854775808", b'"7"', b"[7]", b"{}", b"true", b"null"]
HOSTILE_ANSWERS = [None, b"\x1b[2J", b"{", b"[]", b'"x"', b"null", b"[" * 10000, b"x" * 100000]


def schema(name):
    return json.loads((TOP / "cli/schema" / f"{name}.json").read_text())


def canonfs(*words, command=(), **options):
    """Runs the program to its end."""
    options.setdefault("timeout", LIMIT)
    return run(*command, CANONFS, *words, check=False, **options)


def status(*words, expect=0, **options):
    """The mounts of canonfs status --json."""
    done = canonfs("status", "--json", *words, **options)
    assert done.returncode == expect, done
    answer = json.loads(done.stdout)
    jsonschema.validate(answer, schema("status"))
    return answer["mounts"]


def status_of(point):
    """What one mount's server says."""
    mount, = status(point)
    assert mount["state"] == "answers"
    return mount["status"]


def device_of(point):
    """As mountinfo has it: the mount is not touched."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4] == str(point) and " fuse.canonfs " in line:
            return line.split()[2]
    raise LookupError(point)


def directory():
    return pathlib.Path(os.environ["RUNTIME_DIRECTORY"])


def socket_of(point):
    return directory() / device_of(point)


@contextlib.contextmanager
def connected(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(LIMIT)
        client.connect(str(path))
        yield client


def ask(path, request):
    """The answer to the bytes of a request; None where the connection is closed."""
    with connected(path) as client:
        client.send(request)
        data = client.recv(1 << 20)
        return json.loads(data) if data else None


def processes(before):
    """(supervisor, worker) of the one mount that was made since."""
    one, other = servers() - before
    text = pathlib.Path(f"/proc/{one}/status").read_text()
    parent = int(re.search(r"^PPid:\t(\d+)$", text, re.M)[1])
    return (other, one) if parent == other else (one, other)


def short(value):
    """The name of a parameter."""
    return repr(value)[:20]


def harmless(output):
    """Does a program's output have only what a terminal shows, and lines?"""
    text = output.decode()  # all of it is UTF-8
    return all(char == "\n" or char.isprintable() for char in text)


@contextlib.contextmanager
def answering(status, trace=(None,)):
    """Somebody who listens like the server of a mount: answers a request for the status with
    one packet, and one for a trace with some, then hangs up. None is silence."""
    directory().mkdir(mode=0o700, exist_ok=True)
    path = directory() / "0:1048575"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with contextlib.suppress(OSError):  # the end, or a client that has left
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(OSError):
                        request = client.recv(4096)
                        for packet in trace if b'"trace"' in request else [status]:
                            if packet is None:
                                client.recv(4096)  # until the client has enough
                            elif request:
                                client.send(packet)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink(missing_ok=True)
