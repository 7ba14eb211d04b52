# SPDX-License-Identifier: GPL-2.0-or-later
"""Under limits of the shell (ulimit -v, ulimit -f) the passthrough serves: what it remembers of
files grows with the files. Where it cannot grow, new names fail, and nothing else."""
import contextlib
import errno
import os
import resource

import pytest

from conftest import CANONFS, run, servers, wait_until



def mount_limited(limit, source, point):
    """Mounts from a shell that has set a limit."""
    run("bash", "-c", f'ulimit -S {limit} && exec "$@"', "limited",
        CANONFS, source, point, "-o", "stack=off,cache=off,immutable")


@contextlib.contextmanager
def mounted_limited(limit, source, point):
    before = servers()
    mount_limited(limit, source, point)
    started = servers() - before
    try:
        yield started
    finally:
        run("umount", "-l", point)
        assert wait_until(lambda: not servers() & started)


def worker_of(pids):
    """The child of the two."""
    parents = {pid: int(run("ps", "-o", "ppid=", "-p", pid).stdout) for pid in pids}
    return next(pid for pid in pids if parents[pid] in pids)


@pytest.fixture
def many(place):
    """More files than one step of the table has."""
    folder = place / "source/many"
    folder.mkdir()
    for number in range(9000):
        (folder / f"{number}.txt").touch()
    return place


def fails_to_look_up(folder):
    """The errors of stat(2), for those of all names where it fails."""
    errors = {}
    for number in range(9000):
        try:
            os.stat(folder / f"{number}.txt")
        except OSError as error:
            errors[number] = error.errno
    return errors


@pytest.mark.parametrize("limit", ["-v 1000000", "-f 1024"])
def test_serves(place, limit):
    with mounted_limited(limit, place / "source", place / "point"):
        code = "import package.one, package.two; print(package.one.value, package.two.value)"
        assert run("python3", "-B", "-c", code,
                   env={"PYTHONPATH": str(place / "point")}).stdout == "one two\n"
        assert sorted(os.listdir(place / "point/package")) == sorted(
            os.listdir(place / "source/package"))


def test_many_files_in_little_address_space(many):
    with mounted_limited("-v 1000000", many / "source", many / "point"):
        assert fails_to_look_up(many / "point/many") == {}


def test_no_room_for_new_names(many):
    """Names that are known go on to be served; when there is room, new ones are, too."""
    with mounted_limited("-f 1024", many / "source", many / "point") as started:
        worker = worker_of(started)
        errors = fails_to_look_up(many / "point/many")
        assert 0 < len(errors) < 9000
        assert set(errors.values()) == {errno.ENOMEM}
        assert 0 not in errors
        assert (many / "point/many/0.txt").read_text() == ""
        resource.prlimit(worker, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert fails_to_look_up(many / "point/many") == {}
