# SPDX-License-Identifier: GPL-2.0-or-later
"""How many FUSE requests a warm Python costs: a noise-free measure of speed.

On an immutable source the second run sends nothing but the TCGETS ioctl that Python before
3.14 sends for each file it opens (io.open's isatty()), and the security.capability that
exec asks for on a mount that honours file capabilities (not with nosuid).
"""
import os
import re
import subprocess
import time

import pytest

from control import status_of
from conftest import counted, image, missing, mounted, requests_of, run

pytestmark = pytest.mark.usefixtures("passthrough")

# Modules with an effect when imported, or that need what an image lacks.
IMPORT_ALL = """
import sys
for name in sorted(sys.stdlib_module_names - {"antigravity", "this", "idlelib", "turtle"}):
    try:
        __import__(name)
    except ImportError:
        pass
print(len(sys.modules))
"""


@pytest.fixture
def rooted(folder):
    """A function that shows an image as a root directory of its own and returns it."""
    root = folder / "root"
    root.mkdir()

    def show(name):
        run("mount", "--bind", image(name), root)
        return root

    return show


def python(root, version, code="pass"):
    """Runs an interpreter of an image; what it printed."""
    return run("chroot", root, f"/usr/bin/python{version}", "-c", code,
               env={"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/sbin:/usr/bin"}).stdout


def versions(root):
    names = (re.fullmatch(r"python(3\.\d+)", name) for name in os.listdir(root / "usr/bin"))
    return sorted((match[1] for match in names if match), key=lambda v: int(v.split(".")[1]))


def requests_during(point, function, *arguments):
    with requests_of(point) as counts:
        function(*arguments)
    return counts


def warm_requests(root, version, code, options, expected):
    """(the requests but for ioctls, the ioctls, what was printed)"""
    with mounted(root / "usr", root / "usr", f"root={root},{options}") as usr:
        first = python(root, version, code)

        def count():
            with requests_of(usr) as counts:
                assert python(root, version, code) == first
            return counts.pop("IOCTL", 0), counts

        ioctls, counts = counted(count, lambda found: found[1] == expected)
    return counts, ioctls, first


@pytest.mark.parametrize("code", ["pass", IMPORT_ALL], ids=["start", "imports"])
@pytest.mark.parametrize("options, expected", [("immutable", {"GETXATTR": 1}),
                                               ("immutable,nosuid", {})])
def test_warm_python_sends_ioctls_only(rooted, code, options, expected):
    root = rooted("ostree")
    version, = versions(root)
    counts, ioctls, printed = warm_requests(root, version, code, options, expected)
    assert counts == expected
    if code != "pass":
        assert int(printed) > 300
        assert ioctls > 100
    else:
        assert ioctls < 20


@pytest.mark.parametrize("code", ["pass", IMPORT_ALL], ids=["start", "imports"])
def test_warm_newer_python_sends_nothing(rooted, code):
    root = rooted("newer")
    newer = [version for version in versions(root) if int(version.split(".")[1]) >= 14]
    if not newer:
        missing("no Python 3.14 or later in this image")
    for version in newer:
        counts, ioctls, printed = warm_requests(root, version, code, "immutable,nosuid", {})
        assert (counts, ioctls) == ({}, 0), version
        assert code == "pass" or int(printed) > 300, version


def look_everywhere(root):
    """Names, attributes, contents of symlinks, and one byte of each file."""
    for where, _, files in os.walk(root):
        for name in files:
            path = os.path.join(where, name)
            if os.path.islink(path):
                os.readlink(path)
            else:
                with open(path, "rb", buffering=0) as file:
                    file.read(1)
            os.path.exists(f"{path}.not-there")


def test_second_walk_sends_nothing(folder):
    # ls asks for ACLs and labels, which no kernel remembers for a FUSE mount.
    unremembered = {"GETXATTR", "LISTXATTR"}
    source = image("ostree") / "usr/lib/python3.11"
    with mounted(source, folder, "immutable") as point:
        first = requests_during(point, look_everywhere, point)
        second = counted(lambda: requests_during(point, look_everywhere, point),
                         lambda counts: not counts)
        listing = counted(lambda: requests_during(point, run, "ls", "-lR", point),
                          lambda counts: counts.keys() <= unremembered)
    assert first.keys() >= {"LOOKUP", "READDIRPLUS", "READ"}, "nothing was counted"
    assert second == {}
    assert listing.keys() <= unremembered


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_a_listing_is_one_pass(folder, options):
    """readdirplus: the attributes come with the names."""
    source = image("ostree") / "usr/lib/python3.11/encodings"
    names = len(os.listdir(source))

    def count():
        with mounted(source, folder, options) as point, requests_of(point) as counts:
            for entry in os.scandir(point):
                entry.stat()
        return counts.get("LOOKUP", 0) + counts.get("GETATTR", 0)

    assert names > 100
    assert counted(count, lambda asked: asked < names // 10) < names // 10


def asked(counts, *opcodes):
    return sum(counts.get(opcode, 0) for opcode in opcodes)


@pytest.mark.parametrize("changes", ["told", "asked"])
def test_mutable_source_keeps_pages(changes, rooted, folder):
    """Contents are not asked for again. Names are after a second, where changes are not told."""
    root = rooted("ostree")
    version, = versions(root)
    if changes == "asked":
        (folder / "empty").mkdir()
        run("mount", "-t", "overlay", "-o", f"lowerdir={root}/usr:{folder}/empty", "overlay",
            root / "usr")
    with mounted(root / "usr", root / "usr", f"root={root},mutable") as usr:
        assert status_of(usr)["changes"] == changes

        def count(seconds):
            time.sleep(seconds)
            return requests_during(usr, python, root, version, IMPORT_ALL)

        cold = count(0)
        told = {"OPEN", "RELEASE", "IOCTL", "GETXATTR"}

        def kept(counts):
            # No file is opened twice, none is asked for twice within a second.
            return "READ" not in counts and sum(counts.values()) < sum(cold.values()) and all(
                asked(counts, *opcodes) <= asked(cold, *opcodes)
                for opcodes in (["OPEN"], ["LOOKUP", "GETATTR"])) and (
                    changes == "asked" or counts.keys() <= told)

        warm, later = (counted(lambda: count(seconds), kept) for seconds in (0, 1.2))
    assert cold["READ"] > 100
    assert changes == "told" or later["LOOKUP"]
    assert warm["OPEN"] and later["OPEN"]
    assert kept(warm), (warm, cold)
    assert kept(later), (later, cold)
