# SPDX-License-Identifier: GPL-2.0-or-later
"""How many FUSE requests a warm Python costs: a noise-free measure of speed.

On an immutable source the second run sends nothing but the TCGETS ioctl that Python before
3.14 sends for each file it opens (io.open's isatty()), and the security.capability that
exec asks for on a mount that honours file capabilities (not with nosuid).
"""
import collections
import contextlib
import os
import re
import subprocess
import time

import pytest

from control import status_of
from conftest import counted, image, missing, mounted, requests_of, run

pytestmark = pytest.mark.usefixtures("passthrough")

# Modules of the standard library but for those with an effect when imported, or that need what
# an image lacks.
MODULES = """
import sys
print(*sorted(sys.stdlib_module_names - {"antigravity", "this", "idlelib", "turtle"}))
"""

# Imports the modules that a line names, and says how many it has then. "try": in a child, so
# that the same line can be said again, and is the same work each time. "end": in a child that
# also ends as interpreters do.
IMPORTER = """
import os, sys
for line in sys.stdin:
    how, *names = line.split()
    child = os.fork() if how in ("try", "end") else None
    if child:
        print(os.waitpid(child, 0)[1], flush=True)
        continue
    for name in names:
        try:
            __import__(name)
        except ImportError:
            pass
    print(len(sys.modules), end=" ", flush=True)
    if how == "try":
        os._exit(0)
    if how == "end":
        break
    print(0, flush=True)
"""
PIECE = 20  # modules; few enough that two imports of them fit between two drops of the caches


@pytest.fixture
def rooted(folder):
    """A function that shows an image as a root directory of its own and returns it."""
    root = folder / "root"
    root.mkdir()

    def show(name):
        run("mount", "--bind", image(name), root)
        return root

    return show


ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/sbin:/usr/bin"}


def command(root, version, code):
    return ["chroot", root, f"/usr/bin/python{version}", "-c", code]


def python(root, version, code="pass"):
    """Runs an interpreter of an image; what it printed."""
    return run(*command(root, version, code), env=ENVIRONMENT).stdout


@contextlib.contextmanager
def importing(root, version):
    """A function that has an interpreter of an image import modules; it returns how many it has."""
    with subprocess.Popen(command(root, version, IMPORTER), env=ENVIRONMENT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        def tell(how, modules):
            print(how, *modules, file=process.stdin, flush=True)
            count, status = map(int, process.stdout.readline().split())
            assert status == 0
            return count

        yield tell


def pieces_of(words, size):
    return [words[start:start + size] for start in range(0, len(words), size)]


def pieces_of_import(root, version, size=PIECE):
    return pieces_of(python(root, version, MODULES).split(), size)


def versions(root):
    names = (re.fullmatch(r"python(3\.\d+)", name) for name in os.listdir(root / "usr/bin"))
    return sorted((match[1] for match in names if match), key=lambda v: int(v.split(".")[1]))


def requests_during(point, function, *arguments):
    with requests_of(point) as counts:
        function(*arguments)
    return counts


def sum_of(counts):
    return dict(sum(map(collections.Counter, counts), collections.Counter()))


def counted_start(root, usr, version, expected):
    """Of an interpreter that starts and ends."""
    return counted(lambda: requests_during(usr, python, root, version), lambda counts: without_ioctls(counts) == expected)


def counted_imports(root, usr, version):
    """(the requests of an import of everything, how many modules that are). It takes longer than
    the kernel may leave the caches alone, so each piece is counted by itself."""
    with importing(root, version) as tell:
        def count(how, modules):
            return counted(lambda: requests_during(usr, tell, how, modules),
                           lambda counts: not without_ioctls(counts))

        found, total = [], 0
        for modules in pieces_of_import(root, version):
            found.append(count("try", modules))
            total = tell("keep", modules)
        found.append(count("end", []))
    return sum_of(found), total


def without_ioctls(counts):
    return {opcode: count for opcode, count in counts.items() if opcode != "IOCTL"}


def warm_requests(root, version, what, options, expected):
    """(the requests but for ioctls, the ioctls, how many modules were imported)"""
    with mounted(root / "usr", root / "usr", f"root={root},{options}") as usr:
        counts, modules = counted_start(root, usr, version, expected), 0
        if what == "imports":
            imports, modules = counted_imports(root, usr, version)
            counts = sum_of([counts, imports])
    return without_ioctls(counts), counts.get("IOCTL", 0), modules


@pytest.mark.parametrize("what", ["start", "imports"])
@pytest.mark.parametrize("options, expected", [("immutable", {"GETXATTR": 1}),
                                               ("immutable,nosuid", {})])
def test_warm_python_sends_ioctls_only(rooted, what, options, expected):
    root = rooted("ostree")
    version, = versions(root)
    counts, ioctls, modules = warm_requests(root, version, what, options, expected)
    assert counts == expected
    if what == "imports":
        assert modules > 300
        assert ioctls > 100
    else:
        assert ioctls < 20


@pytest.mark.parametrize("what", ["start", "imports"])
def test_warm_newer_python_sends_nothing(rooted, what):
    root = rooted("newer")
    newer = [version for version in versions(root) if int(version.split(".")[1]) >= 14]
    if not newer:
        missing("no Python 3.14 or later in this image")
    for version in newer:
        counts, ioctls, modules = warm_requests(root, version, what, "immutable,nosuid", {})
        assert (counts, ioctls) == ({}, 0), version
        assert what == "start" or modules > 300, version


def look_into(folders):
    """Names, attributes, contents of symlinks, and one byte of each file."""
    for where, _, files in (next(os.walk(folder)) for folder in folders):
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
        folders = [point / os.path.relpath(where, source) for where, _, _ in os.walk(source)]
        first = requests_during(point, look_into, folders)
        second = sum_of(counted(lambda: requests_during(point, look_into, piece),
                                lambda counts: not counts) for piece in pieces_of(folders, 8))
        listing = sum_of(counted(lambda: requests_during(point, run, "ls", "-l", *piece),
                                 lambda counts: counts.keys() <= unremembered)
                         for piece in pieces_of(folders, 8))
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

        found = list(mutable_imports(root, usr, version, changes))
    cold, warm, later = (sum_of(counts) for counts in zip(*found))
    assert cold["READ"] > 100
    assert changes == "told" or later["LOOKUP"]
    assert warm["OPEN"] and later["OPEN"]
    assert kept(warm, cold, changes), (warm, cold)
    assert kept(later, cold, changes), (later, cold)


LATER_S = 1.2  # names that are asked for are remembered for a second


def mutable_imports(root, usr, version, changes):
    """Of each piece of an import: the first requests; those just after it; those after a second."""
    with importing(root, version) as tell:
        for modules in pieces_of_import(root, version, 2 * PIECE):  # fewer seconds than with PIECE
            def count(seconds, modules=modules):
                tell("try", modules)
                time.sleep(seconds)
                return requests_during(usr, tell, "try", modules)

            time.sleep(LATER_S)  # names that other pieces look up, too, are not known either
            cold = requests_during(usr, tell, "try", modules)
            yield cold, *(counted(lambda: count(seconds), lambda counts: kept(counts, cold, changes))
                          for seconds in (0, LATER_S))
            tell("keep", modules)


def kept(counts, cold, changes):
    """No file is opened twice, none is asked for twice within a second."""
    told = {"OPEN", "RELEASE", "IOCTL", "GETXATTR"}
    return "READ" not in counts and sum(counts.values()) < sum(cold.values()) and all(
        asked(counts, *opcodes) <= asked(cold, *opcodes)
        for opcodes in (["OPEN"], ["LOOKUP", "GETATTR"])) and (
            changes == "asked" or counts.keys() <= told)
