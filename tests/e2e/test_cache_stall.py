# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache whose disk hangs, and a starter that is gone, must not take the mount along."""
import pathlib
import subprocess

import pytest

from conftest import CANONFS, missing, run, servers, wait_until


@pytest.fixture
def frozen_disk(folder):
    """A file system on which every write waits: a frozen ext4 on a loop device."""
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    run("mkfs.ext4", "-q", image)
    if run("mount", "-o", "loop", image, disk, check=False).returncode:
        missing("no loop device can be mounted")
    (disk / "cache").mkdir(mode=0o700)
    run("fsfreeze", "-f", disk)
    yield disk
    subprocess.run(["fsfreeze", "-u", disk], check=False)
    subprocess.run(["umount", disk], check=False)


def test_disk_of_the_cache_hangs(folder, frozen_disk):
    source, point = folder / "source", folder / "point"
    source.mkdir()
    point.mkdir()
    (source / "file").write_text("text")
    before = servers()
    result = run(CANONFS, source, point, "-o", f"cache={frozen_disk}/cache/cache.db",
                 timeout=30)
    try:
        assert "does not answer; going on without" in result.stderr
        assert run("cat", point / "file", timeout=10).stdout == "text"
    finally:
        run(CANONFS, "umount", point, timeout=10)
        run("fsfreeze", "-u", frozen_disk)
    assert wait_until(lambda: not servers() - before)


def ignored_signals(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    mask = int(lines["SigIgn"], 16)
    return {number + 1 for number in range(64) if mask >> number & 1}


def test_errors_of_write_are_not_ends(folder):
    """SIGPIPE: whoever started it may be gone; SIGXFSZ: files may be limited (ulimit -f)."""
    point = folder / "point"
    point.mkdir()
    before = servers()
    run(CANONFS, folder, point, "-o", "cache=off")
    try:
        started = servers() - before
        assert len(started) == 2
        for pid in started:
            assert {13, 25} <= ignored_signals(pid)
    finally:
        run(CANONFS, "umount", point)
    assert wait_until(lambda: not servers() - before)
