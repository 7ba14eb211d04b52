# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache that outlives a mount: a second mount starts knowing, nothing is believed of
the wrong file, and whatever becomes of the database, the mount goes on."""
import contextlib
import itertools
import json
import mmap
import os
import pathlib
import py_compile
import random
import shutil
import signal
import subprocess
import time

import pytest

from conftest import CANONFS, LONG, missing, mounted, run, servers, wait_until

pytestmark = pytest.mark.usefixtures("passthrough")

MODULES = 40
SETTLE_S = 2.2  # cache/tree/identity.h: younger change times are not believed


# ---- trees ----

def make_tree(root, modules=MODULES, mode="TIMESTAMP", padding=20000):
    """Modules whose bytecode is stale because their times were canonicalised."""
    package = root / "lib"
    package.mkdir()
    for number in range(modules):
        source = package / f"m{number}.py"
        source.write_text(f"x = {number + 100000}\ny = {'z' * padding!r}\n")
        py_compile.compile(str(source), doraise=True, invalidation_mode=getattr(
            py_compile.PycInvalidationMode, mode))
        os.utime(source, (0, 0))
    time.sleep(SETTLE_S)
    return root


def pycs(root):
    return sorted((root / "lib/__pycache__").iterdir())


def header(path):
    """The first bytes, past the page cache, so that the server reads nothing else."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, mmap.PAGESIZE)
    try:
        os.preadv(fd, [memoryview(buffer)[:512]], 0)
        return buffer[:16]
    finally:
        os.close(fd)


def headers(root):
    return [header(path) for path in pycs(root)]


def is_restamped(data):
    return data[8:12] == bytes(4)


@contextlib.contextmanager
def file_system(image, point, *options):
    point.mkdir(exist_ok=True)
    run("mount", "-o", ",".join(("loop",) + options), image, point)
    try:
        yield point
    finally:
        run("umount", point)


@pytest.fixture
def ext4(folder):
    """An empty ext4, which vouches for its inodes."""
    image = folder / "ext4.img"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    run("mkfs.ext4", "-q", "-O", "^has_journal", image)
    with file_system(image, folder / "ext4") as root:
        yield root


@pytest.fixture
def cache(folder):
    path = folder / "state"
    path.mkdir(mode=0o700)
    return path / "cache.db"


@contextlib.contextmanager
def mount_of(source, point, cache, options="mutable"):
    point.mkdir(exist_ok=True)
    with mounted(source, point, f"cache={cache},{options}"):
        yield point


def worker():
    found = [pid for pid in servers()
             if pathlib.Path(f"/proc/{pid}/comm").read_text() == "canonfs-worker\n"]
    assert len(found) == 1
    return found[0]


def bytes_read():
    for line in pathlib.Path(f"/proc/{worker()}/io").read_text().splitlines():
        if line.startswith("rchar: "):
            return int(line.split()[1])
    raise AssertionError("no rchar")


# ---- a second mount starts knowing ----

def test_a_second_mount_reads_no_body(folder, ext4, cache):
    make_tree(ext4)
    total = sum(path.stat().st_size for path in pycs(ext4))
    read = []
    for _ in range(2):
        # In a root of its own: what this machine's packages installed is not read, too.
        with mount_of(ext4, folder / "mnt", cache, f"mutable,root={ext4}") as mount:
            before = bytes_read()
            assert all(is_restamped(data) for data in headers(mount))
            read.append(bytes_read() - before)
    assert read[0] > total, "the first mount walks every body"
    assert read[1] < total // 4, "the second one walked bodies again"


def test_a_touched_file_is_read_again_and_only_that(folder, ext4, cache):
    make_tree(ext4)
    with mount_of(ext4, folder / "mnt", cache) as mount:
        headers(mount)
    victim = pycs(ext4)[3]
    data = bytearray(victim.read_bytes())
    data[16:] = b"N" * (len(data) - 16)
    stat = victim.stat()
    victim.write_bytes(data)
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    time.sleep(SETTLE_S)
    with mount_of(ext4, folder / "mnt", cache) as mount:
        judged = [is_restamped(data) for data in headers(mount)]
    assert judged == [number != 3 for number in range(MODULES)]


def test_the_cache_is_free_after_umount(folder, ext4, cache):
    """Whoever mounts again, or asks, right after it."""
    make_tree(ext4)
    point = folder / "mnt"
    point.mkdir(exist_ok=True)
    for _ in range(5):
        run(CANONFS, ext4, point, "-o", f"cache={cache}")
        headers(point)
        run(CANONFS, "umount", point)
        run(CANONFS, "cache", "list", "--cache", cache)


# ---- nothing is believed of another file ----

def break_bodies(root):
    for path in pycs(root):
        data = bytearray(path.read_bytes())
        data[16:] = b"N" * (len(data) - 16)
        path.write_bytes(data)


def make_erofs(tree, image):
    run("mkfs.erofs", "-T0", "-U", "c1b9d5a2-f162-11cf-9ece-0020afc76f16", image, tree)


def make_squashfs(tree, image):
    run("mksquashfs", tree, image, "-noappend", "-quiet", "-mkfs-time", "0", "-all-time", "0",
        "-no-xattrs", "-noI", "-noD", "-noF")


@pytest.mark.parametrize("make, tool", [(make_erofs, "mkfs.erofs"),
                                        (make_squashfs, "mksquashfs")])
@pytest.mark.parametrize("good_first", [True, False])
def test_twin_images_never_exchange_rows(folder, cache, make, tool, good_first):
    if not shutil.which(tool):
        missing(f"{tool} is not installed")
    tree = folder / "tree"
    tree.mkdir()
    make_tree(tree, modules=5)
    make(tree, folder / "good.img")
    break_bodies(tree)
    make(tree, folder / "broken.img")
    seen = {}
    order = ["good", "broken"] if good_first else ["broken", "good"]
    for name in order + order:
        with file_system(folder / f"{name}.img", folder / "image", "ro") as root:
            stats = [path.stat() for path in pycs(root)]
            seen[name] = [(s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in stats]
            with mount_of(root, folder / "mnt", cache, "immutable") as mount:
                judged = [is_restamped(data) for data in headers(mount)]
        assert judged == [name == "good"] * 5, name
    assert seen["good"] == seen["broken"], "no twins: the test shows nothing"


def test_a_reused_inode_is_another_file(folder, ext4, cache):
    make_tree(ext4, modules=1, padding=2000)
    victim = pycs(ext4)[0]
    with mount_of(ext4, folder / "mnt", cache) as mount:
        assert is_restamped(header(pycs(mount)[0]))
    stat, data = victim.stat(), bytearray(victim.read_bytes())
    data[16:] = b"N" * (len(data) - 16)
    victim.unlink()
    spares = []
    for number in range(1000):
        victim.write_bytes(data)
        if victim.stat().st_ino == stat.st_ino:
            break
        spares.append(victim.rename(victim.with_name(f"spare{number}")))
    assert victim.stat().st_ino == stat.st_ino, "no inode was reused: the test shows nothing"
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    time.sleep(SETTLE_S)
    with mount_of(ext4, folder / "mnt", cache) as mount:
        assert not is_restamped(header(pycs(mount)[0]))


def replace_by_rename(source, text):
    new = source.with_name("new")
    new.write_text(text)
    os.utime(new, (0, 0))
    new.rename(source)


def replace_in_place(source, text):
    with open(source, "r+") as file:
        file.write(text)
    os.utime(source, (0, 0))


def is_promoted(data):
    return data[4:8] == b"\x01\0\0\0"


@pytest.mark.parametrize("replace", [replace_by_rename, replace_in_place])
@pytest.mark.parametrize("remount", [True, False])
def test_a_replaced_source_is_noticed(folder, ext4, cache, replace, remount):
    """Same size, same mtime: only the identity and the content tell."""
    make_tree(ext4, modules=1, mode="CHECKED_HASH", padding=10)
    source = ext4 / "lib/m0.py"
    options = "mutable,hash=unchecked"
    with mount_of(ext4, folder / "mnt", cache, options) as mount:
        assert is_promoted(header(pycs(mount)[0]))
        if not remount:
            replace(source, source.read_text().replace("0", "1"))
            assert wait_until(lambda: not is_promoted(header(pycs(mount)[0])), 1.5)
    if remount:
        replace(source, source.read_text().replace("0", "1"))
        with mount_of(ext4, folder / "mnt", cache, options) as mount:
            assert not is_promoted(header(pycs(mount)[0]))


# ---- the mount goes on ----

def works(source, point, options):
    """Mounts, looks, unmounts. Returns what the mount said."""
    point.mkdir(exist_ok=True)
    said = run(CANONFS, source, point, "-o", options).stderr
    try:
        assert all(is_restamped(data) for data in headers(point))
    finally:
        run("umount", "-l", point)
        assert wait_until(lambda: not servers())
    return said


@pytest.fixture
def small_tree(folder):
    tree = folder / "tree"
    tree.mkdir()
    return make_tree(tree, modules=5, padding=100)


def test_killed_while_writing(folder, small_tree, cache):
    seed = random.Random(1)
    for _ in range(100 if LONG else 20):
        point = folder / "mnt"
        point.mkdir(exist_ok=True)
        run(CANONFS, small_tree, point, "-o", f"cache={cache}")
        for path in pycs(small_tree):  # learned anew
            os.utime(path)
        with contextlib.suppress(OSError):
            headers(point)
        time.sleep(seed.random() * 0.5)
        os.kill(worker(), signal.SIGKILL)
        assert wait_until(lambda: not servers())
    assert works(small_tree, folder / "mnt", f"cache={cache}") == ""
    assert run(CANONFS, "cache", "verify", "--cache", cache).returncode == 0


@pytest.fixture
def small_disk(folder):
    """A tmpfs of 200 KiB that is nearly full."""
    disk = folder / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=200k,mode=700", "none", disk)
    yield disk
    run("umount", disk)


@pytest.mark.parametrize("room", [0, 4096, 65536])
def test_a_full_disk(folder, small_tree, small_disk, room):
    ballast = 200 * 1024 - room
    (small_disk / "ballast").write_bytes(bytes(ballast))
    for _ in range(2):
        works(small_tree, folder / "mnt", f"cache={small_disk}/cache.db")
    (small_disk / "ballast").unlink()
    assert works(small_tree, folder / "mnt", f"cache={small_disk}/cache.db") == ""


def test_a_read_only_directory(folder, small_tree, small_disk):
    cache = small_disk / "cache.db"
    works(small_tree, folder / "mnt", f"cache={cache}")
    run("mount", "-o", "remount,ro", small_disk)
    said = works(small_tree, folder / "mnt", f"cache={cache}")
    assert said.count("\n") == 1 and "going on without" in said


def test_two_mounts_share_a_cache(folder, small_tree, cache):
    with mount_of(small_tree, folder / "mnt", cache):
        second = folder / "second"
        second.mkdir()
        said = run(CANONFS, small_tree, second, "-o", f"cache={cache}").stderr
        try:
            assert said.count("\n") == 1 and "a running mount" in said
            assert all(is_restamped(data) for data in headers(second))
        finally:
            run("umount", second)
        result = run(CANONFS, "cache", "list", "--cache", cache, check=False)
        assert result.returncode == 2 and result.stdout == ""
        assert result.stderr.count("\n") == 1 and "a running mount" in result.stderr


def break_mode(cache):
    cache.chmod(0o644)


def break_directory(cache):
    cache.parent.chmod(0o777)


def break_links(cache):
    os.link(cache, cache.with_name("other"))


def break_type(cache):
    cache.rename(cache.with_name("other"))
    cache.symlink_to("other")


@pytest.mark.parametrize("damage", [break_mode, break_directory, break_links, break_type])
def test_an_unsafe_cache_is_refused(folder, small_tree, cache, damage):
    assert works(small_tree, folder / "mnt", f"cache={cache}") == ""
    damage(cache)
    before = cache.read_bytes()
    said = works(small_tree, folder / "mnt", f"cache={cache}")
    assert said.count("\n") == 1 and "going on without" in said
    assert cache.read_bytes() == before


def test_a_damaged_cache_is_set_aside(folder, small_tree, cache):
    works(small_tree, folder / "mnt", f"cache={cache}")
    break_schema(cache)
    said = works(small_tree, folder / "mnt", f"cache={cache}")
    assert said.count("\n") == 1 and "aside" in said
    assert cache.with_name("cache.db.bad").exists()
    assert works(small_tree, folder / "mnt", f"cache={cache}") == ""


def test_a_cache_below_its_own_mount(folder, small_tree):
    """The worker has left the mount, so the file on the bare source is used."""
    cache = small_tree / "cache.db"
    assert works(small_tree, small_tree, f"cache={cache}") == ""
    assert cache.exists()


# ---- where ----

def test_off(folder, small_tree, cache, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(cache.parent))
    works(small_tree, folder / "mnt", "cache=off")
    assert list(cache.parent.iterdir()) == []
    works(small_tree, folder / "mnt", "ro")
    assert cache.exists() and cache.stat().st_mode & 0o777 == 0o600


def path_for(user, **environment):
    result = subprocess.run([CANONFS, "cache", "path"], text=True, capture_output=True,
                            user=user, env=environment, check=False)
    return result.stdout.strip()


def test_default_paths():
    assert path_for(0) == "/var/lib/canonfs/cache.db"
    assert path_for(65534, HOME="/h") == "/h/.cache/canonfs/cache.db"
    assert path_for(65534, HOME="/h", XDG_CACHE_HOME="/x") == "/x/canonfs/cache.db"
    assert path_for(65534, HOME="/h", STATE_DIRECTORY="/s:/t") == "/s/cache.db"


# ---- the commands ----

def cache_json(cache, *words):
    return json.loads(run(CANONFS, "cache", *words, "--json", "--cache", cache).stdout)


def test_commands(folder, ext4, cache):
    make_tree(ext4, modules=3, padding=100)
    with mount_of(ext4, folder / "mnt", cache) as mount:
        headers(mount)
    listed = cache_json(cache, "list")
    assert [image["files"] for image in listed["images"]] == [3]
    assert listed["images"][0]["filesystem"] == "ext"
    assert cache_json(cache, "verify") == {"sound": True, "rows": 3, "damaged_rows": 0,
                                           "proofs": 0, "damaged_proofs": 0}
    assert cache_json(cache, "prune", "--days", "1")["bytes"] > 0
    assert cache_json(cache, "path") == {"path": str(cache)}
    cache_json(cache, "clear")
    assert cache_json(cache, "list")["images"] == []


PROOFS = ("canonfs-proofs 1\n"
          + "".join(f"{n:032x} {n + 1:032x} 3495 {n % 2} {word} 1700000000 CPython 3.11.7\n"
                    for n, word in ((1, "same"), (2, "differs")))
          + "end 2\n")


def proofs_beside(cache):
    """The file that has them."""
    return cache.with_name(cache.name + ".proofs")


def test_export_import(folder, cache):
    proofs = folder / "proofs"
    proofs.write_text(PROOFS)
    assert cache_json(cache, "import", proofs) == {"proofs": 2}
    assert run(CANONFS, "cache", "export", "-", "--cache", cache).stdout == PROOFS
    other = cache.with_name("other.db")
    run(CANONFS, "cache", "export", folder / "out", "--cache", cache)
    run(CANONFS, "cache", "import", folder / "out", "--cache", other)
    assert run(CANONFS, "cache", "export", "-", "--cache", other).stdout == PROOFS


@pytest.mark.parametrize("text", ids=itertools.count(), argvalues=[
    "", PROOFS[:-1], PROOFS[:-6], PROOFS.replace("end 2", "end 3"), PROOFS + "x",
    PROOFS.replace("1700000000", "now"), PROOFS.replace("3495", "1"), "\0" * 100,
    PROOFS.replace("CPython", "\x1b[2J"), "canonfs-proofs 1\n" + "a" * 100000])
def test_a_hostile_import_changes_nothing(folder, cache, text):
    proofs = folder / "proofs"
    proofs.write_text(PROOFS.replace("differs", "same"))
    run(CANONFS, "cache", "import", proofs, "--cache", cache)
    kept = proofs_beside(cache)
    before = kept.read_bytes()
    proofs.write_text(text)
    result = run(CANONFS, "cache", "import", proofs, "--cache", cache, check=False)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert kept.read_bytes() == before


def command(cache, *words, **options):
    """A command that fails: exit status 2, one line on standard error, which is returned."""
    result = subprocess.run([CANONFS, "cache", *map(str, words), "--cache", cache], text=True,
                            stderr=subprocess.PIPE, check=False, **options)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("text", ["", PROOFS[:-1], None])
def test_a_hostile_import_makes_no_cache(folder, cache, text):
    proofs = folder / "proofs"
    if text is None:
        proofs.mkdir()
    else:
        proofs.write_text(text)
    said = command(cache, "import", proofs)
    assert ("Is a directory" if text is None else "is wrong") in said
    assert list(cache.parent.iterdir()) == []
    if text is not None:
        command(cache, "import", "-", input=text)
        assert list(cache.parent.iterdir()) == []


def test_a_hostile_import_sets_nothing_aside(folder, small_tree, cache):
    works(small_tree, folder / "mnt", f"cache={cache}")
    break_schema(cache)
    before = cache.read_bytes()
    command(cache, "import", "/dev/null")
    assert cache.read_bytes() == before


def test_too_many_proofs(folder, cache):
    proofs = folder / "proofs"
    lines = [f"{n:032x} {n:032x} 3495 0 same 1700000000 x\n" for n in range(131073)]
    proofs.write_text("canonfs-proofs 1\n" + "".join(lines) + "end 131073\n")
    assert "has more than 131072 proofs" in command(cache, "import", proofs)
    proofs.write_text("canonfs-proofs 1\n" + "".join(lines[1:]) + "end 131072\n")
    assert cache_json(cache, "import", proofs) == {"proofs": 131072}
    proofs.write_text("canonfs-proofs 1\n" + lines[0] + "end 1\n")
    assert "would have more than 131072 proofs" in command(cache, "import", proofs)


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["verify"], ["path"],
                                   ["export", "-"], ["clear"]])
def test_a_full_standard_output(folder, small_tree, cache, words):
    works(small_tree, folder / "mnt", f"cache={cache}")
    proofs = folder / "proofs"
    proofs.write_text(PROOFS)
    run(CANONFS, "cache", "import", proofs, "--cache", cache)
    with open("/dev/full", "w") as full:
        assert "No space left" in command(cache, *words, stdout=full)


def test_an_export_that_fails_when_it_is_closed(folder, cache):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    proofs = folder / "proofs"
    proofs.write_text(PROOFS)
    run(CANONFS, "cache", "import", proofs, "--cache", cache)
    out = folder / "out"
    result = run("strace", "-o", "/dev/null", "-P", out, "-e", "inject=close:error=EDQUOT",
                 CANONFS, "cache", "export", out, "--cache", cache, check=False,
                 env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"})
    assert result.returncode == 2 and "quota" in result.stderr and result.stdout == ""


def break_schema(cache):
    data = bytearray(cache.read_bytes())
    data[100:4096] = bytes(3996)  # the file still says whose it is
    cache.write_bytes(data)


def break_rows(cache):
    """The pages of all tables; the schema is whole."""
    data = bytearray(cache.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    cache.write_bytes(data)


@pytest.mark.parametrize("damage", [break_schema, break_rows])
def test_verify_and_clear_a_damaged_cache(folder, small_tree, cache, damage):
    works(small_tree, folder / "mnt", f"cache={cache}")
    damage(cache)
    verified = run(CANONFS, "cache", "verify", "--cache", cache, check=False)
    assert verified.returncode == 2
    assert "is damaged" in verified.stdout + verified.stderr
    cleared = run(CANONFS, "cache", "clear", "--cache", cache)
    assert cleared.stderr.count("\n") == 1 and "aside" in cleared.stderr
    assert "the cache is empty" in cleared.stdout
    assert cache.with_name("cache.db.bad").exists()
    assert cache_json(cache, "verify")["sound"]
    assert run(CANONFS, "cache", "clear", "--cache", cache).stderr == ""


def test_clear_deletes_the_proofs(folder, small_tree, cache):
    """Also where there is nothing else, and where they cannot be read."""
    proofs = folder / "proofs"
    proofs.write_text(PROOFS)
    for with_database in (False, True):
        if with_database:
            works(small_tree, folder / "mnt", f"cache={cache}")
        run(CANONFS, "cache", "import", proofs, "--cache", cache)
        assert cache.exists() == with_database
        assert cache_json(cache, "verify")["proofs"] == 2
        proofs_beside(cache).write_text("x")
        assert run(CANONFS, "cache", "verify", "--cache", cache, check=False).returncode == 2
        cache_json(cache, "clear")
        assert not proofs_beside(cache).exists()


def test_clear_makes_no_cache(cache):
    command(cache, "clear")
    assert list(cache.parent.iterdir()) == []
