# SPDX-License-Identifier: GPL-2.0-or-later
"""canonfs umount --all: every mount of both kinds in this mount namespace."""
import contextlib
import os
import subprocess

import pytest

from conftest import CANONFS, mountinfo, mounts_at, run, servers

pytestmark = pytest.mark.usefixtures("nothing_left")

STACKED, PASSTHROUGH = "stack=on,immutable", "stack=off,immutable"
LIMIT = 60


@pytest.fixture
def points(place):
    """Three mounts of each kind and a copy of one, in the order in which they were made. One is
    in another, and one on a tmpfs that is in another."""
    sources = place / "source", place / "outer"
    (place / "outer/inner").mkdir(parents=True)
    made = []

    def mount(source, name, options):
        made.append(place / name)
        made[-1].mkdir(exist_ok=True)
        run(CANONFS, source, made[-1], "-o", options)

    mount(sources[0], "passthrough", PASSTHROUGH)
    mount(sources[0], "stacked, with spaces", STACKED)
    mount(sources[1], "nest", PASSTHROUGH)
    mount(sources[0], "nest/inner", STACKED)
    mount(sources[1], "over", STACKED)
    run("mount", "-t", "tmpfs", "none", place / "over/inner")
    (place / "over/inner/deep").mkdir()
    mount(sources[0], "over/inner/deep", PASSTHROUGH)
    (place / "copy").mkdir()
    run("mount", "--bind", made[0], place / "copy")
    yield made + [place / "copy"]
    for line in reversed(mountinfo()):
        if " - overlay canonfs" in line or " - fuse.canonfs" in line:
            where = line.split()[4].replace("\\040", " ")
            subprocess.run(["umount", "-l", where], check=False)


def umount_all(*words, command=()):
    result = run(*command, CANONFS, "umount", "--all", *words, check=False, timeout=LIMIT)
    return result.returncode, result.stdout.splitlines(), result.stderr.splitlines()


def ended(points):
    """What it prints of them, in the order of their ends."""
    return [f"{point}: unmounted" for point in reversed(points)]


def in_use(point):
    return f"canonfs: '{point}' is in use: end its users (fuser -vm), or unmount with -l"


@contextlib.contextmanager
def user_of(point):
    """A process whose working directory is there."""
    with subprocess.Popen(["sleep", "1000"], cwd=point) as user:
        yield
        user.kill()


def test_mount_8_leaves_stacked_mounts(points):
    """Which is why there is the option."""
    run("umount", "-a", "-t", "fuse.canonfs", check=False)
    assert mounts_at(points[1]) == ["canonfs"]
    assert umount_all()[0] == 32  # what is below a tmpfs cannot end
    run("umount", points[4] / "inner")
    assert umount_all() == (0, ended([points[4]]), [])


def test_all_of_both_kinds(points):
    """But the one that a mount of another type is on."""
    before = servers()
    status, out, err = umount_all()
    assert (status, err) == (32, [in_use(points[4])])
    assert out == ended(points[:4] + points[5:])
    assert [point for point in points if "canonfs" in mounts_at(point)] == [points[4]]
    run("umount", points[4] / "inner")
    assert umount_all() == (0, ended([points[4]]), [])
    assert before and not servers() & before, "it waits for the servers"
    assert umount_all() == (0, [], [])


@pytest.mark.parametrize("busy", [0, 1], ids=["passthrough", "stacked"])
def test_one_in_use_stays(points, busy):
    run("umount", points[5], points[4] / "inner")
    others = [point for number, point in enumerate(points) if number not in (busy, 5)]
    with user_of(points[busy]):
        assert umount_all() == (32, ended(others), [in_use(points[busy])])
        assert mounts_at(points[busy]) == ["canonfs"]
        assert os.listdir(points[busy])
        assert umount_all("--lazy") == (0, ended([points[busy]]), [])
        assert mounts_at(points[busy]) == []


def test_others_mounts_are_left_alone(points):
    """A file system that hides one of ours is somebody else's."""
    hidden = points[0]
    run("mount", "-t", "tmpfs", "none", hidden)
    run("umount", points[5], points[4] / "inner")
    status, out, err = umount_all()
    assert (status, out) == (32, ended(points[1:5] + points[6:]))
    assert err == [f"canonfs: '{hidden}' is hidden by another mount: end that one first"]
    assert mounts_at(hidden) == ["canonfs", "tmpfs"]
    run("umount", hidden)
    assert umount_all() == (0, ended([hidden]), [])
