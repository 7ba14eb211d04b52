# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything a program can find out about a tree, so that two trees can be compared.

The walk goes through directory descriptors: paths may be longer than PATH_MAX, and names
are bytes.
"""
import contextlib
import hashlib
import os
import pickle
import stat

CHUNK = 1 << 20
MTIME_WORD = slice(8, 12)  # in the header of a pyc since Python 3.7
STAT_FIELDS = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_rdev", "st_size",
               "st_blocks", "st_blksize", "st_mtime_ns", "st_ctime_ns")


def data_extents(fd, size):
    """[(start, end)] of the parts of a file that are not holes."""
    extents, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: a hole up to the end
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        extents.append((start, at))
    return extents


def ends_of(start, end):
    """An extent, or the first and the last piece of a large one."""
    return [(start, end)] if end - start <= 2 * CHUNK else \
        [(start, start + CHUNK), (end - CHUNK, end)]


def content(fd, status, name):
    """Digest and holes; of a pyc, the mtime word apart from the rest."""
    facts = {}
    digest = hashlib.blake2b(digest_size=16)
    parts = [(0, status.st_size)]
    if status.st_blocks * 512 < status.st_size:
        facts["extents"] = data_extents(fd, status.st_size)
        parts = [part for extent in facts["extents"] for part in ends_of(*extent)]
    for start, end in parts:
        while start < end:
            piece = os.pread(fd, min(CHUNK, end - start), start)
            if not piece:
                facts["short"] = start
                break
            if start == 0 and name.endswith(b".pyc") and len(piece) >= 16:
                facts["mtime_word"] = piece[MTIME_WORD]
                facts["header"] = piece[:8] + piece[12:16]
                piece = piece[:8] + bytes(4) + piece[12:]
            digest.update(piece)
            start += len(piece)
    facts["digest"] = digest.digest()
    return facts


def xattrs(path):
    return {name: os.getxattr(path, name, follow_symlinks=False)
            for name in sorted(os.listxattr(path, follow_symlinks=False))}


def facts_of(dir_fd, name, contents):
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    facts = {field: getattr(status, field) for field in STAT_FIELDS}
    facts["xattrs"] = xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name))
    if stat.S_ISLNK(status.st_mode):
        facts["target"] = os.readlink(name, dir_fd=dir_fd)
    if stat.S_ISREG(status.st_mode) and contents:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=dir_fd)
        try:
            facts.update(content(fd, status, name))
        finally:
            os.close(fd)
    return facts


def walk(dir_fd, path, found, contents):
    with os.scandir(dir_fd) as entries:
        listed = [(os.fsencode(entry.name), entry.inode()) for entry in entries]
    for name, inode in sorted(listed):
        facts = facts_of(dir_fd, name, contents)
        facts["d_ino"] = inode
        found[path + name] = facts
        if stat.S_ISDIR(facts["st_mode"]):
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
            try:
                walk(fd, path + name + b"/", found, contents)
            finally:
                os.close(fd)


def describe(root, contents=True):
    """{path relative to root: facts}; the root itself is b"."."""
    found = {}
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found[b"."] = facts_of(fd, b".", contents)
        walk(fd, b"", found, contents)
    finally:
        os.close(fd)
    return found


def differences(left, right):
    """[(path, fact, left's, right's)]"""
    found = []
    for path in sorted(left.keys() | right.keys()):
        one, other = left.get(path), right.get(path)
        if one is None or other is None:
            found.append((path, "exists", one is not None, other is not None))
            continue
        found += [(path, fact, one.get(fact), other.get(fact))
                  for fact in sorted(one.keys() | other.keys())
                  if one.get(fact) != other.get(fact)]
    return found


# What overlayfs shows in another way: numbers of its own in (st_ino, d_ino); a directory that
# leads to a stub is the stub layer's; and a stub is younger than its file, and another one.
STACKED_NUMBERS = {"st_ino", "d_ino"}
STACKED_FOLDERS = {"st_nlink", "st_size", "st_blocks", "st_blksize", "st_ctime_ns"}
STACKED_STUBS = {"st_nlink", "st_blocks", "st_blksize", "st_ctime_ns"}


def stacked_differences(left, right):
    """differences() that a stacked mount cannot help are left out."""
    found = differences(left, right)
    changed = {path for path, fact, _, _ in found if fact in ("mtime_word", "st_mtime_ns")}
    folders = {path for path, facts in left.items() if stat.S_ISDIR(facts["st_mode"])}

    def helpless(path, fact):
        return (fact in STACKED_NUMBERS or (path in folders and fact in STACKED_FOLDERS) or
                (path in changed and fact in STACKED_STUBS))

    wrong = [(path, "numbers", facts["st_ino"], facts["d_ino"]) for path, facts in right.items()
             if facts.get("d_ino", facts["st_ino"]) != facts["st_ino"]]
    return [one for one in found if not helpless(*one[:2])] + wrong


def as_user(uid, function, *arguments):
    """Runs a function as another user, without capabilities; its result or exception."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            result = function(*arguments)
        except BaseException as error:  # handed to the parent
            result = error
        with contextlib.suppress(Exception):
            os.write(write_end, pickle.dumps(result))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        result = pickle.loads(stream.read())
    os.waitpid(pid, 0)
    if isinstance(result, BaseException):
        raise result
    return result
