# SPDX-License-Identifier: GPL-2.0-or-later
"""The interpreters that tests run: the machine's own, and those inside of images.

An image's interpreter sees the image as "/" where it is a whole system (chroot), and
where the image lies on the machine otherwise. All run without the user's settings and
write no bytecode.
"""
import base64
import contextlib
import functools
import json
import os
import pathlib
import re
import struct
import subprocess

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/"}

ABOUT = r'''
import json, sys
if sys.version_info >= (3, 4):
    import importlib.util
    magic, tag = importlib.util.MAGIC_NUMBER, sys.implementation.cache_tag
else:
    import imp
    magic, tag = imp.get_magic(), None
print(json.dumps({"version": list(sys.version_info[:2]), "tag": tag, "path": sys.path[1:],
                  "magic": list(bytearray(magic)), "pypy": "PyPy" in sys.version}))
'''


class Python:
    """One interpreter.

    name     for people: "3.6.15", "pypy3.11"
    program  its path as it sees the file system
    root     the directory that it is chrooted to, None for none
    """

    def __init__(self, name, program, root=None):
        self.name = name
        self.program = str(program)
        self.root = root and pathlib.Path(root)

    def command(self, *arguments, level=0):
        chroot = ["chroot", str(self.root)] if self.root else []
        options = ["-B", "-E", "-s"] + ["-" + "O" * level] * bool(level)
        return chroot + [self.program] + options + [str(word) for word in arguments]

    def run(self, script, *arguments, stdin="", options=(), level=0, timeout=300):
        """Runs a script to its end, and returns the finished process."""
        return subprocess.run(self.command(*options, "-c", script, *arguments, level=level),
                              input=stdin, text=True, errors="surrogateescape", env=ENVIRONMENT,
                              capture_output=True, timeout=timeout)

    def json(self, script, *arguments, stdin=""):
        done = self.run(script, *arguments, stdin=stdin)
        assert done.returncode == 0, f"{self.name}: {done.stderr[-4000:]}"
        return json.loads(done.stdout)

    @functools.cached_property
    def about(self):
        return self.json(ABOUT)

    @property
    def version(self):
        return tuple(self.about["version"])

    @property
    def is_pypy(self):
        return self.about["pypy"]

    @property
    def magic(self):
        return bytes(self.about["magic"])

    @property
    def header_size(self):
        return 8 if self.version < (3, 3) else 12 if self.version < (3, 7) else 16

    def seen(self, path):
        """A path of ours, as this interpreter sees it."""
        return "/" + str(pathlib.Path(path).relative_to(self.root)) if self.root else str(path)

    def ours(self, path):
        """A path that this interpreter printed, as we see it."""
        return str(self.root) + path if self.root else path

    def cached(self, source, level=0):
        """Where this interpreter looks for the bytecode of a source file."""
        if self.version < (3, 2):
            return source + ("o" if level else "c")
        folder, name = os.path.split(source)
        opt = f".opt-{level}" if level else ""
        return os.path.join(folder, "__pycache__", f"{name[:-3]}.{self.about['tag']}{opt}.pyc")

    def __repr__(self):
        return self.name


def chroot_pythons(root):
    """Every interpreter of a whole system below root."""
    found = [path.name for path in pathlib.Path(root, "usr/bin").iterdir()
             if re.fullmatch(r"(python|pypy)3\.\d+", path.name)]
    return [Python(name, "/usr/bin/" + name, root) for name in sorted(found)]


def prefix_pythons(folder):
    """Every interpreter in folder/VERSION/bin."""
    found = []
    for prefix in sorted(pathlib.Path(folder).iterdir()):
        for name in ("python", "pypy3"):
            if prefix.joinpath("bin", name).exists():
                found.append(Python(prefix.name, prefix / "bin" / name))
    return found


def machine_pythons():
    """The interpreters that are installed on this machine, one of each version."""
    found = [Python("python3", "/usr/bin/python3"), Python("pypy3", "/usr/bin/pypy3")]
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    for prefix in sorted(pyenv.glob("versions/[0-9]*")):
        if not prefix.is_symlink():
            found.append(Python(prefix.name, prefix / "bin/python"))
    return [python for python in found if os.access(python.program, os.X_OK)]


@contextlib.contextmanager
def bound_read_only(source, point):
    """A tree that other tests share: PyPy rewrites a stale codecs.pyc even with -B."""
    pathlib.Path(point).mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", source, point], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", point], check=True)
    try:
        yield pathlib.Path(point)
    finally:
        subprocess.run(["umount", "-l", point], check=True)


# ---- bytecode of one's own making ----

COMPILE = r'''
import base64, json, marshal, sys
print(json.dumps([base64.b64encode(marshal.dumps(compile(text, "made.py", "exec"))).decode("ascii")
                  for text in json.loads(sys.stdin.read())]))
'''


def compiled(python, texts):
    """The marshalled code of each text."""
    return [base64.b64decode(body) for body in python.json(COMPILE, stdin=json.dumps(texts))]


def header(python, mtime, size, flags=0, magic=None):
    """The header of a timestamp pyc, in the interpreter's layout; words modulo 2^32."""
    words = {8: [mtime], 12: [mtime, size], 16: [flags, mtime, size]}[python.header_size]
    return (magic or python.magic) + b"".join(struct.pack("<I", word & 0xffffffff) for word in words)


def write(path, data, mtime_ns=None):
    """A file with its folder; its time, if given, in nanoseconds."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


class Workshop:
    """A place for trees that some interpreters read, in the root directory they see.

    tree     where tests make their files
    outside  a folder beside it, for what lies out of the mount
    point    where the tree is mounted
    """

    def __init__(self, folder, pythons, root=None):
        self.pythons = pythons
        self.root = root
        self.tree, self.outside, self.point = (folder / name for name in ("tree", "outside", "point"))
        for path in (self.tree, self.outside, self.point):
            path.mkdir()

    def options(self, *words):
        return ",".join(words + ((f"root={self.root}",) if self.root else ()))


WORKSHOPS = ("machine", "newer")


@contextlib.contextmanager
def workshop(name, folder, newer):
    """The machine's own interpreters; or, in "newer", those of the image of that name."""
    if name == "machine":
        yield Workshop(folder, machine_pythons())
        return
    with bound_read_only(newer, folder / "root") as root:
        subprocess.run(["mount", "-t", "tmpfs", "none", root / "tmp"], check=True)
        try:
            yield Workshop(root / "tmp", chroot_pythons(root), root)
        finally:
            subprocess.run(["umount", "-l", root / "tmp"], check=True)
