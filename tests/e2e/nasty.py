# SPDX-License-Identifier: GPL-2.0-or-later
"""A small tree of everything that file systems allow and programs forget."""
import os
import pathlib
import py_compile
import random
import stat
import struct

USER = 65534
OWNER, GROUP = 1234, 5678
CAP_NET_RAW = 13

ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER = 1, 2, 4, 16, 32
NOBODY_IN_PARTICULAR = 0xFFFFFFFF


def acl(*entries):
    """The xattr form of a POSIX ACL: version 2, then tag, permissions and id of each."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


# The mask is wider than the owning group's entry: the mode's group bits show the mask.
MASKED_ACL = acl((ACL_USER_OBJ, 6, NOBODY_IN_PARTICULAR), (ACL_USER, 4, OWNER),
                 (ACL_GROUP_OBJ, 0, NOBODY_IN_PARTICULAR),
                 (ACL_MASK, 6, NOBODY_IN_PARTICULAR), (ACL_OTHER, 0, NOBODY_IN_PARTICULAR))


def long_acl(users):
    """With an entry for each of so many users."""
    return acl((ACL_USER_OBJ, 6, NOBODY_IN_PARTICULAR),
               *((ACL_USER, user % 8, OWNER + user) for user in range(users)),
               (ACL_GROUP_OBJ, 4, NOBODY_IN_PARTICULAR),
               (ACL_MASK, 6, NOBODY_IN_PARTICULAR), (ACL_OTHER, 0, NOBODY_IN_PARTICULAR))


# VFS_CAP_REVISION_2 with the effective bit (linux/capability.h)
NET_RAW = struct.pack("<5I", 0x02000001, 1 << CAP_NET_RAW, 0, 0, 0)


def make_contents(root):
    noise = random.Random(1)
    for size in (0, 1, 15, 16, 4095, 4096, 4097, 131072, 1048579):
        root.joinpath(f"size-{size}").write_bytes(noise.randbytes(size))
    with open(root / "sparse", "wb") as file:
        for at in (0, 3 << 20, (5 << 30) - 5):
            os.pwrite(file.fileno(), b"data!", at)
    with open(root / "hole", "wb") as file:
        file.truncate(1 << 20)


def make_names(root):
    root.mkdir()
    folder = os.fsencode(root) + b"/"
    names = [b"x%c" % byte for byte in range(1, 256) if byte != ord("/")]
    names += [b"new\nline", b"\xff\xfe\x80", b"n" * 255, b"\xc3" * 255, b" ", b"-rf", b"...",
              b"back\\slash", b"\\040", "ünï".encode(), b"a,b=c"]
    for name in names:
        pathlib.Path(os.fsdecode(folder + name)).write_bytes(name)
    os.mkdir(folder + b"dir\n\xff")
    os.symlink(b"../\xff\n", folder + b"link\n\xff")


def make_links(root):
    root.mkdir()
    for name, target in {"relative": "../size-1", "absolute": "/etc/passwd", "dangling": "no",
                         "self": "self", "one": "two", "two": "one", "dots": "../../../..",
                         "long": "x" * 4095, "empty-dir": "."}.items():
        os.symlink(target, root / name)
    os.chown(root / "dangling", OWNER, GROUP, follow_symlinks=False)
    os.utime(root / "dangling", (5, 6), follow_symlinks=False)
    root.joinpath("hard").write_text("one file")
    root.joinpath("elsewhere").mkdir()
    for name in ("hard.py", "elsewhere/hard"):
        os.link(root / "hard", root / name)


def make_metadata(root):
    root.mkdir()
    for mode in (0o000, 0o400, 0o040, 0o004, 0o4755, 0o2755, 0o6711, 0o1644, 0o777):
        file = root / f"mode-{mode:04o}"
        file.write_text("text")
        os.chown(file, OWNER, GROUP)
        file.chmod(mode)
    for mode in (0o000, 0o111, 0o444, 0o1777, 0o2775):
        folder = root / f"dir-{mode:04o}"
        folder.mkdir()
        folder.joinpath("inside").write_text("text")
        folder.chmod(mode)
    for seconds in (-10 ** 9, -1, 0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5):
        file = root / f"time{seconds}.py"
        file.write_text("")
        os.utime(file, ns=(0, seconds * 10 ** 9 + 123456789))


def make_xattrs(root):
    root.mkdir()
    for name in ("file", "dir", "caps", "masked", "link"):
        if name == "dir":
            root.joinpath(name).mkdir()
        elif name == "link":
            os.symlink("file", root / name)
        else:
            root.joinpath(name).write_text("text")
    os.setxattr(root / "file", "user.empty", b"")
    os.setxattr(root / "file", "user.binary", bytes(range(256)))
    os.setxattr(root / "dir", "user.ünï", b"value")
    os.setxattr(root / "caps", "security.capability", NET_RAW)
    for name in ("file", "dir", "link"):
        os.setxattr(root / name, "trusted.secret", b"\0\xff", follow_symlinks=False)
    os.chown(root / "masked", 0, USER)
    os.setxattr(root / "masked", "system.posix_acl_access", MASKED_ACL)
    os.setxattr(root / "dir", "system.posix_acl_default", MASKED_ACL)


def make_special(root):
    root.mkdir()
    os.mkfifo(root / "fifo")
    os.mknod(root / "socket", stat.S_IFSOCK | 0o755)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "loop", stat.S_IFBLK | 0o600, os.makedev(7, 200))


def make_python(root):
    """What looks like bytecode and is none, beside bytecode that is fresh."""
    cache = root / "__pycache__"
    cache.mkdir(parents=True)
    for name in ("fresh", "garbage", "fifo", "folder", "short", "empty"):
        root.joinpath(f"{name}.py").write_text(f"name = {name!r}\n")
    compiled = pathlib.Path(py_compile.compile(root / "fresh.py"))
    tag = compiled.name[len("fresh."):]
    compiled.with_name(f"orphan.{tag}").write_bytes(compiled.read_bytes())
    cache.joinpath(f"garbage.{tag}").write_bytes(bytes(range(256)) * 32)
    cache.joinpath(f"short.{tag}").write_bytes(compiled.read_bytes()[:7])
    cache.joinpath(f"empty.{tag}").write_bytes(b"")
    cache.joinpath(f"folder.{tag}").mkdir()
    os.mkfifo(cache / f"fifo.{tag}")
    os.symlink(compiled.name, cache / f"link.{tag}")
    os.symlink("loop.py", root / "loop.py")
    cache.joinpath(f"loop.{tag}").write_bytes(compiled.read_bytes())
    os.link(compiled, root / "fresh.pyc")
    root.joinpath("not-a-folder").mkdir()
    root.joinpath("not-a-folder/__pycache__").write_text("a file")


def make_deep(root, levels=20):
    """A path of 5,000 bytes, too long for one system call."""
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for level in range(levels):
        name = f"{level:03}" + "d" * 247
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open("bottom.py", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
    os.write(file, b"at the bottom")
    os.close(file)
    os.symlink("bottom.py", "link", dir_fd=fd)
    os.close(fd)


def make_nasty(root):
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    make_contents(root)
    make_names(root / "names")
    make_links(root / "links")
    make_metadata(root / "metadata")
    make_xattrs(root / "xattrs")
    make_special(root / "special")
    make_python(root / "python")
    root.joinpath("empty").mkdir()
    os.utime(root / "empty", (0, 0))
