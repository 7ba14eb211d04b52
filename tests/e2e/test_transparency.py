# SPDX-License-Identifier: GPL-2.0-or-later
"""The mount shows the source: a kernel read-only bind mount of the same tree is the
control, and whatever a program can find out must be the same on both, except the mtime
word of restamped bytecode (or, in the embedded view, the mtimes of sources).

The source's own bytes and times are compared before and after, too.
"""
import contextlib
import ctypes
import errno
import mmap
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys

import pytest

import nasty
from conftest import CANONFS, FRONT, image, missing, mounted, refuses_to_stack, run
from walk import as_user, describe, differences as all_differences, stacked_differences

USER = nasty.USER
pytestmark = pytest.mark.usefixtures("front")


def differences(left, right):
    """Of a tree and its mount, but for what the test's front cannot help."""
    return (stacked_differences if FRONT["stack"] == "on" else all_differences)(left, right)


class Twins:
    """One tree twice: as the kernel shows it, read-only, and as canonfs does."""

    def __init__(self, source, control, mount):
        self.source, self.control, self.mount = source, control, mount

    def both(self, function, *arguments):
        """What a function of a path answers on both; exceptions as their errno."""
        return [self._answer(function, root, arguments) for root in (self.control, self.mount)]

    @staticmethod
    def _answer(function, root, arguments):
        try:
            return function(root, *arguments)
        except OSError as error:
            return errno.errorcode[error.errno]


@contextlib.contextmanager
def twins(source, folder, options=""):
    control, mount = folder / "control", folder / "mount"
    for point in (control, mount):
        point.mkdir(exist_ok=True)
    run("mount", "--bind", source, control)
    try:
        run("mount", "-o", "remount,bind,ro", control)
        with mounted(source, mount, options):
            yield Twins(source, control, mount)
    finally:
        run("umount", control)


def unchanged(before, after):
    """Reading may set atimes, which describe() leaves out; nothing else may differ."""
    assert all_differences(before, after) == []


# ---- the trees ----

def plain(folder):
    return folder / "plain"


def tmpfs(folder):
    point = folder / "tmpfs"
    point.mkdir()
    run("mount", "-t", "tmpfs", "none", point)
    return point / "tree"


def overlay(folder):
    for name in ("lower", "upper", "work", "merged"):
        folder.joinpath(name).mkdir()
    run("mount", "-t", "overlay", "-o", f"lowerdir={folder}/lower,upperdir={folder}/upper,"
        f"workdir={folder}/work", "overlay", folder / "merged")
    return folder / "merged" / "tree"


def on_loop(folder, name, size, *make):
    """A file system of its own in a sparse file."""
    if not shutil.which(make[0]):
        missing(f"{make[0]} is not there")
    disk, point = folder / f"{name}.img", folder / name
    with open(disk, "wb") as file:
        file.truncate(size)
    run(*make, disk)
    point.mkdir()
    if run("mount", "-o", "loop", disk, point, check=False).returncode:
        missing(f"no loop device, or no {name}")
    return point / "tree"


def xfs(folder):
    """So large that directories have inode numbers of more than 32 bits."""
    return on_loop(folder, "xfs", 8 << 40, "mkfs.xfs", "-q", "-K", "-l", "size=64m")


def ext4(folder):
    """With room for large attributes."""
    return on_loop(folder, "ext4", 256 << 20, "mkfs.ext4", "-q", "-b", "4096", "-O", "ea_inode")


def btrfs(folder):
    return on_loop(folder, "btrfs", 256 << 20, "mkfs.btrfs", "-q")


@pytest.fixture(params=[plain, tmpfs, overlay, btrfs], ids=lambda make: make.__name__)
def anywhere(request, folder):
    """The nasty tree, on one file system after the other."""
    folder.chmod(0o755)
    root = request.param(folder)
    try:
        nasty.make_nasty(root)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        missing(f"no such xattrs on {request.param.__name__}: {error}")
    return root


@pytest.fixture
def tree(folder):
    """The nasty tree in the folder for temporary files."""
    folder.chmod(0o755)
    root = plain(folder)
    nasty.make_nasty(root)
    return root


# ---- everything at once ----

@pytest.mark.parametrize("options", ["", "immutable", "trust=size,mtime=1"])
def test_nasty_tree_is_the_same(anywhere, folder, options):
    before = describe(anywhere)
    with twins(anywhere, folder, options) as both:
        control = describe(both.control)
        found = differences(control, describe(both.mount))
        again = differences(control, describe(both.mount))
    assert found == again
    if "mtime=" in options:
        # Sources show another time, and bytecode carries it.
        moved = {(path[-3:], fact) for path, fact, _, _ in found}
        assert moved == {(b".py", "st_mtime_ns"), (b"pyc", "mtime_word")}
    else:
        assert found == []
    unchanged(before, describe(anywhere))


# Bytes of the largest attribute that a file can have there.
LARGEST = {ext4: 65536, xfs: 65536, tmpfs: 60000, btrfs: 15000}


@pytest.mark.parametrize("make", LARGEST, ids=lambda make: make.__name__)
def test_large_attributes_are_the_same(make, folder):
    root = make(folder)
    root.mkdir()
    for name in ("file", "code.py"):
        root.joinpath(name).write_text("text")
    root.joinpath("folder").mkdir()
    largest = bytes(range(256)) * (LARGEST[make] // 256)
    for path in (root / "file", root / "code.py", root / "folder"):
        os.setxattr(path, "user.largest", largest)
    os.setxattr(root / "file", "security.ima", b"\x03\x02" + largest[:500])
    os.setxattr(root / "file", "trusted.secret", b"\0" * 3000)
    os.setxattr(root / "code.py", "system.posix_acl_access", nasty.long_acl(200))
    os.setxattr(root / "folder", "system.posix_acl_default", nasty.long_acl(200))
    inherits = root / "folder/inherits"
    inherits.write_text("text")
    for number in range(300 if make == xfs else 5):  # there, a list of more than a page
        os.setxattr(inherits, f"user.{number:03}" + "n" * 200, b"%d" % number)
    before = describe(root)
    assert before[b"folder/inherits"]["xattrs"].keys() >= {"system.posix_acl_access"}
    for options in ("immutable", "mutable"):
        if FRONT["stack"] == "on" and options == "mutable":
            continue
        with twins(root, folder, options) as both:
            control = describe(both.control)
            assert differences(control, describe(both.mount)) == []
            assert before == control


def test_inode_numbers_of_more_than_32_bits(folder):
    root = xfs(folder)
    root.mkdir()
    for number in range(40):
        root.joinpath(f"d{number}").mkdir()
        root.joinpath(f"d{number}/file").write_text("text")
        os.link(root / f"d{number}/file", root / f"d{number}/link")
    before = describe(root)
    assert max(facts["st_ino"] for facts in before.values()) > 1 << 32
    with twins(root, folder) as both:
        assert differences(before, describe(both.mount)) == []
        control, mount = both.both(same_file_groups)
        assert control == mount


@pytest.fixture(scope="module")
def walked():
    """An image's usr and what is in it, walked once."""
    cache = {}

    def get(name):
        if name not in cache:
            usr = image(name) / "usr"
            cache[name] = usr, describe(usr)
        return cache[name]

    yield get
    for usr, before in cache.values():
        unchanged(before, describe(usr))


def whole_seconds(nanoseconds):
    return struct.pack("<I", nanoseconds // 10 ** 9 & 0xFFFFFFFF)


def source_of(pyc):
    """Of a pyc in a __pycache__; there are no others in these images."""
    folder, _, name = pyc.rpartition(b"/__pycache__/")
    return folder + b"/" + name.partition(b".")[0] + b".py"


def test_fresh_image_is_the_same(walked, folder):
    usr, before = walked("debian")
    with mounted(usr, folder):
        assert differences(before, describe(folder)) == []


@pytest.mark.parametrize("options", ["", "mutable"])
def test_stale_image_differs_in_mtime_words_only(walked, folder, options):
    usr, before = walked("ostree")
    with mounted(usr, folder, options):
        found = differences(before, describe(folder))
        assert len(found) > 1000
        for path, fact, _, served in found:
            assert fact == "mtime_word" and b"/__pycache__/" in path, (path, fact)
            assert before[path]["header"][4:8] == bytes(4), f"{path}: not a timestamp pyc"
            source = os.stat(os.fsencode(folder) + b"/" + source_of(path))
            assert served == whole_seconds(source.st_mtime_ns), path


def test_embedded_view_differs_in_mtimes_of_sources_only(walked, folder):
    usr, everything = walked("ostree")
    below = b"lib/python3.11/"
    before = {path[len(below):]: facts for path, facts in everything.items()
              if path.startswith(below)}
    with mounted(usr / "lib/python3.11", folder, "mtime=embedded"):
        seen = describe(folder)
    del seen[b"."]
    found = differences(before, seen)
    assert len(found) > 500
    assert {fact for _, fact, _, _ in found} == {"st_mtime_ns"}
    assert all(path.endswith(b".py") for path, _, _, _ in found)
    words = {facts["mtime_word"] for facts in before.values() if "mtime_word" in facts}
    assert {whole_seconds(shown) for _, _, _, shown in found} <= words


def rsync(left, right):
    """What rsync would have to do to make two trees alike."""
    result = run("rsync", "-anHAXc", "--delete", "--itemize-changes", f"{left}/", f"{right}/",
                 env={**os.environ, "LC_ALL": "C"})
    return result.stdout.splitlines()


def test_rsync_has_nothing_to_do(tree, folder):
    if not shutil.which("rsync"):
        missing("rsync is not there")
    tree.joinpath("sparse").unlink()  # 5 GiB, four times
    with twins(tree, folder) as both:
        assert rsync(both.control, both.mount) == []
        assert rsync(both.mount, both.control) == []


def test_rsync_sees_restamped_bytecode_only(walked, folder):
    if not shutil.which("rsync"):
        missing("rsync is not there")
    usr, _ = walked("ostree")
    with twins(usr / "lib/python3.11", folder) as both:
        there, back = rsync(both.control, both.mount), rsync(both.mount, both.control)
    assert there == back and len(there) > 1000
    assert all(line.startswith(">fc........") and line.endswith(".pyc") for line in there)


def mtree(root):
    """Of folders that lead to stubs, overlayfs shows its own size and number of links."""
    keys = "type,mode,uid,gid,time,link,device,sha256"
    keys += "" if FRONT["stack"] == "on" else ",nlink,size"
    return run("mtree", "-c", "-k", keys, "-p", root).stdout.splitlines()


def test_mtree_writes_the_same_specification(tree, folder):
    if not shutil.which("mtree"):
        missing("mtree (mtree-netbsd) is not there")
    tree.joinpath("sparse").unlink()  # 5 GiB
    with twins(tree, folder) as both:
        control, mount = both.both(mtree)
    strip = [line for line in control if not line.startswith("#")]
    assert len(strip) > 300
    assert strip == [line for line in mount if not line.startswith("#")]


def test_statfs(tree, folder, front):
    """overlayfs tells of its uppermost layer, the stubs'."""
    fields = ("f_bsize", "f_frsize", "f_blocks", "f_files", "f_namemax")
    if front == "stacked":
        fields = ("f_namemax",)
    with twins(tree, folder) as both:
        control, mount = both.both(os.statvfs)
        for field in fields:
            assert getattr(control, field) == getattr(mount, field), field
        assert mount.f_flag & os.ST_RDONLY
        assert not mount.f_flag & os.ST_NOSUID


# ---- names and directories ----

def descend(root):
    """Down a path that is longer than PATH_MAX by chdir(), and what is at its end."""
    here = os.open(".", os.O_RDONLY)
    depth = 0
    try:
        os.chdir(root)
        while True:
            folders = [entry.name for entry in os.scandir(".") if entry.is_dir()]
            if not folders:
                break
            os.chdir(folders[0])
            depth += 1
        names = sorted(os.listdir("."))
        with open("link", "rb") as file:
            return depth, names, file.read(), os.stat("bottom.py").st_ino, len(os.getcwd())
    finally:
        os.fchdir(here)
        os.close(here)


@pytest.mark.parametrize("options", ["", "mtime=embedded", "immutable"])
def test_deeper_than_path_max(folder, options):
    nasty.make_deep(folder / "deep")
    with twins(folder / "deep", folder, options) as both:
        control, mount = both.both(descend)
        same = 3 if FRONT["stack"] == "on" else 4  # the inode's number is overlayfs's
        assert control[:same] == mount[:same]
        assert control[:3] == (20, ["bottom.py", "link"], b"at the bottom")
        assert differences(describe(both.control), describe(both.mount)) == []


def test_symlink_loops(tree, folder):
    def answer(root, name):
        status = os.stat(root / "links" / name)
        return status.st_size, status.st_mtime_ns, status.st_mode

    with twins(tree, folder) as both:
        for name in ("self", "one", "two"):
            assert both.both(answer, name) == ["ELOOP"] * 2
        assert both.both(answer, "dangling") == ["ENOENT"] * 2
        assert both.both(answer, "long") == ["ENAMETOOLONG"] * 2
        assert len(set(both.both(answer, "relative"))) == 1
        assert len(set(both.both(answer, "absolute"))) == 1


MANY = 20000


class Dirent(ctypes.Structure):
    _fields_ = [("d_ino", ctypes.c_uint64), ("d_off", ctypes.c_int64),
                ("d_reclen", ctypes.c_ushort), ("d_type", ctypes.c_ubyte),
                ("d_name", ctypes.c_char * 256)]


LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.opendir.restype = ctypes.c_void_p
LIBC.telldir.restype = ctypes.c_long
LIBC.readdir64.restype = ctypes.POINTER(Dirent)
LIBC.readdir64.argtypes = LIBC.telldir.argtypes = LIBC.closedir.argtypes = [ctypes.c_void_p]
LIBC.rewinddir.argtypes = [ctypes.c_void_p]
LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


@contextlib.contextmanager
def stream_of(folder):
    stream = LIBC.opendir(os.fsencode(folder))
    assert stream
    try:
        yield stream
    finally:
        LIBC.closedir(stream)


def names_from(stream, count=-1):
    """[(position before it, name)] of the rest of a directory stream."""
    found = []
    while count:
        position = LIBC.telldir(stream)
        entry = LIBC.readdir64(stream)
        if not entry:
            break
        found.append((position, entry.contents.d_name))
        count -= 1
    return found


@pytest.fixture
def crowd(folder):
    """A directory of 20,000."""
    root = folder / "crowd"
    root.mkdir()
    for number in range(MANY):
        os.close(os.open(root / f"{number:06}.py", os.O_CREAT | os.O_WRONLY))
    return root


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_large_directory_and_its_offsets(crowd, folder, options):
    with twins(crowd, folder, options) as both:
        with stream_of(both.control) as stream:
            control = names_from(stream)
        with stream_of(both.mount) as stream:
            if FRONT["stack"] == "on":  # overlayfs merges folders, and numbers the names
                listed = {name for _, name in control}
                control = names_from(stream)
                assert {name for _, name in control} == listed
                LIBC.rewinddir(stream)
            for _ in range(3):
                mount = names_from(stream)
                assert mount == control
                for at in range(0, MANY, 997):
                    LIBC.seekdir(stream, mount[at][0])
                    assert names_from(stream, 50) == mount[at:at + 50]
                LIBC.rewinddir(stream)
    assert len(control) == MANY + 2


LOOK_UP = """
import os, sys
root, number, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
while True:
    number = (number + 7919) % many
    os.stat(f"{root}/{number:06}.py")
    if os.path.exists(f"{root}/{number:06}.txt"):
        sys.exit("what is not there was found")
"""


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_listing_while_others_look_up(crowd, folder, options):
    expected = sorted(os.listdir(crowd))
    with twins(crowd, folder, options) as both:
        others = [subprocess.Popen([sys.executable, "-c", LOOK_UP, both.mount, str(start),
                                    str(MANY)]) for start in (0, 5000, 10000)]
        try:
            for _ in range(8):
                assert sorted(os.listdir(both.mount)) == expected
        finally:
            for other in others:
                other.terminate()
        assert [other.wait() for other in others] == [-signal.SIGTERM] * 3


# ---- contents ----

def test_beyond_four_gigabytes(tree, folder):
    def ends(root):
        with open(root / "sparse", "rb") as file:
            fd = file.fileno()
            return (os.pread(fd, 100, (5 << 30) - 50), os.pread(fd, 10, (4 << 30) - 5),
                    os.pread(fd, 10, 5 << 30), os.pread(fd, 8, 3 << 20),
                    os.lseek(fd, 4 << 30, os.SEEK_DATA) > 4 << 30,
                    os.lseek(fd, 0, os.SEEK_HOLE), os.lseek(fd, 0, os.SEEK_END))

    with twins(tree, folder) as both:
        control, mount = both.both(ends)
        assert control == mount
        assert mount[0] == bytes(45) + b"data!"


def test_seek_beyond_the_data(tree, folder):
    def answer(root, name, at, whence):
        with open(root / name, "rb") as file:
            return os.lseek(file.fileno(), at, whence)

    with twins(tree, folder) as both:
        for arguments in (("hole", 0, os.SEEK_DATA), ("hole", 0, os.SEEK_HOLE),
                          ("size-1", 1, os.SEEK_HOLE), ("size-1", 0, os.SEEK_HOLE),
                          ("size-1", 5, os.SEEK_DATA), ("sparse", 6 << 30, os.SEEK_HOLE)):
            control, mount = both.both(answer, *arguments)
            assert control == mount, arguments


def read_direct(root, name):
    fd = os.open(root / name, os.O_RDONLY | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, 2 << 20)  # aligned
        parts = []
        while True:
            n = os.preadv(fd, [buffer], sum(map(len, parts)))
            parts.append(buffer[:n])
            if n < len(buffer):
                return b"".join(parts)
    finally:
        os.close(fd)


def read_mapped(root, name, how=mmap.MAP_SHARED):
    with open(root / name, "rb") as file:
        with mmap.mmap(file.fileno(), 0, how, mmap.PROT_READ) as mapped:
            return bytes(mapped)


def test_direct_and_mapped_reads(tree, folder):
    with twins(tree, folder) as both:
        for name in ("size-1048579", "size-4097", "size-1", "python/fresh.pyc"):
            expected = (tree / name).read_bytes()
            assert both.both(read_direct, name) == [expected] * 2
            assert both.both(read_mapped, name) == [expected] * 2
            assert both.both(read_mapped, name, mmap.MAP_PRIVATE) == [expected] * 2


def test_restamped_header_in_every_way_of_reading(walked, folder):
    """However a pyc is read, and in whatever pieces, it is the same pyc."""
    usr, before = walked("ostree")
    pyc = "lib/python3.11/__pycache__/ast.cpython-311.pyc"
    disk = (usr / pyc).read_bytes()
    with mounted(usr, folder):
        served = (folder / pyc).read_bytes()
        assert served != disk and served[:8] == disk[:8] and served[12:] == disk[12:]
        assert served[8:12] == whole_seconds(os.stat(folder / "lib/python3.11/ast.py").st_mtime_ns)
        assert read_direct(folder, pyc) == read_mapped(folder, pyc) == served
        with open(folder / pyc, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert b"".join(file.read(1) for _ in range(64)) == served[:64]
            for start in range(20):
                assert os.pread(file.fileno(), 5, start) == served[start:start + 5]
        assert read_direct(folder, pyc) == served


# ---- special files and permissions ----

def test_special_files(tree, folder):
    def open_fifo(root):
        os.close(os.open(root / "special/fifo", os.O_RDONLY | os.O_NONBLOCK))
        return "opened"

    def read_null(root):
        with open(root / "special/null", "rb") as file:
            return file.read()

    def write_null(root):
        with open(root / "special/null", "wb") as file:
            return file.write(b"gone")

    def open_socket(root):
        return os.open(root / "special/socket", os.O_RDONLY)

    def through_fifo(root):
        """Reader and writer meet although the file system is read-only."""
        with subprocess.Popen(["cat", root / "special/fifo"], stdout=subprocess.PIPE) as cat:
            with open(root / "special/fifo", "wb") as file:
                file.write(b"through")
            return cat.communicate(timeout=10)[0]

    with twins(tree, folder) as both:
        for function, expected in ((open_fifo, "opened"), (read_null, b""), (write_null, 4),
                                   (open_socket, "ENXIO"), (through_fifo, b"through")):
            assert both.both(function) == [expected] * 2


def permissions(root):
    """Which of a tree's files and folders a user can read, list, search and execute."""
    found = {}
    for where, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(where, name)
            relative = os.path.relpath(path, root)
            found[relative] = [os.access(path, mode) for mode in (os.R_OK, os.W_OK, os.X_OK)]
            with contextlib.suppress(OSError):
                found[relative].append(os.listxattr(path, follow_symlinks=False))
            if stat.S_ISREG(os.lstat(path).st_mode) if os.path.lexists(path) else False:
                try:
                    with open(path, "rb") as file:
                        found[relative].append(file.read(1))
                except OSError as error:
                    found[relative].append(error.errno)
    return found


@pytest.mark.parametrize("options", ["immutable", "mutable"])
@pytest.mark.parametrize("uid", [USER, nasty.OWNER])
def test_permissions_of_ordinary_users(tree, folder, uid, options):
    with twins(tree, folder, options) as both:
        control, mount = (as_user(uid, permissions, root) for root in (both.control, both.mount))
    assert {path: (control[path], mount.get(path)) for path in control
            if control[path] != mount.get(path)} == {}
    assert control.keys() == mount.keys()
    assert errno.EACCES in control["metadata/mode-0000"]


def test_acl_mask_wider_than_the_group(tree, folder):
    """The mode says rw for the group, the ACL says nothing: the ACL decides."""
    def first_byte(root):
        with open(root / "xattrs/masked", "rb") as file:
            return file.read(1)

    assert stat.S_IMODE(os.stat(tree / "xattrs/masked").st_mode) == 0o660
    for options in ("immutable", "mutable"):
        with twins(tree, folder, options) as both:
            for uid, expected in ((USER, "EACCES"), (nasty.OWNER, b"t"), (42, "EACCES")):
                assert as_user(uid, both.both, first_byte) == [expected] * 2, uid


def capabilities_of_exec(root):
    """The effective set of a program that was started as an ordinary user."""
    result = subprocess.run([root / "cat", "/proc/self/status"], text=True, capture_output=True,
                            check=True)
    return [line.split()[1] for line in result.stdout.splitlines() if line.startswith("CapEff")]


def user_of_exec(root):
    return subprocess.run([root / "id", "-u"], text=True, capture_output=True,
                          check=True).stdout.strip()


def test_suid_and_file_capabilities(folder):
    folder.chmod(0o755)
    source = folder / "source"
    source.mkdir()
    shutil.copy("/bin/cat", source / "cat")
    shutil.copy("/usr/bin/id", source / "id")
    os.setxattr(source / "cat", "security.capability", nasty.NET_RAW)
    os.chown(source / "id", nasty.OWNER, nasty.GROUP)
    os.chmod(source / "id", 0o4755)
    net_raw = f"{1 << nasty.CAP_NET_RAW:016x}"
    with twins(source, folder) as both:
        assert as_user(USER, both.both, capabilities_of_exec) == [[net_raw]] * 2
        assert as_user(USER, both.both, user_of_exec) == [str(nasty.OWNER)] * 2
        if shutil.which("getcap"):
            control, mount = both.both(lambda root: run("getcap", root / "cat").stdout)
            assert control.replace("/control/", "/mount/") == mount != ""
    with twins(source, folder, "nosuid") as both:
        assert as_user(USER, capabilities_of_exec, both.mount) == ["0" * 16]
        assert as_user(USER, user_of_exec, both.mount) == str(USER)


# ---- nothing can be written ----

def flags(*names):
    return sum(getattr(os, name) for name in names)


def open_and_write(path, how):
    fd = os.open(path, how)
    try:
        os.write(fd, b"written")
    finally:
        os.close(fd)


def allocate(path):
    fd = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(fd, 0, 1 << 20)
    finally:
        os.close(fd)


MUTATIONS = {
    "write": lambda root: open_and_write(root / "size-1", flags("O_WRONLY")),
    "read-write": lambda root: open_and_write(root / "size-1", flags("O_RDWR")),
    "append": lambda root: open_and_write(root / "size-1", flags("O_WRONLY", "O_APPEND")),
    "truncate-open": lambda root: os.open(root / "size-1", flags("O_WRONLY", "O_TRUNC")),
    "truncate-read": lambda root: os.open(root / "size-1", flags("O_RDONLY", "O_TRUNC")),
    "create": lambda root: os.open(root / "new", flags("O_WRONLY", "O_CREAT")),
    "tmpfile": lambda root: os.open(root, flags("O_RDWR", "O_TMPFILE")),
    "truncate": lambda root: os.truncate(root / "size-4096", 1),
    "fallocate": lambda root: allocate(root / "size-1"),
    "mkdir": lambda root: os.mkdir(root / "new"),
    "rmdir": lambda root: os.rmdir(root / "empty"),
    "unlink": lambda root: os.unlink(root / "size-1"),
    "rename": lambda root: os.rename(root / "size-1", root / "new"),
    "exchange": lambda root: os.rename(root / "size-1", root / "size-16"),
    "link": lambda root: os.link(root / "size-1", root / "new"),
    "symlink": lambda root: os.symlink("target", root / "new"),
    "mknod": lambda root: os.mknod(root / "new", stat.S_IFREG | 0o644),
    "mkfifo": lambda root: os.mkfifo(root / "new"),
    "chmod": lambda root: os.chmod(root / "size-1", 0o600),
    "chown": lambda root: os.chown(root / "size-1", 1, 1),
    "lchown": lambda root: os.lchown(root / "links/self", 1, 1),
    "utime": lambda root: os.utime(root / "size-1", (1, 1)),
    "setxattr": lambda root: os.setxattr(root / "size-1", "user.new", b"x"),
    "set-acl": lambda root: os.setxattr(root / "size-1", "system.posix_acl_access",
                                        nasty.MASKED_ACL),
    "removexattr": lambda root: os.removexattr(root / "xattrs/file", "user.binary"),
    "write-pyc": lambda root: open_and_write(root / "python/fresh.pyc", flags("O_WRONLY")),
}


def try_all(root):
    answers = {}
    for name, mutate in MUTATIONS.items():
        try:
            mutate(root)
            answers[name] = "done"
        except OSError as error:
            answers[name] = errno.errorcode[error.errno]
    return answers


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_mutations_are_refused(tree, folder, options):
    before = describe(tree)
    with twins(tree, folder, options) as both:
        control, mount = both.both(try_all)
        assert mount == control == dict.fromkeys(MUTATIONS, "EROFS")
    unchanged(before, describe(tree))


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_mutations_are_refused_after_remount(tree, folder, options):
    """root can make the mount read-write; the server still refuses."""
    before = describe(tree)
    with mounted(tree, folder / "plain", options) as mount:
        # overlayfs without an upper layer refuses that itself.
        remounted = run("mount", "-i", "-o", "remount,rw", mount, check=False).returncode == 0
        assert remounted == (FRONT["stack"] == "off")
        answers = try_all(mount)
        answers.pop("tmpfile")  # FUSE may not know it at all: EOPNOTSUPP
        seen = differences(before, describe(mount))
    assert set(answers.values()) == {"EROFS"}, answers
    assert seen == []
    unchanged(before, describe(tree))


def store_in_mapping(path):
    fd = os.open(path, os.O_RDWR)
    try:
        with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
            mapped[0:4] = b"evil"
    finally:
        os.close(fd)


@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_no_store_into_mapped_pages_after_remount(tree, folder, options):
    """A page that cannot be written back would show bytes that are nobody's: so a remount
    leaves the super block read-only. (mount -i goes around the helper; canonfs(1) says so.)
    """
    expected = tree.joinpath("size-4096").read_bytes()
    with mounted(tree, folder / "plain", options) as mount:
        run(CANONFS, tree, mount, "-o", "remount,rw")
        with contextlib.suppress(OSError):
            store_in_mapping(mount / "size-4096")
        assert mount.joinpath("size-4096").read_bytes() == expected
    assert tree.joinpath("size-4096").read_bytes() == expected


# ---- inode numbers on sources of several devices ----

def fill(folder, count=300):
    """More than one reply's worth of names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        folder.joinpath(f"file-{number:04}-{'x' * 40}").write_text(str(folder))
    os.link(folder / f"file-0000-{'x' * 40}", folder / "hard-link")


def same_file_groups(root):
    """Sets of names that are one file: what (st_dev, st_ino) says."""
    groups = {}
    for where, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(where, name)
            status = os.lstat(path)
            key = status.st_dev, status.st_ino
            groups.setdefault(key, set()).add(os.path.relpath(path, root))
    return sorted(map(sorted, groups.values()))


def listed_inodes(root):
    """Names whose number in the listing is not the one that stat() tells."""
    wrong = []
    for where, _, _ in os.walk(root):
        with os.scandir(where) as entries:
            wrong += [entry.path for entry in entries
                      if entry.inode() != os.lstat(entry.path).st_ino]
    return wrong


def overlay_of_devices(folder):
    layers = []
    for number in range(3):
        layer = folder / f"layer{number}"
        layer.mkdir()
        run("mount", "-t", "tmpfs", "none", layer)
        fill(layer / f"d{number}")
        layers.append(str(layer))
    point = folder / "source"
    point.mkdir()
    run("mount", "-t", "overlay", "-o", f"xino=off,ro,lowerdir={':'.join(layers)}", "overlay",
        point)
    return point


def btrfs_of_subvolumes(folder):
    tree = btrfs(folder)
    for number in range(3):
        if number:
            run("btrfs", "subvolume", "create", tree / f"sub{number}")
        fill(tree / f"sub{number}")
    return tree


@pytest.mark.parametrize("make", [overlay_of_devices, btrfs_of_subvolumes],
                         ids=lambda make: make.__name__)
@pytest.mark.parametrize("options", ["immutable", "mutable"])
def test_one_inode_number_for_each_file(folder, make, options, front):
    source = make(folder)
    if front == "stacked":
        refuses_to_stack(source, folder, "the source has several devices")
        return
    devices = {os.lstat(entry.path).st_dev for top in os.scandir(source)
               for entry in os.scandir(top.path)}
    assert len(devices) == 3
    with twins(source, folder, options) as both:
        control, mount = both.both(same_file_groups)
        assert control == mount
        assert len({os.lstat(both.mount / group[0]).st_ino for group in mount}) == len(mount)
        assert len(mount) == 3 * 301
        assert len({os.lstat(entry.path).st_dev for top in os.scandir(both.mount)
                    for entry in os.scandir(top.path)}) == 1


@pytest.mark.parametrize("make", [overlay_of_devices, btrfs_of_subvolumes],
                         ids=lambda make: make.__name__)
def test_listings_tell_the_inode_number_of_stat(folder, make, front):
    source = make(folder)
    if front == "stacked":
        refuses_to_stack(source, folder, "the source has several devices")
        return
    with twins(source, folder) as both:
        assert listed_inodes(both.mount) == []
