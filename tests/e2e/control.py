# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of status and trace share: the control socket, spoken to directly, and the
program's JSON, checked against its schema."""
import contextlib
import json
import os
import pathlib
import re
import socket

import jsonschema

from conftest import CANONFS, TOP, run, servers

LIMIT = 30  # seconds until a command counts as hung


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
