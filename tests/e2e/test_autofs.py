# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts that an automounter makes when somebody looks at the mount point: until it says that
they are made, all but the processes of its own group wait (fs/autofs/waitq.c)."""
import contextlib
import fcntl
import os
import pathlib
import struct
import subprocess
import threading

import pytest

from conftest import CANONFS, missing, mounts_at, run, servers, wait_until, with_front

pytestmark = pytest.mark.usefixtures("nothing_left")

READY, FAIL, CATATONIC = 0x9360, 0x9361, 0x9362  # linux/auto_fs.h
# struct autofs_v5_packet: version, type, token, device, inode, uid, gid, pid, tgid, length, name
PACKET = struct.Struct("iIIIQIIIII256s")
LIMIT = 30


@contextlib.contextmanager
def automounter(top, source):
    """Mounts the source at each name below a folder that somebody looks at."""
    reading, writing = os.pipe()
    made = run("mount", "-t", "autofs", "-o", f"fd={writing},pgrp={os.getpgrp()},minproto=5,maxproto=5,"
               "indirect", "automounter", top, check=False, pass_fds=[writing])
    os.close(writing)
    if made.returncode:
        missing(f"autofs: {made.stderr}")
    root = os.open(top, os.O_RDONLY | os.O_DIRECTORY)

    def serve():
        while len(packet := os.read(reading, 304)) >= PACKET.size:
            fields = PACKET.unpack_from(packet)
            point = pathlib.Path(top, os.fsdecode(fields[-1].split(b"\0")[0]))
            try:
                point.mkdir()
                subprocess.run([CANONFS, source, point, "-o", with_front("immutable")], check=True,
                               timeout=LIMIT)
                fcntl.ioctl(root, READY, fields[2])
            except (OSError, subprocess.SubprocessError):
                fcntl.ioctl(root, FAIL, fields[2])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        fcntl.ioctl(root, CATATONIC, 0)  # ends the pipe, and everybody's wait
        os.close(root)
        thread.join()
        os.close(reading)
        run(CANONFS, "umount", "--all", check=False)
        run("umount", "-l", top)


@pytest.mark.usefixtures("front")
def test_mounted_when_somebody_looks(place):
    before = servers()
    top = place / "top"
    top.mkdir()
    with automounter(top, place / "source"):
        looked = subprocess.run(["cat", top / "name/bare/file"], capture_output=True, text=True,
                                timeout=2 * LIMIT, start_new_session=True, check=False)
        assert (looked.stdout, looked.stderr) == ("text", "")
        assert mounts_at(top / "name") == ["canonfs"]
        for pid in servers() - before:
            assert os.getpgid(pid) != os.getpgrp(), "the terminal's signals are not for it"
    assert wait_until(lambda: servers() == before)
