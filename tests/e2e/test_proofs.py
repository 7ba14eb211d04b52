# SPDX-License-Identifier: GPL-2.0-or-later
"""What was disproved is never run because something stood in the way of knowing it: proofs are
read whoever has the cache, and where they cannot be read, times alone vouch for nothing."""
import contextlib
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import time

import jsonschema
import pytest

from conftest import CANONFS, LONG, TOP, run, servers, wait_until
from test_verify import SYSTEM, bodies, own_python, put, pyc_of, same_size, verify, vouched

ONE, OTHER = same_size("x = 1\n", "x = 2\n")


def schema(name):
    return jsonschema.Draft7Validator(json.loads((TOP / f"cli/schema/{name}.json").read_text()))


@pytest.fixture
def state(folder, monkeypatch):
    """The default place of the cache."""
    place = folder / "state"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("STATE_DIRECTORY", str(place))
    return place


@pytest.fixture
def proofs(state):
    return state / "cache.db.proofs"


@pytest.fixture
def tree(folder, state):
    """A module that was edited before its time was set back, which is known, and another one;
    and one whose time agrees."""
    own = own_python(SYSTEM, folder / "own")
    tree = folder / "own/site"
    put(SYSTEM, tree / "edited.py", OTHER, bodies(SYSTEM, [ONE])[0])
    assert verify(tree, "--python", own.program, status=2)["disproved"] == 1
    put(SYSTEM, tree / "same.py", ONE, bodies(SYSTEM, [ONE])[0])
    put(SYSTEM, tree / "fresh.py", ONE, bodies(SYSTEM, [ONE])[0], mtime=1600000000)
    (folder / "mnt").mkdir()
    return tree


def explained(tree, name):
    """What canonfs explain says of a module's bytecode, and what it says on standard error."""
    done = run(CANONFS, "explain", "--json", tree / f"{name}.py", check=False)
    report = json.loads(done.stdout)
    jsonschema.Draft202012Validator(
        json.loads((TOP / "cli/schema/explain.json").read_text())).validate(report)
    source = report["sources"][0]
    return source["bytecode"][0]["canonfs"]["reason"], source["tree"]["proofs_unread"], done.stderr


@contextlib.contextmanager
def another_mount(folder):
    """Which has the cache."""
    source, point = folder / "another", folder / "another-mnt"
    source.mkdir()
    point.mkdir()
    run(CANONFS, source, point)
    try:
        yield
    finally:
        run(CANONFS, "umount", point)


LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode=EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print(flush=True)
time.sleep(1000)
"""


@contextlib.contextmanager
def another_program(folder):
    """The same, of whatever kind it is; it even hangs."""
    with another_mount(folder):
        pass  # makes the database
    with subprocess.Popen([sys.executable, "-c", LOCK, folder / "state/cache.db"],
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def an_open_database(folder):
    """It is not used, since others could read it."""
    with another_mount(folder):
        pass
    (folder / "state/cache.db").chmod(0o644)
    yield


@pytest.mark.usefixtures("front")
@pytest.mark.parametrize("holder", [another_mount, another_program, an_open_database])
def test_whoever_has_the_cache(folder, tree, holder):
    with holder(folder):
        assert vouched(tree, folder / "mnt", "") == {"same", "fresh"}
        assert vouched(tree, folder / "mnt", "trust=verified") == {"fresh"}
        assert explained(tree, "edited") == ("disproved", None, "")


def test_verify_needs_nobody_to_unmount(folder, tree):
    with another_mount(folder):
        put(SYSTEM, tree / "later.py", OTHER + "#", bodies(SYSTEM, [ONE])[0])
        report = verify(tree, status=2)
        assert (report["recorded"], report["disproved"]) == (2, 2)  # same.py is proved
        assert vouched(tree, folder / "mnt", "trust=verified") == {"same", "fresh"}


def cut(proofs):
    os.truncate(proofs, proofs.stat().st_size - 1)


def empty(proofs):
    os.truncate(proofs, 0)


def flip(proofs):
    data = bytearray(proofs.read_bytes())
    data[40] ^= 1
    proofs.write_bytes(data)


def another_version(proofs):
    proofs.write_text(proofs.read_text().replace("canonfs-proofs 1", "canonfs-proofs 9"))


def readable(proofs):
    proofs.chmod(0o644)


def fifo(proofs):
    proofs.unlink()
    os.mkfifo(proofs, 0o600)


DAMAGES = [cut, empty, flip, another_version, readable, fifo]


@contextlib.contextmanager
def mount_with_a_word(tree, point):
    """A mount that says one line; the line."""
    before = servers()
    said = run(CANONFS, tree, point).stderr
    try:
        assert said.count("\n") == 1
        yield said
    finally:
        run(CANONFS, "umount", point)
        assert wait_until(lambda: servers() == before)


@pytest.mark.parametrize("damage", DAMAGES)
def test_proofs_that_cannot_be_read(folder, tree, proofs, damage):
    """A mount, and all who ask what a mount would do, say so; nothing is lost or replaced."""
    point = folder / "mnt"
    damage(proofs)
    before = proofs.lstat()
    with mount_with_a_word(tree, point) as said:
        assert f"cannot read the proofs '{proofs}': " in said and "cache clear" in said
        status = json.loads(run(CANONFS, "status", "--json").stdout)
        schema("status").validate(status)
        assert status["mounts"][0]["status"]["proofs"]["state"] == "unread"
        assert "could not be read" in run(CANONFS, "status").stdout
        assert pyc_of(SYSTEM, point / "same.py").read_bytes()[8:12] != bytes(4)
    assert vouched(tree, point, "trust=size") == {"fresh"}
    reason, unread, warning = explained(tree, "same")
    assert reason == "proofs-unread" and unread and "cannot read the proofs" in warning
    assert explained(tree, "fresh")[0] == "matches"
    checked = run(CANONFS, "check", "--json", tree, check=False)
    report = json.loads(checked.stdout)
    schema("check").validate(report)
    assert report["proofs_unread"] == unread and "cannot read the proofs" in checked.stderr
    assert report["bytecode"]["helped"] == 0
    for words in (["verify", tree], ["cache", "verify"], ["cache", "export", "-"]):
        assert run(CANONFS, *words, check=False).returncode
    after = proofs.lstat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    # cache=off asks for no proofs; and this is the way out.
    assert vouched(tree, point, "cache=off") == {"edited", "same", "fresh"}
    run(CANONFS, "cache", "clear")
    assert not proofs.exists()
    assert vouched(tree, point, "") == {"edited", "same", "fresh"}


def test_no_proofs_are_none(folder, tree, proofs):
    """As long as nothing was ever recorded, nothing is missing."""
    proofs.unlink()
    assert vouched(tree, folder / "mnt", "") == {"edited", "same", "fresh"}
    assert run(CANONFS, tree, folder / "mnt").stderr == ""
    run(CANONFS, "umount", folder / "mnt")
    assert explained(tree, "same") == ("canonical", None, "")
    assert not proofs.exists()


def test_a_full_disk_keeps_what_was_proved(folder, tree, proofs):
    disk = folder / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", disk)
    try:
        cache = disk / "cache.db"
        run(CANONFS, "cache", "import", exported(folder), "--cache", cache)
        (disk / "ballast").write_bytes(bytes(48 << 10))
        done = run(CANONFS, "cache", "import", many(folder, 1000), "--cache", cache, check=False)
        assert done.returncode == 2 and "No space left" in done.stderr
        assert sorted(os.listdir(disk)) == ["ballast", "cache.db.proofs"]
        assert vouched(tree, folder / "mnt", f"cache={cache}") == {"same", "fresh"}
        (disk / "ballast").unlink()
    finally:
        run("umount", "-l", disk)


def exported(folder):
    path = folder / "exported"
    run(CANONFS, "cache", "export", path)
    return path


def many(folder, count):
    """A file of so many proofs."""
    path = folder / "many"
    lines = [f"{n:032x} {n:032x} 3495 0 same 1700000000 x\n" for n in range(count)]
    path.write_text("canonfs-proofs 1\n" + "".join(lines) + f"end {count}\n")
    return path


def test_killed_while_writing(folder, tree, proofs):
    """Whatever moment it is: what was disproved before is disproved after it."""
    seed = random.Random(1)
    more = many(folder, 20000)
    for _ in range(100 if LONG else 20):
        process = subprocess.Popen([CANONFS, "cache", "import", more], stdout=subprocess.DEVNULL)
        time.sleep(seed.random() * 0.1)
        process.kill()
        process.wait()
        assert explained(tree, "edited")[0] == "disproved"
    run(CANONFS, "cache", "import", more)
    assert explained(tree, "edited")[0] == "disproved"
    assert sorted(os.listdir(proofs.parent)) == ["cache.db.proofs"]
