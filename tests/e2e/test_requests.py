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

from conftest import image, missing, mounted, requests_of, run

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


def warm_requests(root, version, code, options):
    with mounted(root / "usr", root / "usr", f"root={root},{options}") as usr:
        first = python(root, version, code)
        with requests_of(usr) as counts:
            assert python(root, version, code) == first
    return counts, first


@pytest.mark.parametrize("code", ["pass", IMPORT_ALL], ids=["start", "imports"])
@pytest.mark.parametrize("options, expected", [("immutable", {"GETXATTR": 1}),
                                               ("immutable,nosuid", {})])
def test_warm_python_sends_ioctls_only(rooted, code, options, expected):
    root = rooted("ostree")
    version, = versions(root)
    counts, printed = warm_requests(root, version, code, options)
    ioctls = counts.pop("IOCTL", 0)
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
        counts, printed = warm_requests(root, version, code, "immutable,nosuid")
        assert counts == {}, version
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
    source = image("ostree") / "usr/lib/python3.11"
    with mounted(source, folder, "immutable") as point:
        with requests_of(point) as first:
            look_everywhere(point)
        with requests_of(point) as second:
            look_everywhere(point)
        with requests_of(point) as listing:
            run("ls", "-lR", point)
    assert first.keys() >= {"LOOKUP", "READDIRPLUS", "READ"}, "nothing was counted"
    assert second == {}
    # ls asks for ACLs and labels, which no kernel remembers for a FUSE mount.
    assert listing.keys() <= {"GETXATTR", "LISTXATTR"}


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_a_listing_is_one_pass(folder, options):
    """readdirplus: the attributes come with the names."""
    source = image("ostree") / "usr/lib/python3.11/encodings"
    names = len(os.listdir(source))
    with mounted(source, folder, options) as point:
        with requests_of(point) as counts:
            for entry in os.scandir(point):
                entry.stat()
    assert names > 100
    assert counts.get("LOOKUP", 0) + counts.get("GETATTR", 0) < names // 10


def test_mutable_source_keeps_pages(rooted):
    """Names are asked for again after a second, contents are not."""
    root = rooted("ostree")
    version, = versions(root)
    with mounted(root / "usr", root / "usr", f"root={root},mutable") as usr:
        with requests_of(usr) as cold:
            python(root, version, IMPORT_ALL)
        with requests_of(usr) as warm:
            python(root, version, IMPORT_ALL)
        time.sleep(1.2)
        with requests_of(usr) as later:
            python(root, version, IMPORT_ALL)
    assert cold["READ"] > 100
    for counts in (warm, later):
        assert "READ" not in counts
        assert sum(counts.values()) < sum(cold.values())
        # No file is opened twice, none is asked for twice within a second.
        assert counts["OPEN"] <= cold["OPEN"]
        assert counts.get("LOOKUP", 0) <= cold["LOOKUP"]
